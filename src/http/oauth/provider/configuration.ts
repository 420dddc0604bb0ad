import { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import { findClaims } from '../../../domain/accounts/find-claims.ts';
import { CONSENT_DAYS, listGivableScopes } from '../../../domain/apps/consents.ts';
import { DEVICE_CODE_SECONDS } from '../../../domain/apps/device-codes.ts';
import type { Audience } from '../../../domain/audiences/audience.ts';
import { tokenExpiry } from '../../../domain/credentials/access-tokens.ts';
import { WORKSPACE_TYPE } from '../../../domain/credentials/placed-access.ts';
import { Failure } from '../../../errors.ts';
import { newId } from '../../../lib/ids.ts';
import {
  ACR_VALUES,
  CLIENT_ALGORITHMS,
  OPENID_SCOPES,
  PROOF_ALGORITHMS,
} from '../../../lib/openid-scopes.ts';
import { PAGES } from '../../../lib/page-paths.ts';
import { formatScope, restrictTo } from '../../../lib/scopes.ts';
import { newSecret } from '../../../lib/secrets.ts';
import { hasPlainCookies } from '../../server/cookies.ts';
import { PATHS } from '../../server/paths.ts';
import { createAdapter } from './adapter.ts';
import { checkClientAssertion } from './client-assertion.ts';
import { fetchKeys } from './client-documents.ts';
import { OWN_ACCOUNT, SCOPE_BOUND, scopeBoundOf } from './client-members.ts';
import { currentExchange, findAudience } from './exchange.ts';
import { createConsentFinder } from './policy.ts';
import { createPolicy } from './prompts.ts';
import { richRequests } from './rich-requests.ts';
import { STEP_UP_PARAMS } from './step-up-params.ts';

/** How oidc-provider is set up. What it offers beyond this is off. */

/** What is kept of access tokens that are being saved: the id, `tok_…`, and the account. */
export const mintedTokens = new WeakMap<object, { id: string; account: string }>();

const DAY = 86_400;

/** How long the response to an authorization request may take a human. */
const INTERACTION_SECONDS = 3600;
const CODE_SECONDS = 60;
const SESSION_SECONDS = DAY / 2;
const REFRESH_SECONDS = 30 * DAY;
const REFRESH_LIFE_SECONDS = CONSENT_DAYS * DAY;
const APP_TOKEN_SECONDS = 600;

/** Creates the configuration. @param keys private JWKs; the first one signs */
export function createConfiguration(deps: Deps, keys: readonly object[]): Configuration {
  const cookie = {
    httpOnly: true,
    overwrite: true,
    sameSite: 'lax',
    secure: !hasPlainCookies(deps.config),
    signed: true,
  } as const;
  return {
    adapter: createAdapter,
    jwks: { keys: keys as NonNullable<Configuration['jwks']>['keys'] },
    cookies: {
      names: cookieNames(deps),
      keys: deps.keyring.deriveAll('oauth-cookies').map((key) => key.toString('base64url')),
      long: cookie,
      short: cookie,
    },
    scopes: [...OPENID_SCOPES],
    claims: {
      openid: ['sub', 'auth_time', 'acr', 'amr'],
      email: ['email', 'email_verified'],
      profile: ['name'],
    },
    acrValues: Object.values(ACR_VALUES),
    responseTypes: ['code'],
    subjectTypes: ['public'],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    clientDefaults: {
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'ES256',
      response_types: ['code'],
      authorization_details_types: [WORKSPACE_TYPE],
    },
    enabledJWA: {
      idTokenSigningAlgValues: ['ES256'],
      clientAuthSigningAlgValues: [...CLIENT_ALGORITHMS],
      dPoPSigningAlgValues: [...PROOF_ALGORITHMS],
    },
    extraParams: STEP_UP_PARAMS,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    // Signing out of this service does not disconnect apps.
    expiresWithSession: () => false,
    clientBasedCORS: () => false,
    fetch: fetchKeys,
    conformIdTokenClaims: false,
    extraTokenClaims: (_ctx, token) => ({ ...mintedTokens.get(token) }),
    extraClientMetadata: { properties: [SCOPE_BOUND, OWN_ACCOUNT] },
    assertJwtClientAuthClaimsAndHeader: async (_ctx, claims) => checkClientAssertion(deps, claims),
    async findAccount(_ctx, accountId) {
      const claims = await findClaims(deps, accountId);
      return claims && { accountId, claims: () => ({ sub: accountId, ...claims }) };
    },
    loadExistingGrant: createConsentFinder(deps),
    interactions: {
      policy: createPolicy(deps),
      url: (_ctx, { uid }) => `${PATHS.interaction}/${uid}`,
    },
    // The rows render failures; oidc-provider would send a page with a style of its own.
    renderError(ctx, out) {
      ctx.type = 'json';
      ctx.body = out;
    },
    routes: {
      authorization: PATHS.authorize,
      registration: PATHS.registerClient,
      pushed_authorization_request: PATHS.pushRequest,
      token: PATHS.token,
      device_authorization: PATHS.deviceAuthorization,
      code_verification: PAGES.connect,
      userinfo: PATHS.userinfo,
      jwks: PATHS.jwks,
    },
    ttl: {
      AuthorizationCode: CODE_SECONDS,
      Grant: CONSENT_DAYS * DAY,
      Interaction: INTERACTION_SECONDS,
      Session: SESSION_SECONDS,
      AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? APP_TOKEN_SECONDS,
      DeviceCode: DEVICE_CODE_SECONDS,
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? APP_TOKEN_SECONDS,
      IdToken: APP_TOKEN_SECONDS,
      RefreshToken(_ctx, token) {
        const left = REFRESH_LIFE_SECONDS - token.totalLifetime();
        return Math.max(1, Math.min(REFRESH_SECONDS, left));
      },
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: {
        enabled: true,
        nonceSecret: deps.keyring.derive(deps.keyring.currentId, 'oauth-dpop-nonce', '')!,
      },
      clientCredentials: { enabled: true },
      deviceFlow: {
        enabled: true,
        charset: 'base-20',
        mask: '****-****',
        deviceInfo: () => ({ network: currentExchange().origin.address.coarse }),
      },
      pushedAuthorizationRequests: { enabled: true },
      // For the metadata of clients: the page is ours (pages/end-session.ts).
      rpInitiatedLogout: { enabled: true },
      userinfo: { enabled: true },
      registration: {
        enabled: true,
        idFactory: () => newId('cli', deps.clock(), deps.random),
        secretFactory: () => newSecret('cs', deps.random),
      },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: false },
      richAuthorizationRequests: richRequests(deps),
      resourceIndicators: {
        enabled: true,
        useGrantedResource: (_ctx, model) => !hasOnlyOpenIdScopes(model.scope),
        defaultResource: async (ctx, _client, oneOf) =>
          (oneOf ?? asksOnlyWho(ctx.oidc.params?.scope)) ? [] : deps.config.resources[0]!.url,
        getResourceServerInfo: async (ctx, url, client) => {
          if (Array.isArray(ctx.oidc.params?.resource)) {
            throw new errors.InvalidTarget('a token works at one resource: name one');
          }
          const audience = await findTarget(url);
          const now = deps.clock();
          const tokenSeconds = (tokenExpiry(deps, audience, now, Infinity) - now) / 1000;
          const offered = restrictTo(scopesFor(deps, ctx, audience), scopeBoundOf(client));
          checkAskedScope(ctx, offered);
          return {
            scope: formatScope(offered),
            audience: audience.url,
            accessTokenTTL: Math.min(APP_TOKEN_SECONDS, tokenSeconds),
            accessTokenFormat: 'opaque',
          };
        },
      },
    },
  };
}

/** The scopes that tokens of a request can have at an API: a client that acts by itself is bound by no human. */
function scopesFor(
  { config }: Pick<Deps, 'config'>,
  { oidc }: KoaContextWithOIDC,
  { scopes }: Audience,
): string[] {
  const isByItself = oidc.params?.grant_type === 'client_credentials';
  return isByItself ? [...(scopes ?? config.scopes.keys())] : listGivableScopes(config, scopes);
}

/** The requests that ask a human. */
const ASKING_ROUTES: ReadonlySet<string> = new Set([
  'authorization',
  'pushed_authorization_request',
  'device_authorization',
]);

/**
 * Refuses a request of which a human could give nothing: its page could not be approved (RFC 6749 section 4.1.2.1).
 *
 * @throws InvalidScope
 */
function checkAskedScope({ oidc }: KoaContextWithOIDC, offered: readonly string[]): void {
  if (!ASKING_ROUTES.has(oidc.route)) return;
  const scope = String(oidc.params?.scope ?? ''); // oidc-provider drops `offline_access` without `prompt=consent`
  if (scope.split(' ').some((name) => name === 'openid' || offered.includes(name))) return;
  throw new errors.InvalidScope('nobody can give any of this scope', scope);
}

/**
 * Names the cookies of oidc-provider. Those of one request have its path, so that several can wait in one browser, and
 * cannot be `__Host-`.
 */
function cookieNames({ config }: Pick<Deps, 'config'>) {
  const [prefix, session] = hasPlainCookies(config)
    ? ['vouchsafe_', 'vouchsafe_oidc_session']
    : ['__Secure-', '__Host-oidc_session'];
  return { session, interaction: `${prefix}oidc_interaction`, resume: `${prefix}oidc_resume` };
}

/** Whether a request is for an ID token alone: `email` beside it is of no use without it. */
function asksOnlyWho(scope: unknown): boolean {
  return hasOnlyOpenIdScopes(scope) && String(scope).split(' ').includes('openid');
}

function hasOnlyOpenIdScopes(scope: unknown): boolean {
  return typeof scope === 'string' && scope.split(' ').every((each) => OPENID_SCOPES.has(each));
}

async function findTarget(url: string) {
  try {
    return await findAudience(url);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'invalidTarget')
      throw new errors.InvalidTarget(error.message);
    throw error;
  }
}
