import type { Deps } from '../../deps.ts';
import { issuerOf } from '../../lib/principals.ts';
import { restrictTo } from '../../lib/scopes.ts';
import { findAccount } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { RegistrationRow } from '../../store/registrations.ts';

/**
 * What the agent of a registration may do now, whatever was issued to it earlier (docs/adr/0005-keys-and-scopes.md).
 */
export interface EffectiveAccess {
  registration: RegistrationRow;
  agentId: string;
  /** The account that the agent works in. */
  accountId: string;
  /** The human's account that owns the agent; undefined while it is unclaimed. */
  ownerId: string | undefined;
  /** The owner's mailbox, canonical; undefined while the agent is unclaimed. */
  mailbox: string | undefined;
  scopes: readonly string[];
  /** Epoch ms: when the registration expires unless it is claimed; Infinity once it is. */
  endsAt: number;
}

/**
 * Computes the effective access of a registration.
 *
 * @param now epoch ms
 * @returns undefined if there is no agent, the agent is revoked, the registration expired unclaimed, or its provider is
 * no longer trusted
 */
export async function effectiveAccessOf(
  db: Pick<Tx, 'get'>,
  deps: Pick<Deps, 'config'>,
  now: number,
  registration: RegistrationRow,
): Promise<EffectiveAccess | undefined> {
  const { agentId, principal } = registration;
  if (agentId === null) return undefined;
  if (principal !== null && !deps.config.trustedIssuers.has(issuerOf(principal))) return undefined;
  const agent = await findAgent(db, agentId);
  if (agent === undefined || agent.revokedAt !== null) return undefined;
  const account = (await findAccount(db, agent.accountId))!;
  const ownerId = (account.kind === 'human' ? account.id : account.parentId) ?? undefined;
  const isClaimed = registration.claimedAt !== null && ownerId !== undefined;
  if (!isClaimed && registration.expiresAt <= now) return undefined;
  const owner = ownerId === undefined ? undefined : await findAccount(db, ownerId);
  const { claimedScopes, anonymousScopes } = deps.config;
  const scopes = restrictTo(isClaimed ? claimedScopes : anonymousScopes, agent.scope);
  return {
    registration,
    agentId,
    accountId: agent.accountId,
    ownerId: isClaimed ? ownerId : undefined,
    mailbox: isClaimed ? (owner?.mailbox ?? undefined) : undefined,
    scopes,
    endsAt: isClaimed ? Infinity : registration.expiresAt,
  };
}
