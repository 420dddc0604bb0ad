import { Failure } from '../../errors.ts';
import { principalOf } from '../../lib/principals.ts';
import { findAccount, findAccountByMailbox, lockAccount } from '../../store/accounts.ts';
import { lockOrCreatePrincipal, type PrincipalRow } from '../../store/principals.ts';
import { insertSpentToken } from '../../store/spent-tokens.ts';
import type { Work } from '../../work.ts';
import { findOrCreateAccount } from '../accounts/find-or-create-account.ts';
import { record } from '../audit/audit-log.ts';
import type { LimitCounter } from '../limits/limits.ts';
import type { VerifiedAssertion } from './id-jag.ts';

/** Whom a provider's token speaks of, in the transaction that acts on it: taken once, held, and matched to an account. */

/** The token may be seen again so long after its end, by clocks that differ. */
const SKEW_MS = 60_000;

/** What an assertion costs: all users of a provider share it. */
export function assertionLimits({ issuer: { issuer } }: VerifiedAssertion): LimitCounter[] {
  return [{ name: 'assertionsPerIssuer', key: issuer }];
}

/**
 * Takes a token once, last of all checks, and holds the user it speaks of (S-94).
 *
 * @param shared of assertionLimits()
 */
export async function consumeAssertion(work: Work, verified: VerifiedAssertion): Promise<PrincipalRow> {
  const { tx, now } = work;
  const { issuer } = verified.issuer;
  const { jti, issuedAt, expiresAt } = verified;
  if (!(await insertSpentToken(tx, issuer, jti, { issuedAt, endsAt: expiresAt + 2 * SKEW_MS }))) {
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

/** Whose agent it is (auth.md v0.5, login_required and interaction_required). */
export type Match =
  /** The account that lets this user act for it, or one that begins here since nobody had the mailbox. */
  { kind: 'clean'; accountId: string; mailbox: string; isNew: boolean } | { kind: 'stepUp'; mailbox: string };

export async function matchAccount(
  work: Work,
  principal: PrincipalRow,
  { mailbox }: VerifiedAssertion,
): Promise<Match> {
  const { tx } = work;
  const { accountId } = principal;
  if (accountId !== null && (await lockAccount(tx, accountId))) {
    const account = (await findAccount(tx, accountId))!;
    if (account.mailbox !== null) return { kind: 'clean', accountId, mailbox: account.mailbox, isNew: false };
  }
  if ((await findAccountByMailbox(tx, mailbox)) !== undefined) return { kind: 'stepUp', mailbox };
  // Another may begin it in this very moment, and then it is theirs: never a silent link (S-37).
  const { id, isNew } = await findOrCreateAccount(work, mailbox);
  return isNew ? { kind: 'clean', accountId: id, mailbox, isNew } : { kind: 'stepUp', mailbox };
}

/** What the audit keeps of a token: who presented it, of which product and run, as the provider calls them. */
export async function auditAssertion(
  work: Work,
  verified: VerifiedAssertion,
  registrationId: string,
): Promise<void> {
  const { clientId, agentPlatform, agentContextId } = verified;
  const { issuer } = verified.issuer;
  await record(work, {
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
