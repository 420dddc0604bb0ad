import type { Deps } from '../../deps.ts';
import { DEFAULT_LOCALE, parseLocale } from '../../lib/translate.ts';
import type { Delivery, MailedProof } from '../../ports/mailer.ts';
import { findAccount } from '../../store/accounts.ts';
import { findApproval } from '../../store/approvals.ts';
import { type AttemptRow, findAttempt, updateAttemptCode } from '../../store/claim-attempts.ts';
import { type EventRow, listEventsOfNotice } from '../../store/events.ts';
import { listGrants } from '../../store/grants.ts';
import { findHostedAgent } from '../../store/hosted-agents.ts';
import { findHost } from '../../store/hosts.ts';
import { findInvitation } from '../../store/invitations.ts';
import type { OutboxRow } from '../../store/outbox.ts';
import { findRegistration } from '../../store/registrations.ts';
import { findSignIn } from '../../store/sign-ins.ts';
import { findMailLocale } from '../accounts/account-locale.ts';
import { areInvitationsSuppressed, isMailSuppressed } from '../accounts/mail-suppressions.ts';
import { signInLink } from '../accounts/sign-in-links.ts';
import { describeEvents } from '../audit/describe-events.ts';
import { approveLink, denyLink, openLink, viewLink } from '../claims/claim-links.ts';
import { deriveClaimCode, deriveSignInCode } from '../codes/one-time-codes.ts';
import { connectionLink, denialLink } from '../hosts/connection-codes.ts';
import { listRefused } from '../hosts/refused-capabilities.ts';
import { requestLink } from '../permissions/request-codes.ts';
import { declineLink, invitationLink } from '../workspaces/invitation-links.ts';
import { viewInvitation } from '../workspaces/invitations.ts';

/** A code that would expire sooner than this after its mail is sent is replaced by a new one. */
const CODE_LIFE_MIN_MS = 300_000;

/**
 * Composes a mail of the outbox. A mail is composed when it is sent, so that the outbox holds no code and the mail is
 * up to date.
 *
 * @returns a function that sends the mail; `over` if its code or its request is no longer valid; `unwanted` if the
 * mailbox suppresses it
 */
export async function composeMail(
  deps: Deps,
  mail: OutboxRow,
): Promise<(() => Promise<Delivery>) | 'over' | 'unwanted'> {
  if (mail.attemptId === null) return 'over';
  switch (mail.kind) {
    case 'claim_code':
      return composeClaimCode(deps, mail, mail.attemptId);
    case 'sign_in_code':
      return composeSignInCode(deps, mail, mail.attemptId);
    case 'notice':
      return composeNotice(deps, mail, mail.attemptId);
    case 'approval':
      return composeConnectionRequest(deps, mail, mail.attemptId);
    case 'invitation':
      return composeInvitation(deps, mail, mail.attemptId);
  }
}

async function composeClaimCode(deps: Deps, mail: OutboxRow, attemptId: string) {
  const attempt = await prepareAttempt(deps, attemptId);
  const proof = attempt && proofOf(deps, attempt);
  if (attempt === undefined || proof === undefined) return 'over';
  const registration = await findRegistration(deps.db, attempt.registrationId);
  const { registrationId: id, origin } = attempt;
  const sender = { id, name: registration?.agentName ?? null, origin };
  if (await isMailSuppressed(deps, attempt.mailbox, sender)) return 'unwanted';
  const locale = await findMailLocale(deps, attempt.mailbox);
  return () =>
    deps.mailer.send({
      kind: 'claim-code',
      id: mail.id,
      to: attempt.mailbox,
      locale,
      proof,
      claimUrl: viewLink(deps, attempt.registrationId, attempt.id),
      denyUrl: denyLink(deps, attempt),
      agentName: registration?.agentName ?? undefined,
      firstSeenAt: registration?.createdAt,
      mode: attempt.mode,
      scopes: deps.config.claimedScopes.map((name) => ({
        name,
        description: deps.config.scopes.get(name)!.description,
      })),
      origin: attempt.origin,
      askedAt: attempt.createdAt,
      codeExpiresAt: attempt.codeExpiresAt,
      sentAt: deps.clock(),
    });
}

async function composeSignInCode(deps: Deps, mail: OutboxRow, signInId: string) {
  const signIn = await findSignIn(deps.db, signInId);
  if (signIn === undefined || signIn.endedAt !== null) return 'over';
  const { mailbox: to, origin, createdAt: askedAt, codeExpiresAt } = signIn;
  const locale = await findMailLocale(deps, to, signIn.locale);
  const fields = { id: mail.id, to, locale, origin, askedAt, codeExpiresAt, sentAt: deps.clock() };
  if (signIn.proof === 'link') {
    return () => deps.mailer.send({ kind: 'sign-in-link', ...fields, linkUrl: signInLink(deps, signIn) });
  }
  const code = deriveSignInCode(deps, signIn);
  if (code === undefined) return 'over';
  return () => deps.mailer.send({ kind: 'sign-in-code', ...fields, code });
}

/** Composes the mail that asks a human about a connection request. */
async function composeConnectionRequest(deps: Deps, mail: OutboxRow, approvalId: string) {
  const approval = await findApproval(deps.db, approvalId);
  const agent = approval && (await findHostedAgent(deps.db, approval.agentId));
  if (approval === undefined || agent === undefined || approval.decidedAt !== null) return 'over';
  const sender = { id: agent.hostId, name: agent.name, origin: approval.origin };
  if (await isMailSuppressed(deps, mail.mailbox, sender)) return 'unwanted';
  const host = (await findHost(deps.db, agent.hostId))!;
  const refused = await listRefused(deps.db, host, agent.id);
  const grants = await listGrants(deps.db, agent.id);
  const askedAgain = grants.some(
    ({ capability, grantedAt, deniedAt }) => !grantedAt && !deniedAt && refused.has(capability),
  );
  const locale = await findMailLocale(deps, mail.mailbox);
  return () =>
    deps.mailer.send({
      kind: 'agent-approval',
      id: mail.id,
      to: mail.mailbox,
      locale,
      agentName: agent.name,
      firstSeenAt: agent.createdAt,
      pageUrl: connectionLink(deps, approvalId),
      denyUrl: denialLink(deps, approvalId),
      bindingMessage: approval.bindingMessage ?? undefined,
      askedAgain,
      origin: approval.origin,
      askedAt: approval.createdAt,
      codeExpiresAt: approval.expiresAt,
      sentAt: deps.clock(),
    });
}

/** Composes the invitation to a workspace. */
async function composeInvitation(deps: Deps, mail: OutboxRow, invitationId: string) {
  const invitation = await findInvitation(deps.db, invitationId);
  if (invitation === undefined) return 'over';
  const { mailbox, workspaceId, role, createdAt, expiresAt } = invitation;
  const view = await viewInvitation(deps, invitationId, mailbox);
  if (view.state !== 'open') return 'over';
  if (await areInvitationsSuppressed(deps, mailbox, workspaceId)) return 'unwanted';
  const locale = await findMailLocale(deps, mailbox);
  return () =>
    deps.mailer.send({
      kind: 'invitation',
      id: mail.id,
      to: mailbox,
      locale,
      workspaceName: view.workspaceName,
      invitedBy: view.invitedBy,
      role,
      pageUrl: invitationLink(deps, invitationId),
      declineUrl: declineLink(deps, invitationId),
      invitedAt: createdAt,
      expiresAt,
      sentAt: deps.clock(),
    });
}

/** A notice has this many lines at most; the account page shows all of them. */
const LINES_MAX = 200;

/** Composes the notice of what happened to an account. Names are those at the time of sending. */
async function composeNotice(deps: Deps, mail: OutboxRow, accountId: string) {
  const events = await listEventsOfNotice(deps.db, mail.id);
  const described = await describeEvents(deps, events.slice(0, LINES_MAX), accountId);
  const happened = described.map((entry, index) => ({
    ...entry,
    pageUrl: decisionUrl(deps, events[index]!),
  }));
  const more = events.length - happened.length;
  // By the id of the account: one that was deleted has no mailbox any more.
  const account = await findAccount(deps.db, accountId);
  const locale = parseLocale(account?.locale) ?? DEFAULT_LOCALE;
  return () => deps.mailer.send({ kind: 'notice', id: mail.id, to: mail.mailbox, locale, happened, more });
}

/** Where the reader of a notice decides about the permission request that an event is about. */
function decisionUrl(deps: Deps, { kind, subject }: EventRow): string | undefined {
  const isAsked = kind === 'permission.asked' || kind === 'permission.referred';
  return isAsked && subject !== null ? requestLink(deps, { id: subject, login: 0 }) : undefined;
}

function proofOf(deps: Deps, attempt: AttemptRow): MailedProof | undefined {
  if (attempt.proof === 'page') return { kind: 'page', pageUrl: openLink(deps, attempt) };
  if (attempt.proof === 'link') return { kind: 'link', approveUrl: approveLink(deps, attempt) };
  const code = deriveClaimCode(deps, attempt);
  return code === undefined ? undefined : { kind: 'code', code };
}

/**
 * Finds the attempt of a mail, and replaces a code that would expire too soon, unless the human has seen it.
 *
 * @returns undefined if the attempt has ended
 */
async function prepareAttempt(deps: Deps, attemptId: string): Promise<AttemptRow | undefined> {
  const attempt = await findAttempt(deps.db, attemptId);
  if (attempt === undefined || attempt.endedAt !== null) return undefined;
  const now = deps.clock();
  const ttlMs = deps.config.limits.codeTtlSeconds * 1000;
  const lifeMinMs = Math.min(CODE_LIFE_MIN_MS, ttlMs / 2);
  if (attempt.codeExpiresAt - now >= lifeMinMs || attempt.revealedAt !== null) return attempt;
  await deps.db.tx((tx) => updateAttemptCode(tx, attempt, deps.keyring.currentId, now + ttlMs));
  const renewed = await findAttempt(deps.db, attemptId);
  return renewed?.endedAt === null ? renewed : undefined;
}
