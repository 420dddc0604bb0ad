import { readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import type { Resource } from '../config-file.ts';
import { ASSERTION_REVOKED } from '../domain/security-events.ts';
import type { Answer } from './route.ts';
import { CLAIM, ID_JAG, JWT_BEARER } from './urns.ts';

/**
 * The documents by which agents and clients find their way. All are made once, from the configuration and the paths of the
 * route table, and say only what is served (rule 10).
 */
export interface Documents {
  authMd: string;
  llmsTxt: string;
  authorizationServer: object;
  agentConfiguration: object;
  /** Where that is looked for: at the root, and in the forms in which clients put the path of a resource into it. */
  authorizationServerPaths: string[];
  /** By path: the root one is of the default resource. */
  protectedResources: Map<string, object>;
}

/** The paths that the documents name. app.ts builds its rows from the same constants. */
export const PATHS = {
  register: '/agent/auth',
  claim: '/agent/auth/claim',
  complete: '/agent/auth/claim/complete',
  revokeByLogout: '/agent/auth/revoke',
  identity: '/agent/identity',
  identityClaim: '/agent/identity/claim',
  identityComplete: '/agent/identity/claim/complete',
  events: '/agent/event/notify',
  token: '/oauth2/token',
  jwks: '/.well-known/jwks.json',
  me: '/api/me',
  tokens: '/api/tokens',
  resourceEvents: '/resource/events',
  resourcePolicy: '/resource/policy',
  resourceQuota: '/resource/quota',
  introspect: '/oauth2/introspect',
  revoke: '/oauth2/revoke',
  agentConfiguration: '/.well-known/agent-configuration',
  agentRegister: '/agent/register',
  agentStatus: '/agent/status',
  agentRequest: '/agent/request-capability',
  agentReactivate: '/agent/reactivate',
  agentRevoke: '/agent/revoke',
  agentRotate: '/agent/rotate-key',
  agentIntrospect: '/agent/introspect',
  capabilityList: '/capability/list',
  capabilityDescribe: '/capability/describe',
  capabilityExecute: '/capability/execute',
  hostRevoke: '/host/revoke',
  hostRotate: '/host/rotate-key',
  authMd: '/auth.md',
  llmsTxt: '/llms.txt',
  openapi: '/openapi.json',
  authorizationServer: '/.well-known/oauth-authorization-server',
  protectedResource: '/.well-known/oauth-protected-resource',
} as const;

const AUTH_MD = new URL('../../auth.md', import.meta.url);

/** @returns all documents, for the given configuration */
export function createDocuments(config: Config): Documents {
  return {
    authMd: fill(readFileSync(AUTH_MD, 'utf8'), config),
    llmsTxt: llmsTxt(config),
    authorizationServer: authorizationServer(config),
    agentConfiguration: agentConfiguration(config),
    authorizationServerPaths: authorizationServerPaths(config),
    protectedResources: protectedResources(config),
  };
}

/** The documents by path: that of the default resource at the root, each also below its own path. The first of two wins. */
function protectedResources(config: Config): Map<string, object> {
  const documents = new Map<string, object>();
  documents.set(PATHS.protectedResource, protectedResource(config, config.resources[0]!));
  for (const resource of config.resources) {
    const path = metadataPath(resource);
    if (!documents.has(path)) documents.set(path, protectedResource(config, resource));
  }
  return documents;
}

/** RFC 9728 3.1: the well-known part goes before the resource's own path. */
function metadataPath(resource: Resource): string {
  const { pathname } = new URL(resource.url);
  return PATHS.protectedResource + (pathname === '/' ? '' : pathname);
}

/**
 * RFC 8414 3.1 puts a path behind the well-known part, agents append the well-known part to the path, and some to a slash
 * (auth-md.md 3.3, 14). Our issuer has no path, but clients take the resource's for it.
 */
function authorizationServerPaths(config: Config): string[] {
  const wellKnown = PATHS.authorizationServer;
  const paths = config.resources
    .map(({ url }) => new URL(url))
    .filter(({ origin, pathname }) => origin === config.publicUrl && pathname !== '/')
    .flatMap(({ pathname }) => [wellKnown + pathname, pathname.replace(/\/$/, '') + wellKnown]);
  return [...new Set([wellKnown, `/${wellKnown}`, ...paths])];
}

/** RFC 9728 2. */
function protectedResource(config: Config, resource: Resource): object {
  return {
    resource: resource.url,
    resource_name: resource.name,
    ...(resource.documentation === undefined ? {} : { resource_documentation: resource.documentation }),
    authorization_servers: [config.publicUrl],
    scopes_supported: resource.scopes,
    bearer_methods_supported: ['header'],
  };
}

/** RFC 8414 2, with the block of auth.md: the union of what its versions look for (auth-md.md 3.2). */
function authorizationServer(config: Config): object {
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
    resource: config.resources[0]!.url,
    authorization_servers: [config.publicUrl],
    protected_resources: config.resources.map((resource) => resource.url),
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

/** The Agent Auth Protocol's own document (agent-auth-protocol.md 2); clients take the issuer from it to the letter. */
function agentConfiguration(config: Config): object {
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

function llmsTxt(config: Config): string {
  const at = (path: string) => config.publicUrl + path;
  return `# ${config.service.name}

> Software agents register here over HTTP, work at once with a small scope, and get more once a human vouches for them.

- [auth.md](${at(PATHS.authMd)}): how to register, be claimed and use the key, step by step with curl
- [OpenAPI](${at(PATHS.openapi)}): every call, its request and its answers
- [Authorization server metadata](${at(PATHS.authorizationServer)}): endpoints for programs
- [Agent configuration](${at(PATHS.agentConfiguration)}): for agents of the Agent Auth Protocol, which sign each request
- [Signing keys](${at(PATHS.jwks)}): of the tokens that are signed
- [Protected resource metadata](${at(PATHS.protectedResource)}): what the keys are for
- [Revocations and merges](${at(PATHS.resourceEvents)}): for resource servers to follow, with their own credential
- [Rules of tools](${at(PATHS.resourcePolicy)}): for resource servers, which count quotas at ${at(PATHS.resourceQuota)}
`;
}

function fill(template: string, config: Config): string {
  const { limits } = config;
  const values: Record<string, string> = {
    issuer: config.publicUrl,
    service: config.service.name,
    resource: config.resources[0]!.url,
    anonymous_scopes: config.anonymousScopes.join(' '),
    claimed_scopes: config.claimedScopes.join(' '),
    claimed_scopes_json: JSON.stringify(config.claimedScopes),
    anonymous_scopes_json: JSON.stringify(config.anonymousScopes),
    scope_list: [...config.scopes]
      .map(([name, { description }]) => `- \`${name}\`: ${description}`)
      .join('\n'),
    code_minutes: String(Math.ceil(limits.codeTtlSeconds / 60)),
    tries: String(limits.triesPerCode),
    codes: String(limits.codesPerClaim),
    claim_hours: String(Math.ceil(limits.claimTtlSeconds / 3600)),
    unclaimed_days: String(Math.ceil(limits.unclaimedTtlSeconds / 86_400)),
    register_max: String(limits.registerPerIp.max),
  };
  return template.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => values[name] ?? whole);
}

/** A document as an answer. */
export function textDocument(type: string, text: string): () => Answer {
  return () => ({ type, text });
}

/** A JSON document: written once, and without a dialect's envelope. */
export function jsonDocument(document: object): () => Answer {
  return textDocument('application/json; charset=utf-8', JSON.stringify(document, null, 2));
}
