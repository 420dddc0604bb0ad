import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { findSession, type Session } from '../../domain/accounts/sessions.ts';
import { Failure } from '../../errors.ts';
import { randomBase62 } from '../../lib/base62.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { goalOf, pageOf } from '../pages/goals.ts';
import { type CookieName, clearCookie, readCookies, setCookie } from './cookies.ts';

/** Somebody at a browser. */
export interface BrowserContext {
  /** What every form carries: proof that it came from a page of ours in this very browser (S-71). */
  csrf: string;
  /** A cookie of ours by its name without prefix. */
  cookie(name: CookieName): string | undefined;
  /** Who is signed in at it. */
  session: Session | undefined;
  /**
   * What a form held that was sent after its session had ended, by the path it was sent to: the page fills it in
   * again, once. */
  draft(path: string): Record<string, string> | undefined;
  /** Set-Cookie lines that every page of this visit must carry. */
  cookies: readonly string[];
}

/** Somebody who is signed in at one. */
export interface SignedInUser extends BrowserContext {
  session: Session;
}

/**
 * Who is at the browser. A browser is known by a random cookie from its first page on; what it posts must carry the token
 * that belongs to that cookie, and must not come from another site.
 *
 * @throws Failure `forbidden` for a post that no page of ours in this browser led to; `signInRequired`, which leads to signing in
 * and back, for one whose session has ended in the meantime
 */
export async function browserContext(
  deps: Deps,
  request: IncomingMessage,
  form: { csrf?: string; next?: string } | undefined,
  needsSession = false,
): Promise<BrowserContext> {
  const cookies = readCookies(deps.config, request.headers.cookie ?? '');
  const known = cookies.get('browser');
  const browser = known !== undefined && /^[0-9A-Za-z]{32}$/.test(known) ? known : undefined;
  const session = await findSession(deps, cookies.get('session') ?? '');
  if (request.method === 'POST') {
    checkOrigin(request, deps.config.publicUrl);
    // A form from before is void with its session. Nothing is done by it, so its token need not be looked at.
    const hasEnded = session === undefined && (needsSession || cookies.has('session'));
    const isRight =
      browser !== undefined && deps.keyring.verify(CSRF, bound(browser, session), form?.csrf ?? '');
    if (browser !== undefined && hasEnded && !isRight) throw signInFirst(deps, request, form);
    if (!isRight && session !== undefined && SIGNING_IN.has(pathOf(request))) {
      // The same form once more, after its first answer has signed its browser in.
      const location = goalOf(form?.next);
      throw new Failure('signInRequired', 'You are signed in already.', { location });
    }
    if (!isRight) {
      throw new Failure(
        'forbidden',
        'This form is out of date, or cookies are switched off. Go back, reload the page and try again.',
      );
    }
  }
  const id = browser ?? randomBase62(32, deps.random);
  const lines = browser === undefined ? [setCookie(deps.config, 'browser', id)] : [];
  return {
    csrf: deps.keyring.sign(CSRF, bound(id, session)),
    session,
    cookie: (name) => cookies.get(name),
    draft(path) {
      const fields = readDraft(cookies.get('draft'), path);
      if (fields !== undefined) lines.push(clearCookie(deps.config, 'draft'));
      return fields;
    },
    cookies: lines,
  };
}

/** Who is signed in at a browser, for a page that only says so; undefined where that cannot be told just now. */
export async function whoIsSignedIn(deps: Deps, header = ''): Promise<Session | undefined> {
  const secret = readCookies(deps.config, header).get('session') ?? '';
  return findSession(deps, secret).catch(() => undefined);
}

/** What a form's token belongs to: one from before signing in is of no use after it. */
function bound(browser: string, session: Session | undefined): string {
  return `${browser}.${session?.id ?? ''}`;
}

/** A new name for this browser, at each change of who is signed in (S-75). */
export function renewBrowser(deps: Pick<Deps, 'random' | 'config'>): string {
  return setCookie(deps.config, 'browser', randomBase62(32, deps.random));
}

/** Leads to signing in and back to the page of the form, which finds there what it held. */
export function signInFirst(
  deps: Pick<Deps, 'config'>,
  request: IncomingMessage,
  form: object | undefined,
): Failure {
  const location = `${PAGES.signIn}?next=${pageAsked(request)}`;
  return new Failure('signInRequired', 'Sign in first.', {
    location,
    cookies: keepDraft(deps, request, form),
  });
}

/** The page to come back to: the one asked for, or that of the form that was sent. */
export function pageAsked(request: IncomingMessage): string {
  return pageOf(pathOf(request));
}

/** Set-Cookie lines that keep what a form holds for the page that it is on, for a quarter of an hour. */
export function keepDraft(
  { config }: Pick<Deps, 'config'>,
  request: IncomingMessage,
  form: object | undefined,
): string[] {
  if (request.method !== 'POST' || form === undefined) return [];
  const fields = Object.entries(form).filter(
    ([name, value]) => !HIDDEN.has(name) && typeof value === 'string',
  );
  if (fields.length === 0) return [];
  const draft = JSON.stringify({ path: pathOf(request), fields: Object.fromEntries(fields) });
  const line = setCookie(config, 'draft', Buffer.from(draft).toString('base64url'));
  // Browsers drop cookies of more than 4096 bytes (RFC 6265 section 6.1).
  return line.length > 4000 ? [] : [`${line}; Max-Age=900`];
}

function readDraft(cookie: string | undefined, path: string): Record<string, string> | undefined {
  if (cookie === undefined) return undefined;
  try {
    const draft = DRAFT.parse(JSON.parse(Buffer.from(cookie, 'base64url').toString()));
    return draft.path === path ? draft.fields : undefined;
  } catch {
    return undefined; // not written by us
  }
}

function pathOf(request: IncomingMessage): string {
  return request.url?.split('?')[0] ?? '';
}

/** Fields that nobody filled in, and that are void with the session. */
const HIDDEN = new Set(['csrf', 'once', 'sealed']);
const DRAFT = z.object({ path: z.string(), fields: z.record(z.string(), z.string()) });
const CSRF = 'csrf';
const SIGNING_IN = new Set<string>([PAGES.signIn, PAGES.signInCode, PAGES.signInLink]);

/** Under `Referrer-Policy: no-referrer` browsers send `Origin: null` with posts of one's own pages, too. */
function checkOrigin(request: IncomingMessage, publicUrl: string): void {
  const { origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const isOurs =
    origin === publicUrl || ((origin === undefined || origin === 'null') && site === 'same-origin');
  // An old browser under `no-referrer`, or a text browser: the token alone tells.
  const isMute = (origin === undefined || origin === 'null') && site === undefined;
  if (!isOurs && !isMute) {
    throw new Failure('forbidden', 'This form was sent from another site. Open our page and try again.');
  }
}
