import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { freeAccount, holdAccount, insertAgentAccount } from '../store/accounts.ts';
import {
  type AgentRow,
  findOwnedAgent,
  holdAgent,
  listOwnedAgents as listRows,
  narrowAgent as narrowRow,
  releaseAgent,
  renameAgent as renameRow,
} from '../store/agents.ts';
import { releaseClaim } from '../store/claims.ts';
import {
  type CredentialRow,
  listCredentials,
  narrowCredential,
  revokeCredential,
} from '../store/credentials.ts';
import type { Tx } from '../store/db.ts';
import { listEventsOf } from '../store/events.ts';
import { type ClaimMode, findRegistration, unclaimRegistration } from '../store/registrations.ts';
import { endAgent, endDelegation } from './agents.ts';
import { isLive, type Key, toKey } from './credentials.ts';
import { describeEvent, type Happening } from './event-texts.ts';
import { type Asker, record } from './events.ts';
import { hostedStanding } from './hosted-agents.ts';
import { isKey } from './keys.ts';
import { recordAndTell } from './notices.ts';
import { providerOf } from './principals.ts';
import { refuseNarrowed, refuseRevoked } from './refused-capabilities.ts';
import { formatScope, parseScope, within } from './scopes.ts';

/** What a human sees of the agents that are theirs, and does with them. */

export interface OwnedAgent {
  id: string;
  /** As the agent wrote it, unless its owner renamed it: then `isNamedByOwner`. */
  name: string | undefined;
  isNamedByOwner: boolean;
  mode: ClaimMode;
  /** The agent provider that vouches for it, by the name that the operator gave it. */
  provider: string | undefined;
  /** Epoch ms, all three. */
  registeredAt: number;
  ownedAt: number;
  revokedAt: number | undefined;
  /** What its live keys may do, together; without any what it may be given. */
  scopes: string[];
  /** When and where it last got a token, or one of its keys was used; to the minute. */
  lastUse: { at: number; from: string } | undefined;
  /** Until when the merge can be undone (epoch ms); undefined where it cannot. */
  undoableUntil: number | undefined;
}

/** A merge can be undone for so long. */
const UNDO_MS = 7 * 86_400_000;
const ACTIVITY_MAX = 50;

/** The agents of a human, newest first, also those that were revoked. */
export async function listOwnedAgents(deps: Deps, ownerId: string): Promise<OwnedAgent[]> {
  const rows = await listRows(deps.db, ownerId);
  return Promise.all(rows.map(async (row) => (await describe(deps, row, ownerId)).agent));
}

/**
 * One agent of a human with its keys and what it did lately, newest first.
 *
 * @throws Failure `notFound`, also for somebody else's
 */
export async function showOwnedAgent(
  deps: Deps,
  ownerId: string,
  id: string,
): Promise<{ agent: OwnedAgent; keys: Key[]; activity: Happening[] }> {
  const row = await findOwnedAgent(deps.db, ownerId, id);
  if (row === undefined) throw notYours();
  const [described, events] = await Promise.all([
    describe(deps, row, ownerId),
    listEventsOf(deps.db, { agentId: id }, undefined, ACTIVITY_MAX),
  ]);
  const activity = await Promise.all(events.map((event) => describeEvent(deps, event)));
  return { ...described, activity };
}

/** Gives an agent another name, which its owner chose. @throws Failure `notFound` */
export async function renameAgent(
  deps: Deps,
  asker: Asker,
  ownerId: string,
  id: string,
  name: string,
): Promise<void> {
  await withOwned(deps, ownerId, id, async (tx, now) => {
    await renameRow(tx, id, name);
    await record(tx, deps, asker, now, { kind: 'agent.renamed', accountId: ownerId, agentId: id });
  });
}

/**
 * Leaves an agent only some of its scopes, from the next introspection on. A key that loses all of its own ends. What it gave
 * away it does not get back; a key makes no wider one.
 *
 * @throws Failure `notFound`; `badRequest` where nothing would be left
 */
export async function narrowAgent(
  deps: Deps,
  asker: Asker,
  ownerId: string,
  id: string,
  scopes: readonly string[],
): Promise<void> {
  await withOwned(deps, ownerId, id, async (tx, now, agent) => {
    const left = scopesOf(deps, agent).filter((scope) => within([scope], scopes));
    const { had, kept } = await narrowKeys(tx, now, id, scopes, (key) => key);
    if (left.length === 0 || (had > 0 && kept === 0)) {
      throw new Failure('badRequest', 'Leave the agent one of its scopes, or revoke it.');
    }
    await narrowRow(tx, id, formatScope(left));
    await refuseNarrowed(tx, deps, id, left, now);
    await record(tx, deps, asker, now, {
      kind: 'agent.narrowed',
      accountId: ownerId,
      agentId: id,
      details: { scope: formatScope(scopes) },
    });
  });
}

/**
 * Ends that an agent is linked to its owner. It goes on alone in its own account, as one that nobody claimed: with the
 * anonymous scopes, and no longer than such an agent may.
 *
 * @throws Failure `notFound`; `badRequest` for one that is merged
 */
export async function unlinkAgent(deps: Deps, asker: Asker, ownerId: string, id: string): Promise<void> {
  await withOwned(deps, ownerId, id, async (tx, now, agent) => {
    if (agent.accountId === ownerId) throw new Failure('badRequest', 'This agent is merged, not linked.');
    await freeAccount(tx, agent.accountId);
    await release(tx, deps, now, agent, agent.accountId);
    await recordAndTell(tx, deps, asker, now, ownerId, { kind: 'agent.released', agentId: id });
  });
}

/**
 * Undoes a merge within seven days: the agent gets its own account back (or one, if it came without), and with its keys is
 * out of the owner's from the next introspection on. There it is as one that nobody claimed.
 *
 * @throws Failure `notFound`; `badRequest` where it is too late, or nothing was merged
 */
export async function undoMerge(deps: Deps, asker: Asker, ownerId: string, id: string): Promise<void> {
  await withOwned(deps, ownerId, id, async (tx, now, agent) => {
    const registration = await findRegistration(tx, agent.registrationId);
    if (registration?.kind === 'host' || undoableUntil(agent, ownerId, now) === undefined) {
      throw new Failure('badRequest', 'A merge can be undone for seven days. Revoke the agent instead.');
    }
    const own = agent.mergedFrom ?? newId('usr', now, deps.random);
    if (agent.mergedFrom === null) await insertAgentAccount(tx, own, null, now);
    else await freeAccount(tx, own);
    await release(tx, deps, now, agent, own);
    await recordAndTell(tx, deps, asker, now, ownerId, { kind: 'agent.merge_undone', agentId: id });
  });
}

/** Ends an agent and its keys for good, from the next introspection on. @throws Failure `notFound` */
export async function revokeOwnedAgent(deps: Deps, asker: Asker, ownerId: string, id: string): Promise<void> {
  const now = deps.clock();
  await deps.db.tx(async (tx) => {
    const agent = await holdOwned(tx, ownerId, id);
    if (agent.revokedAt === null) await refuseRevoked(tx, id, now);
    await endAgent(tx, deps, asker, now, agent);
  });
}

/** Runs a change of an agent that is its owner's and not revoked, while no key of it is made or changed by anybody else. */
async function withOwned(
  deps: Deps,
  ownerId: string,
  id: string,
  change: (tx: Tx, now: number, agent: AgentRow) => Promise<void>,
): Promise<void> {
  const now = deps.clock();
  await deps.db.tx(async (tx) => {
    const agent = await holdOwned(tx, ownerId, id);
    if (agent.revokedAt !== null) throw new Failure('badRequest', 'This agent was revoked.');
    await change(tx, now, agent);
  });
}

/** One agent of a human, which until the transaction ends nobody else changes. @throws Failure `notFound` */
async function holdOwned(tx: Tx, ownerId: string, id: string): Promise<AgentRow> {
  await holdAccount(tx, ownerId);
  await holdAgent(tx, id);
  const agent = await findOwnedAgent(tx, ownerId, id);
  if (agent === undefined) throw notYours();
  return agent;
}

async function release(tx: Tx, deps: Deps, now: number, agent: AgentRow, accountId: string): Promise<void> {
  const expiresAt = now + deps.config.limits.unclaimedTtlSeconds * 1000;
  await releaseAgent(tx, agent.id, agent.accountId, accountId);
  await releaseClaim(tx, agent.registrationId, now);
  await endDelegation(tx, agent.registrationId);
  await unclaimRegistration(tx, agent.registrationId, expiresAt);
  await narrowKeys(tx, now, agent.id, deps.config.anonymousScopes, (key) => ({
    accountId,
    expiresAt: Math.min(key.expiresAt ?? Infinity, expiresAt),
  }));
}

/** Leaves the live keys of an agent no more than these scopes; returns how many it had, and how many still work. */
async function narrowKeys(
  tx: Tx,
  now: number,
  agentId: string,
  scopes: readonly string[],
  place: (key: CredentialRow) => Pick<CredentialRow, 'accountId' | 'expiresAt'>,
): Promise<{ had: number; kept: number }> {
  let had = 0;
  let kept = 0;
  for (const key of await listCredentials(tx, agentId)) {
    if (!isLive(key, now)) continue;
    // Tokens come and go: only of lasting keys must one be left.
    const counts = isKey(key) ? 1 : 0;
    had += counts;
    const left = parseScope(key.scope).filter((scope) => within([scope], scopes));
    if (left.length === 0) {
      await revokeCredential(tx, key.hash, now);
    } else {
      await narrowCredential(tx, key.hash, { ...place(key), scope: formatScope(left) });
      kept += counts;
    }
  }
  return { had, kept };
}

/** What an agent may be given: what claimed ones get, but for what its owner took. */
function scopesOf(deps: Pick<Deps, 'config'>, agent: AgentRow): string[] {
  const left = agent.scope === null ? undefined : parseScope(agent.scope);
  return deps.config.claimedScopes.filter((scope) => left === undefined || within([scope], left));
}

async function describe(
  deps: Deps,
  row: AgentRow,
  ownerId: string,
): Promise<{ agent: OwnedAgent; keys: Key[] }> {
  const now = deps.clock();
  const [registration, credentials] = await Promise.all([
    findRegistration(deps.db, row.registrationId),
    listCredentials(deps.db, row.id),
  ]);
  const keys = credentials.filter(isKey).map(toKey);
  const live = credentials.filter((key) => isLive(key, now)).map(toKey);
  const hosted = registration!.kind === 'host' ? await hostedStanding(deps, row.id) : undefined;
  // One that renews an identity, or signs for itself, has no key that would show what it may do.
  const scopes =
    hosted?.scopes ?? (live.length === 0 ? scopesOf(deps, row) : live.flatMap((key) => key.scopes));
  const uses = credentials.map(({ lastUsedAt: at, lastUsedFrom: from }) => ({ at, from }));
  const signed = { at: hosted?.seenAt ?? null, from: 'its own environment' };
  const last = [...uses, { at: row.seenAt, from: row.seenFrom }, signed].reduce((latest, use) =>
    (use.at ?? 0) > (latest.at ?? 0) ? use : latest,
  );
  const agent: OwnedAgent = {
    id: row.id,
    name: row.name ?? undefined,
    // The registration of a host has the name of the host.
    isNamedByOwner: row.name !== (hosted ?? { name: registration!.agentName }).name,
    mode: registration!.mode!,
    provider: providerOf(deps.config, registration!.principal),
    registeredAt: registration!.createdAt,
    ownedAt: row.ownedAt!,
    revokedAt: row.revokedAt ?? undefined,
    scopes: row.revokedAt === null ? [...new Set(scopes)].sort() : [],
    lastUse: last.at === null ? undefined : { at: last.at, from: last.from ?? 'somewhere' },
    undoableUntil: registration!.kind === 'host' ? undefined : undoableUntil(row, ownerId, now),
  };
  return { agent, keys };
}

function undoableUntil(agent: AgentRow, ownerId: string, now: number): number | undefined {
  const until = (agent.ownedAt ?? 0) + UNDO_MS;
  return agent.accountId === ownerId && agent.revokedAt === null && until > now ? until : undefined;
}

function notYours(): Failure {
  return new Failure('notFound', 'There is no such agent among yours.');
}
