import type { Deps } from '../../deps.ts';
import { findAuthenticator } from '../../store/authenticators.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import type { Work } from '../../work.ts';

/** When a code alone does not suffice to merge an agent into an existing account. */

/** Returns whether the operator requires the owner's session for a merge (`claimExistingAccount`: `confirm`, S-16). */
export function requiresSignIn(deps: Pick<Deps, 'config'>, attempt: Pick<AttemptRow, 'mode'>): boolean {
  return attempt.mode === 'merge' && deps.config.claimExistingAccount === 'confirm';
}

/**
 * Returns whether the owner of an account must be signed in to merge an agent into it. The operator can require that, and so
 * does a second factor, which a mailed code alone must not bypass (docs/adr/0006-claims-and-links.md).
 *
 * @param accountId the account of the attempt's mailbox
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
