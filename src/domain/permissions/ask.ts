import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { insertAgentAccount } from '../../store/accounts.ts';
import { insertAgent, lockAgent } from '../../store/agents.ts';
import { insertClaim } from '../../store/claims.ts';
import { findCredential } from '../../store/credentials.ts';
import {
  countOpenRequests,
  findPermissionRequest,
  insertPermissionRequest,
  type PermissionRequestRow,
} from '../../store/permission-requests.ts';
import { insertRegistration } from '../../store/registrations.ts';
import { insertSessionKey, listSessionKeysOfAgents } from '../../store/session-keys.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import type { Bearer } from '../credentials/bearer.ts';
import { registrationLimits } from '../limits/limits.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import {
  type FindHostedSigner,
  findAgentBehind,
  findKeyHolder,
  isSessionKeyLive,
  type KeyHolder,
  keyInvalid,
} from './key-holders.ts';
import { readSignedRequest, type SignedRequest } from './read-request.ts';
import { chooseRequestCode, renewCode } from './request-codes.ts';
import { describeRequest, type RequestState } from './request-state.ts';
import { readPermissions } from './services.ts';

/** How agents and terminals ask for permissions. */

/** Who sends a request, beside who signed it. */
export interface Asker {
  /** An agent whose key binds the session key that signed the request; undefined: none is presented. */
  bearer: Bearer | undefined;
  findHosted: FindHostedSigner;
}

/**
 * Takes a permission request. The key that signed it tells who asks: a key that nobody knows is bound to the agent whose key is
 * presented beside it, once and for good; alone it registers a new agent. The same request again changes nothing.
 *
 * @param value the request, as parsed
 * @throws Failure as readSignedRequest() and readPermissions(); `requestExpired`, `keyInUse`, `tooManyOpen`, `tooMany`,
 * `forbidden`, `invalidToken`, `limited`
 */
export async function askPermissions(
  deps: Deps,
  origin: RequestOrigin,
  value: unknown,
  asker: Asker,
): Promise<RequestState> {
  const request = await readSignedRequest(deps, value);
  const { artifact } = request;
  const known = await findPermissionRequest(deps.db, artifact.id);
  if (known !== undefined && (known.decidedAt !== null || known.expiresAt > deps.clock())) {
    return describeRequest(deps, await renewCode(deps, origin, known));
  }
  if (request.expiresAt <= deps.clock()) throw requestExpired();
  if (artifact.permissions !== undefined) await readPermissions(deps, artifact.permissions);
  const { isKnown } = await findKeyHolder(deps.db, deps, request.key.thumbprint, asker.findHosted);
  // Only the registration of a new agent consumes these.
  const isNew = !isKnown && asker.bearer === undefined && artifact.login !== true;
  const sharedLimits = isNew ? registrationLimits(origin.address) : [];
  const row = await useCase(deps, origin, { sharedLimits }, (work) =>
    storeRequest(work, request, asker, isNew),
  );
  return describeRequest(deps, row);
}

async function storeRequest(
  work: Work,
  request: SignedRequest,
  asker: Asker,
  isNew: boolean,
): Promise<PermissionRequestRow> {
  const { tx, now, deps, origin } = work;
  const { artifact, key, expiresAt } = request;
  await consumeLimits(work, [{ name: 'permissionsPerIp', key: origin.address.limitKey }]);
  const isLogin = artifact.login === true;
  const holder = await findAsker(work, request, asker, isNew);
  if (artifact.requester.agent_id !== undefined && artifact.requester.agent_id !== holder?.agentId) {
    throw new Failure('badRequest', 'The key of this request is of no such agent.', {
      field: 'requester.agent_id',
    });
  }
  if (holder?.agentId !== undefined) await lockAgent(tx, holder.agentId);
  await assertRoomForRequest(work, holder?.agentId ?? undefined, key.thumbprint);
  const row: Omit<PermissionRequestRow, 'polledAt' | 'decidedAt' | 'decidedBy' | 'grantId' | 'denial'> = {
    id: artifact.id,
    thumbprint: key.thumbprint,
    family: holder?.family ?? key.thumbprint,
    generation: holder?.generation ?? 0,
    agentId: holder?.agentId ?? null,
    accountId: holder !== undefined && holder.agentId === undefined ? holder.accountId : null,
    artifact: JSON.stringify(artifact),
    login: isLogin ? 1 : 0,
    once: artifact.once === true ? 1 : 0,
    ...(await chooseRequestCode(deps, tx, artifact.id, now)),
    origin: origin.address.coarse,
    createdAt: now,
    expiresAt,
  };
  if (!(await insertPermissionRequest(tx, row))) {
    const stored = await findPermissionRequest(tx, artifact.id);
    if (stored !== undefined) return stored;
  }
  await recordAsked(work, row, artifact.action, holder);
  return { ...row, polledAt: null, decidedAt: null, decidedBy: null, grantId: null, denial: null };
}

/** Finds who asks, and makes them known where they are new. @returns undefined: a terminal that is nobody's yet */
async function findAsker(
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
  await insertSessionKey(tx, { ...newKeyRow(work, request, agentId), boundBy: bearer.key.id });
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
  await insertSessionKey(tx, newKeyRow(work, request, agentId));
  await recordEvent(work, {
    kind: 'registration.created',
    accountId,
    agentId,
    subject: registrationId,
    details: { type: 'anonymous' },
  });
  return newHolder(request, agentId, { accountId, ownerId: undefined, endsAt: expiresAt });
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

async function assertRoomForRequest(
  { tx, now, deps }: Work,
  agentId: string | undefined,
  thumbprint: string,
): Promise<void> {
  const max = deps.config.limits.openPermissionRequests;
  const open = await countOpenRequests(tx, agentId === undefined ? { thumbprint } : { agentId }, now);
  if (open < max) return;
  throw new Failure(
    'tooManyOpen',
    `${max} requests of this agent wait for a decision. Let a human decide first.`,
  );
}

/** Tells the owner of a claimed agent once a request, and nobody otherwise. */
async function recordAsked(
  work: Work,
  { id, agentId, login }: Pick<PermissionRequestRow, 'id' | 'agentId' | 'login'>,
  action: string | undefined,
  holder: KeyHolder | undefined,
): Promise<void> {
  const event = {
    kind: 'permission.asked',
    agentId: agentId ?? undefined,
    subject: id,
    details: { login: login === 1, ...(action !== undefined && { action }) },
  } as const;
  if (holder?.agentId !== undefined && holder.ownerId !== undefined) {
    await recordAndNotify(work, holder.ownerId, event);
  } else await recordEvent(work, { ...event, accountId: holder?.accountId });
}

/** Creates the failure for a request that can be granted no more. */
export function requestExpired(): Failure {
  return new Failure('requestExpired', 'This request is over. Sign a new one.');
}
