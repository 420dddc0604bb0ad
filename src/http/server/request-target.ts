import { isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { isLoopbackHost } from '../../lib/loopback.ts';

/** What a request asks for (RFC 9112 section 3.2). */
export interface RequestTarget {
  /** Without the query, as it was written: a proxy that has rules for paths must see the one that is served. */
  path: string;
  /** From the `?` on, or empty. */
  query: string;
  /** Of an absolute-form target, which says itself where it is meant for. */
  origin: { scheme: string; authority: string } | undefined;
}

const ABSOLUTE_FORM = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is;

/**
 * Reads a request target in origin form or in absolute form (RFC 9112 sections 3.2.1 and 3.2.2); the other two forms, of CONNECT
 * and of `OPTIONS *`, come out as a path that nothing has.
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
 * Makes the check whether a request is meant for this service: every spelling of the host and port of its public URL that is
 * equivalent to it (RFC 9110 sections 4.2.3 and 7.2, RFC 3986 section 6.2); on a developer's machine every name of the machine
 * itself, at any port.
 *
 * @returns takes an absolute-form target's origin, whose Host header then counts for nothing (RFC 9112 section 3.2.2), or the
 * value of the Host header
 */
export function createHostCheck(
  publicUrl: string,
): (origin: RequestTarget['origin'], hostHeader: string) => boolean {
  const { protocol, host: ours, hostname, port } = new URL(publicUrl);
  const scheme = protocol.slice(0, -1);
  const defaultPort = scheme === 'https' ? 443 : 80;
  const ourPort = port === '' ? defaultPort : Number(port);
  const isOurName = isLoopbackHost(hostname) ? isLoopbackHost : (name: string) => name === hostname;

  function isOurs(authority: string): boolean {
    if (authority === ours) return true;
    const parsed = AUTHORITY.exec(authority);
    if (parsed === null) return false;
    const [, name, digits] = parsed as unknown as [string, string, string | undefined];
    const isOurPort = isLoopbackHost(hostname) || (digits ? Number(digits) : defaultPort) === ourPort;
    return isOurPort && isOurName(normalizeName(name, hostname));
  }

  return (origin, hostHeader) =>
    origin === undefined ? isOurs(hostHeader) : origin.scheme === scheme && isOurs(origin.authority);
}

/** uri-host and an optional port that may be empty (RFC 3986 section 3.2); no user information. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})+)(?::([0-9]*))?$/i;

/** A host's normal form, as `URL` writes it, as far as it can be the one that is wanted. */
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
  // A registered name may be percent-encoded UTF-8 (RFC 3986 section 3.2.2). Where ours is ASCII, so is every spelling of it.
  const isAscii = /^[\x21-\x7e]*$/.test(decoded);
  if (!isAscii) decoded = /(?:^|\.)xn--/.test(wanted) ? domainToASCII(decoded) : '';
  const lower = decoded.toLowerCase();
  // The dot of the root, which a name may end with; an IPv4 address may not.
  return /[^0-9.]\.$/.test(lower) ? lower.slice(0, -1) : lower;
}
