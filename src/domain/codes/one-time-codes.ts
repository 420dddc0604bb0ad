import { generateSync } from 'otplib';
import type { Deps } from '../../deps.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import { sameDigest } from '../../lib/hash.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import type { SignInRow } from '../../store/sign-ins.ts';

const HOTP = { strategy: 'hotp', algorithm: 'sha256', digits: 6 } as const;

/**
 * The characters of RFC 8628 section 6.1: no vowels, which would spell words, and no digits, which look like letters.
 */
const CONSONANTS = 'BCDFGHJKLMNPQRSTVWXZ';
const LETTERS = 8;

/** What a code is derived from: a code belongs to exactly these values (S-10). */
interface CodeInputs {
  purpose: 'code' | 'letters-code' | 'typed-code' | 'sign-in-code';
  secretId: string;
  counter: number;
  context: readonly string[];
}

type Attempt = Pick<
  AttemptRow,
  'id' | 'registrationId' | 'mailbox' | 'mode' | 'secretId' | 'counter' | 'reveal' | 'typed'
>;
type SignIn = Pick<SignInRow, 'id' | 'mailbox' | 'secretId' | 'counter'>;
type KeyringDeps = Pick<Deps, 'keyring'>;

/**
 * Derives the code of a claim attempt that the human reads in a mail or on the page: HOTP (RFC 4226) over a key derived
 * from the service secret and the attempt. The code is derived when it is shown and when it is compared, and never
 * stored: a copy of the database does not reveal it (S-13).
 *
 * @returns six digits, or eight consonants as `BCDF-GHJK`; undefined if SECRET no longer lists the secret of the
 * attempt
 */
export function deriveClaimCode(deps: KeyringDeps, attempt: Attempt): string | undefined {
  const context = contextOf(attempt);
  if (attempt.reveal === 'letters') return deriveLetters(deps, attempt, context);
  const code = deriveDigits(deps, { ...attempt, purpose: 'code', context });
  // The two codes of an attempt must differ: the agent brings one, the human types the other.
  const isSameAsTyped = code !== undefined && code === deriveTypedCode(deps, attempt);
  return isSameAsTyped ? String((Number(code) + 1) % 1_000_000).padStart(6, '0') : code;
}

/**
 * Derives the code of a claim attempt that the agent shows and its human types on the page.
 *
 * @returns six digits, the same for the whole attempt; undefined if the attempt has no such code, or SECRET no longer
 * lists the secret of the attempt
 */
export function deriveTypedCode(deps: KeyringDeps, attempt: Attempt): string | undefined {
  if (attempt.typed === 0) return undefined;
  return deriveDigits(deps, { ...attempt, purpose: 'typed-code', counter: 1, context: contextOf(attempt) });
}

/** Returns whether a text is the code of deriveClaimCode(), in constant time. The caller counts the guess first (S-08). */
export function isClaimCode(deps: KeyringDeps, attempt: Attempt, text: string): boolean {
  return isSameCode(deriveClaimCode(deps, attempt), text);
}

/** Returns whether a text is the code of deriveTypedCode(); see isClaimCode(). */
export function isTypedCode(deps: KeyringDeps, attempt: Attempt, text: string): boolean {
  return isSameCode(deriveTypedCode(deps, attempt), text);
}

/** Derives the six digits of a sign-in; undefined if SECRET no longer lists the secret of the sign-in. */
export function deriveSignInCode(deps: KeyringDeps, signIn: SignIn): string | undefined {
  return deriveDigits(deps, { ...signIn, purpose: 'sign-in-code', context: [signIn.id, signIn.mailbox] });
}

/** Returns whether a text is the code of a sign-in; see isClaimCode(). */
export function isSignInCode(deps: KeyringDeps, signIn: SignIn, text: string): boolean {
  return isSameCode(deriveSignInCode(deps, signIn), text);
}

function contextOf({ id, registrationId, mailbox, mode }: Attempt): string[] {
  return [id, registrationId, mailbox, mode];
}

function deriveDigits(deps: KeyringDeps, inputs: CodeInputs): string | undefined {
  const secret = deriveKey(deps, inputs);
  return secret && generateSync({ ...HOTP, secret, counter: inputs.counter });
}

function deriveLetters(deps: KeyringDeps, attempt: Attempt, context: string[]): string | undefined {
  const contextWithCounter = [...context, String(attempt.counter)];
  const key = deriveKey(deps, { ...attempt, purpose: 'letters-code', context: contextWithCounter });
  if (key === undefined) return undefined;
  let rest = key.readBigUInt64BE();
  let code = '';
  for (let index = 0; index < LETTERS; index += 1) {
    code += (index === LETTERS / 2 ? '-' : '') + CONSONANTS[Number(rest % 20n)]!;
    rest /= 20n;
  }
  return code;
}

/** People type codes in lower case, and with or without the hyphen and spaces. */
function normalize(code: string): string {
  return normalizeCode(code).toUpperCase();
}

function isSameCode(right: string | undefined, text: string): boolean {
  return right !== undefined && sameDigest(Buffer.from(normalize(right)), Buffer.from(normalize(text)));
}

function deriveKey(deps: KeyringDeps, { secretId, purpose, context }: CodeInputs): Buffer | undefined {
  return deps.keyring.derive(secretId, purpose, JSON.stringify(context));
}
