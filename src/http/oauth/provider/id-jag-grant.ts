import type Provider from 'oidc-provider';
import { errors, type TokenEndpointGrantContext } from 'oidc-provider';
// oidc-provider is pinned: these helpers may change with any version of it.
import {
  buildTokenResponse,
  checkDpopReplay,
  checkDpopRequired,
  resolveRequestedResources,
  validateDpop,
} from 'oidc-provider/lib/helpers/grants.js';
import type { Deps } from '../../../deps.ts';
import {
  type AdmittedIdJag,
  admitIdJag,
  type PresentedIdJag,
} from '../../../domain/providers/exchange-id-jag.ts';
import { Failure } from '../../../errors.ts';
import { formatScope } from '../../../lib/scopes.ts';
import { JWT_BEARER } from '../grant-types.ts';
import { ownAccountOf, scopeBoundOf } from './client-members.ts';
import { currentExchange } from './exchange.ts';

/** The grant by which clients that authenticate exchange an ID-JAG, see domain/providers/exchange-id-jag.ts. */

type Params = { assertion?: string };

/** Adds the grant to oidc-provider. */
export function addIdJagGrant(deps: Deps, provider: Provider): void {
  provider.registerGrantType<Params>(JWT_BEARER, (ctx) => exchange(deps, provider, ctx), [
    'assertion',
    'scope',
    'resource',
  ]);
}

async function exchange(
  deps: Deps,
  provider: Provider,
  ctx: TokenEndpointGrantContext<Params>,
): Promise<void> {
  const { client, params } = ctx.oidc;
  // Clients that registered themselves never have this grant; what is missing here is a second reason.
  if (ownAccountOf(client) === undefined || client.clientAuthMethod === 'none') {
    throw new errors.UnauthorizedClient('this grant is for clients that a person or the operator registered');
  }
  if (!params.assertion) throw new errors.InvalidRequest('missing required parameter(s) assertion');
  const proof = await validateDpop(provider, ctx);
  checkDpopRequired(provider, ctx, proof);
  if (proof !== undefined) await checkDpopReplay(provider, ctx, proof, client.clientId);
  const admitted = await admit(deps, {
    assertion: params.assertion,
    client: { id: client.clientId, scope: scopeBoundOf(client) },
    resource: typeof params.resource === 'string' ? params.resource : undefined,
    scope: params.scope,
    keyThumbprint: proof?.thumbprint,
  });
  const { accountId, consentId, resource, scopes, spent } = admitted;
  params.resource = resource;
  const [resourceServer] = await resolveRequestedResources(provider, ctx);
  const token = new provider.AccessToken({
    accountId,
    client,
    grantId: consentId,
    gty: JWT_BEARER,
    scope: formatScope(scopes),
  });
  token.resourceServer = resourceServer!;
  if (proof !== undefined) token.setThumbprint('jkt', proof.thumbprint);
  if (spent !== undefined) currentExchange().writes.push({ kind: 'spendAssertion', ...spent });
  ctx.oidc.entity('AccessToken', token);
  const accessToken = await token.save();
  ctx.body = buildTokenResponse(provider, {
    accessToken,
    tokenType: token.tokenType,
    expiresIn: token.expiration,
    scope: token.scope,
  });
}

/** Keeps the failure for the row, which renders it; oidc-provider only has to stop. */
async function admit(deps: Deps, presented: PresentedIdJag): Promise<AdmittedIdJag> {
  const current = currentExchange();
  try {
    return await admitIdJag(deps, current.origin, presented);
  } catch (error) {
    current.error = error;
    throw error instanceof Failure ? new errors.InvalidGrant(error.message) : error;
  }
}
