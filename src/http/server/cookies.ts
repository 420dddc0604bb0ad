import type { Config } from '../../config/load.ts';

/** The names of the pages' cookies, without prefix. */
export type CookieName =
  | 'browser'
  | 'claim'
  | 'connect'
  | 'permission'
  | 'refuse'
  | 'invitation'
  | 'signin'
  | 'session'
  | 'signinlink'
  | 'draft'
  | 'made'
  | 'flash';

/** The setting that decides the prefix and `Secure`. */
type CookieConfig = Pick<Config, 'publicUrl'>;

/**
 * Whether cookies lack `Secure`: only on an http loopback address, where WebKit drops `Secure` cookies. They have
 * another prefix then, and the service reads cookies of one prefix alone (S-71, docs/adr/0007-pages-and-sessions.md).
 */
export function hasPlainCookies({ publicUrl }: CookieConfig): boolean {
  return publicUrl.startsWith('http:');
}

function prefixOf(config: CookieConfig): string {
  return hasPlainCookies(config) ? 'vouchsafe_' : '__Host-';
}

/**
 * Creates a Set-Cookie line: for this host alone, not readable by scripts, not sent with posts of other sites, deleted
 * at the end of the browser session.
 */
export function setCookie(config: CookieConfig, name: CookieName, value: string): string {
  const secure = hasPlainCookies(config) ? '' : ' Secure;';
  return `${prefixOf(config)}${name}=${value}; Path=/;${secure} HttpOnly; SameSite=Lax`;
}

/** Creates a Set-Cookie line that deletes a cookie. */
export function clearCookie(config: CookieConfig, name: CookieName): string {
  return `${setCookie(config, name, '')}; Max-Age=0`;
}

/**
 * Reads our cookies from a Cookie header. Of two cookies with one name, the first counts.
 *
 * @returns the values by name without prefix
 */
export function readCookies(config: CookieConfig, header: string): Map<string, string> {
  const prefix = prefixOf(config);
  const cookies = new Map<string, string>();
  for (const part of header.split(';')) {
    const equals = part.indexOf('=');
    const full = part.slice(0, Math.max(equals, 0)).trim();
    const name = full.slice(prefix.length);
    if (full.startsWith(prefix) && !cookies.has(name)) cookies.set(name, part.slice(equals + 1).trim());
  }
  return cookies;
}
