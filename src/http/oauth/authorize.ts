import { Failure } from '../../errors.ts';
import { describeRedirect } from '../pages/consent.ts';
import type { Pages } from '../pages/pages.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { completeRequest, findRequestFault, nameStepUp, type RequestFault } from './authorization-request.ts';
import { callProvider, type ProviderResponse } from './provider/call-provider.ts';
import { isRegisteredRedirect } from './provider/clients.ts';
import { interactionNotFound } from './provider/interaction.ts';

/** The authorization endpoint (RFC 6749 section 3.1): oidc-provider checks the request, our page asks the human. */

type BrowserCall = Call<unknown, 'browser'>;

/** GET /oauth2/authorize: checks an authorization request and leads to the page that asks the human. */
export function authorize(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Ask a human for their consent (RFC 6749)',
    async handle(call: BrowserCall) {
      const { deps, query: sent, caller } = call;
      const fault = findRequestFault(sent);
      if (fault !== undefined) return answerError(pages, call, await redirectFault(call, fault));
      const { params, audience } = await completeRequest(deps, sent);
      const response = await callProvider(call, {
        method: 'GET',
        path: PATHS.authorize,
        query: nameStepUp(params),
        audience,
        session: caller.session,
      });
      return answerError(pages, call, redirectOn(call, response, invalidRequest));
    },
  });
}

/** The errors of requests that may ask nobody (OpenID Connect Core 1.0 section 3.1.2.6). */
const SILENT_ERRORS = new Set([
  'login_required',
  'consent_required',
  'interaction_required',
  'account_selection_required',
]);

/**
 * Leads back to an app with an error only who is signed in, or as long as the app asked that nobody is asked: else anybody
 * who registers a client could send people anywhere by a link to this service (RFC 9700 section 4.11.2, S-87). Others get
 * a page that names the host, with a link.
 */
function answerError(pages: Pages, { caller, query }: BrowserCall, answer: HandlerResult): HandlerResult {
  const { Location = '' } = answer.headers ?? {};
  const [, parameters = ''] = /[?#](.*)/.exec(Location) ?? [];
  const error = new URLSearchParams(parameters.replace('#', '&')).get('error');
  const isSilent = query.getAll('prompt').some((prompt) => prompt.split(' ').includes('none'));
  if (error === null || caller.session !== undefined || isSilent || SILENT_ERRORS.has(error)) return answer;
  const texts = { title: 'failure.badRequest.title', lead: 'consent.badRequest' };
  const values = { ...texts, resumePath: Location, ...describeRedirect(Location) };
  return pages.show(caller, 'continue-to-app', values, 400);
}

/** GET /oauth2/authorize/:uid: goes on after the human decided, and leads back to the app. */
export const resumeAuthorization = operation({
  caller: 'browser',
  summary: 'Go on after the decision',
  async handle(call) {
    const path = `${PATHS.authorize}/${call.params.uid}`;
    const request = { method: 'GET', path, session: call.caller.session } as const;
    const response = await callProvider(call, request).catch((error) => {
      const isOver = error instanceof Failure && error.kind === 'invalidGrant';
      throw isOver ? interactionNotFound() : error; // the same request went on at the same time
    });
    return redirectOn(call, response, interactionNotFound);
  },
});

/** Leads the browser to where oidc-provider says: to our page, or back to the app with a code or an error. */
function redirectOn(
  { caller }: BrowserCall,
  { headers, cookies }: ProviderResponse,
  failure: () => Failure,
): HandlerResult {
  const { Location } = headers;
  // There is no redirect URI to answer at, or none that can be trusted.
  if (Location === undefined) throw failure();
  // Without the headers of our pages: an opener policy in a redirect would cut off the app that opened a popup.
  return { status: 303, headers: { Location }, cookies: [...caller.cookies, ...cookies], nothing: true };
}

/** Answers a request that we refuse at its redirect URI (RFC 6749 section 4.1.2.1, RFC 9207). */
async function redirectFault(call: BrowserCall, { state, ...error }: RequestFault): Promise<HandlerResult> {
  const { deps, query, caller } = call;
  const [clientIds, redirects] = [query.getAll('client_id'), query.getAll('redirect_uri')];
  const [clientId, redirect] = [clientIds[0], redirects[0]];
  if (clientIds.length !== 1 || redirects.length !== 1) throw invalidRequest();
  if (!(await isRegisteredRedirect(call, clientId!, redirect!))) throw invalidRequest();
  const location = new URL(redirect!);
  const answer = { ...error, ...(state !== undefined && { state }), iss: deps.config.publicUrl };
  for (const [name, value] of Object.entries(answer)) location.searchParams.set(name, value);
  return { status: 303, headers: { Location: location.href }, cookies: caller.cookies, nothing: true };
}

/** The failure of a request that leads nowhere. */
export function invalidRequest(): Failure {
  return new Failure('badRequest', 'The app sent a request that cannot be answered.', {
    hint: 'consent.badRequest',
  });
}
