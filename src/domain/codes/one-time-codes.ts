import { generateSync } from 'otplib';
import type { Deps } from '../../deps.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import { sameDigest } from '../../lib/hash.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import type { SignInRow } from '../../store/sign-ins.ts';

const HOTP = { strategy: 'hotp', algorithm: 'sha256', digits: 6 } as const;
/** What cannot spell a word, and is not mistaken for a digit. */
const CONSONANTS = 'BCDFGHJKLMNPQRSTVWXZ';
const LETTERS = 8;

/** What a code depends on: change one of these and it is another code (S-10). */
interface Bound {
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
type Keyed = Pick<Deps, 'keyring'>;

/**
 * The code of a claim attempt that the human learns first, by mail or on the page: HOTP (RFC 4226) over a key derived from the
 * service secret and the attempt. It is computed when it is shown and when it is compared, and stored nowhere: a copy of the
 * database holds nothing to guess it from.
 *
 * @returns six digits, or eight consonants as `BCDF-GHJK`; undefined if the service secret it was made under is no longer listed
 */
export function deriveCode(deps: Keyed, attempt: Attempt): string | undefined {
  const context = contextOf(attempt);
  if (attempt.reveal === 'letters') return deriveLetters(deps, attempt, context);
  const code = derive(deps, { ...attempt, purpose: 'code', context });
  // The two codes of one attempt must never be the same: each counts from one side alone.
  const isTaken = code !== undefined && code === deriveTypedCode(deps, attempt);
  return isTaken ? String((Number(code) + 1) % 1_000_000).padStart(6, '0') : code;
}

/** The code that the agent is told and its human types: six digits, the same for the whole attempt. Undefined: it has none. */
export function deriveTypedCode(deps: Keyed, attempt: Attempt): string | undefined {
  if (attempt.typed === 0) return undefined;
  return derive(deps, { ...attempt, purpose: 'typed-code', counter: 1, context: contextOf(attempt) });
}

/** Whether the text is the attempt's code, compared in constant time. The caller has counted the guess before it asks. */
export function isCode(deps: Keyed, attempt: Attempt, text: string): boolean {
  return isSame(deriveCode(deps, attempt), text);
}

/** Whether the text is the code that the agent was told; see isCode. */
export function isTypedCode(deps: Keyed, attempt: Attempt, text: string): boolean {
  return isSame(deriveTypedCode(deps, attempt), text);
}

/** The code by which somebody signs in; the same machinery, another purpose. */
export function deriveSignInCode(deps: Keyed, signIn: SignIn): string | undefined {
  return derive(deps, { ...signIn, purpose: 'sign-in-code', context: [signIn.id, signIn.mailbox] });
}

/** Whether the text is the code of a sign-in; see isCode. */
export function isSignInCode(deps: Keyed, signIn: SignIn, text: string): boolean {
  return isSame(deriveSignInCode(deps, signIn), text);
}

function contextOf({ id, registrationId, mailbox, mode }: Attempt): string[] {
  return [id, registrationId, mailbox, mode];
}

function derive(deps: Keyed, bound: Bound): string | undefined {
  const secret = keyOf(deps, bound);
  return secret && generateSync({ ...HOTP, secret, counter: bound.counter });
}

function deriveLetters(deps: Keyed, attempt: Attempt, context: string[]): string | undefined {
  const counted = [...context, String(attempt.counter)];
  const key = keyOf(deps, { ...attempt, purpose: 'letters-code', context: counted });
  if (key === undefined) return undefined;
  let rest = key.readBigUInt64BE();
  let code = '';
  for (let index = 0; index < LETTERS; index += 1) {
    code += (index === LETTERS / 2 ? '-' : '') + CONSONANTS[Number(rest % 20n)]!;
    rest /= 20n;
  }
  return code;
}

/** As people write it down: in small letters, with or without the hyphen and spaces. */
function normalized(code: string): string {
  return normalizeCode(code).toUpperCase();
}

function isSame(right: string | undefined, text: string): boolean {
  return right !== undefined && sameDigest(Buffer.from(normalized(right)), Buffer.from(normalized(text)));
}

function keyOf(deps: Keyed, { secretId, purpose, context }: Bound): Buffer | undefined {
  return deps.keyring.derive(secretId, purpose, JSON.stringify(context));
}
