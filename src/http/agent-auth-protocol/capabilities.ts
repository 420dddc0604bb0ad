import { z } from 'zod';
import { introspectAgent } from '../../domain/hosts/agent-introspection.ts';
import {
  type Capability,
  capabilitiesOf,
  grantedTo,
  isPublicCapability,
} from '../../domain/hosts/capabilities.ts';
import { executeCapability } from '../../domain/hosts/execute-capability.ts';
import { protocolError } from '../../domain/hosts/protocol-errors.ts';
import { Failure } from '../../errors.ts';
import { type Call, json, operation } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';
import { agentTokenAudiences } from './signers.ts';

/** What agents can be allowed, and their use of it (Agent Auth Protocol 1.0-draft, sections 5.2, 5.11 and 5.12). */

const listed = z.object({
  name: z.string(),
  description: z.string(),
  location: z.string().optional().describe('Where agents use it; by default here'),
  grant_status: z.enum(['granted', 'not_granted']).optional(),
});
const listAnswer = z.object({
  capabilities: z.array(listed),
  has_more: z.boolean(),
  next_cursor: z.string().optional(),
});
const describeAnswer = listed.extend({
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

/** GET /capability/list */
export const list = operation({
  caller: 'hostOrAgentIfAny',
  summary: 'What agents can be allowed',
  answer: listAnswer,
  async handle(call) {
    const { deps, caller, query } = call;
    const words = (query.get('query') ?? '').toLowerCase().split(/\s+/).filter(Boolean);
    const found = visible(call).filter(({ name, description }) =>
      words.every((word) => `${name} ${description}`.toLowerCase().includes(word)),
    );
    const { names, next } = page(found, query.get('cursor'), query.get('limit'));
    const granted = caller?.agent === undefined ? undefined : await grantedTo(deps, caller.agent);
    return {
      headers: { 'Cache-Control': `${caller === undefined ? 'public' : 'private'}, max-age=300` },
      data: {
        capabilities: names.map(({ name, description, location }) => ({
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

/** GET /capability/describe?name= */
export const describe = operation({
  caller: 'hostOrAgentIfAny',
  summary: 'One of them, with its input',
  answer: describeAnswer,
  async handle(call) {
    const { deps, caller, query } = call;
    const name = query.get('name');
    if (name === null) throw new Failure('badRequest', 'Say which: ?name=…', { field: 'name' });
    const capability = visible(call).find((each) => each.name === name);
    if (capability === undefined) throw protocolError('capability_not_found', 'There is no such capability.');
    const { description, input, output, location } = capability;
    const granted = caller?.agent === undefined ? undefined : await grantedTo(deps, caller.agent);
    const grant_status = granted && (granted.has(name) ? 'granted' : 'not_granted');
    return { data: { name, description, location, input, output, grant_status } };
  },
});

/** POST /capability/execute */
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

/** POST /agent/introspect, by a resource server: one token, one request, since the token is spent by it. */
export const introspect = operation({
  caller: 'resourceServer',
  summary: 'Ask about a token that an agent signed, which is spent by it',
  body: json(introspectBody),
  answer: introspectAnswer,
  async handle(call) {
    const { deps, caller, body } = call;
    const here = agentTokenAudiences(deps.config);
    const found = await introspectAgent(deps, caller, body.token, here);
    if (found === undefined) return { data: { active: false } };
    const { agent, host, grants, expiresAt, audience, tokenExpiresAt } = found;
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

/** Who nobody vouches for is told of what is there all the same: names are no secret here. */
function visible({ deps }: Pick<Call<undefined, 'hostOrAgentIfAny'>, 'deps'>): Capability[] {
  const all = [...capabilitiesOf(deps.config).values()];
  // What anybody may have comes first.
  const isFirst = (each: Capability) => isPublicCapability(deps.config, each);
  return [...all.filter(isFirst), ...all.filter((each) => !isFirst(each))];
}

const PAGE_MAX = 100;

function page(
  found: Capability[],
  cursor: string | null,
  limit: string | null,
): { names: Capability[]; next: string | undefined } {
  const size = Math.min(Number(limit ?? PAGE_MAX) || PAGE_MAX, PAGE_MAX);
  const start = cursor === null ? 0 : found.findIndex(({ name }) => name === cursor) + 1;
  const names = found.slice(start, start + Math.max(1, Math.trunc(size)));
  const last = names.at(-1);
  return { names, next: start + names.length < found.length ? last?.name : undefined };
}
