import type { Config } from '../../config/load.ts';
import type { Audience } from '../../domain/audiences/audience.ts';
import { PATHS } from '../server/paths.ts';

/**
 * Renders llms.txt, the index of the documents for language models (https://llmstxt.org): a title, a summary and links.
 */
export function renderLlmsTxt(config: Config, audiences: readonly Audience[]): string {
  const urlOf = (path: string) => config.publicUrl + path;
  return `# ${config.service.name}

> Software agents register here over HTTP, work at once with a small scope, and get more once a human vouches for them.

Have you a key (${config.keys.issued.prefix}…) already? Send it as a bearer to the APIs below; GET ${urlOf(PATHS.me)} says what it may do and what to do next. Have you none? POST {"type":"anonymous"} to ${urlOf(PATHS.register)}, now and without a human. Does yours lack a scope, or do you know your human's mailbox? auth.md says which step is yours.

- [auth.md](${urlOf(PATHS.authMd)}): how to register, be claimed and use the key, step by step with curl
- [OpenAPI](${urlOf(PATHS.openapi)}): every call, its request and its answers
- [Authorization server metadata](${urlOf(PATHS.authorizationServer)}): endpoints for programs; also for MCP clients and other apps with a human at a browser (OAuth 2.1 with PKCE, dynamic registration)
- [Agent configuration](${urlOf(PATHS.agentConfiguration)}): for agents of the Agent Auth Protocol, which sign each request
- [Permission requests](${urlOf(PATHS.permissions)}): ask a human for more, by a signed request; replace its key at ${urlOf(PATHS.sessionKey)}, end what was granted at ${urlOf(PATHS.permissionGrants)}/{id}
- [Signing keys](${urlOf(PATHS.jwks)}): of the tokens that are signed
- [Protected resource metadata](${urlOf(PATHS.protectedResource)}): what the keys are for
- [Revocations and merges](${urlOf(PATHS.resourceEvents)}): for resource servers to follow, with their own credential
- [Rules of tools](${urlOf(PATHS.resourcePolicy)}): for resource servers, which count quotas at ${urlOf(PATHS.resourceQuota)}
- [Workspaces](${urlOf(PATHS.resourceWorkspaces)}): for resource servers, which tell what is in them at ${urlOf(PATHS.resourceNodes)}

## APIs that accept the keys

${audiences.map((each) => `- [${each.name}](${each.url}): ${scopesOf(config, each).join(', ')}`).join('\n')}
`;
}

/** Returns the scopes of an audience: its own list, or all configured scopes. */
export function scopesOf(config: Pick<Config, 'scopes'>, audience: Audience): readonly string[] {
  return audience.scopes ?? [...config.scopes.keys()];
}
