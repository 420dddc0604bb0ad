import type { JWK } from 'jose';
import { AuthError } from '../lib/artifacts/auth-error.ts';
import { DEFAULT_CAP_PREFIX } from '../lib/artifacts/permission-entry.ts';
import { type PermissionGrant, readGrant } from '../lib/artifacts/permission-grant.ts';
import type { PermissionRequest } from '../lib/artifacts/permission-request.ts';
import { refused, type ServiceClient } from './service-client.ts';
import { type SessionKey, signKeyToken } from './session-key.ts';

/** The endpoints for permissions, each as one function. */

const PATHS = {
  permissions: '/agent/permissions',
  sessionKey: '/agent/session-key',
  token: '/oauth2/token',
  jwks: '/.well-known/jwks.json',
  metadata: '/.well-known/oauth-authorization-server',
} as const;

const REQUEST_MEDIA = 'application/vnd.vouchsafe.request+json';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** What a person let a terminal grant for them. */
export interface Bound {
  scopes: string[];
  workspaces: string[];
}

/** How far a request has come. */
export interface RequestState {
  id: string;
  state: 'pending' | 'granted' | 'denied' | 'expired' | 'revoked';
  agent_id?: string;
  /** Where a person decides, while it is pending. */
  verification_uri?: string;
  user_code?: string;
  expires_at: string;
  /** Signed; to be read by `readGrant` and verified. */
  grant?: unknown;
  /** Signed; to be read by `readDenial` and verified. */
  denial?: unknown;
  /** Of a login: whom the terminal acts for now. */
  login?: { account: string; bound: Bound; expires_at: string };
}

/** Whose a session key is. */
export interface KeyHolder {
  kind: 'agent' | 'human';
  agent_id?: string;
  account: string;
  owner?: string;
  thumbprint: string;
  expires_at?: string;
  bound?: Bound;
}

/** What a session key holds now. The permissions of a grant are those that still hold. */
export interface HeldGrants {
  key: KeyHolder;
  grants: PermissionGrant[];
}

/** What a person leaves of a request. */
export interface GrantBody {
  permissions: { index: number; actions: string[]; space?: string }[];
  lifetime_seconds?: number | undefined;
}

/** An access token, and where it may do what (RFC 9396). */
export interface AccessToken {
  access_token: string;
  token_type: string;
  expires_in: number;
  scope?: string;
  authorization_details?: unknown[];
  /** Of a token for one action. */
  action_hash?: string;
}

/** Hands a request to the service. The same one again changes nothing. @param credential an agent's key: binds the request's key to it */
export async function submitRequest(
  client: ServiceClient,
  request: PermissionRequest,
  credential: string | undefined,
): Promise<RequestState> {
  const call = { method: 'POST', path: PATHS.permissions, json: request, media: REQUEST_MEDIA } as const;
  return readState(await client.call({ ...call, bearer: credential }));
}

/** Asks how far a request has come. @returns how many seconds to wait if that was too soon */
export async function pollRequest(
  client: ServiceClient,
  key: SessionKey,
  id: string,
): Promise<RequestState | number> {
  const path = `${PATHS.permissions}/${encodeURIComponent(id)}`;
  const answer = await client.send({ method: 'GET', path, bearer: await tokenFor(client, key, path) });
  if (answer.ok) return readState(answer.data);
  if (answer.refusal.code === 'slow_down') return answer.refusal.retryAfter ?? 5;
  throw refused(answer.refusal);
}

/** Grants a request by a terminal. */
export async function grantRequest(
  client: ServiceClient,
  key: SessionKey,
  id: string,
  body: GrantBody,
): Promise<RequestState> {
  const path = `${PATHS.permissions}/${encodeURIComponent(id)}/grant`;
  return readState(await callByKey(client, key, { method: 'POST', path, json: body }));
}

/** Denies a request by a terminal. */
export async function denyRequest(client: ServiceClient, key: SessionKey, id: string): Promise<RequestState> {
  const path = `${PATHS.permissions}/${encodeURIComponent(id)}/deny`;
  return readState(await callByKey(client, key, { method: 'POST', path }));
}

/** Lists what a session key holds now, and whose it is. */
export async function listGrants(client: ServiceClient, key: SessionKey): Promise<HeldGrants> {
  const data = await callByKey(client, key, { method: 'GET', path: PATHS.permissions });
  const grants = Array.isArray(data.grants) ? (data.grants as Record<string, unknown>[]) : [];
  return {
    key: readHolder(data.key),
    // What was signed, with what still holds of it in its place.
    grants: grants.map(({ grant, permissions }) => ({
      ...readGrant(grant),
      permissions: permissions as PermissionGrant['permissions'],
    })),
  };
}

/** Ends a grant, by its holder or who gave it. */
export async function endGrant(client: ServiceClient, key: SessionKey, id: string): Promise<void> {
  const path = `${PATHS.permissions}/grants/${encodeURIComponent(id)}`;
  await callByKey(client, key, { method: 'DELETE', path });
}

/** What the service says of a rotation. */
export interface RotatedKey {
  thumbprint: string;
  old_thumbprint: string;
  old_ends_at: string;
}

/** Lets another key follow a session key. */
export async function rotateKey(
  client: ServiceClient,
  old: SessionKey,
  next: SessionKey,
): Promise<RotatedKey> {
  const audience = client.service + PATHS.sessionKey;
  const proof = await signKeyToken(next, audience, { claims: { old: old.thumbprint } });
  const json = { key: next.publicJwk, proof };
  const data = await callByKey(client, old, { method: 'POST', path: PATHS.sessionKey, json });
  const rotated = data as unknown as RotatedKey;
  assertWords([rotated.thumbprint, rotated.old_thumbprint, rotated.old_ends_at]);
  return rotated;
}

/** Ends a session key, and on request what its terminal granted. */
export async function endKey(
  client: ServiceClient,
  key: SessionKey,
  { endGrants = false } = {},
): Promise<void> {
  const json = { end: true, end_grants: endGrants };
  await callByKey(client, key, { method: 'POST', path: PATHS.sessionKey, json });
}

/** What a token should be for. Each absent: everything that was granted. */
export interface TokenRequest {
  /** The URL of an API. */
  resource?: string | undefined;
  /** Places (RFC 9396). */
  details?: object[] | undefined;
  /** One grant; needed for one that is for a single action, if there are others. */
  grantId?: string | undefined;
}

/**
 * Gets an access token by a session key.
 *
 * @throws AuthError `PERMISSIONS_MISSING` for what was not granted, or not any more; `SESSION_KEY_ENDED`
 */
export async function getToken(
  client: ServiceClient,
  key: SessionKey,
  { resource, details, grantId }: TokenRequest = {},
): Promise<AccessToken> {
  const form = {
    grant_type: JWT_BEARER,
    assertion: await tokenFor(client, key, PATHS.token),
    resource,
    authorization_details: details && JSON.stringify(details),
    grant_id: grantId,
  };
  const answer = await client.send({ method: 'POST', path: PATHS.token, form });
  if (answer.ok) {
    const token = answer.data as unknown as AccessToken;
    if (typeof token.access_token !== 'string' || !/^[\x21-\x7e]+$/.test(token.access_token)) {
      throw strangeAnswer();
    }
    return token;
  }
  // The token endpoint has one code for a key that ended and for one without a grant.
  if (answer.refusal.code === 'invalid_grant') await listGrants(client, key);
  throw refused(answer.refusal);
}

/** Fetches the key set of the service (RFC 7517). */
export async function fetchKeySet(client: ServiceClient): Promise<JWK[]> {
  const { keys } = await client.call({ method: 'GET', path: PATHS.jwks });
  return Array.isArray(keys) ? (keys as JWK[]) : [];
}

/** Fetches what comes before the names of services in capabilities: `vouchsafe` in `vouchsafe.api`. */
export async function fetchCapPrefix(client: ServiceClient): Promise<string> {
  const { agent_auth: metadata } = await client.call({ method: 'GET', path: PATHS.metadata });
  const prefix = (metadata as { capability_prefix?: unknown } | undefined)?.capability_prefix;
  return typeof prefix === 'string' && /^[a-z0-9]{1,16}$/.test(prefix) ? prefix : DEFAULT_CAP_PREFIX;
}

async function callByKey(
  client: ServiceClient,
  key: SessionKey,
  call: { method: 'GET' | 'POST' | 'DELETE'; path: string; json?: object },
): Promise<Record<string, unknown>> {
  return client.call({ ...call, bearer: await tokenFor(client, key, call.path) });
}

function tokenFor(client: ServiceClient, key: SessionKey, path: string): Promise<string> {
  return signKeyToken(key, client.service + path);
}

/** What the service answers is shown at terminals: its words are words, and its links links. */
const WORD = /^[\w.:-]{1,256}$/;
const LINK = /^https?:\/\/[\x21-\x7e]{1,1000}$/;

function readState(data: Record<string, unknown>): RequestState {
  const { id, state, expires_at, agent_id, user_code, verification_uri } = data;
  assertWords([id, state, expires_at], [agent_id, user_code]);
  if (
    verification_uri !== undefined &&
    !(typeof verification_uri === 'string' && LINK.test(verification_uri))
  ) {
    throw strangeAnswer();
  }
  const login = data.login as RequestState['login'];
  if (login !== undefined) assertWords([login.account, login.expires_at]);
  return data as unknown as RequestState;
}

function readHolder(value: unknown): KeyHolder {
  const holder = (value ?? {}) as KeyHolder;
  const { kind, account, thumbprint, agent_id, owner, expires_at } = holder;
  assertWords([kind, account, thumbprint], [agent_id, owner, expires_at]);
  return holder;
}

/** @throws AuthError `SERVICE_ERROR` for what is no word; those of `optional` may be absent */
function assertWords(required: readonly unknown[], optional: readonly unknown[] = []): void {
  const given = [...required, ...optional.filter((each) => each !== undefined)];
  if (!given.every((each) => typeof each === 'string' && WORD.test(each))) throw strangeAnswer();
}

function strangeAnswer(): AuthError {
  return new AuthError('SERVICE_ERROR', 'The service answered something that is not understood.');
}
