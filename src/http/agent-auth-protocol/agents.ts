import { z } from 'zod';
import { POLL_SECONDS } from '../../domain/claims/claim-status.ts';
import { capabilitiesOf, readRequestedCapabilities } from '../../domain/hosts/capabilities.ts';
import type { ConnectionRequestInput } from '../../domain/hosts/connection-requests.ts';
import { type HostedAgent, showOwnHostedAgent } from '../../domain/hosts/host-agent-view.ts';
import {
  reactivateHostedAgent,
  registerHostedAgent,
  revokeHostedAgent,
  rotateAgentKey,
} from '../../domain/hosts/host-agents.ts';
import { protocolError } from '../../domain/hosts/protocol-errors.ts';
import { REFUSAL_REASONS } from '../../domain/hosts/refused-capabilities.ts';
import { requestCapabilities as requestMoreCapabilities } from '../../domain/hosts/request-capabilities.ts';
import { Failure } from '../../errors.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { secondsUntil } from '../../lib/time.ts';
import { isVisibleAscii } from '../../lib/visible-ascii.ts';
import { type Call, json, operation } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';

/** The agent endpoints of the Agent Auth Protocol (Agent Auth Protocol 1.0-draft, sections 5.3 to 5.8). */

const shortText = (max: number) => z.string().max(max).nullish();
const requestedCapabilities = z
  .array(
    z.union([
      z.string().max(64),
      z.object({ name: z.string().max(64), constraints: z.unknown().optional() }),
    ]),
  )
  .max(64);
const connectionRequestMembers = {
  reason: shortText(500).describe('Why, for the human'),
  preferred_method: shortText(64),
  login_hint: shortText(254).describe('The mailbox of the human'),
  binding_message: shortText(200).describe('Shown to the human, to tell this request from others'),
};

const registerBody = z.object({
  name: z.string().min(1).max(200),
  host_name: shortText(200),
  capabilities: requestedCapabilities.nullish(),
  mode: z.string().max(32).default('delegated'),
  ...connectionRequestMembers,
});
const requestBody = z.object({ capabilities: requestedCapabilities.min(1), ...connectionRequestMembers });
const agentBody = z.object({ agent_id: z.string().max(64) });
const rotateBody = z.object({ agent_id: z.string().max(64), public_key: z.unknown() });

const time = z.iso.datetime().optional();
const schema = z.looseObject({}).optional().describe('JSON Schema');
const grant = z.object({
  capability: z.string(),
  status: z.enum(['active', 'pending', 'denied']),
  description: z.string().optional(),
  input: schema,
  output: schema,
  constraints: z.looseObject({}).optional(),
  granted_by: z.string().optional().describe('The account of the human'),
  reason: z
    .string()
    .optional()
    .describe('Of a denial; where the human refused it before, that they are asked again'),
});
const approval = z.object({
  method: z.enum(['device_authorization', 'ciba']),
  expires_in: z.int(),
  interval: z.int().describe('Seconds between two polls'),
  verification_uri: z.url().optional(),
  verification_uri_complete: z.url().optional(),
  user_code: z.string().optional(),
  binding_message: z.string().optional(),
});
const agentAnswer = z.object({
  agent_id: z.string(),
  host_id: z.string(),
  name: z.string(),
  mode: z.enum(['delegated', 'autonomous']),
  status: z.enum(['pending', 'active', 'expired', 'revoked', 'rejected', 'claimed']),
  user_id: z.string().optional().describe('The account of the human whose host it is'),
  created_at: z.iso.datetime(),
  activated_at: time,
  last_used_at: time,
  expires_at: time,
  agent_capability_grants: z.array(grant),
  approval: approval.optional(),
});

const endAnswer = z.object({ agent_id: z.string(), status: z.string() });

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

function readConnectionRequest(body: {
  reason?: string | null | undefined;
  preferred_method?: string | null | undefined;
  login_hint?: string | null | undefined;
  binding_message?: string | null | undefined;
}): ConnectionRequestInput {
  return {
    reason: toSingleLine(body.reason, 500),
    bindingMessage: toSingleLine(body.binding_message, 200),
    mailbox: body.login_hint ? parseMailbox(body.login_hint.trim()) : undefined,
    method: body.preferred_method === 'ciba' ? 'ciba' : 'device_authorization',
  };
}

/** Collapses control characters and white space into one line; pages also escape the text (section 8.10). */
function toSingleLine(text: string | null | undefined, max: number): string | undefined {
  const line = text
    ?.replace(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .slice(0, max);
  return line || undefined;
}

/** Returns the status on the wire: an agent past its absolute lifetime is `revoked` (section 2.4). */
function wireStatusOf({ life }: HostedAgent): z.output<typeof agentAnswer>['status'] {
  return life.state === 'over' ? 'revoked' : life.state;
}

/** Returns an agent with its grants and its open approval, as its host sees it (sections 3.3 and 5.5). */
function renderAgent({ deps }: Pick<Call<unknown, 'agentHost'>, 'deps'>, hosted: HostedAgent): object {
  const { agent, host, life, grants, approval } = hosted;
  const known = capabilitiesOf(deps.config);
  return {
    agent_id: agent.id,
    host_id: host.id,
    name: agent.name,
    mode: agent.mode,
    status: wireStatusOf(hosted),
    ...(host.ownerId !== null && { user_id: host.ownerId }),
    created_at: toIso(agent.createdAt),
    ...(agent.activatedAt !== null && { activated_at: toIso(agent.activatedAt) }),
    ...(agent.seenAt !== null && { last_used_at: toIso(agent.seenAt) }),
    ...(life.state === 'active' && { expires_at: toIso(life.expiresAt) }),
    agent_capability_grants: grants.map((each) => {
      const { capability, constraints, grantedAt, deniedAt, grantedBy, reason } = each;
      const limits = constraints === null ? {} : { constraints: JSON.parse(constraints) as object };
      if (deniedAt !== null) return { capability, status: 'denied', reason: reason ?? undefined };
      if (grantedAt === null) {
        const reaskReason = hosted.refused.has(capability) ? { reason: REFUSAL_REASONS.askedAgain } : {};
        return { capability, status: 'pending', ...limits, ...reaskReason };
      }
      const { description, input, output } = known.get(capability) ?? {};
      return {
        capability,
        status: 'active',
        description,
        input,
        output,
        ...limits,
        granted_by: grantedBy ?? undefined,
      };
    }),
    ...(approval && {
      approval: {
        method: approval.method,
        expires_in: secondsUntil(approval.expiresAt, deps.clock()),
        interval: POLL_SECONDS,
        ...(approval.method === 'device_authorization'
          ? {
              verification_uri: `${deps.config.publicUrl}${PAGES.connect}`,
              verification_uri_complete: approval.verificationUri,
              user_code: approval.code,
            }
          : { binding_message: approval.bindingMessage }),
      },
    }),
  };
}
