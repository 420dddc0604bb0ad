import { isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { isLoopbackHost } from '../../lib/loopback.ts';

/** A parsed request target (RFC 9112 section 3.2). */
export interface RequestTarget {
  /** The path as written, without the query: a proxy's rules for paths must apply to the path that is served. */
  path: string;
  /** The query with its `?`, or an empty string. */
  query: string;
  /** The origin that an absolute-form target names; undefined for the other forms. */
  origin: { scheme: string; authority: string } | undefined;
}

const ABSOLUTE_FORM = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is;

/**
 * Parses a request target in origin form or absolute form (RFC 9112 sections 3.2.1 and 3.2.2). The other two forms, of
 * CONNECT and of `OPTIONS *`, become a path that no route has.
 */
export function readRequestTarget(text: string): RequestTarget {
  const absolute = text.startsWith('/') ? null : ABSOLUTE_FORM.exec(text);
  const rest = absolute === null ? text : absolute[3]!;
  const queryAt = rest.indexOf('?');
  const path = queryAt === -1 ? rest : rest.slice(0, queryAt);
  return {
    // An empty path is "/" (RFC 9110 section 4.2.3).
    path: path === '' ? '/' : path,
    query: queryAt === -1 ? '' : rest.slice(queryAt),
    origin: absolute === null ? undefined : { scheme: absolute[1]!.toLowerCase(), authority: absolute[2]! },
  };
}

/**
 * Creates the check whether a request is for this service (S-64). It accepts every equivalent spelling of the host and
 * port of the public URL (RFC 9110 sections 4.2.3 and 7.2, RFC 3986 section 6.2). When the public URL is a loopback
 * address, it accepts every loopback name at any port.
 *
 * @param publicUrl PUBLIC_URL
 * @returns a predicate of the target's origin and the Host header; it ignores the header when the target is in absolute
 * form (RFC 9112 section 3.2.2)
 */
export function createHostCheck(
  publicUrl: string,
): (origin: RequestTarget['origin'], hostHeader: string) => boolean {
  const { protocol, host: publicAuthority, hostname, port } = new URL(publicUrl);
  const scheme = protocol.slice(0, -1);
  const defaultPort = scheme === 'https' ? 443 : 80;
  const publicPort = port === '' ? defaultPort : Number(port);
  const isPublicName = isLoopbackHost(hostname) ? isLoopbackHost : (name: string) => name === hostname;

  function isPublicAuthority(authority: string): boolean {
    if (authority === publicAuthority) return true;
    const parsed = AUTHORITY.exec(authority);
    if (parsed === null) return false;
    const [, name, digits] = parsed as unknown as [string, string, string | undefined];
    const isPublicPort = isLoopbackHost(hostname) || (digits ? Number(digits) : defaultPort) === publicPort;
    return isPublicPort && isPublicName(normalizeName(name, hostname));
  }

  return (origin, hostHeader) =>
    origin === undefined
      ? isPublicAuthority(hostHeader)
      : origin.scheme === scheme && isPublicAuthority(origin.authority);
}

/** uri-host and an optional, possibly empty port (RFC 3986 section 3.2), without userinfo. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})+)(?::([0-9]*))?$/i;

/** Normalizes a host as `URL` does. Returns an empty string for a host that cannot equal `wanted`. */
function normalizeName(name: string, wanted: string): string {
  if (name.startsWith('[')) {
    return isIPv6(name.slice(1, -1)) ? new URL(`http://${name}`).hostname : '';
  }
  let decoded = name;
  try {
    decoded = decodeURIComponent(name);
  } catch {
    return '';
  }
  // A reg-name may be percent-encoded UTF-8 (RFC 3986 section 3.2.2). It can equal `wanted` only if that is an
  // internationalized name.
  const isAscii = /^[\x21-\x7e]*$/.test(decoded);
  if (!isAscii) decoded = /(?:^|\.)xn--/.test(wanted) ? domainToASCII(decoded) : '';
  const lower = decoded.toLowerCase();
  // A name may end with the dot of the DNS root; an IPv4 address may not.
  return /[^0-9.]\.$/.test(lower) ? lower.slice(0, -1) : lower;
}
