import type { IncomingMessage } from 'node:http';
import type { Deps } from '../deps.ts';
import { findSession, type Session } from '../domain/sessions.ts';
import { Failure } from '../errors.ts';
import { randomBase62 } from '../lib/base62.ts';

/** Somebody at a browser. */
export interface Visitor {
  /** What every form carries: proof that it came from a page of ours in this very browser (S-71). */
  csrf: string;
  /** A cookie of ours by its name without prefix. */
  cookie(name: CookieName): string | undefined;
  /** Who is signed in at it. */
  session: Session | undefined;
  /** Set-Cookie lines that every page of this visit must carry. */
  cookies: readonly string[];
}

/** A visitor who is signed in. */
export interface Human extends Visitor {
  session: Session;
}

export type CookieName = 'browser' | 'claim' | 'connect' | 'signin' | 'session' | 'signinlink';

/**
 * Who is at the browser. A browser is known by a random cookie from its first page on; what it posts must carry the token
 * that belongs to that cookie, and must not come from another site.
 *
 * @throws Failure `forbidden` for a post that no page of ours in this browser led to
 */
export async function visitorOf(
  deps: Deps,
  request: IncomingMessage,
  form: { csrf?: string } | undefined,
): Promise<Visitor> {
  const cookies = readCookies(request.headers.cookie ?? '');
  const known = cookies.get(`${PREFIX}browser`);
  const browser = known !== undefined && /^[0-9A-Za-z]{32}$/.test(known) ? known : undefined;
  const session = await findSession(deps, cookies.get(`${PREFIX}session`) ?? '');
  if (request.method === 'POST') {
    checkOrigin(request, deps.config.publicUrl);
    if (browser === undefined || !deps.keyring.verify(CSRF, bound(browser, session), form?.csrf ?? '')) {
      throw new Failure(
        'forbidden',
        'This form is out of date, or cookies are switched off. Go back, reload the page and try again.',
      );
    }
  }
  const id = browser ?? randomBase62(32, deps.random);
  return {
    csrf: deps.keyring.sign(CSRF, bound(id, session)),
    session,
    cookie: (name) => cookies.get(PREFIX + name),
    cookies: browser === undefined ? [setCookie('browser', id)] : [],
  };
}

/** What a form's token belongs to: one from before signing in is of no use after it. */
function bound(browser: string, session: Session | undefined): string {
  return `${browser}.${session?.id ?? ''}`;
}

/** A new name for this browser, at each change of who is signed in (S-75). */
export function renewBrowser(deps: Pick<Deps, 'random'>): string {
  return setCookie('browser', randomBase62(32, deps.random));
}

/** A Set-Cookie line for this host alone, out of reach of scripts and of other sites' posts; gone with the browser's session. */
export function setCookie(name: CookieName, value: string): string {
  return `${PREFIX}${name}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax`;
}

/** Takes a cookie back. */
export function clearCookie(name: CookieName): string {
  return `${setCookie(name, '')}; Max-Age=0`;
}

const CSRF = 'csrf';
const PREFIX = '__Host-';

function readCookies(header: string): Map<string, string> {
  const cookies = new Map<string, string>();
  for (const part of header.split(';')) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(equals, 0)).trim();
    if (name !== '' && !cookies.has(name)) cookies.set(name, part.slice(equals + 1).trim());
  }
  return cookies;
}

/** Under `Referrer-Policy: no-referrer` browsers send `Origin: null` with posts of one's own pages, too. */
function checkOrigin(request: IncomingMessage, publicUrl: string): void {
  const { origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const isOurs =
    origin === publicUrl || ((origin === undefined || origin === 'null') && site === 'same-origin');
  const isMute = origin === undefined && site === undefined; // a text browser; the token alone tells
  if (!isOurs && !isMute) {
    throw new Failure('forbidden', 'This form was sent from another site. Open our page and try again.');
  }
}
