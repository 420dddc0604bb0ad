import type { Clock } from './clock.ts';
import { createDocuments } from './documents.ts';
import { createIssuerKeys, type IssuerKeys } from './issuer-keys.ts';
import type { FetchRules, SafeFetch } from './safe-fetch.ts';
import { parseStrictJson } from './strict-json.ts';

/** What agent providers and their clients publish, and what we need to verify the tokens that they sign. */
export interface ProviderDocuments {
  /** The keys of an issuer that the operator trusts. */
  keysOf(issuer: { jwksUri: string }): IssuerKeys;
  /**
   * What a client says of itself at its id (draft-ietf-oauth-client-id-metadata-document).
   *
   * @param clientId an https URL; with `isOwn` also one of http on this machine, where the service itself is
   * @param isOwn whether it lies at the origin of an issuer that the operator named
   * @throws Error when there is no such document
   */
  clientDocument(clientId: string, isOwn: boolean): Promise<ClientDocument>;
}

export interface ClientDocument {
  clientId: string;
  jwksUri: string | undefined;
}

/** A client that changes its document waits for it to be seen: at most this long. */
const CLIENT_FRESH = { floorSeconds: 60, ceilingSeconds: 3600 };
const CLIENTS_MAX = 1000;

/** @param mayBeLocal whether what the operator named may be on this machine: only while the service itself is */
export function createProviderDocuments(
  fetch: SafeFetch,
  clock: Clock,
  mayBeLocal: boolean,
): ProviderDocuments {
  const clientsBy = (rules: FetchRules) =>
    createDocuments<ClientDocument>({
      fetch: (url) => fetch(url, rules),
      parse: parseClientDocument,
      clock,
      ...CLIENT_FRESH,
      max: CLIENTS_MAX,
    });
  const strangers = clientsBy({ namedBy: 'stranger' });
  const own = clientsBy({ namedBy: 'operator', mayBeLocal });
  const keysAt = createIssuerKeys((url) => fetch(url, { namedBy: 'operator', mayBeLocal }), clock);
  return {
    keysOf: ({ jwksUri }) => keysAt(jwksUri),
    clientDocument: (clientId, isOwn) => (isOwn ? own : strangers).get(clientId),
  };
}

function parseClientDocument(text: string, url: string): ClientDocument {
  const document = parseStrictJson(Buffer.from(text));
  const { client_id: clientId, jwks_uri: jwksUri } = document;
  if (clientId !== url) throw new Error('the client document has another client_id');
  // A secret that is published, or that we would have to share with a stranger, is none.
  if (Object.keys(document).some((name) => name.startsWith('client_secret'))) {
    throw new Error('the client document has a secret');
  }
  return { clientId, jwksUri: typeof jwksUri === 'string' ? jwksUri : undefined };
}
