import type { Deps } from '../deps.ts';
import { findAccount, holdAccount } from '../store/accounts.ts';
import {
  type AgentRow,
  DESCRIBED_PAGE,
  type DescribedAgentRow,
  findAgent,
  findDescribedAgent,
  holdAgent,
  listDescribedAgents,
  revokeAgent as revokeRow,
} from '../store/agents.ts';
import { endClaim } from '../store/claims.ts';
import { revokeCredentialsOfAgent } from '../store/credentials.ts';
import type { Tx } from '../store/db.ts';
import { unlinkPrincipal } from '../store/principals.ts';
import { endFamiliesOf } from '../store/refresh-tokens.ts';
import {
  type ClaimMode,
  endAssertions,
  findRegistration,
  type RegistrationKind,
} from '../store/registrations.ts';
import { endOfLife } from './agent-lives.ts';
import { withdrawAttempts } from './claims.ts';
import { type Asker, record } from './events.ts';
import { recordAndTell } from './notices.ts';

/** How far the claim of an agent has come; computed from times, stored nowhere (rule 3). */
export type ClaimState =
  | { kind: 'unclaimed'; expiresAt: number }
  | { kind: 'pending'; mailbox: string; mail: 'queued' | 'sent' | 'failed'; expiresAt: number }
  | { kind: 'claimed'; claimedAt: number }
  | { kind: 'expired' };

/** What an agent, its owner or the operator may know of it. */
export interface Agent {
  id: string;
  accountId: string;
  name: string | null;
  registrationKind: RegistrationKind;
  mode: ClaimMode | undefined;
  owner: { id: string; mailbox: string } | undefined;
  mergedFrom: string | undefined;
  claim: ClaimState;
  /** Epoch ms. */
  createdAt: number;
  revokedAt: number | undefined;
}

/** One agent, or undefined. */
export async function showAgent(deps: Deps, id: string): Promise<Agent | undefined> {
  const row = await findDescribedAgent(deps.db, id);
  return row && describe(deps, row, deps.clock());
}

/** Agents after an id, oldest first, at most `limit`: a page of the database at a time. */
export async function listAgents(deps: Deps, after: string, limit: number): Promise<Agent[]> {
  const agents: Agent[] = [];
  const now = deps.clock();
  for (let last = after; ; ) {
    const rows = await listDescribedAgents(deps.db, last);
    for (const row of rows.slice(0, limit - agents.length)) agents.push(describe(deps, row, now));
    if (rows.length < DESCRIBED_PAGE || agents.length === limit) return agents;
    last = rows.at(-1)!.id;
  }
}

/** Ends an agent, its keys and its pending claim. Returns whether there is such an agent. */
export async function revokeAgent(deps: Deps, asker: Asker, id: string): Promise<boolean> {
  const now = deps.clock();
  return deps.db.tx(async (tx) => {
    const agent = await findAgent(tx, id);
    if (agent !== undefined) await endAgent(tx, deps, asker, now, agent);
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
  asker: Asker,
  now: number,
  agent: AgentRow,
): Promise<number> {
  const { id, registrationId, accountId } = agent;
  const ownerId = await ownerOf(tx, accountId);
  if (ownerId !== undefined) await holdAccount(tx, ownerId);
  await holdAgent(tx, id);
  await endClaim(tx, registrationId, 'revoked', now);
  await withdrawAttempts(tx, registrationId, 'revoked', now);
  if ((await revokeRow(tx, id, now)) !== 1) return 0;
  await endAssertions(tx, registrationId);
  await endFamiliesOf(tx, registrationId, now);
  await endDelegation(tx, registrationId);
  const keys = await revokeCredentialsOfAgent(tx, id, now);
  const revoked = { kind: 'agent.revoked', agentId: id, details: { keys } } as const;
  if (ownerId !== undefined) await recordAndTell(tx, deps, asker, now, ownerId, revoked);
  else await record(tx, deps, asker, now, { ...revoked, accountId });
  return keys;
}

/** Takes back that the provider of a registration's agent may speak for its owner, in the caller's transaction. */
export async function endDelegation(tx: Tx, registrationId: string): Promise<void> {
  const registration = await findRegistration(tx, registrationId);
  if (registration?.principal) await unlinkPrincipal(tx, registration.principal);
}

/** The human's account behind an account: itself, or the one that it is linked to. */
async function ownerOf(db: Pick<Tx, 'get'>, accountId: string): Promise<string | undefined> {
  const account = await findAccount(db, accountId);
  return (account?.kind === 'human' ? account.id : account?.parentId) ?? undefined;
}

function describe(deps: Pick<Deps, 'config'>, row: DescribedAgentRow, now: number): Agent {
  const { ownerId, ownerMailbox } = row;
  return {
    id: row.id,
    accountId: row.accountId,
    name: row.name,
    registrationKind: row.registrationKind,
    mode: row.mode ?? undefined,
    owner: ownerId !== null && ownerMailbox !== null ? { id: ownerId, mailbox: ownerMailbox } : undefined,
    mergedFrom: row.mergedFrom ?? undefined,
    claim:
      row.claimExpiresAt === null ? hostedState(deps, row, now) : claimState(row, row.claimExpiresAt, now),
    createdAt: row.createdAt,
    revokedAt: row.revokedAt ?? undefined,
  };
}

/** An agent under a host is claimed with its host, and by no claim of its own. */
function hostedState(deps: Pick<Deps, 'config'>, row: DescribedAgentRow, now: number): ClaimState {
  const { ownedAt, revokedAt, registrationExpiresAt: expiresAt } = row;
  if (row.hostedSince !== null && endOfLife(deps, row.hostedSince) <= now) return { kind: 'expired' };
  if (ownedAt !== null) return { kind: 'claimed', claimedAt: ownedAt };
  const isOver = revokedAt !== null || expiresAt <= now;
  return isOver ? { kind: 'expired' } : { kind: 'unclaimed', expiresAt };
}

function claimState(row: DescribedAgentRow, expiresAt: number, now: number): ClaimState {
  if (row.claimClaimedAt !== null) return { kind: 'claimed', claimedAt: row.claimClaimedAt };
  if (row.claimEndedAt !== null || expiresAt <= now) return { kind: 'expired' };
  const { attemptMailbox: mailbox } = row;
  if (mailbox === null || row.attemptEndedAt !== null) return { kind: 'unclaimed', expiresAt };
  const mail = row.mailSentAt ? 'sent' : row.mailDeadAt ? 'failed' : 'queued';
  if (mail !== 'queued' && row.codeExpiresAt! <= now) return { kind: 'unclaimed', expiresAt };
  return { kind: 'pending', mailbox, mail, expiresAt };
}
