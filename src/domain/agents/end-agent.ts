import type { Deps } from '../../deps.ts';
import { lockAccount } from '../../store/accounts.ts';
import { type AgentRow, findAgent, lockAgent, updateAgentRevoked } from '../../store/agents.ts';
import { updateCredentialsOfAgentRevoked } from '../../store/credentials.ts';
import { lockPlacesOfAgent } from '../../store/places.ts';
import { updatePrincipalUnlinked } from '../../store/principals.ts';
import { updateFamiliesOfRegistrationEnded } from '../../store/refresh-tokens.ts';
import { findRegistration, incrementGeneration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { endConsentsOfPrincipal } from '../apps/asserted-consents.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { closeClaim } from '../claims/claim-attempts.ts';
import { useCase } from '../limits/use-case.ts';
import { endPermissionsOfAgent } from '../permissions/grants.ts';
import { endPlacesOfHolder } from '../workspaces/places.ts';
import { findOwnerOfAccount } from './agent-view.ts';

/** The revocation of agents. */

/**
 * Revokes an agent with its keys and tokens, and closes its open claim.
 *
 * @returns whether the agent exists
 */
export async function revokeAgent(deps: Deps, origin: RequestOrigin, id: string): Promise<boolean> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const agent = await findAgent(tx, id);
    if (agent !== undefined) await endAgent(work, agent);
    return agent !== undefined;
  });
}

/**
 * Revokes an agent in the caller's transaction, with its claim, assertions, keys, tokens and delegation. An agent that
 * was revoked before stays as it is.
 *
 * @param by `owner`: the signed-in human revokes it, and their activity says so
 * @returns how many keys and tokens were revoked
 */
export async function endAgent(work: Work, agent: AgentRow, by?: 'owner'): Promise<number> {
  const { tx, now } = work;
  const { id, registrationId, accountId } = agent;
  const ownerId = await findOwnerOfAccount(tx, accountId);
  if (ownerId !== undefined) await lockAccount(tx, ownerId);
  await lockPlacesOfAgent(tx, id);
  await lockAgent(tx, id);
  await closeClaim(work, registrationId, 'revoked');
  if ((await updateAgentRevoked(tx, id, now)) !== 1) return 0;
  await incrementGeneration(tx, registrationId);
  await updateFamiliesOfRegistrationEnded(tx, registrationId, now);
  await revokeDelegation(work, registrationId);
  const keys = await updateCredentialsOfAgentRevoked(tx, id, now);
  await endPlacesOfHolder(work, id, 'revoked');
  await endPermissionsOfAgent(work, id);
  const revoked = { kind: 'agent.revoked', agentId: id, details: { keys, ...(by && { by }) } } as const;
  if (ownerId !== undefined) await recordAndNotify(work, ownerId, revoked);
  else await recordEvent(work, { ...revoked, accountId });
  return keys;
}

/**
 * Ends the delegation to the principal of a registration, in the caller's transaction: its agent provider may no longer
 * act for the owner, nor let apps do so.
 */
export async function revokeDelegation(work: Work, registrationId: string): Promise<void> {
  const { tx } = work;
  const registration = await findRegistration(tx, registrationId);
  if (!registration?.principal) return;
  await updatePrincipalUnlinked(tx, registration.principal);
  await endConsentsOfPrincipal(work, registration.principal, 'owner');
}
