import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { findSession, type Session } from '../../domain/accounts/sessions.ts';
import { Failure } from '../../errors.ts';
import { randomBase62 } from '../../lib/base62.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { chooseLocale, type Locale } from '../../lib/translate.ts';
import type { PageReader } from '../dialects/dialect.ts';
import type { Problem } from '../pages/forms.ts';
import { formPageOf, returnPathOf } from '../pages/return-paths.ts';
import { type CookieName, clearCookie, readCookies, setCookie } from './cookies.ts';
import { type Flash, readFlash } from './flash.ts';

/** A browser that sent a request, and its session if it has one. */
export interface BrowserContext {
  /**
   * The CSRF token for forms: a MAC over browser and session, which proves that a page of ours in this browser led to a
   * post (S-71).
   */
  csrf: string;
  /** Returns a cookie of ours, by its name without prefix. */
  cookie(name: CookieName): string | undefined;
  /** The session of the signed-in user; undefined: nobody is signed in. */
  session: Session | undefined;
  /**
   * Returns the fields of a form that was posted to a path after its session had ended; undefined: there are none. The
   * next response deletes them.
   */
  draft(path: string): Record<string, string> | undefined;
  /** What the page says of the POST that led to it. */
  flash: Flash | undefined;
  /** What is wrong with a field of the form on the page, if its schema refused it: see refused-forms.ts. */
  problem?: Problem;
  /** The language of the pages. */
  locale: Locale;
  /** Set-Cookie lines for the response. */
  cookies: readonly string[];
}

/** A browser with a signed-in user. */
export interface SignedInUser extends BrowserContext {
  session: Session;
}

/**
 * Identifies the browser and the session of a request, and checks a post against CSRF (S-71). A random cookie
 * identifies a browser from its first page on. A post must carry the CSRF token of that cookie, and must not come from
 * another site.
 *
 * @param form the posted fields; undefined for a GET
 * @param needsSession whether the row demands a signed-in user
 * @throws Failure `forbidden` for a post that no page of ours in this browser led to; `signInRequired` for a form whose
 * session has ended, with the way to the sign-in page and back
 */
export async function identifyBrowser(
  deps: Deps,
  request: IncomingMessage,
  form: { csrf?: string; next?: string } | undefined,
  needsSession = false,
): Promise<BrowserContext> {
  const cookies = readCookies(deps.config, request.headers.cookie ?? '');
  const presented = cookies.get('browser');
  const browser = presented !== undefined && /^[0-9A-Za-z]{32}$/.test(presented) ? presented : undefined;
  const session = await findSession(deps, cookies.get('session') ?? '');
  if (request.method === 'POST') {
    checkOrigin(request, deps.config.publicUrl);
    // The token of a form is bound to its session. After the session has ended the form is not executed, only saved as
    // a draft.
    const sessionHasEnded = session === undefined && (needsSession || cookies.has('session'));
    const hasValidToken =
      browser !== undefined && deps.keyring.verify(CSRF, csrfSubject(browser, session), form?.csrf ?? '');
    if (browser !== undefined && sessionHasEnded && !hasValidToken) throw signInRequired(deps, request, form);
    if (!hasValidToken && session !== undefined && SIGN_IN_PATHS.has(pathOf(request))) {
      // A repeated sign-in form: the response to the first one has signed the browser in.
      const location = returnPathOf(form?.next);
      throw new Failure('signInRequired', 'You are signed in already.', { location });
    }
    if (!hasValidToken) {
      throw new Failure(
        'forbidden',
        'This form is out of date, or cookies are switched off. Go back, reload the page and try again.',
        { hint: 'failure.formOutdated' },
      );
    }
  }
  const id = browser ?? randomBase62(32, deps.random);
  const cookieLines = browser === undefined ? [setCookie(deps.config, 'browser', id)] : [];
  const flash = request.method === 'GET' ? readFlash(cookies.get('flash')) : undefined;
  if (flash !== undefined) cookieLines.push(clearCookie(deps.config, 'flash'));
  return {
    csrf: deps.keyring.sign(CSRF, csrfSubject(id, session)),
    session,
    flash,
    locale: localeOf(session, request),
    cookie: (name) => cookies.get(name),
    draft(path) {
      const fields = readDraft(cookies.get('draft'), path);
      if (fields !== undefined) cookieLines.push(clearCookie(deps.config, 'draft'));
      return fields;
    },
    cookies: cookieLines,
  };
}

/** Finds out who reads a page that only shows their session; they count as signed out while the database is unavailable. */
export async function pageReaderOf(
  deps: Deps,
  request: { headers: Pick<IncomingMessage['headers'], 'cookie' | 'accept-language'> },
): Promise<PageReader> {
  const secret = readCookies(deps.config, request.headers.cookie ?? '').get('session') ?? '';
  const session = await findSession(deps, secret).catch(() => undefined);
  return { session, locale: localeOf(session, request) };
}

/** The language of the pages: the one that the signed-in user chose, else the one that the browser likes best. */
function localeOf(
  session: Session | undefined,
  { headers }: { headers: Pick<IncomingMessage['headers'], 'accept-language'> },
): Locale {
  return session?.locale ?? chooseLocale(headers['accept-language']);
}

/** The value that a CSRF token signs. It includes the session, so a token from before sign-in is invalid after it. */
function csrfSubject(browser: string, session: Session | undefined): string {
  return `${browser}.${session?.id ?? ''}`;
}

/** Creates a Set-Cookie line with a new browser id, for each change of the signed-in user (S-75). */
export function newBrowserCookie(deps: Pick<Deps, 'random' | 'config'>): string {
  return setCookie(deps.config, 'browser', randomBase62(32, deps.random));
}

/**
 * Creates the Failure `signInRequired`, which redirects to the sign-in page and then back to the page of the form. A
 * posted form is kept as a draft.
 */
export function signInRequired(
  deps: Pick<Deps, 'config'>,
  request: IncomingMessage,
  form: object | undefined,
): Failure {
  const location = `${PAGES.signIn}?next=${requestedPagePath(request)}`;
  return new Failure('signInRequired', 'Sign in first.', {
    location,
    cookies: saveDraftCookie(deps, request, form),
  });
}

/**
 * Returns the path of the requested page, with its query if a sign-in may return to it, or the path of the page on which the
 * posted form stands.
 */
export function requestedPagePath(request: IncomingMessage): string {
  const { url = '' } = request;
  return returnPathOf(url) === url ? url : formPageOf(pathOf(request));
}

/** Creates the Set-Cookie line that keeps a posted form, see keepDraft(). @returns an empty array for a GET */
export function saveDraftCookie(
  deps: Pick<Deps, 'config'>,
  request: IncomingMessage,
  form: object | undefined,
): string[] {
  return request.method === 'POST' && form !== undefined ? keepDraft(deps, pathOf(request), form) : [];
}

/**
 * Creates the Set-Cookie line that keeps the fields of a form for 15 minutes: BrowserContext.draft() returns them once.
 *
 * @param path where the form was posted to
 * @returns an empty array for a form without visible fields, and a form too large for a cookie
 */
export function keepDraft({ config }: Pick<Deps, 'config'>, path: string, form: object): string[] {
  const fields = Object.entries(form).filter(
    ([name, value]) => !HIDDEN_FIELDS.has(name) && typeof value === 'string',
  );
  if (fields.length === 0) return [];
  const draft = JSON.stringify({ path, fields: Object.fromEntries(fields) });
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
    return undefined; // the service did not write this cookie
  }
}

function pathOf(request: IncomingMessage): string {
  return request.url?.split('?')[0] ?? '';
}

/** Hidden fields, which are invalid after the session. */
const HIDDEN_FIELDS = new Set(['csrf', 'once', 'sealed']);
const DRAFT = z.object({ path: z.string(), fields: z.record(z.string(), z.string()) });
const CSRF = 'csrf';
const SIGN_IN_PATHS = new Set<string>([PAGES.signIn, PAGES.signInCode, PAGES.signInLink]);

/**
 * Refuses a post from another site. Under `Referrer-Policy: no-referrer` browsers send `Origin: null` with posts of our
 * own pages too, so Sec-Fetch-Site decides.
 */
function checkOrigin(request: IncomingMessage, publicUrl: string): void {
  const { origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const isSameOrigin =
    origin === publicUrl || ((origin === undefined || origin === 'null') && site === 'same-origin');
  // Old browsers under `no-referrer` and text browsers send neither header: the CSRF token alone decides.
  const isUnknown = (origin === undefined || origin === 'null') && site === undefined;
  if (!isSameOrigin && !isUnknown) {
    throw new Failure('forbidden', 'This form was sent from another site. Open our page and try again.', {
      hint: 'failure.formForeign',
    });
  }
}
