import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { endSession } from '../../domain/accounts/sessions.ts';
import { invalidRequest } from '../oauth/authorize.ts';
import type { ProviderCall } from '../oauth/provider/call-provider.ts';
import { findLogoutClient } from '../oauth/provider/clients.ts';
import { newBrowserCookie } from '../server/browser-session.ts';
import { clearCookie } from '../server/cookies.ts';
import { PATHS } from '../server/paths.ts';
import { type HandlerResult, operation, urlencoded } from '../server/table.ts';
import { describeRedirect } from './consent.ts';
import { formSchema } from './forms.ts';
import { formOperation } from './operations.ts';
import { allowFormTo, type Pages, redirect } from './pages.ts';

/** The page on which a human signs out for an app that asks for it (OpenID Connect RP-Initiated Logout 1.0). */

const text = z.string().max(4096).optional();

/** What an app sends; `logout_hint` and languages are taken and not used. */
const parameters = z.object({
  id_token_hint: text,
  logout_hint: text,
  client_id: text,
  post_logout_redirect_uri: text,
  state: text,
  ui_locales: text,
  /** In place of the ID token of a POST: the account in it, see postEndSession. */
  t: text,
});

const confirmForm = formSchema({ client_id: text, post_logout_redirect_uri: text, state: text });

type Sent = Pick<z.output<typeof parameters>, 'client_id' | 'post_logout_redirect_uri' | 'state'>;

/** Where the app is answered; undefined: nowhere. */
interface Goal {
  clientId: string | undefined;
  location: string | undefined;
  /** The account that the app means; undefined: it does not say. */
  accountId: string | undefined;
}

/** GET /oauth2/end-session: asks whether to sign out. */
export function endSessionPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Sign out for an app',
    async handle(call) {
      const { caller, query } = call;
      if ([...query.keys()].some((name) => query.getAll(name).length > 1)) throw invalidRequest();
      const sent = parameters.safeParse(Object.fromEntries(query));
      if (!sent.success) throw invalidRequest();
      const { clientId, location, accountId } = await findGoal(call, sent.data, sent.data.id_token_hint);
      const { session } = caller;
      if (session === undefined) return showSignedOut(pages, caller, location);
      const meant = accountId ?? readAccount(call.deps, sent.data.t);
      const page = pages.show(caller, 'end-session', {
        mailbox: session.mailbox,
        meansAnother: meant !== undefined && meant !== session.accountId,
        fields: {
          client_id: clientId,
          post_logout_redirect_uri: location && sent.data.post_logout_redirect_uri,
          state: location && sent.data.state,
        },
      });
      return location === undefined ? page : allowFormTo(page, location);
    },
  });
}

/**
 * POST /oauth2/end-session: the same request in a body, which leads to the page: it comes from another site, without the
 * cookie of the session. Its ID token is checked here, so that none gets into a URL; what it says of the account goes on
 * sealed.
 */
export const postEndSession = operation({
  caller: 'anyone',
  summary: 'Sign out for an app',
  body: urlencoded(parameters),
  async handle(call) {
    const { deps, body } = call;
    const { clientId, accountId } = await findGoal(call, body, body.id_token_hint);
    const query = {
      client_id: clientId,
      post_logout_redirect_uri: body.post_logout_redirect_uri,
      state: body.state,
      t: accountId && deps.keyring.seal(PURPOSE, '', accountId).toString('base64url'),
    };
    const fields = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return redirect(deps.config, `${PATHS.endSession}?${new URLSearchParams(fields)}`);
  },
});

const PURPOSE = 'end-session';

/** Reads the account that postEndSession() sealed. @returns undefined: there is none */
function readAccount({ keyring }: Pick<Deps, 'keyring'>, sealed: string | undefined): string | undefined {
  return sealed === undefined ? undefined : keyring.open(PURPOSE, '', Buffer.from(sealed, 'base64url'));
}

/** POST /oauth2/end-session/confirm: ends the session, and leads back to the app. */
export const confirmEndSession = formOperation({
  caller: 'browser',
  summary: 'End this session',
  form: confirmForm,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    const { location } = await findGoal(call, body, undefined);
    const { session } = caller;
    if (session !== undefined) await endSession(deps, origin, session.accountId, session.id);
    const cookies = [clearCookie(deps.config, 'session'), newBrowserCookie(deps)];
    if (location !== undefined)
      return { status: 303, headers: { Location: location }, cookies, nothing: true };
    return redirect(deps.config, PATHS.endSession, cookies);
  },
});

/**
 * Finds where an app is answered.
 *
 * @throws Failure `badRequest` for an app that is unknown, an ID token that is not its own, and a URI that it did not
 * register
 */
async function findGoal(call: ProviderCall, sent: Sent, idTokenHint: string | undefined): Promise<Goal> {
  const { client_id: clientId, post_logout_redirect_uri: redirectUri, state } = sent;
  if (clientId === undefined && idTokenHint === undefined) {
    if (redirectUri !== undefined) throw invalidRequest(); // nobody knows whose it is
    return { clientId: undefined, location: undefined, accountId: undefined };
  }
  const client = await findLogoutClient(call, { clientId, idTokenHint, redirectUri });
  if (client === undefined) throw invalidRequest();
  const { accountId } = client;
  if (redirectUri === undefined) return { clientId: client.clientId, location: undefined, accountId };
  if (!client.isRedirectRegistered) throw invalidRequest();
  const location = new URL(redirectUri);
  if (state !== undefined) location.searchParams.set('state', state);
  return { clientId: client.clientId, location: location.href, accountId };
}

function showSignedOut(
  pages: Pages,
  caller: Parameters<Pages['show']>[0],
  location: string | undefined,
): HandlerResult {
  return pages.show(caller, 'signed-out', {
    location,
    redirectTo: location && describeRedirect(location).redirectTo,
  });
}
