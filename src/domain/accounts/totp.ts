import { generateURI, ScureBase32Plugin, verifySync } from 'otplib';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import { sha256 } from '../../lib/hash.ts';
import { secretIdOf } from '../../lib/keyring.ts';
import { epochSeconds } from '../../lib/time.ts';
import { lockAccount } from '../../store/accounts.ts';
import {
  countRecoveryCodes,
  deleteAuthenticator,
  deleteRecoveryCodes,
  findAuthenticator,
  insertAuthenticator,
  insertRecoveryCode,
  updateAuthenticatorStep,
  updateRecoveryCodeUsed,
} from '../../store/authenticators.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { assertSecretReadable } from '../codes/secret-marks.ts';
import { useCase } from '../limits/use-case.ts';
import type { Session } from './sessions.ts';

/**
 * The second factor of a human: an authenticator app (TOTP, RFC 6238), and recovery codes in case the app is lost. A
 * code works once: its time step, and all steps before it, are consumed with it (RFC 6238 section 5.2).
 */

const SECRET_BYTES = 20; // 160 bits, as RFC 4226 section 4 recommends
const RECOVERY_CODES = 10;
const RECOVERY_BYTES = 15; // 120 bits: a code cannot be found from its hash

/** One time step: how far the app's clock may differ from ours, either way (RFC 6238 section 5.2). */
const TOLERANCE_SECONDS = 30;

const base32 = new ScureBase32Plugin();

/** What the setup page shows. Nothing is stored before the user has typed a code of the app. */
export interface TotpSetup {
  /** The TOTP secret in base32, to be typed into the app. */
  secret: string;
  /** The `otpauth://` URI, shown as a QR code. */
  uri: string;
  /** The secret sealed for this session, in base64url: the form sends it back. */
  sealed: string;
}

/**
 * Returns when an account's authenticator app was added (epoch ms), and how many recovery codes are unused; undefined
 * if the account has none.
 */
export async function findAuthenticatorStatus(
  deps: Pick<Deps, 'db'>,
  accountId: string,
): Promise<{ createdAt: number; recoveryCodesLeft: number } | undefined> {
  const row = await findAuthenticator(deps.db, accountId);
  if (row === undefined) return undefined;
  return { createdAt: row.createdAt, recoveryCodesLeft: await countRecoveryCodes(deps.db, accountId) };
}

/**
 * Reports whether a session began with a second factor: whether it is younger than the authenticator of its account.
 *
 * @returns undefined if the account has no authenticator
 */
export async function hasPassedSecondFactor(
  deps: Pick<Deps, 'db'>,
  { accountId, createdAt }: Session,
): Promise<boolean | undefined> {
  const row = await findAuthenticator(deps.db, accountId);
  return row && createdAt > row.createdAt;
}

/**
 * Starts the setup of an authenticator app, or resumes an earlier one.
 *
 * @param sealed of an earlier Setup in the same session; one of another session starts a new setup
 */
export function startTotpSetup(deps: Deps, session: Session, sealed?: string): TotpSetup {
  const secret =
    (sealed && openSetup(deps, session, sealed)) ??
    base32.encode(deps.random(SECRET_BYTES), { padding: false });
  return {
    secret,
    uri: generateURI({ issuer: deps.config.service.name, label: session.mailbox, secret }),
    sealed: deps.keyring.seal(SETUP, session.id, secret).toString('base64url'),
  };
}

/**
 * Adds an authenticator app to the account, after its first code.
 *
 * @param sealed of startTotpSetup(), in the same session
 * @param code six digits
 * @returns the plain recovery codes; the database holds their hashes
 * @throws Failure `wrongCode`; `badRequest` if the account has one already, or `sealed` is of another session;
 * `signInRequired` if the account was deleted
 */
export async function addAuthenticator(
  deps: Deps,
  origin: RequestOrigin,
  session: Session,
  sealed: string,
  code: string,
): Promise<string[]> {
  const secret = openSetup(deps, session, sealed);
  if (secret === undefined) throw new Failure('badRequest', 'This form is out of date. Begin again.');
  const now = deps.clock();
  const step = timeStepOf(secret, code, now, -1);
  if (step === undefined)
    throw new Failure('wrongCode', 'The code is wrong. Type the one that the app shows now.');
  const { accountId } = session;
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const row = {
      accountId,
      sealed: deps.keyring.seal(STORED, accountId, secret),
      lastStep: step,
      createdAt: now,
    };
    await lockAccountOrFail(tx, accountId);
    if (!(await insertAuthenticator(tx, row))) {
      throw new Failure('badRequest', 'An authenticator app is set up already. Remove it first.');
    }
    const codes = await replaceRecoveryCodes(work, accountId);
    await recordAndNotify(work, accountId, { kind: 'authenticator.added' });
    return codes;
  });
}

/**
 * Removes the authenticator app of an account and its recovery codes. Does nothing if there is none.
 *
 * @throws Failure `signInRequired` if the account was deleted
 */
export async function removeAuthenticator(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await lockAccountOrFail(tx, accountId);
    if ((await deleteAuthenticator(tx, accountId)) !== 1) return;
    await deleteRecoveryCodes(tx, accountId);
    await recordAndNotify(work, accountId, { kind: 'authenticator.removed' });
  });
}

/**
 * Replaces the recovery codes of an account.
 *
 * @returns the plain codes; the database holds their hashes
 * @throws Failure `badRequest` if the account has no authenticator app; `signInRequired` if it was deleted
 */
export async function renewRecoveryCodes(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
): Promise<string[]> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await lockAccountOrFail(tx, accountId);
    if ((await findAuthenticator(tx, accountId)) === undefined) {
      throw new Failure('badRequest', 'There is no authenticator app to recover from.');
    }
    const codes = await replaceRecoveryCodes(work, accountId);
    await recordAndNotify(work, accountId, { kind: 'recovery_codes.made' });
    return codes;
  });
}

/**
 * Verifies a code of the account's app or one of its recovery codes, and consumes it. The caller counts the guess
 * first.
 *
 * @returns whether the code was right and unused
 * @throws Failure `unavailable` as assertSecretReadable()
 */
export async function verifySecondFactor(work: Work, accountId: string, text: string): Promise<boolean> {
  const { tx, now, deps } = work;
  const row = await findAuthenticator(tx, accountId);
  if (row === undefined) return false;
  if (/^[0-9]{6}$/.test(text)) {
    await assertSecretReadable(tx, deps, secretIdOf(row.sealed), now);
    const secret = deps.keyring.open(STORED, accountId, row.sealed);
    const step = secret === undefined ? undefined : timeStepOf(secret, text, now, row.lastStep);
    if (secret === undefined || step === undefined) return false;
    // Sealed again under the newest service secret, so that an older one can be removed from SECRET.
    return updateAuthenticatorStep(tx, accountId, step, deps.keyring.seal(STORED, accountId, secret));
  }
  if (!(await updateRecoveryCodeUsed(tx, accountId, hashRecoveryCode(text), now))) return false;
  await recordAndNotify(work, accountId, { kind: 'recovery_code.used' });
  return true;
}

const SETUP = 'authenticator-setup';
const STORED = 'authenticator';

function openSetup(deps: Deps, session: Session, sealed: string): string | undefined {
  return deps.keyring.open(SETUP, session.id, Buffer.from(sealed, 'base64url'));
}

/** Locks the account row, so that of two concurrent changes the second sees the first. */
async function lockAccountOrFail(tx: Tx, accountId: string): Promise<void> {
  if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
}

/** Returns the time step of a code, if the code is right and the step is later than `lastStep`. */
function timeStepOf(secret: string, code: string, now: number, lastStep: number): number | undefined {
  if (!/^[0-9]{6}$/.test(code)) return undefined;
  const epoch = epochSeconds(now);
  const result = verifySync({ secret, token: code, epoch, epochTolerance: TOLERANCE_SECONDS });
  return result.valid && 'timeStep' in result && result.timeStep > lastStep ? result.timeStep : undefined;
}

async function replaceRecoveryCodes(work: Work, accountId: string): Promise<string[]> {
  const { tx, deps } = work;
  await deleteRecoveryCodes(tx, accountId);
  const codes: string[] = [];
  for (let index = 0; index < RECOVERY_CODES; index += 1) {
    const code = base32.encode(deps.random(RECOVERY_BYTES), { padding: false }).toLowerCase();
    await insertRecoveryCode(tx, accountId, hashRecoveryCode(code));
    codes.push(code.replace(/.{4}(?=.)/g, '$&-'));
  }
  return codes;
}

function hashRecoveryCode(code: string): Buffer {
  return sha256(
    `recovery/${normalizeCode(code)
      .toLowerCase()
      .replace(/[^a-z2-7]/g, '')}`,
  );
}
