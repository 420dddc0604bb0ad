import type { Deps } from '../../deps.ts';
import { Failure, type FailureKind } from '../../errors.ts';
import { findLastAttempt, updateAttemptPolled } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByTokenHash } from '../../store/claims.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import type { IssuedToken } from '../credentials/access-tokens.ts';
import { effectiveAccessOf } from '../credentials/effective-access.ts';
import { issueTokenForRegistration } from '../credentials/exchange-assertion.ts';
import { type Identity, mintIdentity } from '../credentials/identity-assertions.ts';
import { useCase } from '../limits/use-case.ts';
import { invalidClaimToken, POLL_SECONDS } from './claim-status.ts';
import { hashClaimToken } from './claim-tokens.ts';
import { completeClaim } from './complete-claim.ts';

/**
 * How long after completion the agent may repeat the grant, in case the response was lost. The period is short, since a claim
 * token is no lasting credential (docs/adr/0010-versions-of-auth-md.md).
 */
const COLLECT_AGAIN_MS = 600_000;

/**
 * Completes a claim once the human has typed the code that the agent showed them, and issues an access token and an identity
 * (auth.md v0.4, claim grant).
 *
 * @param request.resource URL of the audience; undefined: the default audience
 * @param request.scope space-separated; undefined: all scopes that the agent may have there
 * @throws Failure `approvalPending`, `pollTooFast`; `claimExpired` for an unknown token and for a claim or code that has ended;
 * `claimDenied`; `codeNotIssued` before the first attempt; `interactionRequired` as transferOwnership(); `unsupportedGrant` when
 * `claimMode` is `reveal`; otherwise as issueTokenForRegistration()
 */
export async function exchangeClaimToken(
  deps: Deps,
  origin: RequestOrigin,
  request: { claimToken: string; resource: string | undefined; scope: string | undefined },
): Promise<{ token: IssuedToken; identity: Identity }> {
  if (deps.config.claimMode === 'reveal') {
    throw new Failure(
      'unsupportedGrant',
      'This service shows the code to the human, who reads it to the agent.',
    );
  }
  try {
    const claim = await findClaimByTokenHash(deps.db, hashClaimToken(request.claimToken));
    if (claim === undefined) throw invalidClaimToken();
    const identity =
      (await collectAgain(deps, origin, claim)) ?? (await collect(deps, origin, claim, request.claimToken));
    const registration = (await findRegistration(deps.db, claim.registrationId))!;
    return { token: await issueTokenForRegistration(deps, origin, registration, request), identity };
  } catch (error) {
    // An unknown claim token and an expired one get the same failure.
    if (error instanceof Failure && REPORTED_AS_EXPIRED.has(error.kind)) throw claimExpired();
    throw error;
  }
}

const REPORTED_AS_EXPIRED = new Set<FailureKind>([
  'invalidClaimToken',
  'claimExpired',
  'claimSuperseded',
  'claimRevoked',
  'alreadyClaimed',
  'codeExpired',
]);

function claimExpired(): Failure {
  return new Failure(
    'claimExpired',
    'The claim token is unknown, or the claim or its code has expired. POST it to the claim endpoint for a new code; if that fails, register again.',
  );
}

async function collect(
  deps: Deps,
  origin: RequestOrigin,
  claim: ClaimRow,
  claimToken: string,
): Promise<Identity> {
  try {
    const input = { claimToken, code: undefined, gives: 'identity', collectedBy: 'grant' } as const;
    const { given: issued } = await completeClaim(deps, origin, input);
    if (issued.kind === 'identity') return issued.identity;
    throw invalidClaimToken();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.kind === 'alreadyClaimed') {
      // Of concurrent polls one completes the claim, and the others collect again.
      const completed = await findClaimByTokenHash(deps.db, claim.tokenHash);
      const identity = completed && (await collectAgain(deps, origin, completed));
      if (identity !== undefined) return identity;
    }
    if (error.kind !== 'approvalPending') throw error;
    await enforcePollInterval(deps, claim);
    throw new Failure(
      'approvalPending',
      `Your human has not agreed yet. Ask again in ${POLL_SECONDS} seconds.`,
      {
        retryAfterSeconds: POLL_SECONDS,
      },
    );
  }
}

/** Refuses a poll before the interval has passed. Such a poll changes no row; any other one costs one guarded update. */
async function enforcePollInterval(deps: Deps, claim: ClaimRow): Promise<void> {
  const attempt = await findLastAttempt(deps.db, claim.registrationId);
  if (attempt === undefined) return;
  const now = deps.clock();
  const updated = await deps.db.tx((tx) =>
    updateAttemptPolled(tx, attempt.id, now, now - POLL_SECONDS * 1000 + LEEWAY_MS),
  );
  if (updated === 1) return;
  throw new Failure(
    'pollTooFast',
    `Poll every ${POLL_SECONDS} seconds. After this answer wait 5 seconds longer between polls.`,
    {
      retryAfterSeconds: 2 * POLL_SECONDS,
    },
  );
}

/** How much earlier than the interval a poll may arrive, since network delay varies. */
const LEEWAY_MS = 500;

/** Issues an identity again if this grant completed the claim at most COLLECT_AGAIN_MS ago; otherwise returns undefined. */
async function collectAgain(
  deps: Deps,
  origin: RequestOrigin,
  claim: ClaimRow,
): Promise<Identity | undefined> {
  if (claim.claimedAt === null || claim.collectedBy !== 'grant') return undefined;
  if (deps.clock() - claim.claimedAt > COLLECT_AGAIN_MS) return undefined;
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const registration = (await findRegistration(tx, claim.registrationId))!;
    const access = await effectiveAccessOf(tx, deps, now, registration);
    if (access === undefined) return undefined;
    const { mailbox, endsAt } = access;
    return mintIdentity(work, { registration, mailbox, endsAt, refreshable: true });
  });
}
