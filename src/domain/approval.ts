import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { mailboxLimitKey } from '../lib/mailbox.ts';
import { findAccountByMailbox } from '../store/accounts.ts';
import { type AttemptRow, approveAttempt, findAttempt, findLastAttempt } from '../store/claim-attempts.ts';
import { type ClaimRow, endClaim, findClaimByRegistration } from '../store/claims.ts';
import type { Tx } from '../store/db.ts';
import { insertRefusal } from '../store/mail-refusals.ts';
import { type ClaimMode, findRegistration } from '../store/registrations.ts';
import type { ClaimLink } from './claim-links.ts';
import { refuseClosed } from './claim-state.ts';
import { withdrawAttempts } from './claims.ts';
import { type Asker, record } from './events.ts';
import { guessAtClaim } from './guesses.ts';
import { limited } from './limits.ts';
import { recordAndTell } from './notices.ts';
import { mustConfirm, needsOwner } from './ownership.ts';
import type { Session } from './sessions.ts';

/** The human's side of a claim: what they are shown, their yes and their no. */
export interface ClaimView {
  registrationId: string;
  /** As the agent wrote it: unverified. */
  agentName: string | undefined;
  /** Epoch ms. */
  registeredAt: number;
  state: 'unasked' | 'waiting' | 'codeOver' | 'approved' | 'claimed' | 'denied' | 'over';
  /** Undefined while the agent has named no mailbox. */
  attempt:
    | {
        id: string;
        mailbox: string;
        mode: ClaimMode;
        origin: string;
        askedAt: number;
        proof: 'code' | 'link';
      }
    | undefined;
  /** Whether the link proves that its holder reads the mailbox's mail. */
  isFromMail: boolean;
  /** Whether the owner must be signed in to approve it. */
  mustSignIn: boolean;
  /** Whether the link itself is the approval, so that nothing need be typed. */
  approvesByLink: boolean;
}

/** What a link leads to, or undefined where there is nothing any more. Looking changes nothing (S-74). */
export async function viewClaim(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  link: ClaimLink,
): Promise<ClaimView | undefined> {
  const found = await findLinked(deps.db, link);
  if (found === undefined) return undefined;
  const { claim, attempt } = found;
  const registration = await findRegistration(deps.db, claim.registrationId);
  if (registration === undefined) return undefined;
  return {
    registrationId: claim.registrationId,
    agentName: registration.agentName ?? undefined,
    registeredAt: registration.createdAt,
    state: stateOf(deps, claim, attempt),
    attempt: attempt && {
      id: attempt.id,
      mailbox: attempt.mailbox,
      mode: attempt.mode,
      origin: attempt.origin,
      askedAt: attempt.createdAt,
      proof: attempt.proof,
    },
    isFromMail: link.kind !== 'view',
    mustSignIn: attempt !== undefined && mustConfirm(deps, attempt),
    approvesByLink: isApproving(link, attempt),
  };
}

function stateOf(
  deps: Pick<Deps, 'clock' | 'config'>,
  claim: ClaimRow,
  attempt: AttemptRow | undefined,
): ClaimView['state'] {
  const now = deps.clock();
  if (claim.claimedAt !== null) return 'claimed';
  if (claim.endReason === 'denied') return 'denied';
  if (claim.endedAt !== null || claim.expiresAt <= now) return 'over';
  if (attempt === undefined) return 'unasked';
  if (attempt.endedAt !== null) return 'codeOver';
  if (attempt.approvedAt !== null) return 'approved';
  const isSpent = attempt.tries >= deps.config.limits.triesPerCode;
  return attempt.codeExpiresAt <= now || (attempt.proof === 'code' && isSpent) ? 'codeOver' : 'waiting';
}

/**
 * Approves a claim for its human, who types the mailed code or comes by the mailed link. The agent, which sees neither,
 * collects its key afterwards.
 *
 * @param input.attemptId the attempt that the human saw: another one, of another mailbox or mode, is not what they agreed to
 * @param input.code as it was typed, six digits; not looked at where the link approves
 * @param input.signedInAs the human's session, if they have one; it must be of the mailbox that was asked (S-76)
 * @throws Failure `badRequest`, `forbidden`, `interactionRequired`, `wrongCode`, `codeExpired`, `claimExpired`,
 * `claimSuperseded`, `claimDenied`, `alreadyClaimed`, `notFound`; `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export async function approveClaim(
  deps: Deps,
  asker: Asker,
  link: ClaimLink,
  input: { attemptId: string; code: string; signedInAs: Session | undefined },
): Promise<void> {
  const wrong = await limited(deps, asker, () =>
    deps.db.tx(async (tx) => {
      const now = deps.clock();
      const { claim, attempt } = await findOpen(tx, link, now);
      if (attempt?.id !== input.attemptId) throw changedMeanwhile();
      if (attempt.approvedAt !== null) return undefined;
      const { signedInAs } = input;
      if (signedInAs !== undefined && signedInAs.mailbox !== attempt.mailbox) throw somebodyElse();
      // Asked of new mailboxes too, or the page would tell which are known.
      if (signedInAs === undefined && mustConfirm(deps, attempt)) {
        throw new Failure('interactionRequired', 'Sign in with this mailbox first.');
      }
      if (isApproving(link, attempt)) {
        if (attempt.codeExpiresAt <= now) throw changedMeanwhile();
      } else {
        const failure = await guessAtClaim(tx, deps, asker, now, claim, attempt, checkCode(input.code));
        if (failure !== undefined) return failure;
      }
      const owner = await findAccountByMailbox(tx, attempt.mailbox);
      // Only now: before a right code the page must not tell who has an account, and how it is kept.
      if (signedInAs === undefined && owner && (await needsOwner(tx, deps, attempt, owner.id))) {
        throw new Failure('interactionRequired', 'Sign in with this mailbox first, then agree here.');
      }
      const confirmedBy = signedInAs?.accountId ?? null;
      if ((await approveAttempt(tx, attempt, confirmedBy, now)) !== 1) throw changedMeanwhile();
      await record(tx, deps, asker, now, {
        kind: 'claim.approved',
        accountId: signedInAs?.accountId,
        subject: claim.registrationId,
        details: { mode: attempt.mode, by: isApproving(link, attempt) ? 'link' : 'code' },
      });
      return undefined;
    }),
  );
  if (wrong !== undefined) throw wrong;
}

/** A slip of the hand must cost no try. */
function checkCode(code: string): string {
  if (/^[0-9]{6}$/.test(code)) return code;
  throw new Failure('badRequest', 'Type the six digits of the mail.');
}

/** A denied agent cannot have mail sent to that mailbox for so long (S-15). */
const DENIED_MS = 86_400_000;

/**
 * Ends a claim for its human, who does not want it. Who came by the mail also keeps that agent away from the mailbox for a
 * day, and may keep all agents away for good.
 *
 * @param input.noMore whether the mailbox wants no claim mail at all any more
 * @throws Failure `notFound`; what is over already stays as it is
 */
export async function denyClaim(
  deps: Deps,
  asker: Asker,
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
      const mailbox = mailboxLimitKey(attempt.mailbox);
      await insertRefusal(tx, { mailbox, registrationId, now, endsAt: now + DENIED_MS });
      if (input.noMore) await insertRefusal(tx, { mailbox, registrationId: '', now, endsAt: null });
    }
    if ((await endClaim(tx, registrationId, 'denied', now)) !== 1) return;
    await withdrawAttempts(tx, registrationId, 'denied', now);
    const owner = attempt && (await findAccountByMailbox(tx, attempt.mailbox));
    const denied = { kind: 'claim.denied', subject: registrationId } as const;
    if (owner !== undefined) await recordAndTell(tx, deps, asker, now, owner.id, denied);
    else await record(tx, deps, asker, now, denied);
  });
}

/** Of a mailed link the attempt it was mailed for, of another the newest. */
async function findLinked(
  db: Pick<Tx, 'get'>,
  link: ClaimLink,
): Promise<{ claim: ClaimRow; attempt: AttemptRow | undefined } | undefined> {
  const mailed = link.kind === 'view' ? undefined : await findAttempt(db, link.attemptId);
  const registrationId = link.kind === 'view' ? link.registrationId : mailed?.registrationId;
  if (registrationId === undefined) return undefined;
  const claim = await findClaimByRegistration(db, registrationId);
  return claim && { claim, attempt: mailed ?? (await findLastAttempt(db, registrationId)) };
}

async function findOpen(tx: Tx, link: ClaimLink, now: number) {
  const found = await findLinked(tx, link);
  if (found === undefined) throw gone();
  refuseClosed(found.claim, now);
  return found;
}

function isApproving(link: ClaimLink, attempt: AttemptRow | undefined): boolean {
  return link.kind === 'approve' && attempt?.proof === 'link' && attempt.counter === link.counter;
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
