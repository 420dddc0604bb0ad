import { calculateJwkThumbprint, decodeProtectedHeader } from 'jose';
import { type Adapter, type AdapterPayload, errors, Provider } from 'oidc-provider';
import { findState, findStateByUid } from '../../../domain/apps/authorization-states.ts';
import { liveSecretHashes } from '../../../domain/apps/clients.ts';
import { findConsent } from '../../../domain/apps/consents.ts';
import { DEVICE_CODE_KEEP_SECONDS, isDeviceCodeOver } from '../../../domain/apps/device-codes.ts';
import { findBearer } from '../../../domain/credentials/bearer.ts';
import { formatScope, parseScope } from '../../../lib/scopes.ts';
import { epochSeconds } from '../../../lib/time.ts';
import { PATHS } from '../../server/paths.ts';
import { findClientOrDocument } from './client-documents.ts';
import { OWN_ACCOUNT, SCOPE_BOUND } from './client-members.ts';
import { hashOf, isHashedSecret, toHashedSecret } from './client-secret.ts';
import { currentExchange, type Exchange, loginTimeOf } from './exchange.ts';

/**
 * The storage of oidc-provider. Access tokens are credentials, clients and consents have tables of their own, all other
 * models are states. Reads go to the database; writes are collected in the exchange.
 */

/** How long the client of a used refresh token gets the same response again, and a used code ends nothing. */
const GRACE_MS = 10_000;

/** The life of what oidc-provider gives none: the registration access token, which ends with its client. */
const UNLIMITED_SECONDS = 100 * 365 * 86_400;

type Payload = AdapterPayload & Record<string, unknown>;

/** Creates the adapter of a model. */
export function createAdapter(model: string): Adapter {
  const adapter = model === 'Client' ? CLIENTS : model === 'Grant' ? CONSENTS : statesOf(model);
  return model === 'AccessToken' || model === 'ClientCredentials'
    ? recordErrors({ ...adapter, ...TOKENS })
    : recordErrors(adapter);
}

/** Keeps what a method throws, unless it is an answer to the client. */
function recordErrors(adapter: Adapter): Adapter {
  const wrapped = Object.entries(adapter).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      try {
        return await (method as (...all: unknown[]) => Promise<unknown>)(...args);
      } catch (error) {
        if (!(error instanceof errors.OIDCProviderError)) currentExchange().error ??= error;
        throw error;
      }
    },
  ]);
  return Object.fromEntries(wrapped) as Adapter;
}

async function unsupported(): Promise<undefined> {
  return undefined;
}

function statesOf(model: string): Adapter {
  const nameOf = (id: string) => `${model}:${id}`;
  return {
    async upsert(id, payload, seconds) {
      const { writes, written } = currentExchange();
      written.set(nameOf(id), { ...payload });
      writes.push({
        kind: 'saveState',
        state: {
          model,
          id,
          payload: { ...payload },
          grantId: payload.grantId,
          accountId: payload.accountId,
          uid: payload.uid,
          userCode: payload.userCode,
          seconds: (seconds ?? UNLIMITED_SECONDS) + (model === 'DeviceCode' ? DEVICE_CODE_KEEP_SECONDS : 0),
          isUnique: model === 'ReplayDetection',
        },
      });
    },
    async find(id) {
      const exchange = currentExchange();
      if (exchange.written.has(nameOf(id))) return exchange.written.get(nameOf(id)) as Payload | undefined;
      const state = await findState(exchange.deps, model, id);
      if (state === undefined) return undefined;
      const payload = state.payload as Payload;
      if (model === 'Session') return sessionFor(exchange, payload);
      if (model === 'Interaction') return interactionFor(exchange, payload);
      if (model === 'DeviceCode' && isDeviceCodeOver(state.expiresAt, exchange.deps.clock())) {
        throw new errors.ExpiredToken('the device code has expired');
      }
      if (state.consumedAt === null) return payload;
      if (model === 'PushedAuthorizationRequest')
        return { ...payload, consumed: epochSeconds(state.consumedAt) };
      if (exchange.deps.clock() - state.consumedAt < GRACE_MS) {
        if (await isSameHolder(payload)) exchange.repeated = state.answer;
        throw new errors.InvalidGrant('it was used already');
      }
      return { ...payload, consumed: epochSeconds(state.consumedAt) };
    },
    async findByUid(uid) {
      const exchange = currentExchange();
      const state = await findStateByUid(exchange.deps, model, uid);
      return state && sessionFor(exchange, state.payload as Payload);
    },
    async consume(id) {
      currentExchange().writes.push({ kind: 'consumeState', model, id });
    },
    async destroy(id) {
      const { writes, written } = currentExchange();
      written.set(nameOf(id), undefined);
      writes.push({ kind: 'deleteState', model, id });
    },
    revokeByGrantId: endConsentOnce,
    findByUserCode: unsupported,
  };
}

/** Whether the client of a state presents it again, with the same key if it is bound to one. The proof was checked before. */
async function isSameHolder({ clientId, jkt }: Payload): Promise<boolean> {
  const { ctx } = Provider;
  if (ctx === undefined || ctx.oidc.client?.clientId !== clientId) return false;
  if (jkt === undefined) return true;
  const proof = ctx.get('DPoP');
  if (proof === '') return false;
  const { jwk } = decodeProtectedHeader(proof);
  return jwk !== undefined && (await calculateJwkThumbprint(jwk)) === jkt;
}

/**
 * The session of oidc-provider counts only while the session of ours from which it began lives in the same browser: who
 * signs in again, or as somebody else, begins a new one.
 */
function sessionFor({ session }: Exchange, payload: Payload): Payload | undefined {
  const { accountId, loginTs } = payload;
  const isOfSession =
    session !== undefined && session.accountId === accountId && loginTimeOf(session) === loginTs;
  return accountId === undefined || isOfSession ? payload : undefined;
}

/** A request goes on only for who is signed in now, whoever signed in for it before. */
function interactionFor({ session }: Exchange, payload: Payload): Payload | undefined {
  const { login } = (payload.result ?? {}) as { login?: { accountId: string } };
  return login === undefined || login.accountId === session?.accountId ? payload : undefined;
}

/** oidc-provider calls it once for each model that belongs to a consent. */
async function endConsentOnce(id: string): Promise<undefined> {
  const { writes } = currentExchange();
  if (!writes.some((write) => write.kind === 'endConsent' && write.id === id))
    writes.push({ kind: 'endConsent', id });
  return undefined;
}

/** Access tokens: `jti` is the token itself. */
const TOKENS: Pick<Adapter, 'upsert' | 'find' | 'destroy'> = {
  async upsert(value, payload) {
    const { writes, deps, narrowed } = currentExchange();
    const { aud, accountId, clientId, grantId, scope = '', iat, exp, extra, jkt } = payload;
    writes.push({
      kind: 'storeToken',
      token: {
        id: String(extra?.id),
        value,
        agentId: undefined,
        // A client that acts by itself does so as its account.
        accountId: accountId ?? String(extra?.account),
        app: { clientId: clientId!, grantId },
        keyThumbprint: jkt,
        narrowed,
        scopes: parseScope(scope),
        // One without an API works at the userinfo endpoint alone.
        resource: typeof aud === 'string' ? aud : deps.config.publicUrl + PATHS.userinfo,
        issuedAt: iat! * 1000,
        expiresAt: exp! * 1000,
      },
    });
  },
  async find(value) {
    const { deps } = currentExchange();
    const bearer = await findBearer(deps, value);
    if (typeof bearer === 'string' || bearer.app?.grantId === undefined) return undefined;
    const { key, accountId, app, keyThumbprint } = bearer;
    const audience = key.isPlaced
      ? (await findConsent(deps, bearer.app.grantId))?.resource
      : key.resources?.[0];
    return {
      kind: 'AccessToken',
      jti: value,
      accountId,
      ...app,
      ...(keyThumbprint !== undefined && { jkt: keyThumbprint }),
      scope: formatScope(key.scopes),
      iat: epochSeconds(key.createdAt),
      exp: epochSeconds(key.expiresAt!),
      ...(audience !== deps.config.publicUrl + PATHS.userinfo && { aud: audience! }),
    };
  },
  destroy: unsupported,
};

/** Consents are saved by the page, see domain/apps/consents.ts. */
const CONSENTS: Adapter = {
  upsert: () => Promise.reject(new Error('a consent is saved by the page')),
  async find(id) {
    const consent = await findConsent(currentExchange().deps, id);
    if (consent === undefined) return undefined;
    const { accountId, clientId, resource, scope, openidScope } = consent;
    return {
      kind: 'Grant',
      jti: id,
      accountId,
      clientId,
      ...(openidScope !== '' && { openid: { scope: openidScope } }),
      ...(resource !== null && { resources: { [resource]: scope } }),
      iat: epochSeconds(consent.createdAt),
      exp: epochSeconds(consent.expiresAt),
    } as Payload;
  },
  async destroy(id) {
    await endConsentOnce(id);
  },
  consume: unsupported,
  revokeByGrantId: endConsentOnce,
  findByUid: unsupported,
  findByUserCode: unsupported,
};

const CLIENTS: Adapter = {
  async upsert(id, payload) {
    const { writes } = currentExchange();
    const { client_secret: secret, ...metadata } = payload as Record<string, unknown>;
    writes.push({
      kind: 'saveClient',
      id,
      origin: 'dynamic',
      metadata,
      secret: typeof secret === 'string' ? toStoredSecret(secret) : undefined,
    });
  },
  async find(id) {
    const client = await findClientOrDocument(currentExchange(), id);
    if (client === undefined) return undefined;
    const secretHashes = liveSecretHashes(client, currentExchange().deps.clock());
    return {
      ...client.metadata,
      client_id: id,
      ...(client.scope !== null && { [SCOPE_BOUND]: client.scope }),
      ...(client.accountId !== null && { [OWN_ACCOUNT]: client.accountId }),
      ...(secretHashes.length > 0 && { client_secret: toHashedSecret(...secretHashes) }),
    };
  },
  async destroy(id) {
    currentExchange().writes.push({ kind: 'endClient', id });
  },
  consume: unsupported,
  revokeByGrantId: unsupported,
  findByUid: unsupported,
  findByUserCode: unsupported,
};

/** An update of a client saves the hash again that find() returned. */
function toStoredSecret(secret: string): string | Buffer {
  return isHashedSecret(secret) ? hashOf(secret) : secret;
}
