import type { Config } from '../../config/load.ts';
import { randomBase62 } from '../../lib/base62.ts';
import { contrast, readableOn } from '../../lib/color.ts';
import { formatPause } from '../../lib/format-time.ts';
import type { Random } from '../../lib/random.ts';
import { openTemplates } from '../../lib/templates.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { TINYSEND_ERRORS_BY_KIND } from '../dialects/tinysend.ts';
import type { BrowserContext } from '../server/browser-session.ts';
import type { HandlerResult } from '../server/table.ts';

/** Renders pages from templates, with the headers that every page has. */
export interface Pages {
  /** Renders failures as pages. */
  dialect: Dialect;
  /** Renders the template `templates/pages/NAME.eta`. */
  show(
    browser: Pick<BrowserContext, 'csrf' | 'session' | 'cookies'>,
    name: string,
    values: object,
    status?: number,
  ): HandlerResult;
  /** The stylesheet, the script and the icon, by path. */
  assets: Map<string, { type: string; text: string }>;
}

/**
 * Creates the pages.
 *
 * @param config the operator's name, color, logo and links, and optionally their own templates
 */
export function createPages(config: Config, random: Random): Pages {
  const { service, publicUrl } = config;
  const eta = openTemplates('pages', config.templatesDir, {});
  const shared = { service, publicUrl, colours: deriveColors(service.accent) };
  const render = (name: string, values: object) => eta.render(`./${name}.eta`, { ...shared, ...values });
  const headers = pageHeaders(service.logoUrl);

  return {
    dialect: {
      name: 'page',
      success: (data) => data,
      failure(failure, requestId) {
        const status =
          failure.details.location === undefined ? TINYSEND_ERRORS_BY_KIND[failure.kind].status : 303;
        const { retryAfterSeconds } = failure.details;
        const pause = retryAfterSeconds && formatPause(retryAfterSeconds);
        return { status, body: { status, message: failure.message, pause, requestId } };
      },
      challenge: () => undefined,
      page: { headers, render: (body, session) => render('failure', { ...(body as object), session }) },
    },

    show: (browser, name, values, status = 200) => ({
      status,
      type: headers['Content-Type'],
      text: render(name, {
        once: randomBase62(32, random), // names the forms of this page, see repeated.ts
        ...omitUndefined(values),
        csrf: browser.csrf,
        session: browser.session,
      }),
      headers,
      cookies: browser.cookies,
    }),

    assets: new Map([
      ['/assets/style.css', { type: 'text/css; charset=utf-8', text: render('style.css', {}) }],
      ['/assets/copy.js', { type: 'text/javascript; charset=utf-8', text: render('copy.js', {}) }],
      ['/assets/icon.svg', { type: 'image/svg+xml', text: render('icon.svg', {}) }],
    ]),
  };
}

function omitUndefined(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** Redirects to another page, after a POST or to remove a token from the URL. */
export function redirect(config: Config, path: `/${string}`, cookies: readonly string[] = []): HandlerResult {
  const headers = { ...pageHeaders(undefined), Location: config.publicUrl + path };
  return { status: 303, headers, cookies, nothing: true };
}

/** Returns the headers of every page. The CSP allows nothing from other origins but the operator's logo. */
function pageHeaders(logoUrl: string | undefined) {
  const images = logoUrl === undefined ? "'self'" : `'self' ${new URL(logoUrl).origin}`;
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; script-src 'self'; img-src ${images}; base-uri 'none'; frame-ancestors 'none'; form-action 'self'`,
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
  };
}

const BACKGROUND = { light: '#fbfaf6', dark: '#161613' };

/**
 * Derives from the operator's accent a readable color on the light and the dark background, and the text color on each.
 */
function deriveColors(accent: string) {
  const light = readableOn(BACKGROUND.light, accent);
  const dark = readableOn(BACKGROUND.dark, accent, 7);
  return { paper: BACKGROUND, light, dark, onLight: textOn(light), onDark: textOn(dark) };
}

function textOn(background: string): string {
  return contrast(background, '#ffffff') >= 4.5 ? '#ffffff' : '#14140f';
}
