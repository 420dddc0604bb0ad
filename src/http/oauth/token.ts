import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { findClient } from '../../domain/apps/clients.ts';
import { pollDeviceCode } from '../../domain/apps/device-codes.ts';
import { exchangeClaimToken } from '../../domain/claims/claim-grant-type.ts';
import type { IssuedToken } from '../../domain/credentials/access-tokens.ts';
import { exchangeAssertion } from '../../domain/credentials/exchange-assertion.ts';
import { signIdentity } from '../../domain/credentials/identity-assertions.ts';
import { findHostedSigner } from '../../domain/hosts/find-hosted-signer.ts';
import { exchangeKeyToken, isKeyAssertion } from '../../domain/permissions/grant-tokens.ts';
import { Failure } from '../../errors.ts';
import { formatScope } from '../../lib/scopes.ts';
import { epochSeconds } from '../../lib/time.ts';
import { identity, renderIdentity } from '../auth-md/identity-answers.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { iso } from '../server/wire-times.ts';
import { nameResource } from './authorization-request.ts';
import { placeDetail } from './details.ts';
import { CLAIM_GRANT, DEVICE_GRANT, JWT_BEARER } from './grant-types.ts';
import { callProvider } from './provider/call-provider.ts';

/**
 * The token endpoint (RFC 6749 section 3.2). Agents are not registered clients: the identity assertion or the claim
 * token authenticates them.
 */

const text = z.string().max(8192);

const tokenBody = z.object({
  grant_type: text.max(256).optional(),
  assertion: text
    .describe(
      `With ${JWT_BEARER}: the identity assertion that this service gave; what a session key signed; of a client that authenticates, an ID-JAG`,
    )
    .nullish(),
  claim_token: text.describe(`With ${CLAIM_GRANT}: the claim token of the registration`).nullish(),
  resource: text
    .describe('The URL of the API that the token is for (RFC 8707); without it the default one')
    .nullish(),
  client_id: text.max(2048).describe('Of an OAuth client').nullish(),
  client_secret: text.describe('Of an OAuth client that has one').nullish(),
  client_assertion: text.describe('Of an OAuth client that signs with its own key (RFC 7523)').nullish(),
  authorization_details: text
    .describe('Of an OAuth client or a session key: some of the places that the human gave (RFC 9396)')
    .nullish(),
  grant_id: text.max(80).describe('Of a session key: the one grant that the token is for').nullish(),
  scope: text.describe('Fewer scopes than the agent may have, separated by spaces').nullish(),
});

/** The grants of OAuth clients, which oidc-provider handles. */
const CLIENT_GRANTS: ReadonlySet<string> = new Set([
  'authorization_code',
  'refresh_token',
  'client_credentials',
  DEVICE_GRANT,
]);

const tokenAnswer = z.object({
  access_token: z.string(),
  token_type: z.enum(['Bearer', 'DPoP']),
  expires_in: z.int(),
  scope: z.string(),
  refresh_token: z.string().optional(),
  id_token: z.string().optional(),
  authorization_details: z.array(placeDetail).optional(),
  action_hash: z
    .string()
    .optional()
    .describe('The SHA-256 of the one action that the token is for, base64url'),
  identity: identity.optional(),
  identity_assertion: z.string().optional(),
  assertion_expires: iso.optional(),
});

/**
 * POST /oauth2/token: exchanges an identity assertion (RFC 7523) or a claim token (auth.md v0.4, claim grant) for a
 * token.
 */
export const exchangeToken = operation({
  caller: 'anyone',
  summary: 'Exchange an identity, or a claim that the human approved, for an access token',
  cors: true,
  body: { media: 'formOrJson', schema: tokenBody },
  answer: tokenAnswer,
  async handle(call) {
    const { deps, origin, body } = call;
    if (CLIENT_GRANTS.has(body.grant_type ?? '')) return exchangeByClient(call);
    // Agents are no clients: who authenticates as one presents the assertion of a provider, not one of ours.
    const isByKey = body.grant_type === JWT_BEARER && isKeyAssertion(body.assertion ?? '');
    if (isByKey) return exchangeByKey(call);
    if (body.authorization_details) {
      // Left out, they would give more than was asked for (RFC 9396 section 5).
      throw new Failure('invalidDetails', 'This grant takes no authorization_details.', {
        field: 'authorization_details',
      });
    }
    if (body.grant_type === JWT_BEARER && hasClientAuthentication(call)) return exchangeByClient(call);
    const isOurs = body.grant_type === JWT_BEARER || body.grant_type === CLAIM_GRANT;
    if (isOurs && body.client_id) await requirePublicClient(deps, body.client_id);
    const target = { resource: body.resource ?? undefined, scope: body.scope ?? undefined };
    switch (body.grant_type) {
      case JWT_BEARER: {
        const assertion = requireParameter(body.assertion, 'assertion');
        return renderToken(await exchangeAssertion(deps, origin, { assertion, ...target }));
      }
      case CLAIM_GRANT: {
        const claimToken = requireParameter(body.claim_token, 'claim_token');
        const collected = await exchangeClaimToken(deps, origin, { claimToken, ...target });
        return renderToken(collected.token, renderIdentity(await signIdentity(deps, collected.identity)));
      }
      default:
        throw new Failure(
          'unsupportedGrant',
          `Send grant_type ${JWT_BEARER}, ${CLAIM_GRANT}, authorization_code or refresh_token.`,
        );
    }
  },
});

/** Exchanges what a session key signed for a token in the places of its grants (docs/permissions.md). */
async function exchangeByKey({
  deps,
  origin,
  body,
}: Call<z.output<typeof tokenBody>, 'anyone'>): Promise<HandlerResult> {
  const request = {
    assertion: body.assertion!,
    resource: body.resource ?? undefined,
    scope: body.scope ?? undefined,
    details: body.authorization_details ?? undefined,
    grantId: body.grant_id ?? undefined,
  };
  const audience = deps.config.publicUrl + PATHS.token;
  const token = await exchangeKeyToken(deps, origin, request, audience, (thumbprint) =>
    findHostedSigner(deps, thumbprint),
  );
  return renderToken(token, { authorization_details: token.details, action_hash: token.actionHash });
}

/** Whether a request authenticates a client (RFC 6749 section 2.3.1, RFC 7523 section 2.2). */
function hasClientAuthentication({ header, body }: Call<z.output<typeof tokenBody>, 'anyone'>): boolean {
  const isBasic = /^basic(?: |$)/i.test(header('authorization') ?? '');
  return isBasic || Boolean(body.client_secret) || Boolean(body.client_assertion);
}

/** Lets oidc-provider exchange what a client presents, and authenticate the client. */
async function exchangeByClient(call: Call<z.output<typeof tokenBody>, 'anyone'>): Promise<HandlerResult> {
  const { deps, header, bytes } = call;
  const type = 'application/x-www-form-urlencoded';
  if (!header('content-type')?.startsWith(type)) {
    throw new Failure('wrongMediaType', `Send the body as "Content-Type: ${type}".`);
  }
  const form = new URLSearchParams(Buffer.from(bytes).toString('utf8'));
  if (form.get('grant_type') === DEVICE_GRANT) await pollDeviceCode(deps, form.get('device_code') ?? '');
  const audience = await nameResource(deps, form);
  const body = { type, bytes: Buffer.from(form.toString()) };
  const isUnsigned = form.get('grant_type') === 'client_credentials'; // no ID token comes of it
  const request = { method: 'POST', path: PATHS.token, body, audience, isUnsigned } as const;
  const answer = await callProvider(call, request);
  return {
    status: answer.status,
    headers: { Pragma: 'no-cache', ...pickHeaders(answer.headers, ['WWW-Authenticate', 'DPoP-Nonce']) },
    text: answer.body,
    type: 'application/json; charset=utf-8',
  };
}

function pickHeaders(headers: Record<string, string>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => names.includes(name)));
}

/**
 * Refuses a client that has a secret or a key and did not authenticate with it: no grant is for whoever knows its id (RFC
 * 6749 section 3.2.1).
 *
 * @throws Failure `invalidClient`
 */
async function requirePublicClient(deps: Deps, clientId: string): Promise<void> {
  const client = await findClient(deps, clientId);
  if (client === undefined || client.metadata.token_endpoint_auth_method === 'none') return;
  throw new Failure('invalidClient', 'This client has to authenticate, and cannot use this grant.');
}

/** Renders a successful token response (RFC 6749 section 5.1). */
function renderToken({ value, scopes, issuedAt, expiresAt }: IssuedToken, more: object = {}): HandlerResult {
  return {
    headers: { Pragma: 'no-cache' },
    data: {
      access_token: value,
      token_type: 'Bearer',
      expires_in: epochSeconds(expiresAt - issuedAt),
      scope: formatScope(scopes),
      ...more,
    },
  };
}

function requireParameter(value: string | null | undefined, field: string): string {
  if (value) return value;
  throw new Failure('badRequest', `The parameter ${field} is required with this grant_type.`, { field });
}
