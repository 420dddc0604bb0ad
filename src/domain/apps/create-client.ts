import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope } from '../../lib/scopes.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { singleLine } from '../../lib/untrusted-text.ts';
import { insertClientAccount, lockAccount } from '../../store/accounts.ts';
import { findOAuthClient, insertOAuthClient } from '../../store/oauth-clients.ts';
import { listOwnedClients } from '../../store/owned-clients.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { AT_COMMAND_LINE, type OperatorAct, reasonDetails } from '../audit/operator-acts.ts';
import { clientLimits } from '../limits/limits.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import type { PlaceRequest } from '../workspaces/give-places.ts';
import { allowBound, setBound } from './client-bounds.ts';
import { type OAuthClient, toOAuthClient } from './clients.ts';
import { applicationTypeOf, isRedirectUri, REDIRECTS_MAX } from './redirect-uris.ts';

/** Clients that a human registers at a page, or the operator at the command line. */

/** How such a client may authenticate (RFC 7591 section 2). */
export const CLIENT_AUTH_METHODS = [
  'none',
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
] as const;
export type ClientAuthMethod = (typeof CLIENT_AUTH_METHODS)[number];

/** The grant of devices without a browser (RFC 8628 section 3.4). */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
/** The grant that exchanges an assertion about a user (RFC 7523 section 2.1). */
export const ASSERTION_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** The grants that are chosen for such a client. A refresh token comes with a code and with a device code. */
export const CLIENT_GRANT_TYPES = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  DEVICE_GRANT,
  ASSERTION_GRANT,
] as const;
export type ClientGrantType = (typeof CLIENT_GRANT_TYPES)[number];

/** The grants for which no human is asked: only a client that authenticates gets them. */
const CONFIDENTIAL_GRANTS: readonly ClientGrantType[] = ['client_credentials', ASSERTION_GRANT];

/** What a human or the operator says of a client. */
export interface NewClient {
  /** 1 to 80 characters. */
  name: string;
  /** With `authorization_code`: 1 to 10 URLs, of which one is matched exactly; else none. */
  redirectUris: readonly string[];
  authMethod: ClientAuthMethod;
  grantTypes: readonly ClientGrantType[];
  /** The most it may ask for; undefined: every scope. */
  scopes: readonly string[] | undefined;
  /** Where it may work at most; undefined or none: wherever people let it. */
  places?: readonly PlaceRequest[] | undefined;
  /** With `private_key_jwt`, one of both: its public keys (RFC 7517), or the https URL of them. */
  jwks?: { keys: readonly object[] } | undefined;
  jwksUri?: string | undefined;
}

const NAME_MAX = 80;
const KEYS_MAX = 10;
const BYTES_MAX = 4096;

/**
 * Creates a client.
 *
 * @param by the account of the human, or the operator's act; such a client gets an account of its own, as which it acts
 * @returns the client, and its secret if it has one, of which only the hash is stored
 * @throws Failure `badRequest` with the `field` that is wrong, `clients` for more than `clientsPerAccount`;
 * `signInRequired` if the account was deleted; `limited`
 */
export async function createClient(
  deps: Deps,
  origin: RequestOrigin,
  input: NewClient,
  by: { owner: string } | { operator: OperatorAct } = { operator: AT_COMMAND_LINE },
): Promise<{ client: OAuthClient; secret: string | undefined }> {
  const metadata = toMetadata(deps, input);
  const hasSecret = input.authMethod.startsWith('client_secret');
  const secret = hasSecret ? newSecret('cs', deps.random) : undefined;
  const client = await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const id = newId('cli', now, deps.random);
    const isPersons = 'owner' in by;
    const owner = isPersons ? by.owner : undefined;
    // Workspaces are locked before the account.
    const places = await allowBound(work, owner, input.places ?? []);
    const accountId = isPersons ? await holdOwner(work, by.owner) : await createOwnAccount(work);
    await insertOAuthClient(tx, {
      id,
      origin: isPersons ? 'person' : 'operator',
      owner: isPersons ? by.owner : null,
      name: metadata.client_name,
      metadata: JSON.stringify(metadata),
      secretHash: secret === undefined ? null : hashSecret(secret),
      accountId,
      scope: input.scopes === undefined ? null : formatScope(input.scopes),
      createdAt: now,
    });
    await setBound(work, { id, accountId }, owner, places);
    await recordEvent(work, {
      kind: 'client.registered',
      accountId: isPersons ? by.owner : by.operator.accountId,
      subject: id,
      details: {
        origin: isPersons ? 'person' : 'operator',
        name: metadata.client_name,
        ...(!isPersons && reasonDetails(by.operator)),
      },
    });
    return toOAuthClient((await findOAuthClient(tx, id))!);
  });
  return { client, secret };
}

async function holdOwner(work: Work, accountId: string): Promise<string> {
  const { tx, origin, deps } = work;
  if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
  const max = deps.config.limits.clientsPerAccount;
  if ((await listOwnedClients(tx, accountId)).length >= max) {
    refuse('clients', `You have ${max} clients. Delete one first.`);
  }
  await consumeLimits(work, clientLimits(origin.address));
  return accountId;
}

async function createOwnAccount({ tx, now, deps }: Work): Promise<string> {
  const id = newId('usr', now, deps.random);
  await insertClientAccount(tx, id, now);
  return id;
}

/**
 * Checks what was said of a client, and returns it as metadata (RFC 7591 section 2).
 *
 * @throws Failure `badRequest` with the `field` that is wrong
 */
export function toMetadata(
  { config }: Pick<Deps, 'config'>,
  input: NewClient,
): Record<string, unknown> & { client_name: string } {
  const { redirectUris, authMethod, grantTypes, scopes, jwks, jwksUri } = input;
  const name = singleLine(input.name, input.name.length + 1);
  if (name === '' || [...name].length > NAME_MAX) refuse('name', `A name has 1 to ${NAME_MAX} characters.`);
  if (grantTypes.length === 0) refuse('grant_types', 'Choose what the client may do.');
  const needsKey = grantTypes.find((each) => CONFIDENTIAL_GRANTS.includes(each));
  if (needsKey !== undefined && authMethod === 'none') {
    refuse('token_endpoint_auth_method', 'A client that acts without a human has to authenticate.');
  }
  const hasCode = grantTypes.includes('authorization_code');
  if (grantTypes.includes('refresh_token') && !hasCode && !grantTypes.includes(DEVICE_GRANT)) {
    refuse('grant_types', 'Refresh tokens come with an authorization code or a device code.');
  }
  checkRedirects(redirectUris, hasCode);
  const unknown = scopes?.find((scope) => !config.scopes.has(scope));
  if (unknown !== undefined || scopes?.length === 0) {
    refuse('scope', `There is no such scope. Known: ${[...config.scopes.keys()].join(', ')}.`);
  }
  if (authMethod === 'private_key_jwt') checkKeys(jwks, jwksUri);
  else if (jwks !== undefined || jwksUri !== undefined) {
    refuse('jwks', 'Only a client that signs with its own key has keys.');
  }
  return {
    client_name: name,
    redirect_uris: [...redirectUris],
    application_type: applicationTypeOf(redirectUris),
    grant_types: CLIENT_GRANT_TYPES.filter((each) => grantTypes.includes(each)),
    response_types: hasCode ? ['code'] : [],
    token_endpoint_auth_method: authMethod,
    ...(jwks !== undefined && { jwks }),
    ...(jwksUri !== undefined && { jwks_uri: jwksUri }),
  };
}

function checkRedirects(uris: readonly string[], isNeeded: boolean): void {
  if (!isNeeded && uris.length > 0) {
    refuse('redirect_uris', 'Only a client that sends people here has redirect URIs.');
  }
  if (isNeeded && (uris.length === 0 || uris.length > REDIRECTS_MAX)) {
    refuse('redirect_uris', `Name 1 to ${REDIRECTS_MAX} redirect URIs.`);
  }
  if (!uris.every(isRedirectUri)) {
    refuse(
      'redirect_uris',
      'A redirect URI is https, http on a loopback host, or a scheme of the app, without fragment.',
    );
  }
}

function checkKeys(jwks: NewClient['jwks'], jwksUri: string | undefined): void {
  if (jwks !== undefined && jwksUri !== undefined) refuse('jwks', 'Give the keys or their URL, not both.');
  if (jwksUri !== undefined) {
    const isHttps = URL.canParse(jwksUri) && new URL(jwksUri).protocol === 'https:';
    if (!isHttps || jwksUri.length > 2048) refuse('jwks_uri', 'The keys are at an https URL.');
    return;
  }
  const keys = jwks?.keys;
  const areKeys =
    Array.isArray(keys) && keys.length > 0 && keys.length <= KEYS_MAX && keys.every(isPublicKey);
  if (!areKeys || JSON.stringify(jwks).length > BYTES_MAX) {
    refuse('jwks', 'Give the public keys as a JWK set: {"keys": [...]}, RSA, EC or Ed25519.');
  }
}

/** The members of JWKs that are secret (RFC 7518 section 6). */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

function isPublicKey(key: object): boolean {
  if (typeof key !== 'object' || key === null || SECRET_MEMBERS.some((member) => member in key)) return false;
  try {
    createPublicKey({ key: key as JsonWebKey, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}

function refuse(field: string, message: string): never {
  throw new Failure('badRequest', message, { field });
}
