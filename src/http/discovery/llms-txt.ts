import type { Config } from '../../config/load.ts';
import type { Audience } from '../../domain/audiences/audience.ts';
import { PATHS } from '../server/paths.ts';

/** The map of the documents for language models (llmstxt.org): a title, a summary, links. */
export function renderLlmsTxt(config: Config, audiences: readonly Audience[]): string {
  const at = (path: string) => config.publicUrl + path;
  return `# ${config.service.name}

> Software agents register here over HTTP, work at once with a small scope, and get more once a human vouches for them.

Have you a key (sk_…) already? Send it as a bearer to the APIs below; GET ${at(PATHS.me)} says what it may do and what to do next. Have you none? POST {"type":"anonymous"} to ${at(PATHS.register)}, now and without a human. Does yours lack a scope, or do you know your human's mailbox? auth.md says which step is yours.

- [auth.md](${at(PATHS.authMd)}): how to register, be claimed and use the key, step by step with curl
- [OpenAPI](${at(PATHS.openapi)}): every call, its request and its answers
- [Authorization server metadata](${at(PATHS.authorizationServer)}): endpoints for programs
- [Agent configuration](${at(PATHS.agentConfiguration)}): for agents of the Agent Auth Protocol, which sign each request
- [Signing keys](${at(PATHS.jwks)}): of the tokens that are signed
- [Protected resource metadata](${at(PATHS.protectedResource)}): what the keys are for
- [Revocations and merges](${at(PATHS.resourceEvents)}): for resource servers to follow, with their own credential
- [Rules of tools](${at(PATHS.resourcePolicy)}): for resource servers, which count quotas at ${at(PATHS.resourceQuota)}

## APIs that accept the keys

${audiences.map((each) => `- [${each.name}](${each.url}): ${scopesOf(config, each).join(', ')}`).join('\n')}
`;
}

/** The scopes that an audience knows. */
export function scopesOf(config: Pick<Config, 'scopes'>, audience: Audience): readonly string[] {
  return audience.scopes ?? [...config.scopes.keys()];
}
