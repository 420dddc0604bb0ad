import { readRequestedCapabilities } from '../../domain/hosts/capabilities.ts';
import { showOwnHostedAgent } from '../../domain/hosts/host-agent-view.ts';
import { reactivateHostedAgent, revokeHostedAgent, rotateAgentKey } from '../../domain/hosts/host-agents.ts';
import { protocolError } from '../../domain/hosts/protocol-errors.ts';
import { registerHostedAgent } from '../../domain/hosts/register-hosted-agent.ts';
import { requestCapabilities as requestMoreCapabilities } from '../../domain/hosts/request-capabilities.ts';
import { Failure } from '../../errors.ts';
import { isVisibleAscii } from '../../lib/visible-ascii.ts';
import { json, operation } from '../server/table.ts';
import {
  agentAnswer,
  agentBody,
  endAnswer,
  readConnectionRequest,
  registerBody,
  renderAgent,
  requestBody,
  rotateBody,
  toSingleLine,
  wireStatusOf,
} from './agent-schemas.ts';

/** The agent endpoints of the Agent Auth Protocol (Agent Auth Protocol 1.0-draft, sections 5.3 to 5.8). */

/** POST /agent/register (section 5.3): registers an agent under the host that signed. */
export const registerAgent = operation({
  caller: 'hostOrNewHost',
  summary: 'Register an agent under the host that signs',
  body: json(registerBody),
  answer: agentAnswer,
  async handle(call) {
    const { deps, origin, body, caller } = call;
    const { mode } = body;
    if (mode !== 'delegated' && mode !== 'autonomous') {
      throw protocolError('unsupported_mode', 'The modes are delegated and autonomous.');
    }
    const signer = { ...caller, name: toSingleLine(caller.name ?? body.host_name, 200) };
    const capabilities = body.capabilities
      ? readRequestedCapabilities(deps.config, body.capabilities)
      : undefined;
    const name = toSingleLine(body.name, 200) ?? '';
    const registration = { name, mode, capabilities, ...readConnectionRequest(body) } as const;
    return { data: renderAgent(call, await registerHostedAgent(deps, origin, signer, registration)) };
  },
});

/** POST /agent/request-capability (section 5.4): requests more capabilities for the agent that signed. */
export const requestCapabilities = operation({
  caller: 'hostedAgent',
  summary: 'Ask for more capabilities',
  body: json(requestBody),
  answer: agentAnswer,
  async handle(call) {
    const { deps, origin, body, caller } = call;
    const capabilities = readRequestedCapabilities(deps.config, body.capabilities);
    const requested = await requestMoreCapabilities(
      deps,
      origin,
      caller,
      capabilities,
      readConnectionRequest(body),
    );
    // The agent itself stays active, but published clients poll for the approval only if `status` is `pending`.
    return {
      data: {
        ...renderAgent(call, requested),
        status: requested.approval === undefined ? 'active' : 'pending',
      },
    };
  },
});

/** GET /agent/status?agent_id= (section 5.5): returns the state and the grants of an agent of this host. */
export const showStatus = operation({
  caller: 'agentHost',
  summary: 'How far an agent has come, and what it may do',
  answer: agentAnswer,
  async handle(call) {
    const id = call.query.get('agent_id');
    if (id === null) throw new Failure('badRequest', 'Say which: ?agent_id=…', { field: 'agent_id' });
    if (!isVisibleAscii(id)) throw protocolError('agent_not_found', 'There is no such agent.');
    return { data: renderAgent(call, await showOwnHostedAgent(call.deps, call.caller.host, id)) };
  },
});

/** POST /agent/reactivate (section 5.6): reactivates an expired agent of this host. */
export const reactivateAgent = operation({
  caller: 'agentHost',
  summary: 'Begin an agent anew that has expired',
  body: json(agentBody),
  answer: agentAnswer,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    return { data: renderAgent(call, await reactivateHostedAgent(deps, origin, caller.host, body.agent_id)) };
  },
});

/** POST /agent/revoke (section 5.7): revokes an agent of this host. */
export const revokeAgent = operation({
  caller: 'agentHost',
  summary: 'End an agent',
  body: json(agentBody),
  answer: endAnswer,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    await revokeHostedAgent(deps, origin, caller.host, body.agent_id);
    return { data: { agent_id: body.agent_id, status: 'revoked' } };
  },
});

/** POST /agent/rotate-key (section 5.8): replaces the key of an agent of this host. */
export const rotateAgentKeyOperation = operation({
  caller: 'agentHost',
  summary: 'Give an agent another key',
  body: json(rotateBody),
  answer: endAnswer,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    const rotated = await rotateAgentKey(deps, origin, caller.host, body.agent_id, body.public_key);
    return { data: { agent_id: rotated.agent.id, status: wireStatusOf(rotated) } };
  },
});
