import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { PermissionDenial } from '../../lib/artifacts/permission-grant.ts';
import type { PermissionRequest } from '../../lib/artifacts/permission-request.ts';
import { lockAccount } from '../../store/accounts.ts';
import { lockAgent } from '../../store/agents.ts';
import {
  findPermissionRequest,
  type PermissionRequestRow,
  updateRequestDecided,
} from '../../store/permission-requests.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { requestExpired } from './ask.ts';
import { findAgentBehind } from './key-holders.ts';
import { requestUnknown } from './request-state.ts';
import { signRefusal } from './sign-answers.ts';

/** What is common to all decisions about a permission request: of several at once, one counts. */

/** A request that is about to be decided, under locks. */
export interface OpenRequest {
  row: PermissionRequestRow;
  artifact: PermissionRequest;
  /** When the agent that asks ends; Infinity: it does not, or none asks. */
  askerEndsAt: number;
}

/** Finds a request. @throws Failure `notFound` */
export async function findRequest(
  db: Pick<Work['tx'], 'get'>,
  id: string,
): Promise<{ row: PermissionRequestRow; artifact: PermissionRequest }> {
  const row = await findPermissionRequest(db, id);
  if (row === undefined) throw requestUnknown();
  return { row, artifact: JSON.parse(row.artifact) as PermissionRequest };
}

/**
 * Locks who decides and the agent that asks, after the workspaces and trees that the caller locked.
 *
 * @throws Failure `notFound`, `requestDecided`, `requestExpired`
 */
export async function lockRequest(work: Work, accountId: string, id: string): Promise<OpenRequest> {
  const { tx, now, deps } = work;
  if (!(await lockAccount(tx, accountId))) throw requestUnknown();
  const { row, artifact } = await findRequest(tx, id);
  if (row.agentId !== null) await lockAgent(tx, row.agentId);
  if (row.decidedAt !== null) throw requestDecided();
  if (row.expiresAt <= now) throw requestExpired();
  if (row.agentId === null) return { row, artifact, askerEndsAt: Infinity };
  const behind = await findAgentBehind(tx, deps, row.agentId);
  if (behind === undefined) throw requestExpired();
  return { row, artifact, askerEndsAt: behind.endsAt };
}

/** Writes a decision. @throws Failure `requestDecided`, `requestExpired` where another one was faster, or time was */
export async function writeDecision(
  { tx, now }: Work,
  id: string,
  decision: Parameters<typeof updateRequestDecided>[3],
): Promise<void> {
  if ((await updateRequestDecided(tx, id, now, decision)) === 1) return;
  const row = await findPermissionRequest(tx, id);
  throw row?.decidedAt == null ? requestExpired() : requestDecided();
}

/**
 * Denies a request for whoever was shown it.
 *
 * @param accountId who denies it
 * @returns the denial, as we signed it
 * @throws Failure `notFound`, `requestDecided`, `requestExpired`
 */
export async function denyPermissions(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  accountId: string,
): Promise<PermissionDenial> {
  return useCase(deps, origin, {}, async (work) => {
    const { row } = await lockRequest(work, accountId, id);
    const signed = await signRefusal(work, row);
    const denial = JSON.stringify(signed);
    await writeDecision(work, id, { accountId, grantId: null, denial, keepUntil: row.expiresAt });
    await recordEvent(work, {
      kind: 'permission.denied',
      accountId,
      agentId: row.agentId ?? undefined,
      subject: id,
    });
    return signed;
  });
}

/** Creates the failure for a request about which somebody has decided. */
export function requestDecided(): Failure {
  return new Failure('requestDecided', 'Somebody has decided about this request already.');
}
