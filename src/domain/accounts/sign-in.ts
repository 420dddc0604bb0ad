import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import type { Locale } from '../../lib/translate.ts';
import { findAccountByMailbox } from '../../store/accounts.ts';
import { findAuthenticator } from '../../store/authenticators.ts';
import {
  findSignIn,
  insertSignIn,
  type SignInRow,
  updateSignInEnded,
  updateSignInProven,
} from '../../store/sign-ins.ts';
import { incrementTries } from '../../store/tries.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { queueMail } from '../audit/queue-mail.ts';
import { isSignInCode } from '../codes/one-time-codes.ts';
import { assertSecretReadable } from '../codes/secret-marks.ts';
import { verifyCode } from '../codes/verify-code.ts';
import {
  SERVICE_GUESS_LIMITS,
  secondFactorLimits,
  signInGuessLimits,
  signInMailLimits,
} from '../limits/limits.ts';
import { areGuessesExhausted, consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { findOrCreateAccount } from './find-or-create-account.ts';
import { startSession } from './sessions.ts';
import { verifySecondFactor } from './totp.ts';

/**
 * Starts a sign-in: mails a code, or a link if the wrong guesses are exhausted (S-17). It does not look for the account
 * of the mailbox, so it cannot reveal whether there is one (S-44): the first proof of the mailbox creates the account.
 *
 * @param asked.mailbox canonical, see parseMailbox()
 * @param asked.locale the language of the page that asks
 * @param asked.accountId of a signed-in user who verifies again
 * @returns the id of the sign-in
 * @throws Failure `limited` if a limit of sign-in mails is exhausted
 */
export async function startSignIn(
  deps: Deps,
  origin: RequestOrigin,
  asked: { mailbox: string; locale: Locale; accountId?: string | undefined },
): Promise<string> {
  const { mailbox, locale, accountId } = asked;
  const { codeTtlSeconds } = deps.config.limits;
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const signInId = newId('sgn', now, deps.random);
    await consumeLimits(work, signInMailLimits(mailbox, origin.address, accountId));
    const isLink = await areGuessesExhausted(work, 'signInWrongPerMailboxDay', mailbox);
    await insertSignIn(tx, {
      id: signInId,
      mailbox,
      origin: origin.address.coarse,
      secretId: deps.keyring.currentId,
      counter: 1,
      codeExpiresAt: now + codeTtlSeconds * 1000,
      createdAt: now,
      proof: isLink ? 'link' : 'code',
      locale,
    });
    await queueMail(work, {
      kind: 'sign_in_code',
      attemptId: signInId,
      mailbox,
      giveUpAt: now + codeTtlSeconds * 500, // half of the code's lifetime must be left: the user waits at a browser
    });
    return signInId;
  });
}

/**
 * Finds a sign-in that can still be completed.
 *
 * @returns its canonical mailbox, the proof that comes next, and when that expires (epoch ms); undefined if it is unknown,
 * completed, expired or out of tries
 */
export async function findPendingSignIn(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  id: string,
): Promise<{ mailbox: string; waitsFor: Proof; codeExpiresAt: number } | undefined> {
  const signIn = await findSignIn(deps.db, id);
  if (signIn === undefined || isClosed(deps, signIn)) return undefined;
  const { mailbox, codeExpiresAt } = signIn;
  return { mailbox, waitsFor: nextProofOf(signIn), codeExpiresAt };
}

type Proof = SignInRow['proof'] | 'secondFactor';

function nextProofOf({ provenAt, proof }: SignInRow): Proof {
  return provenAt === null ? proof : 'secondFactor';
}

/**
 * The result of a proof: a session with its plain secret for the cookie, or the second factor that is required next.
 */
export type SignedIn = { kind: 'session'; secret: string } | { kind: 'secondFactor' };

/** How long a user has to enter the second factor. */
const SECOND_FACTOR_MS = 600_000;

/**
 * Verifies the mailed code. Starts a session, or requires the second factor if the account has one. The guess is
 * counted before it is compared (S-08).
 *
 * @param id of the sign-in
 * @param code six digits
 * @throws Failure `wrongCode`, `codeExpired`; `limited` or `unavailable` as verifyCode() and assertSecretReadable()
 */
export function completeSignIn(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  code: string,
): Promise<SignedIn> {
  return verifyProof(deps, origin, id, 'code', {
    isRight: async (_, signIn) => isSignInCode(deps, signIn, code),
    onRight: acceptMailboxProof,
  });
}

/**
 * Completes a sign-in by its mailed link, once. Starts a session, or requires the second factor if the account has one.
 * A link cannot be guessed, so no counter is consumed.
 *
 * @param id as readSignInLink() returned it
 * @throws Failure `codeExpired`
 */
export function completeSignInByLink(deps: Deps, origin: RequestOrigin, id: string): Promise<SignedIn> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const signIn = await findSignIn(tx, id);
    if (signIn === undefined || isClosed(deps, signIn) || nextProofOf(signIn) !== 'link') throw linkExpired();
    return acceptMailboxProof(work, signIn);
  });
}

async function acceptMailboxProof(work: Work, signIn: SignInRow): Promise<SignedIn> {
  const { tx, now } = work;
  const account = await findAccountByMailbox(tx, signIn.mailbox);
  if (account === undefined || (await findAuthenticator(tx, account.id)) === undefined) {
    return completeWithSession(work, signIn);
  }
  if (!(await updateSignInProven(tx, signIn, now + SECOND_FACTOR_MS, now))) throw codeExpired();
  return { kind: 'secondFactor' };
}

/**
 * Verifies the second factor, a code of the authenticator app or a recovery code, and starts a session.
 *
 * @param id of the sign-in; the caller must know that this browser proved the mailbox
 * @throws Failure `wrongCode`, `codeExpired`; `limited` or `unavailable` as verifyCode() and assertSecretReadable()
 */
export function completeSignInBySecondFactor(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  text: string,
): Promise<SignedIn> {
  return verifyProof(deps, origin, id, 'secondFactor', {
    async isRight(work, signIn) {
      const account = await findAccountByMailbox(work.tx, signIn.mailbox);
      return account !== undefined && verifySecondFactor(work, account.id, text);
    },
    onRight: completeWithSession,
  });
}

/** Verifies one guess at the next proof of a sign-in, and runs `onRight` in the same transaction. */
async function verifyProof(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  expected: 'code' | 'secondFactor',
  proof: {
    isRight(work: Work, signIn: SignInRow): Promise<boolean>;
    onRight(work: Work, signIn: SignInRow): Promise<SignedIn>;
  },
): Promise<SignedIn> {
  // Third parties cannot guess at a second factor. So it has counters of its own, which they cannot exhaust.
  const isCode = expected === 'code';
  return useCase(deps, origin, { sharedLimits: isCode ? SERVICE_GUESS_LIMITS : [] }, async (work) => {
    const { tx, now } = work;
    const { triesPerCode } = deps.config.limits;
    const signIn = await findSignIn(tx, id);
    if (signIn === undefined || isClosed(deps, signIn)) throw codeExpired();
    if (nextProofOf(signIn) !== expected) throw codeExpired();
    if (isCode) await assertSecretReadable(tx, deps, signIn.secretId, now);
    const { mailbox } = signIn;
    const guess = {
      counters: isCode ? signInGuessLimits(mailbox, origin.address) : secondFactorLimits(mailbox),
      countTry: () => incrementTries(tx, 'sign_ins', signIn, triesPerCode, now),
      isRight: () => proof.isRight(work, signIn),
    };
    const result = await verifyCode(work, guess);
    if (result.kind === 'dead') throw codeExpired();
    if (result.kind === 'right') return proof.onRight(work, signIn);
    const account = await findAccountByMailbox(tx, signIn.mailbox);
    await recordEvent(work, {
      kind: 'session.guess_failed',
      accountId: account?.id,
      subject: id,
    });
    const { attemptsRemaining } = result;
    return work.failAfterCommit(new Failure('wrongCode', 'The code is wrong.', { attemptsRemaining }));
  });
}

async function completeWithSession(work: Work, signIn: SignInRow): Promise<SignedIn> {
  const { tx, now } = work;
  if (!(await updateSignInEnded(tx, signIn.id, now))) throw codeExpired();
  const account = await findOrCreateAccount(work, signIn.mailbox);
  return { kind: 'session', secret: await startSession(work, account) };
}

function isClosed(deps: Pick<Deps, 'clock' | 'config'>, signIn: SignInRow): boolean {
  const { triesPerCode } = deps.config.limits;
  return signIn.endedAt !== null || signIn.tries >= triesPerCode || signIn.codeExpiresAt <= deps.clock();
}

function linkExpired(): Failure {
  return new Failure('codeExpired', 'This link was used, or has expired. Ask for a new one.');
}

function codeExpired(): Failure {
  return new Failure('codeExpired', 'The code has expired or was typed wrong too often. Ask for a new one.');
}
