import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import { insertAgent } from '../../store/agents.ts';
import { updateGrantAllowed, updateGrantDenied, upsertGrant } from '../../store/grants.ts';
import { type AgentMode, findHostedAgentByKey, insertHostedAgent } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { agentLifecycle } from '../agents/agent-lifecycle.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { defaultCapabilities, type RequestedCapability } from './capabilities.ts';
import {
  type ConnectionRequestInput,
  createConnectionRequest,
  findOpenConnectionRequest,
} from './connection-requests.ts';
import { type HostedAgent, showHostedAgent } from './host-agent-view.ts';
import { accountOfHost, withHost } from './hosts.ts';
import { protocolError } from './protocol-errors.ts';
import { readPublicJwk } from './public-jwk.ts';
import { listRefused } from './refused-capabilities.ts';
import type { SigningHost } from './signed-requests.ts';

/**
 * Registers an agent under the host that signed the request. An autonomous agent is active at once, with public
 * capabilities only. A delegated agent is pending until its human approves it. It is active at once if the host has an
 * owner and it requests only public capabilities that the owner has not refused. A pending agent that is registered
 * again with its key stays the same agent.
 *
 * @throws Failure `protocolRefused`, `limited`
 */
export async function registerHostedAgent(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningHost,
  registration: {
    name: string;
    mode: AgentMode;
    capabilities: RequestedCapability[] | undefined;
  } & ConnectionRequestInput,
): Promise<HostedAgent> {
  const key = readPublicJwk(signer.agentKey);
  const id = await withHost(deps, origin, signer, async (work, host) => {
    const { tx } = work;
    const known = await findHostedAgentByKey(tx, host.id, key.thumbprint);
    if (known !== undefined) {
      if (agentLifecycle(deps, known).state !== 'pending') {
        throw protocolError(
          'agent_exists',
          'There is an agent with this key. Make a new key for a new agent.',
        );
      }
      if ((await findOpenConnectionRequest(deps, tx, known.id)) === undefined)
        await createConnectionRequest(work, known, registration);
      return known.id;
    }
    if (registration.mode === 'autonomous' && host.ownerId !== null) {
      throw protocolError('unsupported_mode', 'This host works for a human: register a delegated agent.');
    }
    await consumeLimits(work, [{ name: 'agentsPerHost', key: host.id }]);
    return addAgent(work, host, key, registration);
  });
  return showHostedAgent(deps, id);
}

/** Why a capability is denied to an agent of a host without an owner. */
export const NEEDS_HUMAN = 'It needs a human: connect in delegated mode.';

async function addAgent(
  work: Work,
  host: HostRow,
  key: { thumbprint: string; jwk: string },
  registration: {
    name: string;
    mode: AgentMode;
    capabilities: RequestedCapability[] | undefined;
  } & ConnectionRequestInput,
): Promise<string> {
  const { tx, now, deps } = work;
  const id = newId('agt', now, deps.random);
  const publicNames = new Set(defaultCapabilities(deps.config));
  const requested =
    registration.capabilities ?? [...publicNames].map((name) => ({ name, constraints: undefined }));
  const refused = await listRefused(tx, host);
  const isPublicOnly = requested.every(({ name }) => publicNames.has(name) && !refused.has(name));
  const needsHuman = registration.mode === 'delegated' && (host.ownerId === null || !isPublicOnly);
  await insertHostedAgent(tx, {
    id,
    hostId: host.id,
    mode: registration.mode,
    name: registration.name,
    thumbprint: key.thumbprint,
    publicJwk: key.jwk,
    activatedAt: needsHuman ? null : now,
    now,
  });
  for (const { name, constraints } of requested) {
    const text = constraints === undefined ? null : JSON.stringify(constraints);
    await upsertGrant(tx, { agentId: id, capability: name, constraints: text }, now);
  }
  if (needsHuman) {
    await createConnectionRequest(work, { id }, registration);
    return id;
  }
  await insertAgent(tx, {
    id,
    accountId: accountOfHost(host),
    registrationId: host.registrationId,
    name: registration.name,
    now,
    origin: work.origin.address.coarse,
    ...(host.ownerId !== null && { ownedAt: now }),
  });
  for (const { name } of requested) {
    if (publicNames.has(name)) await updateGrantAllowed(tx, id, name, null, now);
    else await updateGrantDenied(tx, id, name, NEEDS_HUMAN, now);
  }
  await recordEvent(work, {
    kind: 'agent.connected',
    accountId: accountOfHost(host),
    agentId: id,
    details: { host: host.id, mode: registration.mode },
  });
  return id;
}
