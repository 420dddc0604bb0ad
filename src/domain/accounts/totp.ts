import { generateURI, ScureBase32Plugin, verifySync } from 'otplib';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import { sha256 } from '../../lib/hash.ts';
import { sealedUnder } from '../../lib/keyring.ts';
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
import { refuseUnreadable } from '../codes/secret-marks.ts';
import { useCase } from '../limits/use-case.ts';
import type { Session } from './sessions.ts';

/**
 * The second factor of a human: an authenticator app (TOTP, RFC 6238), and recovery codes for when it is lost. A code works
 * once; the step it belongs to is spent with it.
 */

const SECRET_BYTES = 20;
const RECOVERY_CODES = 10;
const RECOVERY_BYTES = 15; // 120 bits: its hash alone tells nobody anything
/** A clock may be this far off, either way. */
const TOLERANCE_SECONDS = 30;
const base32 = new ScureBase32Plugin();

/** What is shown to set an app up: nothing is stored before a code of it was typed. */
export interface Setup {
  /** Base32, for typing. */
  secret: string;
  /** `otpauth://…`, for the app's camera. */
  uri: string;
  /** The secret again, sealed for this session, for the form to bring back. */
  sealed: string;
}

/** Whether an account has an authenticator, and how many recovery codes are left. */
export async function showAuthenticator(
  deps: Pick<Deps, 'db'>,
  accountId: string,
): Promise<{ createdAt: number; recoveryCodesLeft: number } | undefined> {
  const row = await findAuthenticator(deps.db, accountId);
  if (row === undefined) return undefined;
  return { createdAt: row.createdAt, recoveryCodesLeft: await countRecoveryCodes(deps.db, accountId) };
}

/** Begins to set an app up, or with what an earlier `sealed` holds goes on with it. */
export function setUpAuthenticator(deps: Deps, session: Session, sealed?: string): Setup {
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
 * Turns the second factor on, with the first code of the app.
 *
 * @param sealed of setUpAuthenticator, in the same session
 * @returns the recovery codes, which are nowhere else
 * @throws Failure `wrongCode`; `badRequest` where there is one already, or the form is of another session
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
  const step = stepOf(secret, code, now, -1);
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
    await requireAccount(tx, accountId);
    if (!(await insertAuthenticator(tx, row))) {
      throw new Failure('badRequest', 'An authenticator app is set up already. Remove it first.');
    }
    const codes = await makeRecoveryCodes(work, accountId);
    await recordAndNotify(work, accountId, { kind: 'authenticator.added' });
    return codes;
  });
}

/** Turns the second factor off; recovery codes end with it. */
export async function removeAuthenticator(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await requireAccount(tx, accountId);
    if ((await deleteAuthenticator(tx, accountId)) !== 1) return;
    await deleteRecoveryCodes(tx, accountId);
    await recordAndNotify(work, accountId, { kind: 'authenticator.removed' });
  });
}

/** New recovery codes in place of the old ones. @throws Failure `badRequest` without an authenticator */
export async function renewRecoveryCodes(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
): Promise<string[]> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await requireAccount(tx, accountId);
    if ((await findAuthenticator(tx, accountId)) === undefined) {
      throw new Failure('badRequest', 'There is no authenticator app to recover from.');
    }
    const codes = await makeRecoveryCodes(work, accountId);
    await recordAndNotify(work, accountId, { kind: 'recovery_codes.made' });
    return codes;
  });
}

/** Whether a text is a code of the account's app, or one of its recovery codes; it is spent then. The guess was counted. */
export async function verifySecondFactor(work: Work, accountId: string, text: string): Promise<boolean> {
  const { tx, now, deps } = work;
  const row = await findAuthenticator(tx, accountId);
  if (row === undefined) return false;
  if (/^[0-9]{6}$/.test(text)) {
    await refuseUnreadable(tx, deps, sealedUnder(row.sealed), now);
    const secret = deps.keyring.open(STORED, accountId, row.sealed);
    const step = secret === undefined ? undefined : stepOf(secret, text, now, row.lastStep);
    if (secret === undefined || step === undefined) return false;
    // Sealed anew, so that an older service secret can be dropped one day.
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

/** Holds the account, so that of two changes at once the second sees the first. */
async function requireAccount(tx: Tx, accountId: string): Promise<void> {
  if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
}

/** The time step that a code belongs to, if it is later than the last one used. */
function stepOf(secret: string, code: string, now: number, after: number): number | undefined {
  if (!/^[0-9]{6}$/.test(code)) return undefined;
  const epoch = epochSeconds(now);
  const result = verifySync({ secret, token: code, epoch, epochTolerance: TOLERANCE_SECONDS });
  return result.valid && 'timeStep' in result && result.timeStep > after ? result.timeStep : undefined;
}

async function makeRecoveryCodes(work: Work, accountId: string): Promise<string[]> {
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
