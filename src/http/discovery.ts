import { readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import type { Resource } from '../config-file.ts';
import type { Answer } from './route.ts';

/**
 * The documents by which agents and clients find their way. All are made once, from the configuration and the paths of the
 * route table, and say only what is served (rule 10).
 */
export interface Documents {
  authMd: string;
  llmsTxt: string;
  authorizationServer: object;
  /** By path: the root one is of the default resource. */
  protectedResources: Map<string, object>;
}

/** The paths that the documents name. app.ts builds its rows from the same constants. */
export const PATHS = {
  register: '/agent/auth',
  claim: '/agent/auth/claim',
  complete: '/agent/auth/claim/complete',
  me: '/api/me',
  tokens: '/api/tokens',
  resourceEvents: '/resource/events',
  resourcePolicy: '/resource/policy',
  resourceQuota: '/resource/quota',
  introspect: '/oauth2/introspect',
  revoke: '/oauth2/revoke',
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

/** RFC 8414 2, with the block of auth.md. */
function authorizationServer(config: Config): object {
  const at = (path: string) => config.publicUrl + path;
  return {
    issuer: config.publicUrl,
    // Nothing is granted by redirect or token endpoint yet; RFC 8414 wants the member all the same.
    response_types_supported: [],
    grant_types_supported: [],
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
      register_uri: at(PATHS.register),
      claim_uri: at(PATHS.claim),
      identity_types_supported: ['anonymous', 'identity_assertion'],
      anonymous: { credential_types_supported: ['api_key'] },
      identity_assertion: {
        assertion_types_supported: ['verified_email'],
        credential_types_supported: ['api_key'],
      },
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
