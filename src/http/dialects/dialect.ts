import type { Session } from '../../domain/accounts/sessions.ts';
import type { Failure } from '../../errors.ts';
import type { Locale } from '../../lib/translate.ts';

/** Who a failure is rendered for as a page. */
export interface PageReader {
  session: Session | undefined;
  locale: Locale;
}

/**
 * How one protocol renders success and failure. Each dialect has one total table from failure kinds to statuses and
 * codes.
 */
export interface Dialect {
  name: string;
  /** Wraps the `data` of a handler's result. */
  success(data: unknown): unknown;
  failure(failure: Failure, requestId: string): { status: number; body: unknown };
  /**
   * Renders failures as HTML pages instead of JSON: `body` comes from failure().
   */
  page?: { headers: Record<string, string>; render(body: unknown, reader: PageReader): string };
  /**
   * Creates the WWW-Authenticate header of a failure; undefined: the response has none.
   *
   * @param metadataUrl the URL of the protected resource metadata (RFC 9728)
   */
  challenge(failure: Failure, metadataUrl: string): string | undefined;
}

/**
 * Creates the Bearer challenge (RFC 6750 section 3, RFC 9728 section 5.1). It has no `error` if the request had no
 * credential.
 */
export function bearerChallenge(failure: Failure, metadataUrl: string): string | undefined {
  const metadata = `Bearer resource_metadata="${metadataUrl}"`;
  switch (failure.kind) {
    case 'insufficientScope':
      return failure.details.scope === undefined
        ? `${metadata}, error="insufficient_scope"`
        : `${metadata}, error="insufficient_scope", scope="${failure.details.scope}"`;
    case 'invalidToken':
      return `${metadata}, error="invalid_token"`;
    default:
      return metadata;
  }
}

/**
 * Turns a message into an `error_description`: RFC 6749 section 5.2 and RFC 6750 section 3 allow visible ASCII and spaces,
 * without double quotes and backslashes.
 */
export function toErrorDescription(message: string): string {
  return message.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, ' ');
}

/**
 * Creates the challenge that leads to the agent configuration document (Agent Auth Protocol 1.0-draft, section 5.14).
 */
export function agentChallenge(metadataUrl: string): string {
  return `AgentAuth discovery="${new URL('/.well-known/agent-configuration', metadataUrl).href}"`;
}
