import { generateSync, verifySync } from 'otplib';
import type { Deps } from '../deps.ts';
import type { AttemptRow } from '../store/claim-attempts.ts';
import type { SignInRow } from '../store/sign-ins.ts';

const HOTP = { strategy: 'hotp', algorithm: 'sha256', digits: 6 } as const;

/** What a code depends on: change one of these and it is another code (S-10). */
interface Bound {
  purpose: 'code' | 'sign-in-code';
  secretId: string;
  counter: number;
  context: readonly string[];
}

type Attempt = Pick<AttemptRow, 'id' | 'registrationId' | 'mailbox' | 'mode' | 'secretId' | 'counter'>;
type SignIn = Pick<SignInRow, 'id' | 'mailbox' | 'secretId' | 'counter'>;
type Keyed = Pick<Deps, 'keyring'>;

/**
 * The code of a claim attempt: HOTP (RFC 4226) over a key derived from the service secret and the attempt. It is computed
 * when it is mailed and when it is compared, and stored nowhere: a copy of the database holds nothing to guess it from
 * (rule 6).
 *
 * @returns six digits, or undefined if the service secret it was made under is no longer listed
 */
export function deriveCode(deps: Keyed, attempt: Attempt): string | undefined {
  return derive(deps, ofAttempt(attempt));
}

/**
 * Whether the text is the attempt's code, compared in constant time. The caller has counted the guess before it asks.
 *
 * @param text six digits
 */
export function isCode(deps: Keyed, attempt: Attempt, text: string): boolean {
  return isDerived(deps, ofAttempt(attempt), text);
}

/** The code by which somebody signs in; the same machinery, another purpose. */
export function deriveSignInCode(deps: Keyed, signIn: SignIn): string | undefined {
  return derive(deps, ofSignIn(signIn));
}

/** Whether the text is the code of a sign-in; see isCode. */
export function isSignInCode(deps: Keyed, signIn: SignIn, text: string): boolean {
  return isDerived(deps, ofSignIn(signIn), text);
}

function ofAttempt({ id, registrationId, mailbox, mode, secretId, counter }: Attempt): Bound {
  return { purpose: 'code', secretId, counter, context: [id, registrationId, mailbox, mode] };
}

function ofSignIn({ id, mailbox, secretId, counter }: SignIn): Bound {
  return { purpose: 'sign-in-code', secretId, counter, context: [id, mailbox] };
}

function derive(deps: Keyed, bound: Bound): string | undefined {
  const secret = keyOf(deps, bound);
  return secret && generateSync({ ...HOTP, secret, counter: bound.counter });
}

function isDerived(deps: Keyed, bound: Bound, text: string): boolean {
  const secret = keyOf(deps, bound);
  if (secret === undefined || !/^[0-9]{6}$/.test(text)) return false;
  return verifySync({ ...HOTP, secret, counter: bound.counter, counterTolerance: 0, token: text }).valid;
}

function keyOf(deps: Keyed, { secretId, purpose, context }: Bound): Buffer | undefined {
  return deps.keyring.derive(secretId, purpose, JSON.stringify(context));
}
