import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { DAY_MS } from '../../lib/time.ts';
import { findAccount, findAccountByMailbox, findAccountCreated, lockAccount } from '../../store/accounts.ts';
import {
  countInvitationsFrom,
  findInvitation,
  type InvitationRow,
  insertInvitation,
  listOpenInvitations,
  updateInvitationAccepted,
  updateInvitationEnded,
  updateInvitationOfMailboxEnded,
} from '../../store/invitations.ts';
import { findMember, insertMember, listMembers } from '../../store/members.ts';
import { findWorkspace, lockWorkspace } from '../../store/workspaces.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { suppressInvitations } from '../accounts/mail-suppressions.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { queueMail } from '../audit/queue-mail.ts';
import { claimMailLimits } from '../limits/limits.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { isManager, listGrantableRoles, type Role } from './roles.ts';
import { lockWorkspaceAs, roleForbids, tooMany } from './workspaces.ts';

/**
 * Invitations by mail. Only who is signed in with exactly the invited mailbox joins, while the inviter may still invite to
 * that role.
 */

/** An account that is younger than a day sends this many, so that a new one is no way to mail strangers. */
const YOUNG_INVITATIONS_MAX = 3;

/**
 * Invites a mailbox. An invitation that is open for it is replaced. The answer is the same for mailboxes with and without an
 * account, and for those of members, who get no mail.
 *
 * @param mailbox canonical
 * @throws Failure `notFound`; `forbidden` beyond what one's own role gives; `tooMany` with field `members` or
 * `invitations`; `limited`
 */
export async function inviteToWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  { mailbox, role }: { mailbox: string; role: Role },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { limits } = deps.config;
    const { role: own } = await lockWorkspaceAs(work, workspaceId, accountId);
    if (!listGrantableRoles(own).includes(role)) throw roleForbids();
    await consumeLimits(work, [
      { name: 'invitesPerWorkspace', key: workspaceId },
      { name: 'invitesPerAccount', key: accountId },
      ...claimMailLimits(mailbox, origin.address),
    ]);
    await assertOldEnough(work, accountId);
    const members = await listMembers(tx, workspaceId);
    assertRoomForMember(deps, members.length);
    await updateInvitationOfMailboxEnded(tx, workspaceId, mailbox, now, 'superseded');
    const open = await listOpenInvitations(tx, workspaceId, now);
    if (open.length >= limits.openInvitations) {
      const message = `A workspace can have ${limits.openInvitations} open invitations.`;
      throw tooMany('invitations', message, limits.openInvitations);
    }
    if (members.some((member) => member.mailbox === mailbox)) return;
    const id = newId('inv', now, deps.random);
    const expiresAt = now + limits.invitationTtlSeconds * 1000;
    await insertInvitation(tx, {
      id,
      workspaceId,
      mailbox,
      role,
      invitedBy: accountId,
      createdAt: now,
      expiresAt,
    });
    await queueMail(work, { kind: 'invitation', attemptId: id, mailbox, giveUpAt: expiresAt });
    await recordEvent(work, {
      kind: 'member.invited',
      accountId,
      workspaceId,
      subject: id,
      details: { role },
    });
  });
}

async function assertOldEnough({ tx, now }: Work, accountId: string): Promise<void> {
  const grownAt = ((await findAccountCreated(tx, accountId)) ?? 0) + DAY_MS;
  if (grownAt <= now) return;
  const sent = await countInvitationsFrom(tx, accountId, YOUNG_INVITATIONS_MAX);
  if (sent < YOUNG_INVITATIONS_MAX) return;
  throw new Failure(
    'limited',
    `An account that is younger than a day can invite ${YOUNG_INVITATIONS_MAX} people.`,
    { retryAfterSeconds: Math.ceil((grownAt - now) / 1000) },
  );
}

function assertRoomForMember({ config }: Pick<Deps, 'config'>, members: number): void {
  const { membersPerWorkspace } = config.limits;
  if (members < membersPerWorkspace) return;
  throw tooMany('members', `A workspace can have ${membersPerWorkspace} members.`, membersPerWorkspace);
}

/** An invitation as its workspace lists it; times in epoch ms. */
export interface SentInvitation extends Pick<InvitationRow, 'id' | 'role' | 'createdAt' | 'expiresAt'> {
  /** Masked, but for who invited it. */
  mailbox: string;
}

/** Lists the open invitations of a workspace for a member who may invite: newest first. */
export async function listInvitationsOf(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  workspaceId: string,
  accountId: string,
): Promise<SentInvitation[]> {
  const rows = await listOpenInvitations(db, workspaceId, clock());
  return rows.map(({ id, role, createdAt, expiresAt, mailbox, invitedBy }) => ({
    id,
    role,
    createdAt,
    expiresAt,
    mailbox: invitedBy === accountId ? mailbox : maskMailbox(mailbox),
  }));
}

/**
 * Withdraws an open invitation of a workspace.
 *
 * @throws Failure `notFound`, also after it was accepted or ended; `forbidden` for who may not invite to its role
 */
export async function withdrawInvitation(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { role: own } = await lockWorkspaceAs(work, workspaceId, accountId);
    if (!isManager(own)) throw roleForbids();
    const invitation = await findInvitation(work.tx, id);
    if (invitation?.workspaceId !== workspaceId) throw invitationNotFound();
    if (!listGrantableRoles(own).includes(invitation.role)) throw roleForbids();
    if ((await updateInvitationEnded(work.tx, id, work.now, 'withdrawn')) !== 1) throw invitationNotFound();
    await recordEvent(work, { kind: 'invitation.withdrawn', accountId, workspaceId, subject: id });
  });
}

/** An invitation as its reader sees it; times in epoch ms. */
export type ReceivedInvitation =
  | { state: 'open'; workspaceName: string; invitedBy: string | undefined; role: Role; expiresAt: number }
  /** It was accepted, declined, withdrawn or replaced, or has expired. */
  | { state: 'over' }
  /** It is for another mailbox, masked, than the reader's. */
  | { state: 'foreign'; mailbox: string };

/**
 * Shows an invitation. It names the workspace only to who is signed in with its mailbox.
 *
 * @param mailbox of the session of the reader
 */
export async function viewInvitation(
  deps: Pick<Deps, 'db' | 'clock'>,
  id: string,
  mailbox: string,
): Promise<ReceivedInvitation> {
  const invitation = await findInvitation(deps.db, id);
  if (invitation === undefined || invitation.mailbox === '') return { state: 'over' };
  if (invitation.mailbox !== mailbox) return { state: 'foreign', mailbox: maskMailbox(invitation.mailbox) };
  const workspace = await findWorkspace(deps.db, invitation.workspaceId);
  if (!isOpen(invitation, deps.clock()) || workspace === undefined) return { state: 'over' };
  const inviter = await findAccount(deps.db, invitation.invitedBy);
  return {
    state: 'open',
    workspaceName: workspace.name,
    invitedBy: inviter?.mailbox ? maskMailbox(inviter.mailbox) : undefined,
    role: invitation.role,
    expiresAt: invitation.expiresAt,
  };
}

/** Whether an invitation can be accepted now. */
export function isOpen(invitation: InvitationRow, now: number): boolean {
  return invitation.acceptedAt === null && invitation.endedAt === null && invitation.expiresAt > now;
}

/**
 * Accepts an invitation.
 *
 * @returns the id of the workspace
 * @throws Failure `notFound` if it is for another mailbox; `invitationVoid` if it is not open any more, or its inviter may
 * not invite to this role any more, which ends it; `tooMany` with field `members`
 */
export function acceptInvitation(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  id: string,
): Promise<string> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const invitation = await findInvitation(tx, id);
    if (invitation === undefined) throw invitationOver();
    const { workspaceId, role } = invitation;
    const isLive = (await lockWorkspace(tx, workspaceId)) !== undefined;
    if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
    // Of this moment: the mailbox may have been erased since the page was shown.
    if ((await findAccount(tx, accountId))?.mailbox !== invitation.mailbox) throw invitationNotFound();
    if (!isLive) throw invitationOver();
    const inviter = await findMember(tx, workspaceId, invitation.invitedBy);
    if (inviter === undefined || !listGrantableRoles(inviter.role).includes(role)) {
      if ((await updateInvitationEnded(tx, id, now, 'void')) === 1) {
        const { invitedBy } = invitation;
        await recordEvent(work, {
          kind: 'invitation.void',
          accountId: invitedBy,
          workspaceId,
          subject: id,
        });
      }
      return work.failAfterCommit(invitationOver());
    }
    assertRoomForMember(deps, (await listMembers(tx, workspaceId)).length);
    if ((await updateInvitationAccepted(tx, id, now)) !== 1) throw invitationOver();
    if ((await insertMember(tx, { workspaceId, accountId, role, joinedAt: now })) === 1) {
      await recordAndNotify(work, accountId, {
        kind: 'member.joined',
        workspaceId,
        subject: id,
        details: { role },
      });
    }
    return workspaceId;
  });
}

/** Which further invitations somebody who declines does not want. */
export type Unwanted = 'ofWorkspace' | 'all';

/**
 * Declines an invitation. An ended one stays as it is, but what is not wanted any more holds.
 *
 * @param unwanted undefined: only this one
 * @returns whether it was open
 */
export function declineInvitation(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  unwanted: Unwanted | undefined,
): Promise<boolean> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const invitation = await findInvitation(tx, id);
    if (invitation === undefined) return false;
    const { workspaceId, mailbox } = invitation;
    if (unwanted !== undefined) {
      await suppressInvitations(work, mailbox, unwanted === 'all' ? undefined : workspaceId);
    }
    if (!isOpen(invitation, now) || (await updateInvitationEnded(tx, id, now, 'declined')) !== 1)
      return false;
    const account = await findAccountByMailbox(tx, mailbox);
    await recordEvent(work, {
      kind: 'invitation.declined',
      accountId: account?.id,
      workspaceId,
      subject: id,
    });
    return true;
  });
}

function invitationNotFound(): Failure {
  return new Failure('notFound', 'There is no such invitation.');
}

function invitationOver(): Failure {
  return new Failure('invitationVoid', 'This invitation has ended.');
}
