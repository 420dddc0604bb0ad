import { generateSync, verifySync } from 'otplib';
import type { Deps } from '../deps.ts';
import type { AttemptRow } from '../store/claim-attempts.ts';

const HOTP = { strategy: 'hotp', algorithm: 'sha256', digits: 6 } as const;

/** What a code depends on: change one of these and it is another code (S-10). */
type Bound = Pick<AttemptRow, 'id' | 'registrationId' | 'mailbox' | 'mode' | 'secretId' | 'counter'>;

/**
 * The code of an attempt: HOTP (RFC 4226) over a key derived from the service secret and the attempt. It is computed when it
 * is mailed and when it is compared, and stored nowhere: a copy of the database holds nothing to guess it from (rule 6).
 *
 * @returns six digits, or undefined if the service secret it was made under is no longer listed
 */
export function deriveCode(deps: Pick<Deps, 'keyring'>, attempt: Bound): string | undefined {
  const secret = codeKey(deps, attempt);
  return secret && generateSync({ ...HOTP, secret, counter: attempt.counter });
}

/**
 * Whether the text is the attempt's code, compared in constant time. The caller has counted the guess before it asks.
 *
 * @param text six digits
 */
export function isCode(deps: Pick<Deps, 'keyring'>, attempt: Bound, text: string): boolean {
  const secret = codeKey(deps, attempt);
  if (secret === undefined) return false;
  return verifySync({ ...HOTP, secret, counter: attempt.counter, counterTolerance: 0, token: text }).valid;
}

function codeKey(deps: Pick<Deps, 'keyring'>, attempt: Bound): Buffer | undefined {
  const context = JSON.stringify([attempt.id, attempt.registrationId, attempt.mailbox, attempt.mode]);
  return deps.keyring.derive(attempt.secretId, 'code', context);
}
