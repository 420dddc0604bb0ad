import type { Deps } from '../../deps.ts';
import { resolveAudience } from '../../domain/audiences/audience.ts';
import { Failure } from '../../errors.ts';
import { formatScope } from '../../lib/scopes.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { callProvider, type ProviderResponse } from './provider/call-provider.ts';

/** The authorization endpoint (RFC 6749 section 3.1): oidc-provider checks the request, our page asks the human. */

/** In characters. */
const STATE_MAX = 2048;

/** GET /oauth2/authorize: checks an authorization request and leads to the page that asks the human. */
export const authorize = operation({
  caller: 'browser',
  summary: 'Ask a human for their consent (RFC 6749)',
  async handle(call) {
    const query = await prepareRequest(call.deps, call.query);
    return redirectOn(call, await callProvider(call, requestOf(call, PATHS.authorize, query)));
  },
});

/** GET /oauth2/authorize/:uid: goes on after the human decided, and leads back to the app. */
export const resumeAuthorization = operation({
  caller: 'browser',
  summary: 'Go on after the decision',
  handle: async (call) =>
    redirectOn(call, await callProvider(call, requestOf(call, `${PATHS.authorize}/${call.params.uid}`))),
});

type BrowserCall = Call<unknown, 'browser'>;

function requestOf({ caller }: BrowserCall, path: string, query?: URLSearchParams) {
  return { method: 'GET', path, accountId: caller.session?.accountId, ...(query && { query }) } as const;
}

/** @throws Failure `badRequest` for what this service does not offer */
async function prepareRequest(deps: Deps, sent: URLSearchParams): Promise<URLSearchParams> {
  const query = new URLSearchParams(sent);
  if ((query.get('response_mode') ?? 'query') !== 'query' || (query.get('state')?.length ?? 0) > STATE_MAX) {
    throw invalidRequest();
  }
  const resources = query.getAll('resource');
  if (resources.length === 1) query.set('resource', await normalizeResource(deps, resources[0]!));
  if (!query.get('scope')) {
    const audience = await resolveAudience(deps, query.get('resource') ?? undefined).catch(() => undefined);
    if (audience !== undefined)
      query.set('scope', formatScope(audience.scopes ?? [...deps.config.scopes.keys()]));
  }
  return query;
}

/**
 * Returns the URL of the audience that a client means by `resource`: clients write it with a slash at its end, or
 * without (RFC 8707). An unknown one stays as it is.
 */
export async function normalizeResource(deps: Deps, resource: string): Promise<string> {
  for (const each of [resource, resource.replace(/\/$/, '')]) {
    try {
      return (await resolveAudience(deps, each)).url;
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'invalidTarget') throw error;
    }
  }
  return resource;
}

/** Leads the browser to where oidc-provider says: to our page, or back to the app with a code or an error. */
function redirectOn({ caller }: BrowserCall, { headers, cookies }: ProviderResponse): HandlerResult {
  const { Location } = headers;
  // There is no redirect URI to answer at, or none that can be trusted.
  if (Location === undefined) throw invalidRequest();
  // Without the headers of our pages: an opener policy in a redirect would cut off the app that opened a popup.
  return { status: 303, headers: { Location }, cookies: [...caller.cookies, ...cookies], nothing: true };
}

/** The failure of a request that leads nowhere. */
export function invalidRequest(): Failure {
  return new Failure('badRequest', 'The app sent a request that cannot be answered.', {
    hint: 'consent.badRequest',
  });
}
