import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Config } from '../../config.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { NATIVE } from '../dialects/native.ts';
import type { Answer } from '../route.ts';
import type { Visitor } from '../visitor.ts';

/** What people see in a browser: templates filled, with the headers that every page carries. */
export interface Pages {
  /** Failures as pages. */
  dialect: Dialect;
  /** A page from `templates/pages/NAME.eta`. */
  show(visitor: Visitor, name: string, values: object, status?: number): Answer;
  /** The stylesheet and the scripts, by path. */
  assets: Map<string, { type: string; text: string }>;
}

const FOLDER = fileURLToPath(new URL('../../../templates/pages/', import.meta.url));

/** @param config names and colours are the operator's */
export function createPages(config: Config): Pages {
  const eta = new Eta({ views: FOLDER, cache: true, autoEscape: true });
  const shared = { service: config.service, publicUrl: config.publicUrl };
  const render = (name: string, values: object) => eta.render(`./${name}.eta`, { ...shared, ...values });

  return {
    dialect: {
      name: 'page',
      success: (data) => data,
      failure(failure, requestId) {
        const status = failure.details.location === undefined ? NATIVE[failure.kind].status : 303;
        return { status, body: { status, message: failure.message, requestId } };
      },
      challenge: () => undefined,
      page: { headers: HEADERS, render: (body) => render('failure', body as object) },
    },

    show: (visitor, name, values, status = 200) => ({
      status,
      type: HEADERS['Content-Type'],
      text: render(name, { ...values, csrf: visitor.csrf, session: visitor.session }),
      headers: HEADERS,
      cookies: visitor.cookies,
    }),

    assets: new Map([
      ['/assets/style.css', { type: 'text/css; charset=utf-8', text: render('style.css', {}) }],
      ['/assets/icon.svg', { type: 'image/svg+xml', text: render('icon.svg', {}) }],
    ]),
  };
}

/** On to another page of ours, after a post or to drop what stood in the URL. */
export function redirect(config: Config, path: `/${string}`, cookies: readonly string[] = []): Answer {
  return { status: 303, headers: { ...HEADERS, Location: config.publicUrl + path }, cookies, nothing: true };
}

const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
} as const;
