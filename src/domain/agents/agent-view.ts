import type { Deps } from '../../deps.ts';
import { findAccount } from '../../store/accounts.ts';
import {
  DESCRIBED_PAGE,
  type DescribedAgentRow,
  findDescribedAgent,
  listDescribedAgents,
} from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { ClaimMode, RegistrationKind } from '../../store/registrations.ts';
import { endOfLife } from './agent-lifecycle.ts';

/** How far the claim of an agent has come; computed from times, stored nowhere. */
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

/** The human's account behind an account: itself, or the one that it is linked to. */
export async function ownerOf(db: Pick<Tx, 'get'>, accountId: string): Promise<string | undefined> {
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
