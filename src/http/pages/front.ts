import { pageReaderOf } from '../server/browser-session.ts';
import { PATHS } from '../server/paths.ts';
import { type Operation, operation } from '../server/table.ts';
import type { Pages } from './pages.ts';

/** GET /: shows the front page to a browser and redirects every other client to auth.md. */
export function frontPage(pages: Pages): Operation<'anyone'> {
  return operation({
    caller: 'anyone',
    open: true,
    summary: 'Where to start',
    async handle({ deps, header }) {
      const vary = { Vary: 'Accept' };
      const authMdUrl = deps.config.publicUrl + PATHS.authMd;
      if (!prefersHtml(header('accept') ?? '')) {
        return { status: 303, headers: { ...vary, Location: authMdUrl }, nothing: true };
      }
      const request = { headers: { cookie: header('cookie'), 'accept-language': header('accept-language') } };
      const reader = await pageReaderOf(deps, request);
      // The page has no form, so it needs no CSRF token and sets no cookie.
      const page = pages.show({ csrf: '', flash: undefined, cookies: [], ...reader }, 'front', { authMdUrl });
      return { ...page, headers: { ...page.headers, ...vary, 'Cache-Control': 'no-store' } };
    },
  });
}

/**
 * Whether `Accept` names HTML with a higher weight than Markdown, which agents name beside it (RFC 9110 section
 * 12.5.1).
 */
function prefersHtml(accept: string): boolean {
  const html = weightOf(accept, 'text/html');
  return html > 0 && html > weightOf(accept, 'text/markdown');
}

function weightOf(accept: string, type: string): number {
  const range = accept.split(',').find((each) => each.split(';')[0]!.trim().toLowerCase() === type);
  if (range === undefined) return 0;
  const weight = /;\s*q=([0-9.]+)/i.exec(range)?.[1];
  return weight === undefined ? 1 : Number(weight) || 0;
}
