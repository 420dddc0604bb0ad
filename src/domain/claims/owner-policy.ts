import type { Deps } from '../../deps.ts';
import { findAuthenticator } from '../../store/authenticators.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import type { Work } from '../../work.ts';

/** Whether a code alone moves an agent into an account that exists. */

/** Whether a code alone does not do to merge into an account that exists, and its owner must be signed in (S-16). */
export function requiresSignIn(deps: Pick<Deps, 'config'>, attempt: Pick<AttemptRow, 'mode'>): boolean {
  return attempt.mode === 'merge' && deps.config.claimExistingAccount === 'confirm';
}

/**
 * Whether the owner of an account must be signed in to merge an agent into it: where the operator wants it so, and where they
 * set up a second factor, which a mailed code alone must not get around.
 */
export async function requiresOwnerSession(
  work: Work,
  attempt: Pick<AttemptRow, 'mode'>,
  accountId: string,
): Promise<boolean> {
  const { tx, deps } = work;
  if (attempt.mode !== 'merge') return false;
  return requiresSignIn(deps, attempt) || (await findAuthenticator(tx, accountId)) !== undefined;
}
