import type { Config } from '../../config/load.ts';
import { ASSERTION_REVOKED } from '../../domain/agents/revoke-by-provider.ts';
import type { Audience } from '../../domain/audiences/audience.ts';
import { WORKSPACE_TYPE } from '../../domain/credentials/placed-access.ts';
import { ACR_VALUES, CLIENT_ALGORITHMS, OPENID_SCOPES, PROOF_ALGORITHMS } from '../../lib/openid-scopes.ts';
import { CLAIM_GRANT, DEVICE_GRANT, ID_JAG, ID_JAG_PROFILE, JWT_BEARER } from '../oauth/grant-types.ts';
import { PATHS } from '../server/paths.ts';
import type { HandlerResult } from '../server/table.ts';

/** The discovery metadata, which lists what this service offers and nothing else. documents.ts serves it. */

/**
 * Returns the metadata of protected resources by path (RFC 9728 section 3.1): the default audience at the root, and
 * each audience at its own path. If two audiences share a path, the first one is served there.
 */
export function protectedResources(config: Config, audiences: readonly Audience[]): Map<string, object> {
  const documents = new Map<string, object>();
  documents.set(PATHS.protectedResource, protectedResource(config, audiences[0]!));
  for (const audience of audiences) {
    const path = metadataPath(audience.url);
    if (!documents.has(path)) documents.set(path, protectedResource(config, audience));
  }
  return documents;
}

/** Inserts the well-known part before the path of the resource (RFC 9728 section 3.1). */
function metadataPath(url: string): string {
  const { pathname } = new URL(url);
  return PATHS.protectedResource + (pathname === '/' ? '' : pathname);
}

/**
 * Returns the paths at which clients look for the authorization server metadata. RFC 8414 section 3.1 puts the path
 * of the issuer after the well-known part; some clients append the well-known part to the path, and some to a trailing
 * slash. This issuer has no path, but clients take the path of an audience on the same origin for it.
 *
 * @param wellKnown the well-known part; OpenID Connect Discovery 1.0 has another one
 */
export function authorizationServerPaths(
  config: Config,
  audiences: readonly Audience[],
  wellKnown: string = PATHS.authorizationServer,
): string[] {
  const paths = audiences
    .map(({ url }) => new URL(url))
    .filter(({ origin, pathname }) => origin === config.publicUrl && pathname !== '/')
    .flatMap(({ pathname }) => [wellKnown + pathname, pathname.replace(/\/$/, '') + wellKnown]);
  return [...new Set([wellKnown, `/${wellKnown}`, ...paths])];
}

/** Renders protected resource metadata (RFC 9728 section 2). */
function protectedResource(config: Config, audience: Audience): object {
  return {
    resource: audience.url,
    resource_name: audience.name,
    ...(audience.documentation === undefined ? {} : { resource_documentation: audience.documentation }),
    authorization_servers: [config.publicUrl],
    scopes_supported: audience.scopes ?? [...config.scopes.keys()],
    bearer_methods_supported: ['header'],
  };
}

/**
 * Renders authorization server metadata (RFC 8414 section 2). The member `agent_auth` is the union of what the
 * versions of auth.md look for (docs/dialects.md).
 *
 * @param audiences the first one is the default
 */
export function authorizationServer(config: Config, audiences: readonly Audience[]): object {
  const urlOf = (path: string) => config.publicUrl + path;
  const hasIssuers = config.trustedIssuers.size > 0;
  return {
    issuer: config.publicUrl,
    token_endpoint: urlOf(PATHS.token),
    token_endpoint_auth_methods_supported: [
      'none',
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
    ],
    token_endpoint_auth_signing_alg_values_supported: [...CLIENT_ALGORITHMS],
    authorization_endpoint: urlOf(PATHS.authorize),
    pushed_authorization_request_endpoint: urlOf(PATHS.pushRequest),
    authorization_response_iss_parameter_supported: true, // RFC 9207
    authorization_details_types_supported: [WORKSPACE_TYPE], // RFC 9396
    registration_endpoint: urlOf(PATHS.registerClient),
    client_id_metadata_document_supported: true,
    device_authorization_endpoint: urlOf(PATHS.deviceAuthorization),
    userinfo_endpoint: urlOf(PATHS.userinfo),
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    code_challenge_methods_supported: ['S256'],
    grant_types_supported: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      DEVICE_GRANT,
      JWT_BEARER,
      ...(config.claimMode === 'reveal' ? [] : [CLAIM_GRANT]),
    ],
    ...(hasIssuers && { authorization_grant_profiles_supported: [ID_JAG_PROFILE] }),
    dpop_signing_alg_values_supported: [...PROOF_ALGORITHMS], // RFC 9449
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    jwks_uri: urlOf(PATHS.jwks),
    introspection_endpoint: urlOf(PATHS.introspect),
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    introspection_signing_alg_values_supported: ['ES256'], // RFC 9701
    revocation_endpoint: urlOf(PATHS.revoke),
    revocation_endpoint_auth_methods_supported: ['none'],
    scopes_supported: [...OPENID_SCOPES, ...config.scopes.keys()],
    bearer_methods_supported: ['header'],
    resource: audiences[0]!.url,
    authorization_servers: [config.publicUrl],
    protected_resources: audiences.map(({ url }) => url),
    service_documentation: urlOf(PATHS.authMd),
    agent_auth: {
      skill: urlOf(PATHS.authMd),
      // auth.md v0.1 and the tinysend profile
      register_uri: urlOf(PATHS.register),
      claim_uri: urlOf(PATHS.claim),
      ...(hasIssuers && { revocation_uri: urlOf(PATHS.revokeByLogout) }),
      // auth.md v0.2 and later; clients append /complete to claim_endpoint
      identity_endpoint: urlOf(PATHS.identity),
      claim_endpoint: urlOf(PATHS.identityClaim),
      permissions_endpoint: urlOf(PATHS.permissions),
      capability_prefix: config.service.capPrefix,
      ...(hasIssuers && { events_endpoint: urlOf(PATHS.events) }),
      identity_types_supported: ['anonymous', 'identity_assertion', 'service_auth'],
      anonymous: { credential_types_supported: ['api_key', 'access_token'] },
      identity_assertion: {
        assertion_types_supported: hasIssuers ? [ID_JAG, 'verified_email'] : ['verified_email'],
        credential_types_supported: ['access_token', 'api_key'],
      },
      events_supported: hasIssuers ? [ASSERTION_REVOKED] : [],
    },
  };
}

/**
 * Renders the metadata of OpenID Connect (OpenID Connect Discovery 1.0 section 3): the same, since it is one server, and
 * the members that it adds.
 */
export function openidConfiguration(config: Config, audiences: readonly Audience[]): object {
  return {
    ...authorizationServer(config, audiences),
    claims_supported: ['sub', 'email', 'email_verified', 'name', 'auth_time', 'acr', 'amr'],
    acr_values_supported: Object.values(ACR_VALUES),
    prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
    end_session_endpoint: config.publicUrl + PATHS.endSession,
    claims_parameter_supported: false,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  };
}

/**
 * Renders the discovery document of the Agent Auth Protocol (Agent Auth Protocol 1.0-draft, section 5.1). Clients use
 * its `issuer` verbatim as the audience of their tokens.
 */
export function agentConfiguration(config: Config): object {
  return {
    version: '1.0-draft',
    provider_name: config.service.name.toLowerCase().replace(/[^a-z0-9]+/g, '_'),
    description: `${config.service.name}: agents register themselves, and humans vouch for them`,
    issuer: config.publicUrl,
    default_location: config.publicUrl + PATHS.capabilityExecute,
    algorithms: ['Ed25519'],
    modes: ['delegated', 'autonomous'],
    approval_methods: ['device_authorization', 'ciba'],
    endpoints: {
      register: PATHS.agentRegister,
      status: PATHS.agentStatus,
      capabilities: PATHS.capabilityList,
      describe_capability: PATHS.capabilityDescribe,
      execute: PATHS.capabilityExecute,
      request_capability: PATHS.agentRequest,
      reactivate: PATHS.agentReactivate,
      revoke: PATHS.agentRevoke,
      rotate_key: PATHS.agentRotate,
      introspect: PATHS.agentIntrospect,
      revoke_host: PATHS.hostRevoke,
      rotate_host_key: PATHS.hostRotate,
    },
  };
}

/** A document with its media type. */
export type Document = Extract<HandlerResult, { text: string }>;

/** Renders a JSON document without the envelope of a dialect. */
export function jsonDocument(content: object): Document {
  return { type: 'application/json; charset=utf-8', text: JSON.stringify(content, null, 2) };
}
