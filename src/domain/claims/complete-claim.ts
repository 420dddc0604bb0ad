import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type AttemptRow, findLastAttempt, listPendingOnMailbox } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByTokenHash, updateClaimCompleted } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { lockPrincipal } from '../../store/principals.ts';
import { type ClaimMode, findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { SERVICE_GUESS_LIMITS } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';
import { closeClaim, withdrawAttempts } from './claim-attempts.ts';
import { viewLink } from './claim-links.ts';
import {
  assertClaimOpen,
  findOpenClaim,
  invalidClaimToken,
  isAttemptClosed,
  POLL_SECONDS,
  throwWhyClaimClosed,
} from './claim-status.ts';
import { type AccompanyingBearer, assertSameAgent, hashClaimToken } from './claim-tokens.ts';
import type { IssuancePlan } from './issue-on-claim.ts';
import { type ClaimedAgent, type ProvenAttempt, transferOwnership } from './transfer-ownership.ts';
import { codeExpired, verifyClaimCode } from './verify-claim-code.ts';

/** A completed claim, with the account that the agent works in now and the credential that was issued. */
export interface CompletedClaim extends ClaimedAgent {
  mode: ClaimMode;
}

/**
 * Completes a claim: merges the agent into the owner's account or links it to that account, with the claimed scopes. Either the
 * agent sends the code that its human got by mail or on the page, or its human has approved on the page.
 *
 * Everything happens in one transaction; see verifyClaimCode() for the limits that a guess consumes.
 *
 * @param input.code as the human read it out; undefined: complete the claim if the human has approved on the page
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `alreadyClaimed`, `codeNotIssued`,
 * `codeExpired`, `wrongCode`, `notConfirmed`, `methodDisabled`, `claimRevoked`, `approvalPending`, `interactionRequired`;
 * `limited` or `unavailable` when a limit of wrong guesses is exhausted
 */
export async function completeClaim(
  deps: Deps,
  origin: RequestOrigin,
  input: {
    claimToken: string;
    code: string | undefined;
    gives: IssuancePlan;
    companion?: AccompanyingBearer | undefined;
    collectedBy?: ClaimRow['collectedBy'];
  },
  idempotency?: IdempotentRequest,
): Promise<CompletedClaim> {
  const { code } = input;
  const tokenHash = hashClaimToken(input.claimToken);
  // Checked before useCase() claims the Idempotency-Key: an invented token or a poll must not cost a write.
  const known = await findClaimByTokenHash(deps.db, tokenHash);
  if (known === undefined) throw invalidClaimToken();
  if (code === undefined && known.claimedAt === null) await findApprovedAttempt(deps.db, deps, known);

  const options = { idempotency, sharedLimits: code === undefined ? [] : SERVICE_GUESS_LIMITS };
  return useCase(deps, origin, options, async (work) => {
    const { tx, now } = work;
    await lockPrincipalOfClaim(tx, known.registrationId, input.claimToken);
    const claim = await findOpenClaim(tx, tokenHash, now);
    await assertSameAgent(tx, claim, input.companion);
    const attempt =
      code === undefined ? await findApprovedAttempt(tx, deps, claim) : await findStartedAttempt(tx, claim);
    if (code !== undefined) await verifyClaimCode(work, claim, attempt, code);
    return completeProvenClaim(work, claim, attempt, input);
  });
}

/**
 * Locks the provider's user, if any, before the claim. The presentation of an ID-JAG locks the two rows in this order; the
 * opposite order would deadlock. Only a claim token of auth.md's own versions (`clm_`) is issued for a registration by ID-JAG, but a
 * claim of either kind can be attempted by one.
 */
async function lockPrincipalOfClaim(tx: Tx, registrationId: string, claimToken: string): Promise<void> {
  let principal = (await findLastAttempt(tx, registrationId))?.principal;
  if (!principal && claimToken.startsWith('clm_')) {
    principal = (await findRegistration(tx, registrationId))?.principal;
  }
  if (principal) await lockPrincipal(tx, principal);
}

async function findStartedAttempt(db: Pick<Tx, 'get'>, claim: ClaimRow): Promise<AttemptRow> {
  const attempt = await findLastAttempt(db, claim.registrationId);
  if (attempt !== undefined) return attempt;
  throw new Failure(
    'codeNotIssued',
    'No code was asked for yet. Call the claim endpoint with the mailbox of your human first.',
  );
}

/** Returns the live attempt of a claim if the human has approved it on the page; otherwise throws the reason why not. */
async function findApprovedAttempt(db: Pick<Tx, 'get'>, deps: Deps, claim: ClaimRow): Promise<AttemptRow> {
  const now = deps.clock();
  assertClaimOpen(claim, now);
  const attempt = await findStartedAttempt(db, claim);
  if (attempt.endedAt === null && attempt.approvedAt !== null) return attempt;
  if (isAttemptClosed(attempt, deps.config.limits.triesPerCode, now)) {
    // Another poll may have completed the claim between the two reads.
    await throwWhyClaimClosed(db, claim.tokenHash, now);
    throw codeExpired();
  }
  throw approvalPending(deps, claim, attempt.id);
}

function approvalPending(deps: Deps, claim: ClaimRow, attemptId: string | undefined): Failure {
  return new Failure(
    'approvalPending',
    'Your human has not approved yet. Ask again in a few seconds, or send the code they read to you as "otp".',
    { retryAfterSeconds: POLL_SECONDS, verificationUri: viewLink(deps, claim.registrationId, attemptId) },
  );
}

/**
 * Completes a claim whose attempt is proven, in the caller's transaction, with the scopes that its human gave on the page, or
 * all that a claim gives if they gave none there.
 *
 * @throws Failure `approvalPending` when a newer attempt took the place of this one; as assertClaimOpen() and transferOwnership()
 */
export async function completeProvenClaim(
  work: Work,
  claim: ClaimRow,
  attempt: ProvenAttempt,
  options: { gives: IssuancePlan; collectedBy?: ClaimRow['collectedBy'] },
): Promise<CompletedClaim> {
  const { tx, now } = work;
  const collectedBy = options.collectedBy ?? null;
  if ((await updateClaimCompleted(tx, claim.tokenHash, collectedBy, now)) !== 1) {
    await throwWhyClaimClosed(tx, claim.tokenHash, now);
  }
  // Read from the rows as they end: the human may have decided, or the agent asked anew, after the caller read the attempt. What
  // the human gave binds an ID-JAG for their mailbox, too.
  const ended = await withdrawAttempts(work, claim.registrationId, 'completed');
  const decided = ended.find(({ id, mailbox }) =>
    attempt.id === undefined ? mailbox === attempt.mailbox : id === attempt.id,
  );
  if (attempt.id !== undefined && decided === undefined) {
    throw approvalPending(work.deps, claim, ended[0]?.id);
  }
  const scope = decided?.scope ?? null;
  const registration = (await findRegistration(tx, claim.registrationId))!;
  const claimedAgent = await transferOwnership(work, registration, { ...attempt, scope }, options.gives);

  // The mailbox is proven now, so all other pending claims on it end. Otherwise the owner might later approve the mail of a
  // third party's claim by mistake (S-35).
  for (const { registrationId } of await listPendingOnMailbox(tx, attempt.mailbox, registration.id)) {
    await closeClaim(work, registrationId, 'superseded');
    await recordEvent(work, { kind: 'claim.superseded', subject: registrationId });
  }
  return { ...claimedAgent, mode: attempt.mode };
}

/**
 * Returns what a claim issues when it is completed by auth.md v0.1. An anonymous agent keeps its key, which gets the claimed
 * scopes; any other agent gets the credential type that it requested (auth.md v0.1, POST /agent/auth/claim/complete).
 *
 * @throws Failure `invalidClaimToken`
 */
export async function findIssuancePlan(deps: Pick<Deps, 'db'>, claimToken: string): Promise<IssuancePlan> {
  const claim = await findClaimByTokenHash(deps.db, hashClaimToken(claimToken));
  const registration = claim && (await findRegistration(deps.db, claim.registrationId));
  if (registration === undefined) throw invalidClaimToken();
  if (registration.kind === 'anonymous' && registration.credentialType !== null) return 'wider_keys';
  return registration.credentialType === 'access_token' ? 'token' : 'key';
}
