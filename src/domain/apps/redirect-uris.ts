import { isLoopbackHost } from '../../lib/loopback.ts';

/** To which URLs people may be sent back with a code. */

/** How many redirect URIs a client has at most. */
export const REDIRECTS_MAX = 10;

/** Schemes that run or read something in place of leading to an app (S-79). */
const REFUSED_SCHEMES = new Set([
  'javascript:',
  'data:',
  'file:',
  'vbscript:',
  'blob:',
  'about:',
  'ws:',
  'wss:',
  'ftp:',
]);

/** Whether a client may be answered at a URI: https, http on this computer, or a scheme of an app (RFC 8252 section 7; S-79). */
export function isRedirectUri(text: string): boolean {
  if (text.length > 2048 || !/^[\x21-\x7e]+$/.test(text) || text.includes('#') || text.includes('\\'))
    return false;
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (REFUSED_SCHEMES.has(protocol) || username !== '' || password !== '') return false;
  if (/\/\.\.?(?:[/;?]|$)|%2e/i.test(text)) return false;
  return protocol !== 'http:' || isLoopbackHost(hostname);
}

/** The kind of application (RFC 7591) that the redirects of a client make it: one on this computer may use any port. */
export function applicationTypeOf(redirectUris: readonly string[]): 'web' | 'native' {
  return redirectUris.every((each) => each.startsWith('https:')) ? 'web' : 'native';
}
