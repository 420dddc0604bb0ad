import type { Deps } from '../../deps.ts';
import { type InvitationEnd, updateInvitationEnded } from '../../store/invitations.ts';
import { findMember, type Role, updateMemberRole } from '../../store/members.ts';
import { lockWorkspace } from '../../store/workspaces.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { type EventKind, recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { leaveToNext } from '../workspaces/leave-all-workspaces.ts';
import { endPlacesOfGranter, endPlacesOfHolderIn } from '../workspaces/places.ts';
import { ROLES } from '../workspaces/roles.ts';
import { endWorkspace } from '../workspaces/workspaces.ts';
import type { EventLine, Repeat } from './event-lines.ts';

/**
 * What ends again in workspaces after a backup was restored. Roles are set as they were, wider ones, too: else the new
 * owner would be none. Nobody is mailed once more, but for who gets a workspace whose owners the backup does not know.
 */
export const REPEAT_IN_WORKSPACES: Partial<Record<EventKind, Repeat>> = {
  'workspace.deleted': repeat(({ work, workspaceId }) =>
    endWorkspace(work, workspaceId, { accountId: undefined, details: { by: 'replay' } }),
  ),
  'member.left': repeat(({ work, workspaceId, accountId }) =>
    leaveToNext(work, { workspaceId, accountId }, 'member_left'),
  ),
  'member.removed': repeat(({ work, workspaceId, accountId }) =>
    leaveToNext(work, { workspaceId, accountId }, 'member_removed'),
  ),
  'member.role_changed': repeat(setRoleAgain),
  'place.ended': repeat(endPlacesAgain),
  'invitation.withdrawn': endInvitationAgain('withdrawn'),
  'invitation.declined': endInvitationAgain('declined'),
  'invitation.void': endInvitationAgain('void'),
};

interface InWorkspace {
  work: Work;
  workspaceId: string;
  /** Empty: the event is about nobody. */
  accountId: string;
  event: EventLine;
}

/** Creates what repeats an event in a workspace that the backup has, and holds. */
function repeat(act: (call: InWorkspace) => Promise<unknown>): Repeat {
  return (deps: Deps, origin: RequestOrigin, event: EventLine) =>
    useCase(deps, origin, {}, async (work) => {
      const workspaceId = event.workspace_id ?? '';
      if ((await lockWorkspace(work.tx, workspaceId)) === undefined) return;
      await act({ work, workspaceId, accountId: event.account_id ?? '', event });
    });
}

/** A role that would leave no owner is not set: the backup does not know who became one. */
async function setRoleAgain({ work, workspaceId, accountId, event }: InWorkspace): Promise<void> {
  const to = ROLES.find((role): role is Role => role === event.details?.to);
  const member = await findMember(work.tx, workspaceId, accountId);
  if (to === undefined || member === undefined || member.role === to) return;
  if ((await updateMemberRole(work.tx, { workspaceId, accountId, role: to })) !== 1) return;
  await recordEvent(work, {
    kind: 'member.role_changed',
    accountId,
    workspaceId,
    details: { from: member.role, to, by: 'replay' },
  });
}

/**
 * What ended for a reason that is repeated itself, or with a thing that its API knows to be gone, needs no repetition. If
 * the event does not name one holder, all that the account gave ends.
 */
async function endPlacesAgain({ work, workspaceId, accountId, event }: InWorkspace): Promise<void> {
  const { subject, details } = event;
  if (details?.reason !== 'revoked' && details?.reason !== 'replaced') return;
  if (subject !== undefined) await endPlacesOfHolderIn(work, subject, workspaceId, undefined, undefined);
  else if (accountId !== '') await endPlacesOfGranter(work, workspaceId, accountId, 'revoked');
}

function endInvitationAgain(reason: InvitationEnd): Repeat {
  return (deps, _, { subject }) =>
    deps.db.tx((tx) => updateInvitationEnded(tx, subject ?? '', deps.clock(), reason));
}
