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
  spendTry,
} from '../store/claim-attempts.ts';
import {
  type ClaimRow,
  endClaim,
  findClaimByTokenHash,
  markClaimed,
  spendCode,
  spendGuess,
} from '../store/claims.ts';
import type { Tx } from '../store/db.ts';
import { dropUnsent, insertMail } from '../store/outbox.ts';
import { type ClaimMode, findRegistration, type RegistrationRow } from '../store/registrations.ts';
import { isCode } from './codes.ts';
import { type Asker, record } from './events.ts';
import { once, type Repeatable } from './idempotency.ts';
import { guessSpendings, limited, mailSpendings, refund, spend } from './limits.ts';
import { type Owned, takeOwnership } from './ownership.ts';

/** The bearer that may come along with a claim token; it must then be of the same agent (S-25). */
export interface Companion {
  agentId: string;
}

/**
 * Starts a claim: mails a code to the mailbox, ending the code that was live before. What the mailbox is (known, unknown,
 * linked) is not looked at, so the answer cannot tell (S-44, S-45).
 *
 * @param input.mailbox canonical, see parseMailbox
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `alreadyClaimed`; `limited` when a budget of
 * codes is spent
 */
export async function startClaim(
  deps: Deps,
  asker: Asker,
  input: { claimToken: string; mailbox: string; mode: ClaimMode; companion?: Companion | undefined },
): Promise<{ mailbox: string }> {
  const tokenHash = hashClaimToken(input.claimToken);
  await limited(deps, asker, async () => {
    const now = deps.clock();
    await deps.db.tx(async (tx) => {
      const claim = await findOpenClaim(tx, tokenHash, now);
      await checkCompanion(tx, claim, input.companion);
      await openAttempt(tx, deps, asker, now, { claim, mailbox: input.mailbox, mode: input.mode });
      const spendings = mailSpendings(claim.registrationId, input.mailbox, asker.address);
      await spend(tx, deps, spendings, now);
    });
  });
  deps.wakeOutbox();
  return { mailbox: input.mailbox };
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
    await refuseClosed(tx, claim.tokenHash, now);
    const seconds = Math.max(1, Math.ceil((claim.expiresAt - now) / 1000));
    throw new Failure(
      'limited',
      'All codes of this claim were used. Register again to get a new claim token.',
      { retryAfterSeconds: seconds },
    );
  }
  for (const old of await endAttempts(tx, claim.registrationId, 'superseded', now)) {
    await dropUnsent(tx, old.id, now);
  }
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
 * Completes a claim with the mailed code: the agent merges into the owner's account or is linked to it, and gets a fresh key
 * with the claimed scopes.
 *
 * Everything happens in one transaction. The guess is counted on every budget before it is compared; only a right one gets
 * its counts back.
 *
 * @param input.code six digits
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `alreadyClaimed`, `codeNotIssued`, `codeExpired`,
 * `wrongCode`, `interactionRequired`; `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export async function completeClaim(
  deps: Deps,
  asker: Asker,
  input: { claimToken: string; code: string; companion?: Companion | undefined },
  repeatable?: Repeatable,
): Promise<CompletedClaim> {
  const tokenHash = hashClaimToken(input.claimToken);
  // Before a key is taken for it: an invented token must not cost a write.
  if ((await findClaimByTokenHash(deps.db, tokenHash)) === undefined) throw invalidClaimToken();
  return once(deps, repeatable, asker, (keep) =>
    limited(deps, asker, async () => {
      const outcome = await deps.db.tx(async (tx) => {
        const now = deps.clock();
        const guess = await spendOnGuess(tx, deps, asker, tokenHash, input, now);
        if (!isCode(deps, guess.attempt, input.code)) {
          await record(tx, deps, asker, now, {
            kind: 'claim.guess_failed',
            subject: guess.claim.registrationId,
          });
          return { kind: 'wrong' as const, attemptsRemaining: deps.config.limits.triesPerCode - guess.tries };
        }
        await refund(tx, guessSpendings(guess.attempt.mailbox, asker.address));
        const completed = await complete(tx, deps, asker, now, tokenHash, guess.attempt, guess.registration);
        await keep(tx, completed);
        return { kind: 'right' as const, completed };
      });
      // Thrown out here and not inside: the count of the wrong guess must stay.
      if (outcome.kind === 'wrong') throw wrongCode(outcome.attemptsRemaining);
      return outcome.completed;
    }),
  );
}

async function spendOnGuess(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  tokenHash: Buffer,
  input: { companion?: Companion | undefined },
  now: number,
) {
  const { limits } = deps.config;
  const claim = await findOpenClaim(tx, tokenHash, now);
  await checkCompanion(tx, claim, input.companion);
  const attempt = await findLastAttempt(tx, claim.registrationId);
  if (attempt === undefined) {
    throw new Failure(
      'codeNotIssued',
      'No code was asked for yet. Call the claim endpoint with the mailbox of your human first.',
    );
  }
  // Also the guarded statement below would refuse it, but behind rows that all guesses share: a flood at one dead code, which
  // costs its sender no budget, would hold up everybody.
  if (isDead(attempt, limits.triesPerCode, now)) await refuseDeadCode(tx, tokenHash, now);
  const registration = (await findRegistration(tx, claim.registrationId))!;

  await spend(tx, deps, guessSpendings(attempt.mailbox, asker.address), now);
  const guessesMax = limits.triesPerCode * limits.codesPerClaim;
  const counted = await spendGuess(tx, tokenHash, guessesMax, now);
  const tries = counted
    ? await spendTry(tx, attempt.id, attempt.counter, limits.triesPerCode, now)
    : undefined;
  if (tries === undefined) return refuseDeadCode(tx, tokenHash, now);
  return { claim, attempt, registration, tries };
}

async function complete(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  tokenHash: Buffer,
  attempt: AttemptRow,
  registration: RegistrationRow,
): Promise<CompletedClaim> {
  if ((await markClaimed(tx, tokenHash, now)) !== 1) await refuseClosed(tx, tokenHash, now);
  await endAttempts(tx, registration.id, 'completed', now);
  await dropUnsent(tx, attempt.id, now);
  const owned = await takeOwnership(tx, deps, asker, now, registration, attempt.mailbox, attempt.mode);

  // Whoever owns the mailbox has spoken: claims that others started on it end here, or a stranger's would wait in the
  // owner's mail for a careless moment (S-35).
  for (const { registrationId } of await listPendingOnMailbox(tx, attempt.mailbox, registration.id)) {
    await endClaim(tx, registrationId, 'superseded', now);
    for (const other of await endAttempts(tx, registrationId, 'superseded', now)) {
      await dropUnsent(tx, other.id, now);
    }
    await record(tx, deps, asker, now, { kind: 'claim.superseded', subject: registrationId });
  }
  return { ...owned, mode: attempt.mode };
}

function hashClaimToken(claimToken: string): Buffer {
  if (!wellFormed('ct', claimToken)) throw invalidClaimToken();
  return hashSecret(claimToken);
}

async function findOpenClaim(tx: Tx, tokenHash: Buffer, now: number): Promise<ClaimRow> {
  const claim = await findClaimByTokenHash(tx, tokenHash);
  if (claim === undefined) throw invalidClaimToken();
  refuse(claim, now);
  return claim;
}

/** Says why a guarded statement on a claim did not win, if the reason is the claim's own state. */
async function refuseClosed(tx: Tx, tokenHash: Buffer, now: number): Promise<void> {
  const claim = await findClaimByTokenHash(tx, tokenHash);
  if (claim !== undefined) refuse(claim, now);
}

function refuse(claim: ClaimRow, now: number): void {
  if (claim.claimedAt !== null) {
    throw new Failure(
      'alreadyClaimed',
      'This agent is claimed already. Its key was given in the answer to that claim and is not shown again.',
    );
  }
  if (claim.endReason === 'superseded') {
    throw new Failure(
      'claimSuperseded',
      'The owner of the mailbox completed another claim, which ended this one. Register again to start anew.',
    );
  }
  if (claim.endedAt !== null || claim.expiresAt <= now) {
    throw new Failure('claimExpired', 'This claim is over. Register again to get a new claim token.');
  }
}

async function checkCompanion(tx: Tx, claim: ClaimRow, companion: Companion | undefined): Promise<void> {
  if (companion === undefined) return;
  const registration = await findRegistration(tx, claim.registrationId);
  if (registration?.agentId !== companion.agentId) throw invalidClaimToken();
}

function invalidClaimToken(): Failure {
  return new Failure(
    'invalidClaimToken',
    'The claim token is not valid. Use the claim_token of your registration, or register again.',
  );
}

function isDead(attempt: AttemptRow, triesMax: number, now: number): boolean {
  return attempt.endedAt !== null || attempt.tries >= triesMax || attempt.codeExpiresAt <= now;
}

async function refuseDeadCode(tx: Tx, tokenHash: Buffer, now: number): Promise<never> {
  // While this guess stood in line, another may have completed or ended the claim.
  await refuseClosed(tx, tokenHash, now);
  throw new Failure(
    'codeExpired',
    'The code has expired or was guessed wrong too often. Call the claim endpoint again for a new code.',
  );
}

function wrongCode(attemptsRemaining: number): Failure {
  const next =
    attemptsRemaining > 0
      ? 'Ask your human to read it again.'
      : 'Call the claim endpoint again for a new code.';
  return new Failure('wrongCode', `The code is wrong. ${next}`, { attemptsRemaining });
}
