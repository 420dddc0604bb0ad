import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import { findAgent, insertAgent, lockAgent } from '../../store/agents.ts';
import { updateApprovalsOfAgentDecided } from '../../store/approvals.ts';
import { deleteGrants, updateGrantAllowed, updateGrantDenied, upsertGrant } from '../../store/grants.ts';
import {
  type AgentMode,
  findHostedAgentByKey,
  insertHostedAgent,
  updateHostedAgentActivated,
  updateHostedAgentEnded,
  updateHostedAgentKey,
} from '../../store/hosted-agents.ts';
import { type HostRow, lockHost } from '../../store/hosts.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { lifecycleOf } from '../agents/agent-lifecycle.ts';
import { endAgent } from '../agents/end-agent.ts';
import { record } from '../audit/audit-log.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { type AskedCapability, defaultCapabilities } from './capabilities.ts';
import { type ConnectionRequest, createConnectionRequest, openApprovalOf } from './connection-requests.ts';
import { findOwn, type HostedAgent, showHostedAgent } from './host-agent-view.ts';
import { accountOfHost, readKey, withHost } from './hosts.ts';
import { protocolError } from './protocol-errors.ts';
import { REFUSED, refusedTo } from './refused-capabilities.ts';
import type { SigningHost } from './signed-requests.ts';
/** Agents under hosts (Agent Auth Protocol 1.0-draft, section 5). A host brings them, asks about them and ends them; they sign for themselves. */

/**
 * Registers an agent under the host that signed the request. One that works for itself is active at once with what anybody may; one
 * that works for a human waits for them, unless the host is theirs and it asks for no more than that. The same agent key again, while
 * it waits, is the same agent.
 *
 * @throws Failure `protocolRefused`, `limited`
 */
export async function registerHostedAgent(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningHost,
  ask: { name: string; mode: AgentMode; capabilities: AskedCapability[] | undefined } & ConnectionRequest,
): Promise<HostedAgent> {
  const key = readKey(signer.agentKey);
  const id = await withHost(deps, origin, signer, async (work, host) => {
    const { tx } = work;
    const known = await findHostedAgentByKey(tx, host.id, key.thumbprint);
    if (known !== undefined) {
      if (lifecycleOf(deps, known).state !== 'pending') {
        throw protocolError(
          'agent_exists',
          'There is an agent with this key. Make a new key for a new agent.',
        );
      }
      if ((await openApprovalOf(deps, tx, known.id)) === undefined)
        await createConnectionRequest(work, known, ask);
      return known.id;
    }
    if (ask.mode === 'autonomous' && host.ownerId !== null) {
      throw protocolError('unsupported_mode', 'This host works for a human: register a delegated agent.');
    }
    await consumeLimits(work, [{ name: 'agentsPerHost', key: host.id }]);
    return addAgent(work, host, key, ask);
  });
  return showHostedAgent(deps, id);
}

/** Why an agent that works for itself is denied something. */
export const NEEDS_HUMAN = 'It needs a human: connect in delegated mode.';

async function addAgent(
  work: Work,
  host: HostRow,
  key: { thumbprint: string; jwk: string },
  ask: { name: string; mode: AgentMode; capabilities: AskedCapability[] | undefined } & ConnectionRequest,
): Promise<string> {
  const { tx, now, deps } = work;
  const id = newId('agt', now, deps.random);
  const free = new Set(defaultCapabilities(deps.config));
  const asked = ask.capabilities ?? [...free].map((name) => ({ name, constraints: undefined }));
  const before = await refusedTo(tx, host);
  const isFree = asked.every(({ name }) => free.has(name) && !before.has(name));
  const needsHuman = ask.mode === 'delegated' && (host.ownerId === null || !isFree);
  await insertHostedAgent(tx, {
    id,
    hostId: host.id,
    mode: ask.mode,
    name: ask.name,
    thumbprint: key.thumbprint,
    publicJwk: key.jwk,
    activatedAt: needsHuman ? null : now,
    now,
  });
  for (const { name, constraints } of asked) {
    const text = constraints === undefined ? null : JSON.stringify(constraints);
    await upsertGrant(tx, { agentId: id, capability: name, constraints: text }, now);
  }
  if (needsHuman) {
    await createConnectionRequest(work, { id }, ask);
    return id;
  }
  await insertAgent(tx, {
    id,
    accountId: accountOfHost(host),
    registrationId: host.registrationId,
    name: ask.name,
    now,
    ...(host.ownerId !== null && { ownedAt: now }),
  });
  for (const { name } of asked) {
    if (free.has(name)) await updateGrantAllowed(tx, id, name, null, now);
    else await updateGrantDenied(tx, id, name, NEEDS_HUMAN, now);
  }
  await record(work, {
    kind: 'agent.connected',
    accountId: accountOfHost(host),
    agentId: id,
    details: { host: host.id, mode: ask.mode },
  });
  return id;
}

/**
 * Begins an agent anew that has expired: with what anybody may and its human has not refused (Agent Auth Protocol 1.0-draft, section 5.6).
 *
 * @throws Failure `protocolRefused` */
export async function reactivateHostedAgent(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  id: string,
): Promise<HostedAgent> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await lockHost(tx, host.id);
    const agent = await findOwn(tx, host, id);
    const { state } = lifecycleOf(deps, agent);
    if (state === 'active') return;
    if (state === 'over') {
      throw protocolError(
        'absolute_lifetime_exceeded',
        'The agent has lived as long as one may. Register a new one.',
      );
    }
    if (state !== 'expired') throw protocolError(`agent_${state}`, `The agent is ${state}, not expired.`);
    await deleteGrants(tx, id);
    await updateApprovalsOfAgentDecided(tx, id, now); // nothing is left of what was asked
    const before = await refusedTo(tx, host, id);
    for (const name of defaultCapabilities(deps.config)) {
      await upsertGrant(tx, { agentId: id, capability: name, constraints: null }, now);
      if (before.has(name)) await updateGrantDenied(tx, id, name, REFUSED.before, now);
      else await updateGrantAllowed(tx, id, name, null, now);
    }
    await updateHostedAgentActivated(tx, id, now);
    await record(work, {
      kind: 'agent.reactivated',
      accountId: host.ownerId ?? undefined,
      agentId: id,
    });
  });
  return showHostedAgent(deps, id);
}

/** Ends one of the host's agents. One that has ended stays as it is. @throws Failure `protocolRefused` */
export async function revokeHostedAgent(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await findOwn(tx, host, id);
    const agent = await findAgent(tx, id);
    if (agent !== undefined) await endAgent(work, agent);
    await updateApprovalsOfAgentDecided(tx, id, now);
    await updateHostedAgentEnded(tx, id, 'revoked', now);
  });
}

/** Gives an agent another key; the old one is refused from now on. @throws Failure `protocolRefused` */
export async function rotateAgentKey(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  id: string,
  value: unknown,
): Promise<HostedAgent> {
  const key = readKey(value);
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await lockAgent(tx, id);
    const agent = await findOwn(tx, host, id);
    const { state } = lifecycleOf(deps, agent);
    if (state === 'revoked' || state === 'rejected' || state === 'claimed') {
      throw protocolError(`agent_${state}`, `The agent was ${state}. Register a new one.`);
    }
    if (!(await updateHostedAgentKey(tx, agent, { thumbprint: key.thumbprint, publicJwk: key.jwk }))) {
      throw protocolError('invalid_public_key', 'Rotate to a key that no agent of this host has.');
    }
    await record(work, {
      kind: 'host.rekeyed',
      accountId: host.ownerId ?? undefined,
      agentId: id,
      subject: host.id,
    });
  });
  return showHostedAgent(deps, id);
}
