import type { Deps } from '../../deps.ts';
import { lockAccount } from '../../store/accounts.ts';
import { type AgentRow, findAgent, lockAgent, revokeAgent as revokeRow } from '../../store/agents.ts';
import { endClaim } from '../../store/claims.ts';
import { revokeCredentialsOfAgent } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import { unlinkPrincipal } from '../../store/principals.ts';
import { endFamiliesOf } from '../../store/refresh-tokens.ts';
import { endAssertions, findRegistration } from '../../store/registrations.ts';
import { type RequestOrigin, record } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { withdrawAttempts } from '../claims/claim-attempts.ts';
import { ownerOf } from './agent-view.ts';

/** The end of an agent. */

/** Ends an agent, its keys and its pending claim. Returns whether there is such an agent. */
export async function revokeAgent(deps: Deps, origin: RequestOrigin, id: string): Promise<boolean> {
  const now = deps.clock();
  return deps.db.tx(async (tx) => {
    const agent = await findAgent(tx, id);
    if (agent !== undefined) await endAgent(tx, deps, origin, now, agent);
    return agent !== undefined;
  });
}

/**
 * The same in the caller's transaction: its claim, assertions, tokens and delegation end with it. What was revoked before stays
 * as it is.
 *
 * @returns how many keys and tokens it had
 */
export async function endAgent(
  tx: Tx,
  deps: Deps,
  origin: RequestOrigin,
  now: number,
  agent: AgentRow,
): Promise<number> {
  const { id, registrationId, accountId } = agent;
  const ownerId = await ownerOf(tx, accountId);
  if (ownerId !== undefined) await lockAccount(tx, ownerId);
  await lockAgent(tx, id);
  await endClaim(tx, registrationId, 'revoked', now);
  await withdrawAttempts(tx, registrationId, 'revoked', now);
  if ((await revokeRow(tx, id, now)) !== 1) return 0;
  await endAssertions(tx, registrationId);
  await endFamiliesOf(tx, registrationId, now);
  await endDelegation(tx, registrationId);
  const keys = await revokeCredentialsOfAgent(tx, id, now);
  const revoked = { kind: 'agent.revoked', agentId: id, details: { keys } } as const;
  if (ownerId !== undefined) await recordAndNotify(tx, deps, origin, now, ownerId, revoked);
  else await record(tx, deps, origin, now, { ...revoked, accountId });
  return keys;
}

/** Takes back that the provider of a registration's agent may speak for its owner, in the caller's transaction. */
export async function endDelegation(tx: Tx, registrationId: string): Promise<void> {
  const registration = await findRegistration(tx, registrationId);
  if (registration?.principal) await unlinkPrincipal(tx, registration.principal);
}
