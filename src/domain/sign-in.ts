import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { insertMail } from '../store/outbox.ts';
import { endSignIn, findSignIn, insertSignIn, type SignInRow } from '../store/sign-ins.ts';
import { spendTry } from '../store/tries.ts';
import { isSignInCode } from './codes.ts';
import { type Asker, record } from './events.ts';
import { guess } from './guesses.ts';
import { limited, mailSpendings, spend } from './limits.ts';
import { openAccount } from './ownership.ts';
import { beginSession } from './sessions.ts';

/**
 * Starts to sign in: mails a code. Whether the mailbox has an account is not looked at, so nothing can tell (S-44): the
 * account comes into being with the first proof of its mailbox.
 *
 * @param mailbox canonical, see parseMailbox
 * @returns the id by which the code is brought back
 * @throws Failure `limited` when a budget of mails is spent
 */
export async function startSignIn(deps: Deps, asker: Asker, mailbox: string): Promise<string> {
  const id = await limited(deps, asker, async () => {
    const now = deps.clock();
    const signInId = newId('sgn', now, deps.random);
    const { codeTtlSeconds } = deps.config.limits;
    await deps.db.tx(async (tx) => {
      await spend(tx, deps, mailSpendings(mailbox, asker.address), now);
      await insertSignIn(tx, {
        id: signInId,
        mailbox,
        origin: asker.address.coarse,
        secretId: deps.keyring.currentId,
        counter: 1,
        codeExpiresAt: now + codeTtlSeconds * 1000,
        createdAt: now,
      });
      await insertMail(tx, {
        id: newId('out', now, deps.random),
        kind: 'sign_in_code',
        attemptId: signInId,
        mailbox,
        createdAt: now,
        giveUpAt: now + codeTtlSeconds * 500, // somebody waits at a browser: half of the code's life must be left
      });
    });
    return signInId;
  });
  deps.wakeOutbox();
  return id;
}

/** The mailbox that a run of signing in is about, while its code works. */
export async function findPendingSignIn(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  id: string,
): Promise<{ mailbox: string } | undefined> {
  const signIn = await findSignIn(deps.db, id);
  return signIn && !isDead(deps, signIn) ? { mailbox: signIn.mailbox } : undefined;
}

/**
 * Signs in with the mailed code. The guess is counted on every budget before it is compared, like that of a claim.
 *
 * @param code six digits
 * @returns the session's secret, for the cookie
 * @throws Failure `wrongCode`, `codeExpired`; `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export async function completeSignIn(deps: Deps, asker: Asker, id: string, code: string): Promise<string> {
  const outcome = await limited(deps, asker, () =>
    deps.db.tx(async (tx) => {
      const now = deps.clock();
      const { triesPerCode } = deps.config.limits;
      const signIn = await findSignIn(tx, id);
      if (signIn === undefined || isDead(deps, signIn)) throw codeOver();
      const guessed = await guess(tx, deps, asker, now, {
        mailbox: signIn.mailbox,
        countTry: () => spendTry(tx, 'sign_ins', signIn, triesPerCode, now),
        isRight: () => isSignInCode(deps, signIn, code),
      });
      if (guessed.kind === 'wrong') {
        await record(tx, deps, asker, now, { kind: 'session.guess_failed', subject: id });
        return new Failure('wrongCode', 'The code is wrong.', {
          attemptsRemaining: guessed.attemptsRemaining,
        });
      }
      if (guessed.kind === 'dead' || !(await endSignIn(tx, id, now))) throw codeOver();
      const account = await openAccount(tx, deps, asker, now, signIn.mailbox);
      return beginSession(tx, deps, asker, now, account.id);
    }),
  );
  if (outcome instanceof Failure) throw outcome;
  return outcome;
}

function isDead(deps: Pick<Deps, 'clock' | 'config'>, signIn: SignInRow): boolean {
  const { triesPerCode } = deps.config.limits;
  return signIn.endedAt !== null || signIn.tries >= triesPerCode || signIn.codeExpiresAt <= deps.clock();
}

function codeOver(): Failure {
  return new Failure('codeExpired', 'The code has expired or was typed wrong too often. Ask for a new one.');
}
