import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { formatScope } from '../../lib/scopes.ts';
import { findAccountByMailbox } from '../../store/accounts.ts';
import {
  type AttemptRow,
  findAttempt,
  incrementTypedTries,
  updateAttemptApproved,
  updateAttemptRevealed,
} from '../../store/claim-attempts.ts';
import type { ClaimRow } from '../../store/claims.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { suppressMail } from '../accounts/mail-suppressions.ts';
import type { Session } from '../accounts/sessions.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { isTypedCode } from '../codes/one-time-codes.ts';
import { assertSecretReadable } from '../codes/secret-marks.ts';
import { SERVICE_GUESS_LIMITS } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';
import { closeClaim } from './claim-attempts.ts';
import type { ClaimLink } from './claim-links.ts';
import { findClaimOfLink, isApproveLink, provesMailbox } from './claim-review.ts';
import { assertClaimOpen } from './claim-status.ts';
import { scopesGivenBy } from './offered-scopes.ts';
import { requiresOwnerSession, requiresSignIn } from './owner-policy.ts';
import { codeExpired, verifyClaimCode, wrongCode } from './verify-claim-code.ts';

/** How a human approves, confirms or denies a claim on the page. The page itself is viewClaim() in claim-review.ts. */

/** A human's decision about an attempt. */
interface Decision {
  /** The attempt that the page showed. The human has not agreed to a newer one, which may have another mailbox or mode. */
  attemptId: string;
  /** The human's session, if signed in. It must be of the attempt's mailbox (S-76). */
  signedInAs: Session | undefined;
}

/** A decision that gives the agent something. */
interface Approval extends Decision {
  /** The scopes that the human selected, see scopesGivenBy(). */
  scopes: readonly string[];
}

/**
 * Approves a claim for its human, who types the mailed code or the code that the agent showed, or opened the mailed `approve`
 * link. The agent completes the claim with its next call, and gets the selected scopes alone. A claim that is approved stays as
 * it is.
 *
 * @param input.code six digits as the human typed them; ignored for an `approve` link
 * @throws Failure `badRequest` for a malformed code, and as scopesGivenBy(); `forbidden`, `interactionRequired`, `wrongCode`,
 * `codeExpired`, `claimExpired`, `claimSuperseded`, `claimDenied`, `claimRevoked`, `alreadyClaimed`, `notFound`; `limited` or
 * `unavailable` when a limit of wrong guesses is exhausted
 */
export async function approveClaim(
  deps: Deps,
  origin: RequestOrigin,
  link: ClaimLink,
  input: Approval & { code: string },
): Promise<void> {
  await useCase(deps, origin, { sharedLimits: SERVICE_GUESS_LIMITS }, async (work) => {
    const { tx, now } = work;
    const { claim, attempt } = await findDecidableAttempt(work, link, input);
    if (attempt.approvedAt !== null) return;
    const scope = formatScope(scopesGivenBy(deps.config, input.scopes));
    if (isApproveLink(link, attempt)) {
      if (attempt.codeExpiresAt <= now) throw attemptOutdated();
    } else {
      const code = parseTypedCode(input.code);
      if (attempt.proof === 'page') await verifyTypedCode(work, attempt, code);
      else await verifyClaimCode(work, claim, attempt, code);
    }
    await assertOwnerSession(work, attempt, input);
    const decision = { confirmedBy: input.signedInAs?.accountId ?? null, scope };
    if ((await updateAttemptApproved(tx, attempt, decision, now)) !== 1) {
      // Of two approvals at once the first one holds.
      if ((await findLiveAttempt(work, attempt))?.approvedAt) return;
      throw attemptOutdated();
    }
    await recordEvent(work, {
      kind: 'claim.approved',
      accountId: input.signedInAs?.accountId,
      subject: claim.registrationId,
      details: { mode: attempt.mode, by: isApproveLink(link, attempt) ? 'link' : 'code', scope },
    });
  });
}

/**
 * Confirms a claim for its human: from now on the page shows the code, which they read to the agent. The claim is completed
 * only when the agent sends that code, and gives it the selected scopes alone.
 *
 * @throws Failure as approveClaim()
 */
export async function confirmClaim(
  deps: Deps,
  origin: RequestOrigin,
  link: ClaimLink,
  input: Approval,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { claim, attempt } = await findDecidableAttempt(work, link, input);
    if (attempt.revealedAt !== null || attempt.approvedAt !== null) return;
    if (attempt.reveal === null || attempt.codeExpiresAt <= now) throw attemptOutdated();
    const scope = formatScope(scopesGivenBy(deps.config, input.scopes));
    await assertOwnerSession(work, attempt, input);
    const decision = { confirmedBy: input.signedInAs?.accountId ?? null, scope };
    if ((await updateAttemptRevealed(tx, attempt.id, decision, now)) !== 1) {
      const current = await findLiveAttempt(work, attempt);
      if (current?.revealedAt || current?.approvedAt) return;
      throw attemptOutdated();
    }
    await recordEvent(work, {
      kind: 'claim.confirmed',
      accountId: input.signedInAs?.accountId,
      subject: claim.registrationId,
      details: { mode: attempt.mode, scope },
    });
  });
}

/** Reads an attempt again after another request decided about it. @returns undefined if it has ended */
async function findLiveAttempt({ tx }: Work, { id }: AttemptRow): Promise<AttemptRow | undefined> {
  const attempt = await findAttempt(tx, id);
  return attempt?.endedAt === null ? attempt : undefined;
}

/** Returns the open claim and attempt of a link if the human may decide about them. The caller then verifies the code. */
async function findDecidableAttempt(
  work: Work,
  link: ClaimLink,
  { attemptId, signedInAs }: Decision,
): Promise<{ claim: ClaimRow; attempt: AttemptRow }> {
  const { deps } = work;
  const { claim, attempt } = await findLinkedOpenClaim(work, link);
  if (attempt?.id !== attemptId) throw attemptOutdated();
  if (signedInAs !== undefined && signedInAs.mailbox !== attempt.mailbox) throw wrongSession();
  // Required of unknown mailboxes as well, or the page would tell which mailboxes have an account (S-44).
  if (signedInAs === undefined && (requiresSignIn(deps, attempt) || !provesMailbox(link, attempt))) {
    throw new Failure('interactionRequired', 'Sign in with this mailbox first.');
  }
  return { claim, attempt };
}

/**
 * Called only once the mailbox is proven: before that the page must not tell whether the mailbox has an account and a second
 * factor (S-44).
 */
async function assertOwnerSession(work: Work, attempt: AttemptRow, { signedInAs }: Decision): Promise<void> {
  const { tx } = work;
  if (signedInAs !== undefined) return;
  const owner = await findAccountByMailbox(tx, attempt.mailbox);
  if (owner === undefined || !(await requiresOwnerSession(work, attempt, owner.id))) return;
  throw new Failure('interactionRequired', 'Sign in with this mailbox first, then agree here.');
}

/**
 * Verifies one guess at the code that the agent showed. Only a human who has proven the mailbox gets here, so the tries of the
 * code bound the guesses, and no limit is consumed (docs/adr/0010-versions-of-auth-md.md). A wrong guess stays counted.
 *
 * @throws Failure `wrongCode`, `codeExpired`, `unavailable`
 */
async function verifyTypedCode(work: Work, attempt: AttemptRow, code: string): Promise<void> {
  const { tx, now, deps } = work;
  const { triesPerCode } = deps.config.limits;
  await assertSecretReadable(tx, deps, attempt.secretId, now);
  const counted = await incrementTypedTries(tx, attempt.id, triesPerCode, now);
  if (counted === undefined) throw codeExpired();
  if (!isTypedCode(deps, attempt, code)) work.failAfterCommit(wrongCode(triesPerCode - counted.tries));
}

/** A code of the wrong format is refused before it is counted: a typing error must cost no try. */
function parseTypedCode(code: string): string {
  if (/^[0-9]{6}$/.test(code)) return code;
  throw new Failure('badRequest', 'Type the six digits.');
}

/**
 * Denies a claim for its human. With a link that came by mail, this also suppresses mail of that agent to the mailbox for a day,
 * or of all agents (S-15). A completed or ended claim stays as it is.
 *
 * @param input.noMore whether to suppress claim mail of all agents to the mailbox
 * @throws Failure `notFound` if the claim was removed
 */
export async function denyClaim(
  deps: Deps,
  origin: RequestOrigin,
  link: ClaimLink,
  input: { noMore: boolean },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const found = await findClaimOfLink(tx, link);
    if (found === undefined) throw claimNotFound();
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
    else await recordEvent(work, denied);
  });
}

async function findLinkedOpenClaim(work: Work, link: ClaimLink) {
  const { tx, now } = work;
  const found = await findClaimOfLink(tx, link);
  if (found === undefined) throw claimNotFound();
  assertClaimOpen(found.claim, now);
  return found;
}

function wrongSession(): Failure {
  return new Failure(
    'forbidden',
    'You are signed in with another mailbox than the one that this agent asked. Sign out first, or leave it to its owner.',
  );
}

function claimNotFound(): Failure {
  return new Failure('notFound', 'This claim has ended and was removed.');
}

function attemptOutdated(): Failure {
  return new Failure(
    'codeExpired',
    'The agent has asked again in the meantime. Open the link in the newest mail.',
  );
}
