import type { Deps } from '../deps.ts';
import { findAccount } from '../store/accounts.ts';
import {
  type AgentRow,
  findAgent,
  listAgents as listRows,
  revokeAgent as revokeRow,
} from '../store/agents.ts';
import { type AttemptRow, findLastAttempt } from '../store/claim-attempts.ts';
import { type ClaimRow, endClaim, findClaimByRegistration } from '../store/claims.ts';
import { revokeCredentialsOfAgent } from '../store/credentials.ts';
import { findMailOfAttempt } from '../store/outbox.ts';
import { type ClaimMode, findRegistration, type RegistrationKind } from '../store/registrations.ts';
import { withdrawAttempts } from './claims.ts';
import type { Bearer } from './credentials.ts';
import { type Asker, record } from './events.ts';

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

/** The agent behind a bearer's key, with its owner and the state of its claim. */
export async function describeBearer(deps: Deps, bearer: Bearer): Promise<Agent> {
  return describe(deps, (await findAgent(deps.db, bearer.agentId))!);
}

/** One agent, or undefined. */
export async function showAgent(deps: Deps, id: string): Promise<Agent | undefined> {
  const row = await findAgent(deps.db, id);
  return row && describe(deps, row);
}

/** Agents after an id, oldest first, at most `limit`. */
export async function listAgents(deps: Deps, after: string, limit: number): Promise<Agent[]> {
  const rows = await listRows(deps.db, after, limit);
  return Promise.all(rows.map((row) => describe(deps, row)));
}

/** Ends an agent, its keys and its pending claim. Returns whether there is such an agent. */
export async function revokeAgent(deps: Deps, asker: Asker, id: string): Promise<boolean> {
  const now = deps.clock();
  return deps.db.tx(async (tx) => {
    const agent = await findAgent(tx, id);
    if (agent === undefined) return false;
    await endClaim(tx, agent.registrationId, 'revoked', now);
    await withdrawAttempts(tx, agent.registrationId, 'revoked', now);
    if ((await revokeRow(tx, id, now)) !== 1) return true;
    const keys = await revokeCredentialsOfAgent(tx, id, now);
    await record(tx, deps, asker, now, {
      kind: 'agent.revoked',
      accountId: agent.accountId,
      agentId: id,
      details: { keys },
    });
    return true;
  });
}

async function describe(deps: Deps, row: AgentRow): Promise<Agent> {
  const [registration, account, claim, attempt] = await Promise.all([
    findRegistration(deps.db, row.registrationId),
    findAccount(deps.db, row.accountId),
    findClaimByRegistration(deps.db, row.registrationId),
    findLastAttempt(deps.db, row.registrationId),
  ]);
  const ownerId = account?.kind === 'human' ? account.id : account?.parentId;
  const owner = ownerId ? await findAccount(deps.db, ownerId) : undefined;
  return {
    id: row.id,
    accountId: row.accountId,
    name: row.name,
    registrationKind: registration!.kind,
    mode: registration!.mode ?? undefined,
    owner: owner?.mailbox ? { id: owner.id, mailbox: owner.mailbox } : undefined,
    mergedFrom: row.mergedFrom ?? undefined,
    claim: await claimState(deps, claim!, attempt),
    createdAt: row.createdAt,
    revokedAt: row.revokedAt ?? undefined,
  };
}

async function claimState(deps: Deps, claim: ClaimRow, attempt: AttemptRow | undefined): Promise<ClaimState> {
  const now = deps.clock();
  if (claim.claimedAt !== null) return { kind: 'claimed', claimedAt: claim.claimedAt };
  if (claim.endedAt !== null || claim.expiresAt <= now) return { kind: 'expired' };
  const { expiresAt } = claim;
  if (attempt === undefined || attempt.endedAt !== null) return { kind: 'unclaimed', expiresAt };
  const mail = await findMailOfAttempt(deps.db, attempt.id);
  const state = mail?.sentAt ? 'sent' : mail?.deadAt ? 'failed' : 'queued';
  if (state !== 'queued' && attempt.codeExpiresAt <= now) return { kind: 'unclaimed', expiresAt };
  return { kind: 'pending', mailbox: attempt.mailbox, mail: state, expiresAt };
}
