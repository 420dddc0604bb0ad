import type { Deps } from '../../deps.ts';
import { listMembers } from '../../store/members.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { notify } from '../audit/notifications.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { isManager, mayIssueKeys } from '../workspaces/roles.ts';
import { lockWorkspaceAs } from '../workspaces/workspaces.ts';
import { requestExpired } from './ask.ts';
import { findRequest, requestDecided } from './decide-request.ts';
import { requestUnknown } from './request-state.ts';

/**
 * Asks the owners and admins of a workspace, by mail, to decide about a request that a member of it was shown and may not grant.
 * Those are mailed who may.
 *
 * @throws Failure `notFound` for a workspace that the request does not name or the account is not in; `requestDecided`,
 * `requestExpired`, `limited`
 */
export async function referRequest(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  accountId: string,
  workspaceId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await lockWorkspaceAs(work, workspaceId, accountId);
    const { row, artifact } = await findRequest(tx, id);
    if (artifact.permissions?.some(({ space }) => space === workspaceId) !== true) throw requestUnknown();
    if (row.decidedAt !== null) throw requestDecided();
    if (row.expiresAt <= now) throw requestExpired();
    await consumeLimits(work, [{ name: 'invitesPerWorkspace', key: workspaceId }]);
    const managers = (await listMembers(tx, workspaceId)).filter(
      ({ role }) => isManager(role) && mayIssueKeys(deps.config, role),
    );
    const eventId = await recordEvent(work, {
      kind: 'permission.referred',
      accountId,
      workspaceId,
      agentId: row.agentId ?? undefined,
      subject: id,
      details: artifact.action === undefined ? {} : { action: artifact.action },
    });
    await notify(
      work,
      managers.map((each) => each.accountId),
      eventId,
    );
  });
}
