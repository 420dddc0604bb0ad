import type { Deps } from '../../deps.ts';
import { Failure, type Kind } from '../../errors.ts';
import { findLastAttempt, updateAttemptPolled } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByTokenHash } from '../../store/claims.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import type { IssuedToken } from '../credentials/access-tokens.ts';
import { effectiveAccessOf } from '../credentials/effective-access.ts';
import { grantToken } from '../credentials/exchange-assertion.ts';
import { type Identity, mintIdentity } from '../credentials/identity-assertions.ts';
import { useCase } from '../limits/use-case.ts';
import { invalidClaimToken, POLL_SECONDS } from './claim-status.ts';
import { hashClaimToken } from './claim-tokens.ts';
import { completeClaim } from './complete-claim.ts';

/** Whoever lost the answer may ask again for so long; a claim token is no lasting credential (docs/dialects.md). */
const COLLECT_AGAIN_MS = 600_000;

/**
 * Asks whether the human has typed the code that the agent showed them, and collects what follows (auth.md v0.4, claim grant).
 *
 * @throws Failure `invalidClaimToken`, `approvalPending`, `pollTooFast`, `codeExpired`, `methodDisabled`, what the claim's own
 * state says, and what the access token is refused for
 */
export async function collectByGrant(
  deps: Deps,
  origin: RequestOrigin,
  ask: { claimToken: string; resource: string | undefined; scope: string | undefined },
): Promise<{ token: IssuedToken; identity: Identity }> {
  if (deps.config.claimMode === 'reveal') {
    throw new Failure(
      'unsupportedGrant',
      'This service shows the code to the human, who reads it to the agent.',
    );
  }
  try {
    const claim = await findClaimByTokenHash(deps.db, hashClaimToken(ask.claimToken));
    if (claim === undefined) throw invalidClaimToken();
    const identity =
      (await collectAgain(deps, origin, claim)) ?? (await collect(deps, origin, claim, ask.claimToken));
    const registration = (await findRegistration(deps.db, claim.registrationId))!;
    return { token: await grantToken(deps, origin, registration, ask), identity };
  } catch (error) {
    // An unknown token and one that is over look the same.
    if (error instanceof Failure && OVER.has(error.kind)) throw over();
    throw error;
  }
}

const OVER = new Set<Kind>([
  'invalidClaimToken',
  'claimExpired',
  'claimSuperseded',
  'claimRevoked',
  'alreadyClaimed',
  'codeExpired',
]);

function over(): Failure {
  return new Failure(
    'claimExpired',
    'The claim token is unknown, or its time is over. POST it to the claim endpoint for a new code; where that fails, register again.',
  );
}

async function collect(
  deps: Deps,
  origin: RequestOrigin,
  claim: ClaimRow,
  claimToken: string,
): Promise<Identity> {
  try {
    const how = { claimToken, code: undefined, gives: 'identity', collectedBy: 'grant' } as const;
    const { given } = await completeClaim(deps, origin, how);
    if (given.kind === 'identity') return given.identity;
    throw invalidClaimToken();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.kind === 'alreadyClaimed') {
      // Of many polls at once one completes it, and the others ask again what it gave.
      const now = await findClaimByTokenHash(deps.db, claim.tokenHash);
      const again = now && (await collectAgain(deps, origin, now));
      if (again !== undefined) return again;
    }
    if (error.kind !== 'approvalPending') throw error;
    await refuseHasty(deps, claim);
    throw new Failure(
      'approvalPending',
      `Your human has not agreed yet. Ask again in ${POLL_SECONDS} seconds.`,
      {
        retryAfterSeconds: POLL_SECONDS,
      },
    );
  }
}

/** The interval is kept by one guarded write for each poll in time, and none for those between. */
async function refuseHasty(deps: Deps, claim: ClaimRow): Promise<void> {
  const attempt = await findLastAttempt(deps.db, claim.registrationId);
  if (attempt === undefined) return;
  const now = deps.clock();
  const noted = await deps.db.tx((tx) =>
    updateAttemptPolled(tx, attempt.id, now, now - POLL_SECONDS * 1000 + LEEWAY_MS),
  );
  if (noted === 1) return;
  throw new Failure(
    'pollTooFast',
    `Ask every ${POLL_SECONDS} seconds, and 5 seconds less often after this answer.`,
    {
      retryAfterSeconds: 2 * POLL_SECONDS,
    },
  );
}

/** A network is not a clock: a poll that was sent in time may arrive a little early. */
const LEEWAY_MS = 500;

/** What a claim gave, for who collected it by this grant a moment ago. */
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
    const standing = await effectiveAccessOf(tx, deps, now, registration);
    if (standing === undefined) return undefined;
    const { mailbox, endsAt } = standing;
    return mintIdentity(work, { registration, mailbox, endsAt, refreshable: true });
  });
}
