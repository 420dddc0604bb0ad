import type { Config } from '../../config/load.ts';
import { ASSERTION_REVOKED } from '../../domain/agents/revoke-by-provider.ts';
import type { Audience } from '../../domain/audiences/audience.ts';
import { CLAIM, ID_JAG, JWT_BEARER } from '../oauth/grant-types.ts';
import { PATHS } from '../server/paths.ts';
import type { HandlerResult } from '../server/table.ts';

/** The metadata by which clients find their way: what is served, and nothing else. discovery/documents.ts serves it. */

/**
 * The metadata of protected resources by path (RFC 9728 section 3.1): that of the default audience at the root, each also below
 * its own path. The first of two with one path has it.
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

/** RFC 9728 3.1: the well-known part goes before the resource's own path. */
function metadataPath(url: string): string {
  const { pathname } = new URL(url);
  return PATHS.protectedResource + (pathname === '/' ? '' : pathname);
}

/**
 * Where the authorization server metadata is looked for. RFC 8414 section 3.1 puts a path behind the well-known part, some
 * clients append the well-known part to the path, and some to a slash. Our issuer has no path, but clients take that of an
 * audience on our origin for it.
 */
export function authorizationServerPaths(config: Config, audiences: readonly Audience[]): string[] {
  const wellKnown = PATHS.authorizationServer;
  const paths = audiences
    .map(({ url }) => new URL(url))
    .filter(({ origin, pathname }) => origin === config.publicUrl && pathname !== '/')
    .flatMap(({ pathname }) => [wellKnown + pathname, pathname.replace(/\/$/, '') + wellKnown]);
  return [...new Set([wellKnown, `/${wellKnown}`, ...paths])];
}

/** RFC 9728 2. */
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

/** RFC 8414 2, with the block of auth.md: the union of what its versions look for (docs/dialects.md). */
export function authorizationServer(config: Config, audiences: readonly Audience[]): object {
  const at = (path: string) => config.publicUrl + path;
  const hasIssuers = config.trustedIssuers.size > 0;
  return {
    issuer: config.publicUrl,
    token_endpoint: at(PATHS.token),
    token_endpoint_auth_methods_supported: ['none'],
    // Nothing is granted by redirect yet; RFC 8414 wants the member all the same.
    response_types_supported: [],
    grant_types_supported: config.claimMode === 'reveal' ? [JWT_BEARER] : [JWT_BEARER, CLAIM],
    jwks_uri: at(PATHS.jwks),
    introspection_endpoint: at(PATHS.introspect),
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    revocation_endpoint: at(PATHS.revoke),
    revocation_endpoint_auth_methods_supported: ['none'],
    scopes_supported: [...config.scopes.keys()],
    bearer_methods_supported: ['header'],
    resource: audiences[0]!.url,
    authorization_servers: [config.publicUrl],
    protected_resources: audiences.map(({ url }) => url),
    service_documentation: at(PATHS.authMd),
    agent_auth: {
      skill: at(PATHS.authMd),
      // 0.1 and the tinysend profile
      register_uri: at(PATHS.register),
      claim_uri: at(PATHS.claim),
      ...(hasIssuers && { revocation_uri: at(PATHS.revokeByLogout) }),
      // 0.2 and later; clients append /complete to the second
      identity_endpoint: at(PATHS.identity),
      claim_endpoint: at(PATHS.identityClaim),
      ...(hasIssuers && { events_endpoint: at(PATHS.events) }),
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

/** The Agent Auth Protocol's own document (Agent Auth Protocol 1.0-draft, section 5.1); clients take the issuer from it to the letter. */
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

/** A document as it goes out. */
export type Served = Extract<HandlerResult, { text: string }>;

/** A JSON document, without a dialect's envelope. */
export function jsonDocument(content: object): Served {
  return { type: 'application/json; charset=utf-8', text: JSON.stringify(content, null, 2) };
}
