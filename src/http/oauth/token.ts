import { z } from 'zod';
import { exchangeClaimToken } from '../../domain/claims/claim-grant-type.ts';
import type { IssuedToken } from '../../domain/credentials/access-tokens.ts';
import { exchangeAssertion } from '../../domain/credentials/exchange-assertion.ts';
import { signIdentity } from '../../domain/credentials/identity-assertions.ts';
import { Failure } from '../../errors.ts';
import { formatScope } from '../../lib/scopes.ts';
import { epochSeconds } from '../../lib/time.ts';
import { identity, renderIdentity } from '../auth-md/identity-answers.ts';
import { type HandlerResult, operation } from '../server/table.ts';
import { iso } from '../server/wire-times.ts';
import { CLAIM_GRANT, JWT_BEARER } from './grant-types.ts';

/**
 * The token endpoint (RFC 6749 section 3.2). Agents are not registered clients: the identity assertion or the claim
 * token authenticates them.
 */

const text = z.string().max(8192);

const tokenBody = z.object({
  grant_type: text.max(256).optional(),
  assertion: text.describe(`With ${JWT_BEARER}: the identity assertion that this service gave`).nullish(),
  claim_token: text.describe(`With ${CLAIM_GRANT}: the claim token of the registration`).nullish(),
  resource: text
    .describe('The URL of the API that the token is for (RFC 8707); without it the default one')
    .nullish(),
  scope: text.describe('Fewer scopes than the agent may have, separated by spaces').nullish(),
});

const tokenAnswer = z.object({
  access_token: z.string(),
  token_type: z.literal('Bearer'),
  expires_in: z.int(),
  scope: z.string(),
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
        throw new Failure('unsupportedGrant', `Send grant_type ${JWT_BEARER} or ${CLAIM_GRANT}.`);
    }
  },
});

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
