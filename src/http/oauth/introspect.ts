import { z } from 'zod';
import { introspectBearer } from '../../domain/credentials/introspection.ts';
import { toAuthorizationDetails } from '../../domain/credentials/placed-access.ts';
import { introspectAgent, isAgentJwt } from '../../domain/hosts/agent-introspection.ts';
import { accountOfHost } from '../../domain/hosts/hosts.ts';
import { formatScope } from '../../lib/scopes.ts';
import { epochSeconds } from '../../lib/time.ts';
import { agentTokenAudiences } from '../agent-auth-protocol/signers.ts';
import { type Call, operation, urlencoded } from '../server/table.ts';
import { placeDetail } from './details.ts';
import { signIntrospection, wantsSignedResponse } from './signed-introspection.ts';

/**
 * RFC 7662 section 2.1. A resource server authenticates by HTTP Basic, or by `client_id` and `client_secret` in the
 * body (RFC 6749 section 2.3.1).
 */
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
    sub: z.string().describe('The account the key works in: user_id; of the key of a thing its workspace'),
    client_id: z.string().describe("The OAuth client of an app, or the agent; of a human's own key the key"),
    scope: z.string(),
    aud: z.string(),
    iss: z.string(),
    iat: z.int(),
    exp: z.int(),
    token_type: z.enum(['Bearer', 'DPoP']),
    cnf: z.object({ jkt: z.string() }).optional().describe('The key that every use must prove (RFC 9449)'),
    jti: z.string().describe('The id of the key or token'),
    credential_kind: z.enum(['anonymous', 'claimed', 'personal', 'app', 'app_key']).describe('Whose it is'),
    credential_form: z.enum(['key', 'token']),
    agent_id: z.string().optional(),
    owner: z.string().optional().describe('The account of the human behind the agent'),
    merged_from: z.string().optional().describe('The account the agent had before it was merged'),
    action_hash: z
      .string()
      .optional()
      .describe(
        'Of a token for one action: the SHA-256 of its text, base64url. Use it once, and ask each time',
      ),
    workspace: z.string().optional().describe('Where all that it may do is in one workspace: that one'),
    authorization_details: z
      .array(placeDetail)
      .optional()
      .describe('Where it may do what; without it: "scope" at "sub", and nothing elsewhere'),
  }),
]);

/**
 * POST /oauth2/introspect (RFC 7662): tells a resource server about a key, an access token or a token that an agent
 * signed. With `Accept: application/token-introspection+jwt` the response is signed (RFC 9701).
 */
export const introspect = operation({
  caller: 'resourceServer',
  summary: 'Ask about a key that was presented (RFC 7662)',
  body: urlencoded(introspectBody),
  answer: introspectAnswer,
  async handle(call) {
    const { deps, caller, body, header } = call;
    const response = isAgentJwt(body.token)
      ? await introspectAgentToken(call)
      : await introspectCredential(call);
    return wantsSignedResponse(header('accept'))
      ? signIntrospection(deps, caller, response)
      : { data: response };
  },
});

type IntrospectCall = Call<z.output<typeof introspectBody>, 'resourceServer'>;
type IntrospectAnswer = z.output<typeof introspectAnswer>;

async function introspectCredential({
  deps,
  origin,
  caller,
  body,
}: IntrospectCall): Promise<IntrospectAnswer> {
  const introspected = await introspectBearer(deps, origin, caller, body.token);
  if (!introspected.active) return { active: false };
  return {
    active: true,
    sub: introspected.subject,
    client_id: introspected.clientId ?? introspected.agentId ?? introspected.keyId,
    scope: formatScope(introspected.scopes),
    aud: introspected.audience,
    iss: deps.config.publicUrl,
    iat: epochSeconds(introspected.issuedAt),
    exp: epochSeconds(introspected.expiresAt),
    token_type: introspected.keyThumbprint === undefined ? 'Bearer' : 'DPoP',
    cnf: introspected.keyThumbprint === undefined ? undefined : { jkt: introspected.keyThumbprint },
    jti: introspected.keyId,
    credential_kind: introspected.kind,
    credential_form: introspected.form,
    agent_id: introspected.agentId,
    owner: introspected.ownerId,
    merged_from: introspected.mergedFrom,
    action_hash: introspected.actionHash,
    ...(introspected.access && toAuthorizationDetails(introspected.access, introspected.audience)),
  };
}

/**
 * Introspects a token that an agent signed (Agent Auth Protocol 1.0-draft, section 5.12), which consumes its `jti`.
 *
 * @returns `active: false` also where no scope is left for this resource server
 */
async function introspectAgentToken({ deps, caller, body }: IntrospectCall): Promise<IntrospectAnswer> {
  const audiences = agentTokenAudiences(deps.config);
  const introspected = await introspectAgent(deps, caller, body.token, audiences);
  if (introspected === undefined || introspected.scopes.length === 0) return { active: false };
  const { agent, host, scopes, audience, tokenExpiresAt, issuedAt, jti } = introspected;
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
    credential_kind: host.ownerId === null ? 'anonymous' : 'claimed',
    credential_form: 'token',
    agent_id: agent.id,
    owner: host.ownerId ?? undefined,
  };
}
