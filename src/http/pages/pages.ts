import type { Config } from '../../config/load.ts';
import type { Deps } from '../../deps.ts';
import { randomBase62 } from '../../lib/base62.ts';
import { openTemplates } from '../../lib/templates.ts';
import { deriveColors } from '../../lib/theme.ts';
import type { Locale } from '../../lib/translate.ts';
import type { Dialect } from '../dialects/dialect.ts';
import type { BrowserContext } from '../server/browser-session.ts';
import { type CookieName, setCookie } from '../server/cookies.ts';
import type { Flash } from '../server/flash.ts';
import type { HandlerResult } from '../server/table.ts';
import { type Asset, addAsset, createAssets } from './assets.ts';
import { describeFailure } from './failure-page.ts';
import { createTemplateHelpers } from './template-helpers.ts';

/** Renders pages from templates, with the headers that every page has. */
export interface Pages {
  /** Renders failures as pages. */
  dialect: Dialect;
  /** Renders the template `templates/pages/NAME.eta`. @param status by default 200, and 400 where `values` has a problem */
  show(
    browser: Pick<BrowserContext, 'csrf' | 'session' | 'cookies' | 'locale' | 'flash' | 'problem'>,
    name: string,
    values: object,
    status?: number,
  ): HandlerResult;
  /** Stylesheet, scripts, icon and fonts, by path. */
  assets: Map<string, Asset>;
}

/**
 * Creates the pages, with the operator's name, color, logo and links, and optionally their own templates.
 */
export function createPages({
  config,
  random,
  clock,
  translators,
}: Pick<Deps, 'config' | 'random' | 'clock' | 'translators'>): Pages {
  const { service, publicUrl } = config;
  const eta = openTemplates('pages', config.templatesDir, {});
  const colors = { light: deriveColors(service.accent, 'light'), dark: deriveColors(service.accent, 'dark') };
  const assets = createAssets();
  const shared = { service, publicUrl, colors, assets: assets.paths };
  const render = (name: string, locale: Locale, values: object) =>
    eta.render(`./${name}.eta`, {
      ...shared,
      ...createTemplateHelpers(translators[locale], eta.config.escapeFunction, clock()),
      ...values,
    });
  for (const [name, type] of Object.entries(TEXT_ASSETS))
    addAsset(assets, name, type, eta.render(`./${name}.eta`, shared));
  const headers = pageHeaders(service.logoUrl);

  return {
    dialect: {
      name: 'page',
      success: (data) => data,
      failure(failure, requestId) {
        const described = describeFailure(failure);
        return { status: described.status, body: { ...described, requestId } };
      },
      challenge: () => undefined,
      page: {
        headers,
        render: (body, { session, locale }) => render('failure', locale, { ...(body as object), session }),
      },
    },

    show: (browser, name, values, status = hasProblem(values) ? 400 : 200) => ({
      status: browser.problem !== undefined && status === 200 ? 400 : status,
      type: headers['Content-Type'],
      text: render(name, browser.locale, {
        once: randomBase62(32, random), // names the forms of this page, see repeated.ts
        ...(browser.problem !== undefined && { problem: browser.problem, refused: browser.problem }),
        ...omitUndefined(values),
        csrf: browser.csrf,
        session: browser.session,
        flash: browser.flash && `flash.${browser.flash}`,
      }),
      headers: leadsToApp((values as { next?: unknown }).next) ? { ...headers, ...KEEP_OPENER } : headers,
      cookies: browser.cookies,
    }),

    assets: assets.files,
  };
}

/** Whether a page shows a form with what is wrong with it. */
function hasProblem(values: object): boolean {
  return 'problem' in values && values.problem !== undefined;
}

function omitUndefined(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/**
 * Redirects to another page, after a POST or to remove a token from the URL.
 *
 * @param flash what the next page says of the POST
 */
export function redirect(
  config: Config,
  path: `/${string}`,
  cookies: readonly string[] = [],
  flash?: Flash,
): HandlerResult {
  const { 'Cross-Origin-Opener-Policy': opener, ...others } = pageHeaders(undefined);
  const headers = {
    ...others,
    ...(!leadsToApp(path) && { 'Cross-Origin-Opener-Policy': opener }),
    Location: config.publicUrl + path,
  };
  const lines = flash === undefined ? cookies : [...cookies, setCookie(config, 'flash', flash)];
  return { status: 303, headers, cookies: lines, nothing: true };
}

/**
 * Redirects to a page that reads a token from a cookie: so the token of a link leaves the URL and the browser history.
 *
 * @param cookie the name of the cookie
 */
export function redirectWithToken(
  { deps, caller }: { deps: Pick<Deps, 'config'>; caller: Pick<BrowserContext, 'cookies'> },
  path: `/${string}`,
  cookie: CookieName,
  token: string,
): HandlerResult {
  return redirect(deps.config, path, [...caller.cookies, setCookie(deps.config, cookie, token)]);
}

/** An app may show our pages in a popup, through which it listens: an opener policy would cut it off. */
const KEEP_OPENER = { 'Cross-Origin-Opener-Policy': 'unsafe-none' };

/** Whether a path is of a request of an app, or leads back to one. */
function leadsToApp(path: unknown): boolean {
  return typeof path === 'string' && /^(?:\/oauth2)?\/authorize\/|[?&]next=\/authorize\//.test(path);
}

/**
 * Lets the form of a page lead to an app: browsers apply `form-action` to each redirect that follows a form.
 *
 * @param redirectUri registered by the app
 */
export function allowFormTo(page: HandlerResult, redirectUri: string): HandlerResult {
  const { origin, protocol } = new URL(redirectUri);
  const name = 'Content-Security-Policy';
  const source = origin === 'null' ? protocol : origin;
  const policy = page.headers![name]!.replace("form-action 'self'", `form-action 'self' ${source}`);
  return { ...page, headers: { ...page.headers, [name]: policy } };
}

/** Returns the headers of every page. The CSP allows nothing from other origins but the operator's logo. */
function pageHeaders(logoUrl: string | undefined) {
  const images = logoUrl === undefined ? "'self'" : `'self' ${new URL(logoUrl).origin}`;
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; font-src 'self'; img-src ${images}; base-uri 'none'; frame-ancestors 'none'; form-action 'self'`,
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
  };
}

const TEXT_ASSETS = {
  'style.css': 'text/css; charset=utf-8',
  'copy.js': 'text/javascript; charset=utf-8',
  'watch-claim.js': 'text/javascript; charset=utf-8',
  'select.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};
