import { z } from 'zod';
import { introspectBearer } from '../../domain/credentials/introspection.ts';
import { introspectAgent, looksSigned } from '../../domain/hosts/agent-introspection.ts';
import { accountOfHost } from '../../domain/hosts/hosts.ts';
import { formatScope } from '../../lib/scopes.ts';
import { epochSeconds } from '../../lib/time.ts';
import { agentTokenAudiences } from '../agent-auth-protocol/signers.ts';
import { type Call, operation, urlencoded } from '../server/table.ts';

/** RFC 7662. The resource server authenticates by HTTP Basic or with these two members. */
const introspectBody = z.object({
  token: z.string().max(8192),
  token_type_hint: z.string().optional(),
  client_id: z.string().optional(),
  client_secret: z.string().optional(),
});

const introspectAnswer = z.union([
  z.object({ active: z.literal(false) }),
  z.object({
    active: z.literal(true),
    sub: z.string().describe('The account the key works in: user_id'),
    client_id: z.string().describe("The agent; of a human's own key the key"),
    scope: z.string(),
    aud: z.string(),
    iss: z.string(),
    iat: z.int(),
    exp: z.int(),
    token_type: z.literal('Bearer'),
    jti: z.string().describe('The id of the key or token'),
    agent_id: z.string().optional(),
    owner: z.string().optional().describe('The account of the human behind the agent'),
    merged_from: z.string().optional().describe('The account the agent had before it was merged'),
  }),
]);

/** POST /oauth2/introspect */
export const introspect = operation({
  caller: 'resourceServer',
  summary: 'Ask about a key that was presented (RFC 7662)',
  body: urlencoded(introspectBody),
  answer: introspectAnswer,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    if (looksSigned(body.token)) return { data: await introspectSigned(call) };
    const found = await introspectBearer(deps, origin, caller, body.token);
    if (!found.active) return { data: { active: false } };
    return {
      data: {
        active: true,
        sub: found.subject,
        client_id: found.agentId ?? found.keyId,
        scope: formatScope(found.scopes),
        aud: found.audience,
        iss: deps.config.publicUrl,
        iat: epochSeconds(found.issuedAt),
        exp: epochSeconds(found.expiresAt),
        token_type: 'Bearer',
        jti: found.keyId,
        agent_id: found.agentId,
        owner: found.ownerId,
        merged_from: found.mergedFrom,
      },
    };
  },
});

/** A token that an agent of the Agent Auth Protocol signed, which is spent by being asked about. */
async function introspectSigned({
  deps,
  caller,
  body,
}: Call<z.output<typeof introspectBody>, 'resourceServer'>): Promise<z.output<typeof introspectAnswer>> {
  const here = agentTokenAudiences(deps.config);
  const found = await introspectAgent(deps, caller, body.token, here);
  if (found === undefined || found.scopes.length === 0) return { active: false };
  const { agent, host, scopes, audience, tokenExpiresAt, issuedAt, jti } = found;
  return {
    active: true,
    sub: accountOfHost(host),
    client_id: agent.id,
    scope: formatScope(scopes),
    aud: audience,
    iss: deps.config.publicUrl,
    iat: issuedAt,
    exp: tokenExpiresAt,
    token_type: 'Bearer',
    jti,
    agent_id: agent.id,
    owner: host.ownerId ?? undefined,
  };
}
