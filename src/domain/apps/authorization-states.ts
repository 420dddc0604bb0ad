import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { normalizeUserCode } from '../../lib/code-text.ts';
import { formatScope } from '../../lib/scopes.ts';
import { hashSecret } from '../../lib/secrets.ts';
import { updateOAuthClientUsed } from '../../store/oauth-clients.ts';
import { findOAuthGrant, lockLiveOAuthGrant } from '../../store/oauth-grants.ts';
import {
  deleteOAuthState,
  findOAuthState,
  findOAuthStateByUid,
  insertOAuthState,
  type OAuthStateRow,
  updateOAuthStateConsumed,
  upsertOAuthState,
} from '../../store/oauth-states.ts';
import { listPlacesOf } from '../../store/places.ts';
import { insertUsedToken } from '../../store/spent-tokens.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { storeAccessToken } from '../credentials/issue.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { requireOwnWithinBound } from './client-bounds.ts';
import { endClient, saveClient } from './clients.ts';
import { endConsent, recordDecline } from './consents.ts';
import { BATCHES_PER_REQUEST, endConsentsOfEndedClient } from './end-consents.ts';

/**
 * What the OAuth authorization server remembers between two requests: codes, refresh tokens, interactions and others.
 * What one request writes is committed in one transaction, so that a code is used and its tokens exist, or neither.
 */

/** A state as it was saved. */
export interface AuthorizationState {
  payload: Record<string, unknown>;
  /** Epoch ms; null: it was not used yet. */
  consumedAt: number | null;
  /** Epoch ms. */
  expiresAt: number;
  /** The response for which it was exchanged; undefined: none was kept. */
  answer: string | undefined;
}

/** One write of a request. */
export type AuthorizationWrite =
  | { kind: 'saveState'; state: NewState }
  | { kind: 'consumeState'; model: string; id: string }
  | { kind: 'deleteState'; model: string; id: string }
  | { kind: 'storeToken'; token: AppToken }
  | ({ kind: 'spendAssertion' } & SpentAssertion)
  | ({ kind: 'saveClient' } & Parameters<typeof saveClient>[1])
  | { kind: 'endClient'; id: string }
  | { kind: 'endConsent'; id: string }
  | { kind: 'recordDecline'; accountId: string; clientId: string };

/** An assertion of a provider that is presented once only; times in epoch ms. */
export interface SpentAssertion {
  issuer: string;
  jti: string;
  issuedAt: number;
  /** Until when it is remembered. */
  endsAt: number;
}

/** A state to save. */
export interface NewState {
  model: string;
  id: string;
  payload: Record<string, unknown>;
  grantId: string | undefined;
  accountId: string | undefined;
  /** The second id of a session. */
  uid: string | undefined;
  /** Of a device code: what the human types. */
  userCode: string | undefined;
  seconds: number;
  /** Whether it must be new: a second one with its id is refused. */
  isUnique: boolean;
}

/** An access token of an app. */
export type AppToken = Parameters<typeof storeAccessToken>[1] & {
  app: { clientId: string; grantId: string | undefined };
};

/** Finds a state that has not expired. */
export async function findState(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring'>,
  model: string,
  id: string,
): Promise<AuthorizationState | undefined> {
  return openState(deps, await findOAuthState(deps.db, model, hashSecret(id)));
}

/** Finds a state by its second id. */
export async function findStateByUid(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring'>,
  model: string,
  uid: string,
): Promise<AuthorizationState | undefined> {
  return openState(deps, await findOAuthStateByUid(deps.db, model, hashSecret(uid)));
}

/**
 * Commits the writes of one request.
 *
 * @param answer kept with a used refresh token, for a client that loses the response
 * @throws Failure `invalidGrant` if another request used the same code or token, or the consent ended meanwhile; `invalidScope`
 * and `limited` for the token of a client that acts by itself. Nothing was written then
 */
export async function commitAuthorization(
  deps: Deps,
  origin: RequestOrigin,
  writes: readonly AuthorizationWrite[],
  answer?: string,
): Promise<void> {
  if (writes.length === 0) return;
  await useCase(deps, origin, {}, async (work) => {
    // The consent is locked before its states, as where it ends: neither waits for the other in a circle.
    for (const write of writes) if (write.kind === 'storeToken') await admitToken(work, write.token);
    // The guarded statement comes next: whoever loses it writes nothing.
    for (const write of writes) {
      if (write.kind === 'consumeState') await consumeState(work, write, answer);
      if (write.kind === 'spendAssertion') await spendAssertion(work, write);
    }
    for (const write of writes) await applyWrite(work, write);
  });
  for (const write of writes) {
    if (write.kind !== 'endClient') continue;
    await endConsentsOfEndedClient(deps, origin, write.id, 'client', BATCHES_PER_REQUEST);
  }
}

async function applyWrite(work: Work, write: AuthorizationWrite): Promise<unknown> {
  const { tx } = work;
  switch (write.kind) {
    case 'consumeState':
    case 'spendAssertion':
      return; // done before the others
    case 'saveState':
      return saveState(work, write.state);
    case 'deleteState': {
      const count = await deleteOAuthState(tx, write.model, hashSecret(write.id));
      // A request that waited for a human goes on once: of two at once one gets a code.
      if (write.model === 'Interaction' && count !== 1) throw usedMeanwhile();
      return;
    }
    case 'storeToken':
      return storeAppToken(work, write.token);
    case 'recordDecline':
      return recordDecline(work, write);
    case 'saveClient':
      return saveClient(work, write);
    case 'endClient':
      return endClient(work, write.id);
    case 'endConsent': {
      const consent = await findOAuthGrant(tx, write.id);
      if (consent !== undefined) await endConsent(work, consent, 'replay');
    }
  }
}

async function saveState(work: Work, state: NewState): Promise<void> {
  const { tx, now, deps, origin } = work;
  if (state.model === 'PushedAuthorizationRequest') {
    await consumeLimits(work, [{ name: 'pushedRequestsPerIp', key: origin.address.limitKey }]);
  }
  if (state.model === 'DeviceCode') {
    await consumeLimits(work, [{ name: 'deviceCodesPerIp', key: origin.address.limitKey }]);
  }
  if (state.model === 'AuthorizationCode')
    await updateOAuthClientUsed(tx, String(state.payload.clientId), now);
  const idHash = hashSecret(state.id);
  const row = {
    model: state.model,
    idHash,
    payload: sealPayload(deps, state.model, idHash, state.payload),
    grantId: state.grantId ?? null,
    accountId: state.accountId ?? null,
    uidHash: state.uid === undefined ? null : hashSecret(state.uid),
    codeMac: state.userCode === undefined ? null : userCodeMac(deps, state.userCode),
    expiresAt: now + state.seconds * 1000,
  };
  if (!state.isUnique) await upsertOAuthState(tx, row);
  else if ((await insertOAuthState(tx, row)) !== 1) throw usedMeanwhile();
}

async function consumeState(
  { tx, now, deps }: Work,
  { model, id }: { model: string; id: string },
  answer: string | undefined,
): Promise<void> {
  const idHash = hashSecret(id);
  // A code has no second response: who presents it again may be its thief.
  const sealed =
    answer === undefined || model !== 'RefreshToken'
      ? null
      : deps.keyring.seal(ANSWER_PURPOSE, contextOf(model, idHash), answer);
  if ((await updateOAuthStateConsumed(tx, model, idHash, sealed, now)) !== 1) throw usedMeanwhile();
}

async function spendAssertion({ tx }: Work, { issuer, jti, ...times }: SpentAssertion): Promise<void> {
  if (!(await insertUsedToken(tx, issuer, jti, times))) throw usedMeanwhile();
}

/** Locks what a token comes from: the consent, or the client that acts by itself. @throws Failure `invalidGrant`, `limited` */
async function admitToken(work: Work, token: AppToken): Promise<void> {
  const { tx, now, origin } = work;
  const { grantId } = token.app;
  if (grantId === undefined) return admitClient(work, token);
  const network = `network ${origin.address.coarse}`;
  if ((await lockLiveOAuthGrant(tx, grantId, now, network)) === undefined) throw usedMeanwhile();
}

async function storeAppToken(work: Work, token: AppToken): Promise<void> {
  // The consent is locked: its places end after this, with the token, or ended before.
  const { grantId } = token.app;
  const isPlaced = grantId !== undefined && (await listPlacesOf(work.tx, grantId)).length > 0;
  await storeAccessToken(work.tx, { ...token, isPlaced });
  await recordEvent(work, {
    kind: 'token.issued',
    subject: token.id,
    // Without `accountId`, which would list it among the account's activity: there are too many for anybody to read.
    details: { client: token.app.clientId, scope: formatScope(token.scopes), resource: token.resource },
  });
}

/**
 * Locks a client that acts by itself. It ends in the transaction in which its account does, see deleteAccount().
 *
 * @throws Failure `invalidGrant` if it has ended; `invalidScope` for what it was not registered for; `limited`
 */
async function admitClient(work: Work, token: AppToken): Promise<void> {
  const { tx, now } = work;
  const { accountId, resource, scopes } = token;
  const { clientId } = token.app;
  if ((await updateOAuthClientUsed(tx, clientId, now)) !== 1) throw usedMeanwhile();
  await requireOwnWithinBound(tx, clientId, accountId, resource, scopes);
  await consumeLimits(work, [{ name: 'tokensPerClient', key: clientId }]);
}

function usedMeanwhile(): Failure {
  return new Failure('invalidGrant', 'The code or token was used already, or is not valid any more.');
}

/** Seals what a state holds. */
export function sealPayload(
  { keyring }: Pick<Deps, 'keyring'>,
  model: string,
  idHash: Uint8Array,
  payload: Record<string, unknown>,
): Buffer {
  return keyring.seal(PURPOSE, contextOf(model, idHash), JSON.stringify(payload));
}

/** Computes the MAC by which a device code is found. @param code as the human typed it, in any case and spacing */
export function userCodeMac({ keyring }: Pick<Deps, 'keyring'>, code: string): string {
  return keyring.sign('device-code', normalizeUserCode(code));
}

/** Opens a state that has not expired; undefined also for none. */
export function openState(
  { clock, keyring }: Pick<Deps, 'clock' | 'keyring'>,
  row: OAuthStateRow | undefined,
): AuthorizationState | undefined {
  if (row === undefined || row.expiresAt <= clock()) return undefined;
  const context = contextOf(row.model, row.idHash);
  const payload = keyring.open(PURPOSE, context, row.payload);
  if (payload === undefined) return undefined; // sealed under a secret that is listed no more
  return {
    payload: JSON.parse(payload) as Record<string, unknown>,
    consumedAt: row.consumedAt,
    expiresAt: row.expiresAt,
    answer: row.answer === null ? undefined : keyring.open(ANSWER_PURPOSE, context, row.answer),
  };
}

const PURPOSE = 'oauth-state';
const ANSWER_PURPOSE = 'oauth-answer';

function contextOf(model: string, idHash: Uint8Array): string {
  return `${model} ${Buffer.from(idHash).toString('hex')}`;
}
