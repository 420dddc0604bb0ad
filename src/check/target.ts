import { Failure } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';

/** The well-known name of resource metadata (RFC 9728 section 3). */
export const RESOURCE_WELL_KNOWN = 'oauth-protected-resource';
/** The well-known name of authorization server metadata (RFC 8414 section 3). */
export const ISSUER_WELL_KNOWN = 'oauth-authorization-server';

/** The examined service. */
export interface Target {
  /** Scheme, host and path; no query, no fragment, and no slash where the path is empty. */
  url: string;
  origin: string;
  /** Whether it runs on this machine. Only then may its documents name http URLs and this machine. */
  isLocal: boolean;
}

/**
 * Parses a URL as a person types it. A bare host means https, or http on this machine. The URL of /auth.md or of a well-known
 * document means its service.
 *
 * @throws Failure `badRequest` if it is not an http or https URL, or has a user name or password
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

/** Inserts the well-known part between host and path (RFC 8414 section 3.1, RFC 9728 section 3.1). */
export function insertWellKnown(base: string, name: string): string {
  const { origin, pathname } = new URL(base);
  return `${origin}/.well-known/${name}${pathname.replace(/\/+$/, '')}`;
}

/** Appends the well-known part to the path, as many clients of auth.md do. */
export function appendWellKnown(base: string, name: string): string {
  return `${base.replace(/\/+$/, '')}/.well-known/${name}`;
}

/**
 * Finds what is wrong with a URL that the service names. It must be absolute and https, without user name, password and fragment.
 * Only a service on this machine may name this machine: a third party's document must not send requests to it.
 *
 * @returns the end of a sentence; undefined if nothing is wrong
 */
export function urlFault(value: unknown, target: Target): string | undefined {
  if (typeof value !== 'string') return 'is not a text';
  // The URL parser also trims spaces, which clients keep.
  if (!/^[a-z][a-z0-9+.-]*:\/\/\S+$/i.test(value) || !URL.canParse(value)) return 'is not an absolute URL';
  const url = new URL(value);
  const isLocal = isLoopbackHost(url.hostname);
  if (isLocal && !target.isLocal) return 'names the machine of whoever reads it';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLocal)) return 'is not https';
  if (url.username !== '' || url.password !== '') return 'carries a name or password';
  return url.hash === '' ? undefined : 'has a fragment';
}
