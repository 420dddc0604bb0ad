import { z } from 'zod';
import { introspectAgent } from '../../domain/hosts/agent-introspection.ts';
import {
  type Capability,
  capabilitiesOf,
  isPublicCapability,
  listGrantedCapabilities,
} from '../../domain/hosts/capabilities.ts';
import { executeCapability } from '../../domain/hosts/execute-capability.ts';
import { protocolError } from '../../domain/hosts/protocol-errors.ts';
import { Failure } from '../../errors.ts';
import { type Call, json, operation } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';
import { agentTokenAudiences } from './signers.ts';

/** The capability endpoints and introspection (Agent Auth Protocol 1.0-draft, sections 5.2, 5.11 and 5.12). */

const listedCapability = z.object({
  name: z.string(),
  description: z.string(),
  location: z.string().optional().describe('Where agents use it; by default here'),
  grant_status: z.enum(['granted', 'not_granted']).optional(),
});
const listAnswer = z.object({
  capabilities: z.array(listedCapability),
  has_more: z.boolean(),
  next_cursor: z.string().optional(),
});
const describeAnswer = listedCapability.extend({
  input: z.looseObject({}).describe('JSON Schema'),
  output: z.looseObject({}).optional().describe('JSON Schema'),
});

const executeBody = z.object({
  capability: z.string().min(1).max(64),
  arguments: z.record(z.string(), z.unknown()).nullish(),
});
const executeAnswer = z.object({ data: z.unknown() });
const introspectBody = z.object({
  token: z.string().min(1).max(8192),
  client_id: z.string().optional(),
  client_secret: z.string().optional(),
});
const introspectAnswer = z.looseObject({ active: z.boolean() });

/** GET /capability/list (section 5.2): lists capabilities, with their grant status if an agent signed. */
export const list = operation({
  caller: 'hostOrAgentIfAny',
  summary: 'What agents can be allowed',
  answer: listAnswer,
  async handle(call) {
    const { deps, caller, query } = call;
    const words = (query.get('query') ?? '').toLowerCase().split(/\s+/).filter(Boolean);
    const matching = listCapabilities(call).filter(({ name, description }) =>
      words.every((word) => `${name} ${description}`.toLowerCase().includes(word)),
    );
    const { items, next } = cutPage(matching, query.get('cursor'), query.get('limit'));
    const granted =
      caller?.agent === undefined ? undefined : await listGrantedCapabilities(deps, caller.agent);
    return {
      headers: { 'Cache-Control': `${caller === undefined ? 'public' : 'private'}, max-age=300` },
      data: {
        capabilities: items.map(({ name, description, location }) => ({
          name,
          description,
          location,
          grant_status: granted && (granted.has(name) ? 'granted' : 'not_granted'),
        })),
        has_more: next !== undefined,
        next_cursor: next,
      },
    };
  },
});

/** GET /capability/describe?name= (section 5.2.1): returns one capability with its JSON Schemas. */
export const describeCapability = operation({
  caller: 'hostOrAgentIfAny',
  summary: 'One of them, with its input',
  answer: describeAnswer,
  async handle(call) {
    const { deps, caller, query } = call;
    const name = query.get('name');
    if (name === null) throw new Failure('badRequest', 'Say which: ?name=…', { field: 'name' });
    const capability = listCapabilities(call).find((each) => each.name === name);
    if (capability === undefined) throw protocolError('capability_not_found', 'There is no such capability.');
    const { description, input, output, location } = capability;
    const granted =
      caller?.agent === undefined ? undefined : await listGrantedCapabilities(deps, caller.agent);
    const grant_status = granted && (granted.has(name) ? 'granted' : 'not_granted');
    return { data: { name, description, location, input, output, grant_status } };
  },
});

/** POST /capability/execute (section 5.11): executes a capability for the agent that signed. */
export const execute = operation({
  caller: 'executingAgent',
  summary: 'Use a capability',
  body: json(executeBody),
  answer: executeAnswer,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    const data = await executeCapability(deps, origin, caller, body.capability, body.arguments ?? {});
    return { data: { data } };
  },
});

/**
 * POST /agent/introspect (section 5.12): tells a resource server about a token that an agent signed. Introspection
 * consumes the token's `jti`, so a resource server introspects each token once.
 */
export const introspectAgentToken = operation({
  caller: 'resourceServer',
  summary: 'Ask about a token that an agent signed, which is spent by it',
  body: json(introspectBody),
  answer: introspectAnswer,
  async handle(call) {
    const { deps, caller, body } = call;
    const audiences = agentTokenAudiences(deps.config);
    const introspected = await introspectAgent(deps, caller, body.token, audiences);
    if (introspected === undefined) return { data: { active: false } };
    const { agent, host, grants, expiresAt, audience, tokenExpiresAt } = introspected;
    return {
      data: {
        active: true,
        agent_id: agent.id,
        host_id: host.id,
        user_id: host.ownerId ?? undefined,
        mode: agent.mode,
        agent_capability_grants: grants.map(({ capability, constraints }) => ({
          capability,
          status: 'active',
          constraints: constraints === null ? undefined : (JSON.parse(constraints) as object),
        })),
        expires_at: toIso(expiresAt),
        aud: audience,
        iss: deps.config.publicUrl,
        exp: tokenExpiresAt,
      },
    };
  },
});

/** Lists all capabilities, public ones first, also to an unauthenticated caller: their names are not secret. */
function listCapabilities({ deps }: Pick<Call<undefined, 'hostOrAgentIfAny'>, 'deps'>): Capability[] {
  const all = [...capabilitiesOf(deps.config).values()];
  const isPublic = (each: Capability) => isPublicCapability(deps.config, each);
  return [...all.filter(isPublic), ...all.filter((each) => !isPublic(each))];
}

const PAGE_MAX = 100;

/** Cuts one page out of a list. A cursor is the name of the last capability of the page before. */
function cutPage(
  matching: Capability[],
  cursor: string | null,
  limit: string | null,
): { items: Capability[]; next: string | undefined } {
  const size = Math.min(Number(limit ?? PAGE_MAX) || PAGE_MAX, PAGE_MAX);
  const start = cursor === null ? 0 : matching.findIndex(({ name }) => name === cursor) + 1;
  const items = matching.slice(start, start + Math.max(1, Math.trunc(size)));
  const last = items.at(-1);
  return { items, next: start + items.length < matching.length ? last?.name : undefined };
}
