import { Failure } from '../../errors.ts';
import { principalOf } from '../../lib/principals.ts';
import { findAccount, findAccountByMailbox, lockAccount } from '../../store/accounts.ts';
import { lockOrCreatePrincipal, type PrincipalRow } from '../../store/principals.ts';
import { insertUsedToken } from '../../store/spent-tokens.ts';
import type { Work } from '../../work.ts';
import { findOrCreateAccount } from '../accounts/find-or-create-account.ts';
import { recordEvent } from '../audit/audit-log.ts';
import type { LimitCounter } from '../limits/limits.ts';
import type { VerifiedAssertion } from './id-jag.ts';

/** Consumes an ID-JAG, locks its principal, and matches it to an account, in the transaction that acts on the ID-JAG. */

/** How far clocks may differ. A `jti` is kept for twice this after its token expires: no replica accepts a replay. */
export const SKEW_MS = 60_000;

/** Returns the limits that one assertion consumes. All users of a provider share them. */
export function assertionLimits({ issuer: { issuer } }: Pick<VerifiedAssertion, 'issuer'>): LimitCounter[] {
  return [{ name: 'assertionsPerIssuer', key: issuer }];
}

/**
 * Consumes an assertion, after all other checks, and locks the principal that it names (S-94). The use case must pass
 * assertionLimits() as its `sharedLimits`.
 *
 * @throws Failure `invalidAssertion` for a replay; `limited`
 */
export async function consumeAssertion(work: Work, verified: VerifiedAssertion): Promise<PrincipalRow> {
  const { tx, now } = work;
  const { issuer } = verified.issuer;
  const { jti, issuedAt, expiresAt } = verified;
  if (!(await insertUsedToken(tx, issuer, jti, { issuedAt, endsAt: expiresAt + 2 * SKEW_MS }))) {
    throw new Failure(
      'invalidAssertion',
      'This token was presented before. Get a new one from the provider.',
      {
        fault: 'replayed',
      },
    );
  }
  await work.consumeSharedLimits();
  const { subject, tenant } = verified;
  return lockOrCreatePrincipal(tx, principalOf({ issuer, tenant, subject }), issuer, now);
}

/**
 * The account that a principal matches (auth.md v0.5, login_required and interaction_required).
 * - `clean`: the account that delegated to this principal, or a new one because the mailbox had none
 * - `stepUp`: the mailbox has an account, whose owner must confirm first
 */
export type AccountMatch =
  | { kind: 'clean'; accountId: string; mailbox: string; isNew: boolean }
  | { kind: 'stepUp'; mailbox: string };

/** Matches a principal to an account, which it creates and locks as needed, in the caller's transaction. */
export async function matchAccount(
  work: Work,
  principal: PrincipalRow,
  { mailbox }: Pick<VerifiedAssertion, 'mailbox'>,
): Promise<AccountMatch> {
  const { tx } = work;
  const linked = await findLinkedAccount(work, principal);
  if (linked !== undefined) return { kind: 'clean', ...linked, isNew: false };
  if ((await findAccountByMailbox(tx, mailbox)) !== undefined) return { kind: 'stepUp', mailbox };
  // A concurrent transaction may create the account first. Its owner must then confirm: never a silent link (S-37).
  const { id, isNew } = await findOrCreateAccount(work, mailbox);
  return isNew ? { kind: 'clean', accountId: id, mailbox, isNew } : { kind: 'stepUp', mailbox };
}

/** Finds and locks the account that delegated to a principal; undefined: none did, or it has ended. */
export async function findLinkedAccount(
  { tx }: Work,
  { accountId }: PrincipalRow,
): Promise<{ accountId: string; mailbox: string } | undefined> {
  if (accountId === null || !(await lockAccount(tx, accountId))) return undefined;
  const { mailbox } = (await findAccount(tx, accountId))!;
  return mailbox === null ? undefined : { accountId, mailbox };
}

/** Audits an accepted assertion: its client, and the provider's names for its product and for the run. */
export async function auditAssertion(
  work: Work,
  verified: VerifiedAssertion,
  registrationId: string,
): Promise<void> {
  const { clientId, agentPlatform, agentContextId } = verified;
  const { issuer } = verified.issuer;
  await recordEvent(work, {
    kind: 'assertion.taken',
    subject: registrationId,
    details: {
      issuer,
      client: clientId,
      ...(agentPlatform !== undefined && { platform: agentPlatform }),
      ...(agentContextId !== undefined && { context: agentContextId }),
    },
  });
}
