import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type PublicKey, readPublicKey } from '../../lib/ed25519.ts';
import { newId } from '../../lib/ids.ts';
import {
  cutPage,
  formatTimeCursor,
  type ListPage,
  type ListQuery,
  PAGE_LIMIT,
  parseTimeCursor,
} from '../../lib/list-pages.ts';
import { insertAgentAccount, lockAccount, updateAccountMerged } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import { updateApprovalsOfAgentDecided } from '../../store/approvals.ts';
import type { Tx } from '../../store/engine/db.ts';
import { deleteGrants } from '../../store/grants.ts';
import { listHostedAgents, updateHostedAgentEnded } from '../../store/hosted-agents.ts';
import {
  findHost,
  findHostByThumbprint,
  type HostRow,
  insertHost,
  listHostsPage,
  lockHost,
  updateHostKey,
  updateHostLinked,
  updateHostRevoked,
} from '../../store/hosts.ts';
import { insertRegistration, updateHostRegistrationClaimed } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { agentLifecycle, hasHostEnded } from '../agents/agent-lifecycle.ts';
import { endAgent } from '../agents/end-agent.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { registrationLimits } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';
import { invalidJwt, protocolError } from './protocol-errors.ts';

/** A host as its owner sees it. */
export interface OwnedHost {
  id: string;
  /** The name that the host sent: unverified. */
  name: string | undefined;
  /** Epoch ms, all three. */
  createdAt: number;
  linkedAt: number;
  revokedAt: number | undefined;
}

/** The signer of a host token: its key, and the row of its host as it was read before the transaction. */
interface HostSigner {
  host: HostRow | undefined;
  key: PublicKey;
  name: string | undefined;
}

/**
 * Runs a transaction with the locked host of a key. A host that is not known yet is created, with a registration that
 * expires unless a human owns the host in time.
 *
 * @returns what `act` returns
 * @throws Failure `limited`; `protocolRefused` if the host was revoked or changed its key meanwhile
 */
export async function withHost<Result>(
  deps: Deps,
  origin: RequestOrigin,
  signer: HostSigner,
  act: (work: Work, host: HostRow) => Promise<Result>,
): Promise<Result> {
  const counters = signer.host === undefined ? registrationLimits(origin.address) : [];
  for (let isRetry = false; ; isRetry = true) {
    let wasCreatedMeanwhile = false;
    try {
      return await useCase(deps, origin, { sharedLimits: counters }, async (work) => {
        const host = await lockOrCreateHost(work, signer);
        wasCreatedMeanwhile = host === undefined;
        if (host === undefined) throw invalidJwt('registered meanwhile');
        return act(work, host);
      });
    } catch (error) {
      // If two requests register one new key at once, the second finds the host of the first when it runs again.
      if (!wasCreatedMeanwhile || isRetry) throw error;
    }
  }
}

/** @returns undefined if another request has just created the host */
async function lockOrCreateHost(work: Work, signer: HostSigner): Promise<HostRow | undefined> {
  const { tx, deps } = work;
  const known = signer.host ?? (await findHostByThumbprint(tx, signer.key.thumbprint));
  if (known === undefined) {
    await work.consumeSharedLimits();
    return createHost(work, signer.key, signer.name);
  }
  const host = await lockHost(tx, known.id);
  const isSame = host !== undefined && host.thumbprint === signer.key.thumbprint;
  if (!isSame || hasHostEnded(deps, host)) throw invalidJwt('revoked or rotated meanwhile');
  return host;
}

async function createHost(
  work: Work,
  key: PublicKey,
  name: string | undefined,
): Promise<HostRow | undefined> {
  const { tx, now, deps } = work;
  const id = newId('hst', now, deps.random);
  const registrationId = newId('reg', now, deps.random);
  const accountId = newId('usr', now, deps.random);
  const { thumbprint, jwk: publicJwk } = key;
  await insertAgentAccount(tx, accountId, null, now);
  await insertRegistration(tx, {
    id: registrationId,
    kind: 'host',
    agentId: null,
    agentName: name ?? null,
    now,
    expiresAt: now + deps.config.limits.unclaimedTtlSeconds * 1000,
  });
  const isNew = await insertHost(tx, {
    id,
    registrationId,
    accountId,
    name: name ?? null,
    thumbprint,
    publicJwk,
    now,
  });
  if (!isNew) return undefined;
  await recordEvent(work, {
    kind: 'registration.created',
    subject: registrationId,
    details: { type: 'host', host: id },
  });
  return (await lockHost(tx, id))!;
}

/**
 * Links a host to the human who approved one of its agents, in the caller's transaction. The host's account is merged
 * into the human's, and its autonomous agents end as claimed: the approved agent takes their place (Agent Auth Protocol
 * 1.0-draft, section 2.10).
 *
 * @returns whether this human owns the host now
 */
export async function linkHost(work: Work, host: HostRow, ownerId: string): Promise<boolean> {
  const { tx, now, deps } = work;
  if (host.ownerId !== null) return host.ownerId === ownerId;
  if ((await updateHostLinked(tx, host.id, ownerId, now)) !== 1) return false;
  await updateHostRegistrationClaimed(tx, host.registrationId, now);
  for (const row of await listHostedAgents(tx, host.id)) {
    if (row.mode !== 'autonomous' || agentLifecycle(deps, row).state === 'pending') continue;
    const agent = await findAgent(tx, row.id);
    if (agent !== undefined) await endAgent(work, agent);
    if ((await updateHostedAgentEnded(tx, row.id, 'claimed', now)) !== 1) continue;
    await deleteGrants(tx, row.id);
    await recordEvent(work, { kind: 'agent.claimed', accountId: ownerId, agentId: row.id });
  }
  await updateAccountMerged(tx, host.accountId, ownerId, now);
  await recordAndNotify(work, ownerId, {
    kind: 'host.linked',
    subject: host.id,
    details: { from: host.accountId },
  });
  return true;
}

/** Revokes a host and all of its agents. @returns how many agents it ended; 0 for an unknown host */
export async function revokeHost(deps: Deps, origin: RequestOrigin, id: string): Promise<number> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const host = await lockOwnerAndHost(tx, id);
    return host === undefined ? 0 : endHost(work, host);
  });
}

/** Revokes a host for its owner. @throws Failure `notFound`, also for a host of another owner */
export async function revokeOwnedHost(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const host = await lockOwnerAndHost(tx, id);
    if (host?.ownerId !== ownerId) throw new Failure('notFound', 'There is no such host among yours.');
    await endHost(work, host);
  });
}

/**
 * Locks the account of a host's owner and then the host: see the order of locks in
 * docs/adr/0003-two-engines-one-sql.md.
 */
async function lockOwnerAndHost(tx: Tx, id: string): Promise<HostRow | undefined> {
  const ownerId = (await findHost(tx, id))?.ownerId;
  if (ownerId) await lockAccount(tx, ownerId);
  return lockHost(tx, id);
}

/** Revokes a host and all of its agents in the caller's transaction. @returns how many agents it ended */
export async function endHost(work: Work, host: HostRow): Promise<number> {
  const { tx, now } = work;
  if ((await updateHostRevoked(tx, host.id, now)) !== 1) return 0;
  let ended = 0;
  for (const row of await listHostedAgents(tx, host.id)) {
    const agent = await findAgent(tx, row.id);
    if (agent !== undefined) await endAgent(work, agent);
    ended += await updateHostedAgentEnded(tx, row.id, 'revoked', now);
    await updateApprovalsOfAgentDecided(tx, row.id, now);
  }
  const revoked = { kind: 'host.revoked', subject: host.id, details: { agents: ended } } as const;
  if (host.ownerId !== null) await recordAndNotify(work, host.ownerId, revoked);
  else await recordEvent(work, revoked);
  return ended;
}

/**
 * Replaces the key of a host, at the host's own request. The old key is refused from now on.
 *
 * @param value the new public key, an Ed25519 JWK
 * @throws Failure `protocolRefused`
 */
export async function rotateHostKey(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  value: unknown,
): Promise<void> {
  const key = readPublicJwk(value);
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const locked = await lockHost(tx, host.id);
    const isUnchanged =
      locked !== undefined && locked.revokedAt === null && locked.thumbprint === host.thumbprint;
    const newKey = { thumbprint: key.thumbprint, publicJwk: key.jwk };
    if (!isUnchanged || !(await updateHostKey(tx, locked, newKey, now))) {
      throw protocolError('invalid_public_key', 'Rotate to a key that no host has or had.');
    }
    await recordEvent(work, {
      kind: 'host.rekeyed',
      accountId: host.ownerId ?? undefined,
      subject: host.id,
    });
  });
}

/** Lists the hosts of a human, those linked last first, including revoked ones. */
export async function listOwnedHosts(
  deps: Deps,
  ownerId: string,
  query: ListQuery = {},
): Promise<ListPage<OwnedHost>> {
  const mark = parseTimeCursor(query.before);
  const before = mark && { linkedAt: mark.at, id: mark.id };
  const rows = await listHostsPage(deps.db, ownerId, before, PAGE_LIMIT);
  const { items, next } = cutPage(rows, (row) => formatTimeCursor(row.linkedAt!, row.id));
  const hosts = items.map((row) => ({
    id: row.id,
    name: row.name ?? undefined,
    createdAt: row.createdAt,
    linkedAt: row.linkedAt!,
    revokedAt: row.revokedAt ?? undefined,
  }));
  return { items: hosts, next };
}

/**
 * Reads the public key of a host or an agent from a JWK.
 *
 * @throws Failure `protocolRefused`: `unsupported_algorithm`, `invalid_public_key`
 */
export function readPublicJwk(value: unknown): PublicKey {
  const key = readPublicKey(value);
  if (key === 'otherKind') {
    throw protocolError(
      'unsupported_algorithm',
      'Keys are Ed25519: {"kty":"OKP","crv":"Ed25519","x":"..."}.',
    );
  }
  if (typeof key === 'string') {
    throw protocolError(
      'invalid_public_key',
      'Send a public Ed25519 key as a JWK, without its private part.',
    );
  }
  return key;
}

/**
 * Returns the account in which the agents of a host work: its owner's, or the host's own while nobody owns the host.
 */
export function accountOfHost({ ownerId, accountId }: Pick<HostRow, 'ownerId' | 'accountId'>): string {
  return ownerId ?? accountId;
}
