import type { Config } from '../../config/load.ts';
import { randomBase62 } from '../../lib/base62.ts';
import { contrast, readableOn } from '../../lib/colour.ts';
import { formatPause } from '../../lib/format-time.ts';
import type { Random } from '../../lib/random.ts';
import { openTemplates } from '../../lib/templates.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { TINYSEND } from '../dialects/tinysend.ts';
import type { BrowserContext } from '../server/browser-session.ts';
import type { HandlerResult } from '../server/table.ts';

/** What people see in a browser: templates filled, with the headers that every page carries. */
export interface Pages {
  /** Failures as pages. */
  dialect: Dialect;
  /** A page from `templates/pages/NAME.eta`. */
  show(
    browser: Pick<BrowserContext, 'csrf' | 'session' | 'cookies'>,
    name: string,
    values: object,
    status?: number,
  ): HandlerResult;
  /** The stylesheet and the scripts, by path. */
  assets: Map<string, { type: string; text: string }>;
}

/** @param config names, colours and links are the operator's, and so may be the templates */
export function createPages(config: Config, random: Random): Pages {
  const { service, publicUrl } = config;
  const eta = openTemplates('pages', config.templatesDir, {});
  const shared = { service, publicUrl, colours: coloursOf(service.accent) };
  const render = (name: string, values: object) => eta.render(`./${name}.eta`, { ...shared, ...values });
  const headers = headersOf(service.logoUrl);

  return {
    dialect: {
      name: 'page',
      success: (data) => data,
      failure(failure, requestId) {
        const status = failure.details.location === undefined ? TINYSEND[failure.kind].status : 303;
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
        once: randomBase62(32, random), // names the forms of this page, see forms.ts
        ...defined(values),
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

/** Without what is undefined. */
function defined(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** On to another page of ours, after a post or to drop what stood in the URL. */
export function redirect(config: Config, path: `/${string}`, cookies: readonly string[] = []): HandlerResult {
  const headers = { ...headersOf(undefined), Location: config.publicUrl + path };
  return { status: 303, headers, cookies, nothing: true };
}

/** What every page says of itself: nothing may be in it but what is ours, and the operator's logo. */
function headersOf(logoUrl: string | undefined) {
  const images = logoUrl === undefined ? "'self'" : `'self' ${new URL(logoUrl).origin}`;
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; script-src 'self'; img-src ${images}; base-uri 'none'; frame-ancestors 'none'; form-action 'self'`,
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
  };
}

const PAPER = { light: '#fbfaf6', dark: '#161613' };

/** The operator's one colour, by day and by night, so that it can be read on the paper, and what can be read on it. */
function coloursOf(accent: string) {
  const light = readableOn(PAPER.light, accent);
  const dark = readableOn(PAPER.dark, accent, 7);
  return { paper: PAPER, light, dark, onLight: textOn(light), onDark: textOn(dark) };
}

function textOn(ground: string): string {
  return contrast(ground, '#ffffff') >= 4.5 ? '#ffffff' : '#14140f';
}
