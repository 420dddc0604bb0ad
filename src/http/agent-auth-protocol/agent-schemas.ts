import { z } from 'zod';
import { POLL_SECONDS } from '../../domain/claims/claim-status.ts';
import { capabilitiesOf } from '../../domain/hosts/capabilities.ts';
import type { ConnectionRequestInput } from '../../domain/hosts/connection-requests.ts';
import type { HostedAgent } from '../../domain/hosts/host-agent-view.ts';
import { REFUSAL_REASONS } from '../../domain/hosts/refused-capabilities.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { secondsUntil } from '../../lib/time.ts';
import type { Call } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';

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

export const registerBody = z.object({
  name: z.string().min(1).max(200),
  host_name: shortText(200),
  capabilities: requestedCapabilities.nullish(),
  mode: z.string().max(32).default('delegated'),
  ...connectionRequestMembers,
});
export const requestBody = z.object({
  capabilities: requestedCapabilities.min(1),
  ...connectionRequestMembers,
});
export const agentBody = z.object({ agent_id: z.string().max(64) });
export const rotateBody = z.object({ agent_id: z.string().max(64), public_key: z.unknown() });

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
export const agentAnswer = z.object({
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

export const endAnswer = z.object({ agent_id: z.string(), status: z.string() });

export function readConnectionRequest(body: {
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
export function toSingleLine(text: string | null | undefined, max: number): string | undefined {
  const line = text
    ?.replace(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .slice(0, max);
  return line || undefined;
}

/** Returns the status on the wire: an agent past its absolute lifetime is `revoked` (section 2.4). */
export function wireStatusOf({ life }: HostedAgent): z.output<typeof agentAnswer>['status'] {
  return life.state === 'over' ? 'revoked' : life.state;
}

/** Returns an agent with its grants and its open approval, as its host sees it (sections 3.3 and 5.5). */
export function renderAgent({ deps }: Pick<Call<unknown, 'agentHost'>, 'deps'>, hosted: HostedAgent): object {
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
