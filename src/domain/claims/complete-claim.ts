import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type AttemptRow, findLastAttempt, listPendingOnMailbox } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByTokenHash, updateClaimCompleted } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { lockPrincipal } from '../../store/principals.ts';
import { type ClaimMode, findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { SERVICE_GUESS } from '../limits/limits.ts';
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
import { type AccompanyingBearer, checkCompanion, hashClaimToken } from './claim-tokens.ts';
import type { IssuancePlan } from './issue-on-claim.ts';
import { type ClaimedAgent, type ProvenAttempt, transferOwnership } from './transfer-ownership.ts';
import { codeExpired, verifyClaimCode } from './verify-claim-code.ts';

/** What a completed claim gives, and whom the agent now works for. */
export interface CompletedClaim extends ClaimedAgent {
  mode: ClaimMode;
}

/**
 * Completes a claim: the agent merges into the owner's account or is linked to it, and gets the claimed scopes. Either the
 * agent brings the code that its human had by mail or on the page, or its human has approved on the page.
 *
 * Everything happens in one transaction; see verifyClaimCode() for what a guess costs.
 *
 * @param input.code as it was read out; undefined: ask whether the human has approved
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `alreadyClaimed`, `codeNotIssued`,
 * `codeExpired`, `wrongCode`, `notConfirmed`, `methodDisabled`, `claimRevoked`, `approvalPending`, `interactionRequired`; `limited` or `unavailable` when a budget of wrong
 * guesses is spent
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
  repeatable?: IdempotentRequest,
): Promise<CompletedClaim> {
  const { code } = input;
  const tokenHash = hashClaimToken(input.claimToken);
  // Before a key is taken for it: neither an invented token nor a poll must cost a write.
  const known = await findClaimByTokenHash(deps.db, tokenHash);
  if (known === undefined) throw invalidClaimToken();
  if (code === undefined && known.claimedAt === null) await refuseUnapproved(deps.db, deps, known);

  const options = { idempotency: repeatable, sharedLimits: code === undefined ? [] : SERVICE_GUESS };
  return useCase(deps, origin, options, async (work) => {
    const { tx, now } = work;
    await lockItsPrincipal(tx, known.registrationId, input.claimToken);
    const claim = await findOpenClaim(tx, tokenHash, now);
    await checkCompanion(tx, claim, input.companion);
    const attempt =
      code === undefined ? await refuseUnapproved(tx, deps, claim) : await findAttempted(tx, claim);
    if (code !== undefined) await verifyClaimCode(work, claim, attempt, code);
    return complete(work, claim, attempt, input);
  });
}

/**
 * Where a provider stands behind a claim, what it presents takes the row of its user first and the claim next; so does this, or
 * the two would wait for each other. The tinysend profile knows no providers.
 */
async function lockItsPrincipal(tx: Tx, registrationId: string, claimToken: string): Promise<void> {
  if (!claimToken.startsWith('clm_')) return;
  const attempt = await findLastAttempt(tx, registrationId);
  const principal = attempt?.principal ?? (await findRegistration(tx, registrationId))?.principal;
  if (principal) await lockPrincipal(tx, principal);
}

async function findAttempted(db: Pick<Tx, 'get'>, claim: ClaimRow): Promise<AttemptRow> {
  const attempt = await findLastAttempt(db, claim.registrationId);
  if (attempt !== undefined) return attempt;
  throw new Failure(
    'codeNotIssued',
    'No code was asked for yet. Call the claim endpoint with the mailbox of your human first.',
  );
}

/** The attempt of a claim that its human has approved on the page. */
async function refuseUnapproved(db: Pick<Tx, 'get'>, deps: Deps, claim: ClaimRow): Promise<AttemptRow> {
  const now = deps.clock();
  assertClaimOpen(claim, now);
  const attempt = await findAttempted(db, claim);
  if (attempt.endedAt === null && attempt.approvedAt !== null) return attempt;
  if (isAttemptClosed(attempt, deps.config.limits.triesPerCode, now)) {
    // Between the two reads another poll may have collected the key.
    await throwWhyClaimClosed(db, claim.tokenHash, now);
    throw codeExpired();
  }
  throw new Failure(
    'approvalPending',
    'Your human has not approved yet. Ask again in a few seconds, or send the code they read to you as "otp".',
    { retryAfterSeconds: POLL_SECONDS, verificationUri: viewLink(deps, claim.registrationId, attempt.id) },
  );
}

/** Completes a claim whose attempt is proven, in the caller's transaction. */
export async function complete(
  work: Work,
  claim: ClaimRow,
  attempt: ProvenAttempt,
  how: { gives: IssuancePlan; collectedBy?: ClaimRow['collectedBy'] },
): Promise<CompletedClaim> {
  const { tx, now } = work;
  const collectedBy = how.collectedBy ?? null;
  if ((await updateClaimCompleted(tx, claim.tokenHash, collectedBy, now)) !== 1) {
    await throwWhyClaimClosed(tx, claim.tokenHash, now);
  }
  await withdrawAttempts(work, claim.registrationId, 'completed');
  const registration = (await findRegistration(tx, claim.registrationId))!;
  const owned = await transferOwnership(work, registration, attempt, how.gives);

  // Whoever owns the mailbox has spoken: claims that others started on it end here, or a stranger's would wait in the
  // owner's mail for a careless moment (S-35).
  for (const { registrationId } of await listPendingOnMailbox(tx, attempt.mailbox, registration.id)) {
    await closeClaim(work, registrationId, 'superseded');
    await record(work, { kind: 'claim.superseded', subject: registrationId });
  }
  return { ...owned, mode: attempt.mode };
}

/**
 * What a claim that is completed as auth.md v0.1 does it gives: an anonymous agent keeps its key, which is widened; others get
 * the credential that they asked for when they registered (auth.md v0.1, POST /agent/auth/claim/complete).
 *
 * @throws Failure `invalidClaimToken`
 */
export async function findCeremonyEnd(deps: Pick<Deps, 'db'>, claimToken: string): Promise<IssuancePlan> {
  const claim = await findClaimByTokenHash(deps.db, hashClaimToken(claimToken));
  const registration = claim && (await findRegistration(deps.db, claim.registrationId));
  if (registration === undefined) throw invalidClaimToken();
  if (registration.kind === 'anonymous' && registration.credentialType !== null) return 'wider_keys';
  return registration.credentialType === 'access_token' ? 'token' : 'key';
}
