import type { Clock } from './clock.ts';
import { createDocuments } from './documents.ts';
import { createIssuerKeys, type IssuerKeys } from './issuer-keys.ts';
import type { FetchRules, SafeFetch } from './safe-fetch.ts';
import { parseStrictJson } from './strict-json.ts';

/** Fetches what agent providers and their clients publish, so that we can verify their tokens. */
export interface ProviderDocuments {
  /** Returns the keys of an issuer that the operator trusts. */
  keysOf(issuer: { jwksUri: string }): IssuerKeys;
  /**
   * Fetches the metadata that a client publishes at its client id (draft-ietf-oauth-client-id-metadata-document).
   *
   * @param clientId an https URL; if configured, also an http URL on this machine while the service is on this machine
   * @param isConfigured whether it is at the origin of an issuer that the operator configured
   * @throws Error if there is no valid document
   */
  clientDocument(clientId: string, isConfigured: boolean): Promise<ClientDocument>;
}

/** The metadata of a client that we use. */
export interface ClientDocument {
  clientId: string;
  jwksUri: string | undefined;
}

/** How long a client document is used before we fetch it again. */
const CLIENT_FRESH = { floorSeconds: 60, ceilingSeconds: 3600 };
const CLIENTS_MAX = 1000;

/**
 * Creates the fetcher.
 *
 * @param mayBeLocal whether a configured URL may be on this machine: only while the service is on this machine
 */
export function createProviderDocuments(
  fetch: SafeFetch,
  clock: Clock,
  mayBeLocal: boolean,
): ProviderDocuments {
  const createClientCache = (rules: FetchRules) =>
    createDocuments<ClientDocument>({
      fetch: (url) => fetch(url, rules),
      parse: parseClientDocument,
      clock,
      ...CLIENT_FRESH,
      max: CLIENTS_MAX,
    });
  const unknownClients = createClientCache({ namedBy: 'stranger' });
  const configuredClients = createClientCache({ namedBy: 'operator', mayBeLocal });
  const keysAt = createIssuerKeys((url) => fetch(url, { namedBy: 'operator', mayBeLocal }), clock);
  return {
    keysOf: ({ jwksUri }) => keysAt(jwksUri),
    clientDocument: (clientId, isConfigured) =>
      (isConfigured ? configuredClients : unknownClients).get(clientId),
  };
}

function parseClientDocument(text: string, url: string): ClientDocument {
  const document = parseStrictJson(Buffer.from(text));
  const { client_id: clientId, jwks_uri: jwksUri } = document;
  if (clientId !== url) throw new Error('the client document has another client_id');
  // A published secret protects nothing, and we share none with clients that we do not know.
  if (Object.keys(document).some((name) => name.startsWith('client_secret'))) {
    throw new Error('the client document has a secret');
  }
  return { clientId, jwksUri: typeof jwksUri === 'string' ? jwksUri : undefined };
}
