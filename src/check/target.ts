import { Failure } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';

/** RFC 9728 3. */
export const RESOURCE_WELL_KNOWN = 'oauth-protected-resource';
/** RFC 8414 3. */
export const ISSUER_WELL_KNOWN = 'oauth-authorization-server';

/** What is examined. */
export interface Target {
  /** Scheme, host and path; no query, no fragment, and no slash where the path is empty. */
  url: string;
  origin: string;
  /** Whether it runs on this machine: only then may its documents name http, and this machine. */
  isLocal: boolean;
}

/**
 * The URL as somebody typed it. A bare host is taken as https (as http on this machine); of the URL of a document that agents
 * look for, the service is taken.
 *
 * @throws Failure badRequest where it cannot be one
 */
export function parseTarget(text: string): Target {
  const typed = text.trim();
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(typed);
  const host = /^\[[^\]]*\]|^[^/:]*/.exec(typed)?.[0] ?? '';
  const full = hasScheme ? typed : `${isLoopbackHost(host) ? 'http' : 'https'}://${typed}`;
  const url = URL.canParse(full) && (hasScheme || host !== '') ? new URL(full) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || /\s/.test(typed)) {
    throw new Failure('badRequest', 'Name the service by its URL, such as https://api.example.com/mcp.');
  }
  if (url.username !== '' || url.password !== '') {
    throw new Failure(
      'badRequest',
      'The URL carries a name or password: leave it out, the check sends no credential.',
    );
  }
  const path = url.pathname.replace(/\/\.well-known\/.*$|\/auth\.md$/, '') || '/';
  return {
    url: url.origin + (path === '/' ? '' : path),
    origin: url.origin,
    isLocal: isLoopbackHost(url.hostname),
  };
}

/** RFC 8414 3.1 and RFC 9728 3.1: the well-known part goes between the host and the path. */
export function insertWellKnown(base: string, name: string): string {
  const { origin, pathname } = new URL(base);
  return `${origin}/.well-known/${name}${pathname.replace(/\/+$/, '')}`;
}

/** What many clients of auth.md do instead: the well-known part goes behind the path. */
export function appendWellKnown(base: string, name: string): string {
  return `${base.replace(/\/+$/, '')}/.well-known/${name}`;
}

/**
 * Whether a URL that the service names can be followed: absolute, https, without password or fragment. What is on this machine
 * may be named by services on this machine alone, so that a stranger's document does not send requests to the reader's own.
 *
 * @returns what is wrong with it, as the end of a sentence
 */
export function urlFault(value: unknown, target: Target): string | undefined {
  if (typeof value !== 'string') return 'is not a text';
  // `URL` would also take what is relative once it has a base, and trim blanks that clients keep.
  if (!/^[a-z][a-z0-9+.-]*:\/\/\S+$/i.test(value) || !URL.canParse(value)) return 'is not an absolute URL';
  const url = new URL(value);
  const isLocal = isLoopbackHost(url.hostname);
  if (isLocal && !target.isLocal) return 'names the machine of whoever reads it';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLocal)) return 'is not https';
  if (url.username !== '' || url.password !== '') return 'carries a name or password';
  return url.hash === '' ? undefined : 'has a fragment';
}
