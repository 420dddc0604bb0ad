import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { hashSecret, wellFormed } from '../lib/secrets.ts';
import {
  type AttemptRow,
  endAttempts,
  findLastAttempt,
  insertAttempt,
  listPendingOnMailbox,
} from '../store/claim-attempts.ts';
import { type ClaimRow, endClaim, findClaimByTokenHash, markClaimed, spendCode } from '../store/claims.ts';
import type { Tx } from '../store/db.ts';
import { dropUnsent, insertMail } from '../store/outbox.ts';
import { type ClaimMode, findRegistration } from '../store/registrations.ts';
import { viewLink } from './claim-links.ts';
import {
  explainClosed,
  findOpenClaim,
  invalidClaimToken,
  POLL_SECONDS,
  refuseClosed,
} from './claim-state.ts';
import { type Asker, record } from './events.ts';
import { codeExpired, guessAtClaim } from './guesses.ts';
import { once, type Repeatable } from './idempotency.ts';
import { areGuessesSpent, limited, mailSpendings, spend } from './limits.ts';
import { type Owned, takeOwnership } from './ownership.ts';

/** The bearer that may come along with a claim token; it must then be of the same agent (S-25). */
export interface Companion {
  /** Undefined: a human's own key, which comes along with no claim token. */
  agentId: string | undefined;
}

/**
 * Starts a claim: mails a code to the mailbox, ending the code that was live before. What the mailbox is (known, unknown,
 * linked) is not looked at, so the answer cannot tell (S-44, S-45).
 *
 * @param input.mailbox canonical, see parseMailbox
 * @returns the page on which the human can review it
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `alreadyClaimed`; `limited` when a
 * budget of codes is spent
 */
export async function startClaim(
  deps: Deps,
  asker: Asker,
  input: { claimToken: string; mailbox: string; mode: ClaimMode; companion?: Companion | undefined },
): Promise<{ mailbox: string; verificationUri: string }> {
  const tokenHash = hashClaimToken(input.claimToken);
  const registrationId = await limited(deps, asker, async () => {
    const now = deps.clock();
    return deps.db.tx(async (tx) => {
      const claim = await findOpenClaim(tx, tokenHash, now);
      await checkCompanion(tx, claim, input.companion);
      await openAttempt(tx, deps, asker, now, { claim, mailbox: input.mailbox, mode: input.mode });
      const spendings = mailSpendings(input.mailbox, asker.address, claim.registrationId);
      await spend(tx, deps, spendings, now);
      return claim.registrationId;
    });
  });
  deps.wakeOutbox();
  return { mailbox: input.mailbox, verificationUri: viewLink(deps, registrationId) };
}

/**
 * The new live attempt of a claim, and the mail that carries its code, in the caller's transaction. The attempt before it
 * ends, and its mail is dropped if it has not left.
 *
 * @throws Failure `limited` when the claim has had all its codes
 */
export async function openAttempt(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  input: {
    claim: Pick<ClaimRow, 'tokenHash' | 'registrationId' | 'expiresAt'>;
    mailbox: string;
    mode: ClaimMode;
  },
): Promise<void> {
  const { limits } = deps.config;
  const { claim, mailbox, mode } = input;
  if (!(await spendCode(tx, claim.tokenHash, limits.codesPerClaim, now))) {
    await explainClosed(tx, claim.tokenHash, now);
    const seconds = Math.max(1, Math.ceil((claim.expiresAt - now) / 1000));
    throw new Failure(
      'limited',
      'All codes of this claim were used. Register again to get a new claim token.',
      { retryAfterSeconds: seconds },
    );
  }
  await withdrawAttempts(tx, claim.registrationId, 'superseded', now);
  const attemptId = newId('cla', now, deps.random);
  await insertAttempt(tx, {
    id: attemptId,
    registrationId: claim.registrationId,
    mailbox,
    mode,
    origin: asker.address.coarse,
    secretId: deps.keyring.currentId,
    counter: 1,
    codeExpiresAt: now + limits.codeTtlSeconds * 1000,
    createdAt: now,
    // Where too many codes were guessed at, there is to be nothing to guess (S-07, S-17).
    proof: (await areGuessesSpent(tx, deps, mailbox, now)) ? 'link' : 'code',
  });
  await insertMail(tx, {
    id: newId('out', now, deps.random),
    kind: 'claim_code',
    attemptId,
    mailbox,
    createdAt: now,
    giveUpAt: claim.expiresAt,
  });
  await record(tx, deps, asker, now, {
    kind: 'claim.started',
    subject: claim.registrationId,
    details: { mode },
  });
}

/** What a completed claim gives: a fresh key, and whom it now works for. */
export interface CompletedClaim extends Owned {
  mode: ClaimMode;
}

/**
 * Completes a claim: the agent merges into the owner's account or is linked to it, and gets a fresh key with the claimed
 * scopes. Either the agent brings the mailed code, or its human has approved on the page.
 *
 * Everything happens in one transaction; see guessAtClaim() for what a guess costs.
 *
 * @param input.code six digits; undefined: ask whether the human has approved
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `alreadyClaimed`, `codeNotIssued`,
 * `codeExpired`, `wrongCode`, `approvalPending`, `interactionRequired`; `limited` or `unavailable` when a budget of wrong
 * guesses is spent
 */
export async function completeClaim(
  deps: Deps,
  asker: Asker,
  input: { claimToken: string; code: string | undefined; companion?: Companion | undefined },
  repeatable?: Repeatable,
): Promise<CompletedClaim> {
  const { code } = input;
  const tokenHash = hashClaimToken(input.claimToken);
  // Before a key is taken for it: neither an invented token nor a poll must cost a write.
  const known = await findClaimByTokenHash(deps.db, tokenHash);
  if (known === undefined) throw invalidClaimToken();
  if (code === undefined && known.claimedAt === null) await refuseUnapproved(deps.db, deps, known);

  return once(deps, repeatable, asker, (keep) =>
    limited(deps, asker, async () => {
      const outcome = await deps.db.tx(async (tx) => {
        const now = deps.clock();
        const claim = await findOpenClaim(tx, tokenHash, now);
        await checkCompanion(tx, claim, input.companion);
        const attempt =
          code === undefined ? await refuseUnapproved(tx, deps, claim) : await findAttempted(tx, claim);
        const wrong =
          code === undefined ? undefined : await guessAtClaim(tx, deps, asker, now, claim, attempt, code);
        if (wrong !== undefined) return wrong;
        const completed = await complete(tx, deps, asker, now, claim, attempt);
        await keep(tx, completed);
        return completed;
      });
      // Thrown out here and not inside: the count of the wrong guess must stay.
      if (outcome instanceof Failure) throw outcome;
      return outcome;
    }),
  );
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
  refuseClosed(claim, now);
  const attempt = await findAttempted(db, claim);
  if (attempt.endedAt === null && attempt.approvedAt !== null) return attempt;
  const isSpent = attempt.proof === 'code' && attempt.tries >= deps.config.limits.triesPerCode;
  if (attempt.endedAt !== null || attempt.codeExpiresAt <= now || isSpent) {
    // Between the two reads another poll may have collected the key.
    await explainClosed(db, claim.tokenHash, now);
    throw codeExpired();
  }
  throw new Failure(
    'approvalPending',
    'Your human has not approved yet. Ask again in a few seconds, or send the code they read to you as "otp".',
    { retryAfterSeconds: POLL_SECONDS, verificationUri: viewLink(deps, claim.registrationId) },
  );
}

async function complete(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  claim: ClaimRow,
  attempt: AttemptRow,
): Promise<CompletedClaim> {
  if ((await markClaimed(tx, claim.tokenHash, now)) !== 1) await explainClosed(tx, claim.tokenHash, now);
  await withdrawAttempts(tx, claim.registrationId, 'completed', now);
  const registration = (await findRegistration(tx, claim.registrationId))!;
  const owned = await takeOwnership(tx, deps, asker, now, registration, attempt);

  // Whoever owns the mailbox has spoken: claims that others started on it end here, or a stranger's would wait in the
  // owner's mail for a careless moment (S-35).
  for (const { registrationId } of await listPendingOnMailbox(tx, attempt.mailbox, registration.id)) {
    await endClaim(tx, registrationId, 'superseded', now);
    await withdrawAttempts(tx, registrationId, 'superseded', now);
    await record(tx, deps, asker, now, { kind: 'claim.superseded', subject: registrationId });
  }
  return { ...owned, mode: attempt.mode };
}

/** Ends the live attempts of a registration, and drops their mails that have not left. */
export async function withdrawAttempts(
  tx: Tx,
  registrationId: string,
  reason: 'superseded' | 'completed' | 'denied' | 'revoked',
  now: number,
): Promise<void> {
  for (const attempt of await endAttempts(tx, registrationId, reason, now)) {
    await dropUnsent(tx, attempt.id, now);
  }
}

function hashClaimToken(claimToken: string): Buffer {
  if (!wellFormed('ct', claimToken)) throw invalidClaimToken();
  return hashSecret(claimToken);
}

async function checkCompanion(tx: Tx, claim: ClaimRow, companion: Companion | undefined): Promise<void> {
  if (companion === undefined) return;
  const registration = await findRegistration(tx, claim.registrationId);
  if (registration?.agentId !== companion.agentId) throw invalidClaimToken();
}
