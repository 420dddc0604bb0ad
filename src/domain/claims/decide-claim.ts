import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findAccountByMailbox } from '../../store/accounts.ts';
import {
  type AttemptRow,
  approveAttempt,
  incrementTypedTries,
  revealCode,
} from '../../store/claim-attempts.ts';
import { type ClaimRow, endClaim } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findRegistration } from '../../store/registrations.ts';
import { suppressMail } from '../accounts/mail-suppressions.ts';
import type { Session } from '../accounts/sessions.ts';
import { type RequestOrigin, record } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { isTypedCode } from '../codes/one-time-codes.ts';
import { refuseUnreadable } from '../codes/secret-marks.ts';
import { withLimitAudit } from '../limits/limit-audit.ts';
import { SERVICE_GUESS } from '../limits/limits.ts';
import { withSharedCounters } from '../limits/shared-counters.ts';
import { withdrawAttempts } from './claim-attempts.ts';
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
  const wrong = await withLimitAudit(deps, origin, () =>
    withSharedCounters(deps, SERVICE_GUESS, async (tx, shared) => {
      const now = deps.clock();
      const { claim, attempt } = await findDecidable(tx, deps, link, input, now);
      if (attempt.approvedAt !== null) return undefined;
      if (isApproving(link, attempt)) {
        if (attempt.codeExpiresAt <= now) throw changedMeanwhile();
      } else {
        const code = checkCode(input.code);
        const failure =
          attempt.proof === 'page'
            ? await guessTyped(tx, deps, attempt, code, now)
            : await verifyClaimCode(tx, deps, origin, now, claim, attempt, code, shared);
        if (failure !== undefined) return failure;
      }
      await refuseIfNotOwner(tx, deps, attempt, input);
      const confirmedBy = input.signedInAs?.accountId ?? null;
      if ((await approveAttempt(tx, attempt, confirmedBy, now)) !== 1) throw changedMeanwhile();
      await record(tx, deps, origin, now, {
        kind: 'claim.approved',
        accountId: input.signedInAs?.accountId,
        subject: claim.registrationId,
        details: { mode: attempt.mode, by: isApproving(link, attempt) ? 'link' : 'code' },
      });
      return undefined;
    }),
  );
  if (wrong !== undefined) throw wrong;
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
  await deps.db.tx(async (tx) => {
    const now = deps.clock();
    const { claim, attempt } = await findDecidable(tx, deps, link, input, now);
    if (attempt.revealedAt !== null || attempt.approvedAt !== null) return;
    if (attempt.reveal === null || attempt.codeExpiresAt <= now) throw changedMeanwhile();
    await refuseIfNotOwner(tx, deps, attempt, input);
    const confirmedBy = input.signedInAs?.accountId ?? null;
    if ((await revealCode(tx, attempt.id, confirmedBy, now)) !== 1) throw changedMeanwhile();
    await record(tx, deps, origin, now, {
      kind: 'claim.confirmed',
      accountId: input.signedInAs?.accountId,
      subject: claim.registrationId,
      details: { mode: attempt.mode },
    });
  });
}

/** The attempt that a human may decide about, as far as can be told before a code is looked at. */
async function findDecidable(
  tx: Tx,
  deps: Deps,
  link: ClaimLink,
  { attemptId, signedInAs }: Decision,
  now: number,
): Promise<{ claim: ClaimRow; attempt: AttemptRow }> {
  const { claim, attempt } = await findOpen(tx, link, now);
  if (attempt?.id !== attemptId) throw changedMeanwhile();
  if (signedInAs !== undefined && signedInAs.mailbox !== attempt.mailbox) throw somebodyElse();
  // Asked of new mailboxes too, or the page would tell which are known.
  if (signedInAs === undefined && (requiresSignIn(deps, attempt) || !provesMailbox(link, attempt))) {
    throw new Failure('interactionRequired', 'Sign in with this mailbox first.');
  }
  return { claim, attempt };
}

/** Only once the mailbox is proven: before that the page must not tell who has an account, and how it is kept. */
async function refuseIfNotOwner(
  tx: Tx,
  deps: Deps,
  attempt: AttemptRow,
  { signedInAs }: Decision,
): Promise<void> {
  if (signedInAs !== undefined) return;
  const owner = await findAccountByMailbox(tx, attempt.mailbox);
  if (owner === undefined || !(await requiresOwnerSession(tx, deps, attempt, owner.id))) return;
  throw new Failure('interactionRequired', 'Sign in with this mailbox first, then agree here.');
}

/**
 * A guess at the code that the agent showed. Whoever types it has proven to be the human, and guesses at nothing of their own;
 * its own tries are enough. A wrong one is counted by what the caller commits.
 */
async function guessTyped(
  tx: Tx,
  deps: Deps,
  attempt: AttemptRow,
  code: string,
  now: number,
): Promise<Failure | undefined> {
  const { triesPerCode } = deps.config.limits;
  await refuseUnreadable(tx, deps, attempt.secretId, now);
  const counted = await incrementTypedTries(tx, attempt.id, triesPerCode, now);
  if (counted === undefined) throw codeExpired();
  return isTypedCode(deps, attempt, code) ? undefined : wrongCode(triesPerCode - counted.tries);
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
  await deps.db.tx(async (tx) => {
    const now = deps.clock();
    const found = await findLinked(tx, link);
    if (found === undefined) throw gone();
    const { claim, attempt } = found;
    const { registrationId } = claim;
    if (link.kind !== 'view' && attempt !== undefined) {
      const name = (await findRegistration(tx, registrationId))?.agentName ?? null;
      await suppressMail(
        tx,
        attempt.mailbox,
        { id: registrationId, name, origin: attempt.origin },
        input,
        now,
      );
    }
    if ((await endClaim(tx, registrationId, 'denied', now)) !== 1) return;
    await withdrawAttempts(tx, registrationId, 'denied', now);
    const owner = attempt && (await findAccountByMailbox(tx, attempt.mailbox));
    const denied = { kind: 'claim.denied', subject: registrationId } as const;
    if (owner !== undefined) await recordAndNotify(tx, deps, origin, now, owner.id, denied);
    else await record(tx, deps, origin, now, denied);
  });
}

async function findOpen(tx: Tx, link: ClaimLink, now: number) {
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
