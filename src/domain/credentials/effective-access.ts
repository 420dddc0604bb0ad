import type { Deps } from '../../deps.ts';
import { issuerOf } from '../../lib/principals.ts';
import { restrictTo } from '../../lib/scopes.ts';
import { findAccount } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { RegistrationRow } from '../../store/registrations.ts';

/** What the agent of a registration may have at this moment, whatever it was once given. */
export interface EffectiveAccess {
  registration: RegistrationRow;
  agentId: string;
  /** The account that it works in. */
  accountId: string;
  /** The human's account behind it, and their mailbox, once claimed. */
  ownerId: string | undefined;
  mailbox: string | undefined;
  scopes: readonly string[];
  /** Epoch ms: when it ends unless it is claimed; Infinity once it is. */
  endsAt: number;
}

/** The standing of a registration, or undefined where there is no agent, or it has ended, or its provider is not trusted any more. */
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
