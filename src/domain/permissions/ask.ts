import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { lockAgent } from '../../store/agents.ts';
import {
  countOpenRequests,
  findPermissionRequest,
  insertPermissionRequest,
  type PermissionRequestRow,
} from '../../store/permission-requests.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { registrationLimits } from '../limits/limits.ts';
import { consumeLimits, refundLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { type Asker, findAsker } from './identify-asker.ts';
import { findKeyHolder, type KeyHolder } from './key-holders.ts';
import { readSignedRequest, type SignedRequest } from './read-request.ts';
import { chooseRequestCode, renewCode } from './request-codes.ts';
import { describeRequest, type RequestState } from './request-state.ts';
import { readPermissions } from './services.ts';

/** How agents and terminals ask for permissions. */

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
  const counters = [{ name: 'permissionsPerIp', key: origin.address.limitKey }] as const;
  await consumeLimits(work, counters);
  const earlier = await findPermissionRequest(tx, artifact.id);
  if (earlier !== undefined) {
    // The same request came at the same time, and was faster.
    await refundLimits(tx, counters);
    return earlier;
  }
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
