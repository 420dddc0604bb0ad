import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { insertAgentAccount } from '../../store/accounts.ts';
import { insertAgent, lockAgent } from '../../store/agents.ts';
import { insertClaim } from '../../store/claims.ts';
import { findCredential } from '../../store/credentials.ts';
import { insertRegistration } from '../../store/registrations.ts';
import { insertSessionKey, listSessionKeysOfAgents } from '../../store/session-keys.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import type { Bearer } from '../credentials/bearer.ts';
import {
  type FindHostedSigner,
  findAgentBehind,
  findKeyHolder,
  isSessionKeyLive,
  type KeyHolder,
  keyInvalid,
} from './key-holders.ts';
import type { SignedRequest } from './read-request.ts';

/** Whose a key is that signed a permission request: it is known, or becomes so. */

/** Who sends a request, beside who signed it. */
export interface Asker {
  /** An agent whose key binds the session key that signed the request; undefined: none is presented. */
  bearer: Bearer | undefined;
  findHosted: FindHostedSigner;
}

/** Finds who asks, and makes them known where they are new. @returns undefined: a terminal that is nobody's yet */
export async function findAsker(
  work: Work,
  request: SignedRequest,
  { bearer, findHosted }: Asker,
  isNew: boolean,
): Promise<KeyHolder | undefined> {
  const { tx, deps } = work;
  const { artifact, key } = request;
  const { holder, isKnown } = await findKeyHolder(tx, deps, key.thumbprint, findHosted);
  if (artifact.login === true) {
    if (!isKnown) return undefined;
    throw new Failure('keyInUse', 'This key is known already. Make another one to sign in with.');
  }
  if (isKnown) {
    if (holder === undefined) throw keyInvalid();
    if (bearer === undefined || bearer.agentId === holder.agentId) return holder;
    throw new Failure('forbidden', 'This session key is not of the agent whose key is presented.');
  }
  if (bearer !== undefined) return bindKey(work, request, bearer);
  // Somebody ended the key a moment ago: whoever signs by it again would get a new agent.
  if (!isNew) throw keyInvalid();
  return registerByKey(work, request);
}

/** Binds a key to the agent whose own key is presented: that from its registration or its claim, and no other. */
async function bindKey(work: Work, request: SignedRequest, bearer: Bearer): Promise<KeyHolder> {
  const { tx, now, deps, origin } = work;
  const { agentId } = bearer;
  const credential = await findCredential(tx, bearer.key.id);
  const isOwn =
    agentId !== undefined &&
    bearer.form === 'key' &&
    !bearer.isSuperseded &&
    !bearer.key.isPlaced &&
    credential?.name === null &&
    credential.revokedAt === null;
  if (!isOwn) {
    throw new Failure(
      'forbidden',
      'Only the key that an agent got when it registered or was claimed names a session key.',
    );
  }
  if (!(await lockAgent(tx, agentId))) throw keyInvalid();
  const behind = await findAgentBehind(tx, deps, agentId);
  if (behind === undefined) throw keyInvalid();
  const max = deps.config.limits.sessionKeysPerAgent;
  const live = (await listSessionKeysOfAgents(tx, [agentId], now)).filter((each) =>
    isSessionKeyLive(each, now),
  );
  if (new Set(live.map(({ family }) => family)).size >= max) {
    throw new Failure('tooMany', `This agent has ${max} session keys. End one first.`, { maximum: max });
  }
  const holder = newHolder(request, agentId, behind);
  await insertNewKey(tx, { ...newKeyRow(work, request, agentId), boundBy: bearer.key.id });
  const event = {
    kind: 'session_key.bound',
    agentId,
    subject: holder.thumbprint,
    details: { key: bearer.key.id, network: origin.address.coarse },
  } as const;
  if (behind.ownerId !== undefined) await recordAndNotify(work, behind.ownerId, event);
  else await recordEvent(work, { ...event, accountId: behind.accountId });
  return holder;
}

/** Registers an agent that has nothing but its key. It ends like every agent that nobody claims. */
async function registerByKey(work: Work, request: SignedRequest): Promise<KeyHolder> {
  const { tx, now, deps, origin } = work;
  await work.consumeSharedLimits();
  const name = request.artifact.requester.name ?? null;
  const registrationId = newId('reg', now, deps.random);
  const agentId = newId('agt', now, deps.random);
  const accountId = newId('usr', now, deps.random);
  const { unclaimedTtlSeconds, claimTtlSeconds } = deps.config.limits;
  const expiresAt = now + unclaimedTtlSeconds * 1000;
  await insertAgentAccount(tx, accountId, null, now);
  await insertRegistration(tx, {
    id: registrationId,
    kind: 'anonymous',
    agentId,
    agentName: name,
    now,
    expiresAt,
  });
  const agent = { id: agentId, accountId, registrationId, name, now, origin: origin.address.coarse };
  await insertAgent(tx, agent);
  // Every registration has a claim. Nobody knows the token of this one.
  await insertClaim(tx, {
    tokenHash: hashSecret(newSecret('ct', deps.random)),
    registrationId,
    now,
    expiresAt: Math.min(now + claimTtlSeconds * 1000, expiresAt),
  });
  await insertNewKey(tx, newKeyRow(work, request, agentId));
  await recordEvent(work, {
    kind: 'registration.created',
    accountId,
    agentId,
    subject: registrationId,
    details: { type: 'anonymous' },
  });
  return newHolder(request, agentId, { accountId, ownerId: undefined, endsAt: expiresAt });
}

/** @throws Failure `inProgress` if the key became known since it was looked for: nothing of this request is kept */
async function insertNewKey(tx: Work['tx'], row: Parameters<typeof insertSessionKey>[1]): Promise<void> {
  if (await insertSessionKey(tx, row)) return;
  throw new Failure('inProgress', 'Another request of this key is being handled. Repeat this one.', {
    retryAfterSeconds: 1,
  });
}

function newHolder(
  { key: { thumbprint } }: SignedRequest,
  agentId: string,
  behind: Pick<KeyHolder, 'accountId' | 'ownerId' | 'endsAt'>,
): KeyHolder {
  const { accountId, ownerId, endsAt } = behind;
  const key = { thumbprint, family: thumbprint, generation: 0 };
  return { ...key, agentId, accountId, ownerId, endsAt, bound: undefined };
}

function newKeyRow(
  { now, origin }: Work,
  { key, artifact }: SignedRequest,
  agentId: string,
): Parameters<typeof insertSessionKey>[1] {
  return {
    thumbprint: key.thumbprint,
    publicJwk: key.jwk,
    family: key.thumbprint,
    generation: 0,
    agentId,
    accountId: null,
    name: artifact.requester.name ?? null,
    bound: null,
    boundBy: null,
    origin: origin.address.coarse,
    createdAt: now,
    expiresAt: null,
  };
}
