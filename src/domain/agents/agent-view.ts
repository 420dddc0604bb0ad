import type { Deps } from '../../deps.ts';
import { findAccount } from '../../store/accounts.ts';
import {
  type AgentStateRow,
  DESCRIBED_PAGE,
  findDescribedAgent,
  listAgentStates,
} from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { ClaimMode, RegistrationKind } from '../../store/registrations.ts';
import { absoluteLifetimeEnd } from './agent-lifecycle.ts';

/** The state of an agent's claim, computed from times and stored nowhere. All times are epoch ms. */
export type ClaimState =
  | { kind: 'unclaimed'; expiresAt: number }
  | { kind: 'pending'; mailbox: string; mail: 'queued' | 'sent' | 'failed'; expiresAt: number }
  | { kind: 'claimed'; claimedAt: number }
  | { kind: 'expired' };

/** An agent as the agent itself, its owner and the operator may see it. */
export interface AgentView {
  id: string;
  accountId: string;
  name: string | null;
  registrationKind: RegistrationKind;
  mode: ClaimMode | undefined;
  owner: { id: string; mailbox: string } | undefined;
  mergedFrom: string | undefined;
  claim: ClaimState;
  /** Epoch ms, both. */
  createdAt: number;
  revokedAt: number | undefined;
}

/**
 * Reads one agent.
 *
 * @returns undefined if no agent has this id
 */
export async function showAgent(deps: Deps, id: string): Promise<AgentView | undefined> {
  const row = await findDescribedAgent(deps.db, id);
  return row && toAgentView(deps, row, deps.clock());
}

/**
 * Lists agents, oldest first, and reads one page of the database at a time.
 *
 * @param after lists the agents after this id; '' lists all
 * @param limit how many agents at most
 */
export async function listAgents(deps: Deps, after: string, limit: number): Promise<AgentView[]> {
  const agents: AgentView[] = [];
  const now = deps.clock();
  for (let last = after; ; ) {
    const rows = await listAgentStates(deps.db, last);
    for (const row of rows.slice(0, limit - agents.length)) agents.push(toAgentView(deps, row, now));
    if (rows.length < DESCRIBED_PAGE || agents.length === limit) return agents;
    last = rows.at(-1)!.id;
  }
}

/**
 * Finds the human's account behind an account: the account itself, or the parent that it is linked to.
 *
 * @returns the account's id; undefined if no human owns it
 */
export async function findOwnerOfAccount(
  db: Pick<Tx, 'get'>,
  accountId: string,
): Promise<string | undefined> {
  const account = await findAccount(db, accountId);
  return (account?.kind === 'human' ? account.id : account?.parentId) ?? undefined;
}

function toAgentView(deps: Pick<Deps, 'config'>, row: AgentStateRow, now: number): AgentView {
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
      row.claimExpiresAt === null
        ? hostedClaimState(deps, row, now)
        : claimState(row, row.claimExpiresAt, now),
    createdAt: row.createdAt,
    revokedAt: row.revokedAt ?? undefined,
  };
}

/** An agent under a host has no claim of its own: it is claimed when its host is linked to a human. */
function hostedClaimState(deps: Pick<Deps, 'config'>, row: AgentStateRow, now: number): ClaimState {
  const { ownedAt, revokedAt, registrationExpiresAt: expiresAt } = row;
  if (row.hostedSince !== null && absoluteLifetimeEnd(deps, row.hostedSince) <= now)
    return { kind: 'expired' };
  if (ownedAt !== null) return { kind: 'claimed', claimedAt: ownedAt };
  const hasExpired = revokedAt !== null || expiresAt <= now;
  return hasExpired ? { kind: 'expired' } : { kind: 'unclaimed', expiresAt };
}

function claimState(row: AgentStateRow, expiresAt: number, now: number): ClaimState {
  if (row.claimClaimedAt !== null) return { kind: 'claimed', claimedAt: row.claimClaimedAt };
  if (row.claimEndedAt !== null || expiresAt <= now) return { kind: 'expired' };
  const { attemptMailbox: mailbox } = row;
  if (mailbox === null || row.attemptEndedAt !== null) return { kind: 'unclaimed', expiresAt };
  const mail = row.mailSentAt ? 'sent' : row.mailDeadAt ? 'failed' : 'queued';
  if (mail !== 'queued' && row.codeExpiresAt! <= now) return { kind: 'unclaimed', expiresAt };
  return { kind: 'pending', mailbox, mail, expiresAt };
}
