import type { IncomingMessage } from 'node:http';
import { Failure } from '../../errors.ts';
import type { Problem } from '../pages/forms.ts';
import { authenticateCaller } from './authenticate.ts';
import type { BrowserContext } from './browser-session.ts';
import type { Call, CallerKind, HandlerResult, Route } from './table.ts';

/** Forms with a field that their schema refuses: they are shown again, with the field, the reason and what was typed. */

/** Fields that nobody types or chooses: without them the page is out of date, and its form is no help. */
const HIDDEN_FIELDS = new Set(
  'csrf once sealed next attempt approval request session all client_id post_logout_redirect_uri state'.split(
    ' ',
  ),
);

/**
 * Finds the page with the form that is posted to a row: at the same path, or at the one above it.
 *
 * @returns undefined for a row of another protocol, for one whose form is on many pages, and for one that others post to
 */
export function findFormPage(
  { method, path, body, dialect, caller }: Route,
  routesByPath: ReadonlyMap<string, readonly Route[]>,
): Route | undefined {
  const isForm = body !== undefined && ['form', 'choicesForm', 'artifactForm'].includes(body.media);
  if (method !== 'POST' || dialect.page === undefined || !isForm || caller === 'anyone') return undefined;
  const pageAt = (at: string) => routesByPath.get(at)?.find((each) => each.method === 'GET');
  return pageAt(path) ?? pageAt(path.slice(0, path.lastIndexOf('/')));
}

/** Reports whether a body was refused for a field that a human typed or chose. */
export function isOfTypedField(error: unknown): error is Failure {
  if (!(error instanceof Failure) || error.kind !== 'badRequest') return false;
  const { field = '' } = error.details;
  return /^\w+$/.test(field) && !HIDDEN_FIELDS.has(field);
}

/**
 * Shows the form of a post whose body its schema refused, as for a human who comes back to it. The post is checked like
 * any other first.
 *
 * @param page the page with the form
 * @param caller the caller that the post demands
 * @param typed the fields as sent
 * @param refused why the schema refused them
 * @throws Failure `refused` where the page is not shown to this browser
 */
export async function showFormAgain(
  page: Route,
  caller: CallerKind,
  call: Omit<Call<undefined, CallerKind>, 'caller' | 'body'>,
  request: IncomingMessage,
  typed: Record<string, unknown>,
  refused: Failure,
): Promise<HandlerResult> {
  const browser = await identify([caller, page.caller], call, request, typed, refused);
  const postedTo = request.url?.split('?')[0];
  const result = await page.handle({
    ...call,
    body: undefined,
    caller: {
      ...browser,
      draft: (path: string) => (path === postedTo ? (typed as Record<string, string>) : undefined),
      problem: problemOf(refused),
    },
  });
  if (!('text' in result)) throw refused;
  return result;
}

async function identify(
  kinds: readonly CallerKind[],
  { deps, origin }: Pick<Call<undefined, CallerKind>, 'deps' | 'origin'>,
  request: IncomingMessage,
  typed: Record<string, unknown>,
  refused: Failure,
): Promise<BrowserContext> {
  let browser: unknown;
  try {
    for (const kind of new Set(kinds))
      browser = await authenticateCaller(kind, deps, origin, request, typed, '');
  } catch (error) {
    throw error instanceof Failure ? refused : error;
  }
  return browser as BrowserContext;
}

function problemOf({ details: { field, maximum } }: Failure): Problem {
  const about = field === undefined ? {} : { field };
  return maximum === undefined
    ? { key: 'error.notOffered', ...about }
    : { key: 'error.tooLong', values: { max: maximum }, ...about };
}
