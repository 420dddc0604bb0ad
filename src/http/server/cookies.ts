import type { Config } from '../../config/load.ts';

/** The cookies of people's browsers. */

export type CookieName =
  | 'browser'
  | 'claim'
  | 'connect'
  | 'refuse'
  | 'signin'
  | 'session'
  | 'signinlink'
  | 'draft'
  | 'made';

/** What tells how cookies are named. */
type Served = Pick<Config, 'publicUrl'>;

/**
 * Whether cookies do without `Secure`: on a machine's own http address alone, where some browsers (WebKit) drop what is `Secure`. They
 * bear another name then, and only the one or the other counts (S-71).
 */
export function hasPlainCookies({ publicUrl }: Served): boolean {
  return publicUrl.startsWith('http:');
}

function prefixOf(config: Served): string {
  return hasPlainCookies(config) ? 'vouchsafe_' : '__Host-';
}

/** A Set-Cookie line for this host alone, out of reach of scripts and of other sites' posts; gone with the browser's session. */
export function setCookie(config: Served, name: CookieName, value: string): string {
  const secure = hasPlainCookies(config) ? '' : ' Secure;';
  return `${prefixOf(config)}${name}=${value}; Path=/;${secure} HttpOnly; SameSite=Lax`;
}

/** Takes a cookie back. */
export function clearCookie(config: Served, name: CookieName): string {
  return `${setCookie(config, name, '')}; Max-Age=0`;
}

/** Our cookies of a Cookie header, by their names without prefix. The first of a name counts. */
export function readCookies(config: Served, header: string): Map<string, string> {
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
