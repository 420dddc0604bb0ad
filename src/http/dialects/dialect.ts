import type { Session } from '../../domain/accounts/sessions.ts';
import type { Failure } from '../../errors.ts';

/** How one protocol spells success and failure. Each has one total table from kind to status and code. */
export interface Dialect {
  name: string;
  success(data: unknown): unknown;
  failure(failure: Failure, requestId: string): { status: number; body: unknown };
  /** Where failures are pages for people and not JSON: how `body` becomes one for whoever is signed in, and the headers of every page. */
  page?: { headers: Record<string, string>; render(body: unknown, session: Session | undefined): string };
  /** The challenges of a 401 or 403, for WWW-Authenticate; undefined where there is none. */
  challenge(failure: Failure, metadataUrl: string): string | undefined;
}

/** The Bearer challenge (RFC 6750 3, RFC 9728 5.1). Without a credential there is no `error` in it. */
export function bearerChallenge(failure: Failure, metadataUrl: string): string | undefined {
  const metadata = `Bearer resource_metadata="${metadataUrl}"`;
  switch (failure.kind) {
    case 'insufficientScope':
      return `${metadata}, error="insufficient_scope", scope="${failure.details.scope ?? ''}"`;
    case 'invalidToken':
      return `${metadata}, error="invalid_token"`;
    default:
      return metadata;
  }
}

/** Where agents of the Agent Auth Protocol find their way (Agent Auth Protocol 1.0-draft, section 5.14). */
export function agentChallenge(metadataUrl: string): string {
  return `AgentAuth discovery="${new URL('/.well-known/agent-configuration', metadataUrl).href}"`;
}
