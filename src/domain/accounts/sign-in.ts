import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
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
import { record } from '../audit/audit-log.ts';
import { queueMail } from '../audit/queue-mail.ts';
import { isSignInCode } from '../codes/one-time-codes.ts';
import { refuseUnreadable } from '../codes/secret-marks.ts';
import { verifyCode } from '../codes/verify-code.ts';
import { SERVICE_GUESS, secondFactorLimits, signInGuessLimits, signInMailLimits } from '../limits/limits.ts';
import { areGuessesExhausted, consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { findOrCreateAccount } from './find-or-create-account.ts';
import { beginSession } from './sessions.ts';
import { verifySecondFactor } from './totp.ts';

/**
 * Starts to sign in: mails a code or, where too many were guessed at, a link. Whether the mailbox has an account is not looked at, so nothing can tell (S-44): the
 * account comes into being with the first proof of its mailbox.
 *
 * @param mailbox canonical, see parseMailbox
 * @param accountId of whoever is signed in already, and proves it anew
 * @returns the id by which the code is brought back
 * @throws Failure `limited` when a budget of mails is spent
 */
export async function startSignIn(
  deps: Deps,
  origin: RequestOrigin,
  mailbox: string,
  accountId?: string,
): Promise<string> {
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
    });
    await queueMail(work, {
      kind: 'sign_in_code',
      attemptId: signInId,
      mailbox,
      giveUpAt: now + codeTtlSeconds * 500, // somebody waits at a browser: half of the code's life must be left
    });
    return signInId;
  });
}

/** The mailbox that a run of signing in is about, and what it waits for, while that works. */
export async function findPendingSignIn(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  id: string,
): Promise<{ mailbox: string; waitsFor: WaitsFor } | undefined> {
  const signIn = await findSignIn(deps.db, id);
  if (signIn === undefined || isDead(deps, signIn)) return undefined;
  return { mailbox: signIn.mailbox, waitsFor: waitsFor(signIn) };
}

type WaitsFor = SignInRow['proof'] | 'secondFactor';

function waitsFor({ provenAt, proof }: SignInRow): WaitsFor {
  return provenAt === null ? proof : 'secondFactor';
}

/** How far signing in has come: `secret` is the session's, for the cookie. */
export type SignedIn = { kind: 'session'; secret: string } | { kind: 'secondFactor' };

/** How long one may look for the app. */
const SECOND_FACTOR_MS = 600_000;

/**
 * Signs in with the mailed code, or goes on to the second factor where the account has one. The guess is counted on every
 * budget before it is compared, like that of a claim.
 *
 * @param code six digits
 * @throws Failure `wrongCode`, `codeExpired`; `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export function completeSignIn(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  code: string,
): Promise<SignedIn> {
  return prove(deps, origin, id, 'code', {
    isRight: async (_, signIn) => isSignInCode(deps, signIn, code),
    goOn,
  });
}

/**
 * Signs in by the mailed link, once, or goes on to the second factor. There is nothing to guess, so it costs no budget.
 *
 * @param id as readSignInLink found it
 * @throws Failure `codeExpired`
 */
export function completeByLink(deps: Deps, origin: RequestOrigin, id: string): Promise<SignedIn> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const signIn = await findSignIn(tx, id);
    if (signIn === undefined || isDead(deps, signIn) || waitsFor(signIn) !== 'link') throw linkOver();
    return goOn(work, signIn);
  });
}

/** What a proven mailbox leads to. */
async function goOn(work: Work, signIn: SignInRow): Promise<SignedIn> {
  const { tx, now } = work;
  const known = await findAccountByMailbox(tx, signIn.mailbox);
  if (known === undefined || (await findAuthenticator(tx, known.id)) === undefined) {
    return begin(work, signIn);
  }
  if (!(await updateSignInProven(tx, signIn, now + SECOND_FACTOR_MS, now))) throw codeOver();
  return { kind: 'secondFactor' };
}

/**
 * Signs in with the second factor: a code of the authenticator app, or a recovery code.
 *
 * @throws Failure `wrongCode`, `codeExpired`; `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export function completeSecondFactor(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  text: string,
): Promise<SignedIn> {
  return prove(deps, origin, id, 'secondFactor', {
    async isRight(work, signIn) {
      const account = await findAccountByMailbox(work.tx, signIn.mailbox);
      return account !== undefined && verifySecondFactor(work, account.id, text);
    },
    goOn: begin,
  });
}

/** One guess at what a run of signing in waits for, in one transaction with what a right one leads to. */
async function prove(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  awaited: 'code' | 'secondFactor',
  step: {
    isRight(work: Work, signIn: SignInRow): Promise<boolean>;
    goOn(work: Work, signIn: SignInRow): Promise<SignedIn>;
  },
): Promise<SignedIn> {
  // Strangers cannot guess at a second factor, so they must not be able to spend what it costs.
  const isCode = awaited === 'code';
  return useCase(deps, origin, { sharedLimits: isCode ? SERVICE_GUESS : [] }, async (work) => {
    const { tx, now } = work;
    const { triesPerCode } = deps.config.limits;
    const signIn = await findSignIn(tx, id);
    if (signIn === undefined || isDead(deps, signIn)) throw codeOver();
    if (waitsFor(signIn) !== awaited) throw codeOver();
    if (isCode) await refuseUnreadable(tx, deps, signIn.secretId, now);
    const { mailbox } = signIn;
    const at = {
      counters: isCode ? signInGuessLimits(mailbox, origin.address) : secondFactorLimits(mailbox),
      countTry: () => incrementTries(tx, 'sign_ins', signIn, triesPerCode, now),
      isRight: () => step.isRight(work, signIn),
    };
    const guessed = await verifyCode(work, at);
    if (guessed.kind === 'dead') throw codeOver();
    if (guessed.kind === 'right') return step.goOn(work, signIn);
    const account = await findAccountByMailbox(tx, signIn.mailbox);
    await record(work, {
      kind: 'session.guess_failed',
      accountId: account?.id,
      subject: id,
    });
    const { attemptsRemaining } = guessed;
    return work.failAfterCommit(new Failure('wrongCode', 'The code is wrong.', { attemptsRemaining }));
  });
}

async function begin(work: Work, signIn: SignInRow): Promise<SignedIn> {
  const { tx, now } = work;
  if (!(await updateSignInEnded(tx, signIn.id, now))) throw codeOver();
  const account = await findOrCreateAccount(work, signIn.mailbox);
  return { kind: 'session', secret: await beginSession(work, account) };
}

function isDead(deps: Pick<Deps, 'clock' | 'config'>, signIn: SignInRow): boolean {
  const { triesPerCode } = deps.config.limits;
  return signIn.endedAt !== null || signIn.tries >= triesPerCode || signIn.codeExpiresAt <= deps.clock();
}

function linkOver(): Failure {
  return new Failure('codeExpired', 'This link was used, or has expired. Ask for a new one.');
}

function codeOver(): Failure {
  return new Failure('codeExpired', 'The code has expired or was typed wrong too often. Ask for a new one.');
}
