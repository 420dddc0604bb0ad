import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findAccountByMailbox } from '../../store/accounts.ts';
import {
  type AttemptRow,
  incrementTypedTries,
  updateAttemptApproved,
  updateAttemptRevealed,
} from '../../store/claim-attempts.ts';
import type { ClaimRow } from '../../store/claims.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { suppressMail } from '../accounts/mail-suppressions.ts';
import type { Session } from '../accounts/sessions.ts';
import { record } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { isTypedCode } from '../codes/one-time-codes.ts';
import { refuseUnreadable } from '../codes/secret-marks.ts';
import { SERVICE_GUESS } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';
import { closeClaim } from './claim-attempts.ts';
import type { ClaimLink } from './claim-links.ts';
import { findLinked, isApproving, provesMailbox } from './claim-review.ts';
import { assertClaimOpen } from './claim-status.ts';
import { requiresOwnerSession, requiresSignIn } from './owner-policy.ts';
import { codeExpired, verifyClaimCode, wrongCode } from './verify-claim-code.ts';

/** The human's side of a claim: their yes and their no. What they are shown before is in claim-view.ts. */

/** What a human does on the page with an attempt. */
interface Decision {
  /** The attempt that the human saw: another one, of another mailbox or mode, is not what they agreed to. */
  attemptId: string;
  /** The human's session, if they have one; it must be of the mailbox that was asked (S-76). */
  signedInAs: Session | undefined;
}

/**
 * Approves a claim for its human, who types the mailed code or the one that the agent showed them, or comes by the mailed link.
 * The agent collects what follows by itself.
 *
 * @param input.code as it was typed, six digits; not looked at where the link approves
 * @throws Failure `badRequest`, `forbidden`, `interactionRequired`, `wrongCode`, `codeExpired`, `claimExpired`,
 * `claimSuperseded`, `claimDenied`, `alreadyClaimed`, `notFound`; `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export async function approveClaim(
  deps: Deps,
  origin: RequestOrigin,
  link: ClaimLink,
  input: Decision & { code: string },
): Promise<void> {
  await useCase(deps, origin, { sharedLimits: SERVICE_GUESS }, async (work) => {
    const { tx, now } = work;
    const { claim, attempt } = await findDecidable(work, link, input);
    if (attempt.approvedAt !== null) return;
    if (isApproving(link, attempt)) {
      if (attempt.codeExpiresAt <= now) throw changedMeanwhile();
    } else {
      const code = checkCode(input.code);
      if (attempt.proof === 'page') await guessTyped(work, attempt, code);
      else await verifyClaimCode(work, claim, attempt, code);
    }
    await refuseIfNotOwner(work, attempt, input);
    const confirmedBy = input.signedInAs?.accountId ?? null;
    if ((await updateAttemptApproved(tx, attempt, confirmedBy, now)) !== 1) throw changedMeanwhile();
    await record(work, {
      kind: 'claim.approved',
      accountId: input.signedInAs?.accountId,
      subject: claim.registrationId,
      details: { mode: attempt.mode, by: isApproving(link, attempt) ? 'link' : 'code' },
    });
  });
}

/**
 * Confirms a claim for its human, who is shown the code from now on, and reads it to the agent. Until the agent brings it,
 * nothing has happened.
 *
 * @throws Failure as approveClaim
 */
export async function confirmClaim(
  deps: Deps,
  origin: RequestOrigin,
  link: ClaimLink,
  input: Decision,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { claim, attempt } = await findDecidable(work, link, input);
    if (attempt.revealedAt !== null || attempt.approvedAt !== null) return;
    if (attempt.reveal === null || attempt.codeExpiresAt <= now) throw changedMeanwhile();
    await refuseIfNotOwner(work, attempt, input);
    const confirmedBy = input.signedInAs?.accountId ?? null;
    if ((await updateAttemptRevealed(tx, attempt.id, confirmedBy, now)) !== 1) throw changedMeanwhile();
    await record(work, {
      kind: 'claim.confirmed',
      accountId: input.signedInAs?.accountId,
      subject: claim.registrationId,
      details: { mode: attempt.mode },
    });
  });
}

/** The attempt that a human may decide about, as far as can be told before a code is looked at. */
async function findDecidable(
  work: Work,
  link: ClaimLink,
  { attemptId, signedInAs }: Decision,
): Promise<{ claim: ClaimRow; attempt: AttemptRow }> {
  const { deps } = work;
  const { claim, attempt } = await findOpen(work, link);
  if (attempt?.id !== attemptId) throw changedMeanwhile();
  if (signedInAs !== undefined && signedInAs.mailbox !== attempt.mailbox) throw somebodyElse();
  // Asked of new mailboxes too, or the page would tell which are known.
  if (signedInAs === undefined && (requiresSignIn(deps, attempt) || !provesMailbox(link, attempt))) {
    throw new Failure('interactionRequired', 'Sign in with this mailbox first.');
  }
  return { claim, attempt };
}

/** Only once the mailbox is proven: before that the page must not tell who has an account, and how it is kept. */
async function refuseIfNotOwner(work: Work, attempt: AttemptRow, { signedInAs }: Decision): Promise<void> {
  const { tx } = work;
  if (signedInAs !== undefined) return;
  const owner = await findAccountByMailbox(tx, attempt.mailbox);
  if (owner === undefined || !(await requiresOwnerSession(work, attempt, owner.id))) return;
  throw new Failure('interactionRequired', 'Sign in with this mailbox first, then agree here.');
}

/**
 * A guess at the code that the agent showed. Whoever types it has proven to be the human, and guesses at nothing of their own;
 * its own tries are enough. A wrong one stays counted.
 *
 * @throws Failure `wrongCode`, `codeExpired`
 */
async function guessTyped(work: Work, attempt: AttemptRow, code: string): Promise<void> {
  const { tx, now, deps } = work;
  const { triesPerCode } = deps.config.limits;
  await refuseUnreadable(tx, deps, attempt.secretId, now);
  const counted = await incrementTypedTries(tx, attempt.id, triesPerCode, now);
  if (counted === undefined) throw codeExpired();
  if (!isTypedCode(deps, attempt, code)) work.failAfterCommit(wrongCode(triesPerCode - counted.tries));
}

/** A slip of the hand must cost no try. */
function checkCode(code: string): string {
  if (/^[0-9]{6}$/.test(code)) return code;
  throw new Failure('badRequest', 'Type the six digits.');
}

/**
 * Ends a claim for its human, who does not want it. Who came by the mail also keeps that agent away from the mailbox for a
 * day, and may keep all agents away.
 *
 * @param input.noMore whether the mailbox wants no claim mail at all any more
 * @throws Failure `notFound`; what is over already stays as it is
 */
export async function denyClaim(
  deps: Deps,
  origin: RequestOrigin,
  link: ClaimLink,
  input: { noMore: boolean },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const found = await findLinked(tx, link);
    if (found === undefined) throw gone();
    const { claim, attempt } = found;
    const { registrationId } = claim;
    if (link.kind !== 'view' && attempt !== undefined) {
      const name = (await findRegistration(tx, registrationId))?.agentName ?? null;
      await suppressMail(work, attempt.mailbox, { id: registrationId, name, origin: attempt.origin }, input);
    }
    if (!(await closeClaim(work, registrationId, 'denied'))) return;
    const owner = attempt && (await findAccountByMailbox(tx, attempt.mailbox));
    const denied = { kind: 'claim.denied', subject: registrationId } as const;
    if (owner !== undefined) await recordAndNotify(work, owner.id, denied);
    else await record(work, denied);
  });
}

async function findOpen(work: Work, link: ClaimLink) {
  const { tx, now } = work;
  const found = await findLinked(tx, link);
  if (found === undefined) throw gone();
  assertClaimOpen(found.claim, now);
  return found;
}

function somebodyElse(): Failure {
  return new Failure(
    'forbidden',
    'You are signed in with another mailbox than the one that this agent asked. Sign out first, or leave it to its owner.',
  );
}

function gone(): Failure {
  return new Failure('notFound', 'This claim is over and was removed.');
}

function changedMeanwhile(): Failure {
  return new Failure(
    'codeExpired',
    'The agent asked anew in the meantime. Open the link of the newest mail and look again.',
  );
}
