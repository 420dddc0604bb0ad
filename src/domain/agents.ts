import type { Deps } from '../deps.ts';
import { findAccount, holdAccount } from '../store/accounts.ts';
import {
  type AgentRow,
  findAgent,
  holdAgent,
  listAgents as listRows,
  revokeAgent as revokeRow,
} from '../store/agents.ts';
import { type AttemptRow, findLastAttempt } from '../store/claim-attempts.ts';
import { type ClaimRow, endClaim, findClaimByRegistration } from '../store/claims.ts';
import { revokeCredentialsOfAgent } from '../store/credentials.ts';
import type { Tx } from '../store/db.ts';
import { findMailOfAttempt } from '../store/outbox.ts';
import { unlinkPrincipal } from '../store/principals.ts';
import { endFamiliesOf } from '../store/refresh-tokens.ts';
import {
  type ClaimMode,
  endAssertions,
  findRegistration,
  type RegistrationKind,
  type RegistrationRow,
} from '../store/registrations.ts';
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

async function describe(deps: Deps, row: AgentRow): Promise<Agent> {
  const [registration, ownerId, claim, attempt] = await Promise.all([
    findRegistration(deps.db, row.registrationId),
    ownerOf(deps.db, row.accountId),
    findClaimByRegistration(deps.db, row.registrationId),
    findLastAttempt(deps.db, row.registrationId),
  ]);
  const owner = ownerId ? await findAccount(deps.db, ownerId) : undefined;
  return {
    id: row.id,
    accountId: row.accountId,
    name: row.name,
    registrationKind: registration!.kind,
    mode: registration!.mode ?? undefined,
    owner: owner?.mailbox ? { id: owner.id, mailbox: owner.mailbox } : undefined,
    mergedFrom: row.mergedFrom ?? undefined,
    claim:
      claim === undefined ? hostedState(deps, row, registration!) : await claimState(deps, claim, attempt),
    createdAt: row.createdAt,
    revokedAt: row.revokedAt ?? undefined,
  };
}

/** An agent under a host is claimed with its host, and by no claim of its own. */
function hostedState(
  deps: Pick<Deps, 'clock'>,
  { ownedAt, revokedAt }: AgentRow,
  { expiresAt }: RegistrationRow,
): ClaimState {
  if (ownedAt !== null) return { kind: 'claimed', claimedAt: ownedAt };
  const isOver = revokedAt !== null || expiresAt <= deps.clock();
  return isOver ? { kind: 'expired' } : { kind: 'unclaimed', expiresAt };
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
