import type { Deps } from '../../deps.ts';
import { endSession, type Session } from '../../domain/accounts/sessions.ts';
import { hasPassedSecondFactor } from '../../domain/accounts/totp.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { connectInteraction, findInteraction, type Interaction } from '../oauth/provider/interaction.ts';
import { findConsentOfRequest } from '../oauth/provider/policy.ts';
import { keepDraft, newBrowserCookie } from '../server/browser-session.ts';
import { clearCookie } from '../server/cookies.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { describeRedirect, showConsent } from './consent.ts';
import { formSchema } from './forms.ts';
import { formOperation } from './operations.ts';
import { allowFormTo, type Pages, redirect } from './pages.ts';

/** The page to which an app sends a human: it leads to the sign-in where one is needed, and to the consent. */

type BrowserCall = Call<unknown, 'browser'>;

/** GET /authorize/:uid: connects the request with the signed-in human, then asks for the consent. */
export function interactionPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Decide about an app',
    async handle(call) {
      const { deps, caller, params } = call;
      const { session } = caller;
      const asked = await findInteraction(call, params.uid!, session);
      if (session === undefined) return askToSignIn(call, asked);
      const user = { ...call, caller: { ...caller, session } };
      if (asked.waitsFor === 'consent') return showConsent(pages, user, asked);
      const goal = `${PATHS.interaction}/${asked.uid}`;
      const lack = await findLack(deps, asked, session);
      if (lack === 'freshSignIn')
        return redirect(deps.config, `${PAGES.signInAgain}?next=${goal}`, caller.cookies);
      if (lack !== undefined) {
        const page = pages.show(caller, 'app-needs', { next: goal, lack, mailbox: session.mailbox });
        return allowFormTo(page, asked.redirectUri); // to decline
      }
      const draft = caller.draft(goal);
      const ticks = draft === undefined ? undefined : Object.keys(draft).filter((name) => name.includes(':'));
      const next = await connectInteraction(call, asked.uid, session, ticks);
      // Browsers let no form lead to an app but that of the consent (O-4): a sign-in may have led here.
      const followsForm = session.createdAt >= asked.startedAt;
      if (followsForm && (await findConsentOfRequest(deps, session.accountId, asked)) !== undefined) {
        return pages.show(caller, 'continue-to-app', {
          title: 'continue.title',
          lead: 'continue.lead',
          next: goal,
          resumePath: next,
          ...describeRedirect(asked.redirectUri),
        });
      }
      return redirect(deps.config, next, caller.cookies);
    },
  });
}

/** Leads to the sign-in, with the address that the app suggests (OpenID Connect Core 1.0 section 3.1.2.1). */
function askToSignIn({ deps, caller }: BrowserCall, { uid, loginHint = '' }: Interaction): HandlerResult {
  const email = parseMailbox(loginHint);
  const draft = email === undefined ? [] : keepDraft(deps, PAGES.signIn, { email });
  const path = `${PAGES.signIn}?next=${PATHS.interaction}/${uid}` as const;
  return redirect(deps.config, path, [...caller.cookies, ...draft]);
}

/** Finds what is missing before a request can be connected with a session; undefined: nothing. */
async function findLack(
  deps: Deps,
  asked: Interaction,
  session: Session,
): Promise<'otherAccount' | 'authenticator' | 'freshSignIn' | undefined> {
  if ((asked.hintedAccountId ?? session.accountId) !== session.accountId) return 'otherAccount';
  const isOlderThanRequest = session.createdAt < asked.startedAt;
  const isTooOld = deps.clock() - session.createdAt > 1000 * (asked.maxAge ?? Infinity);
  if (isOlderThanRequest && (asked.wantsFreshLogin || isTooOld)) return 'freshSignIn';
  if (!asked.needsSecondFactor) return undefined;
  const hasPassed = await hasPassedSecondFactor(deps, session);
  return hasPassed === undefined ? 'authenticator' : hasPassed ? undefined : 'freshSignIn';
}

/** POST /authorize/:uid/switch: ends the session, and leads to the sign-in of another account for the same request. */
export const switchAccount = formOperation({
  caller: 'signedInUser',
  summary: 'Sign in as somebody else',
  form: formSchema({}),
  async handle(call) {
    const { deps, origin, caller, params } = call;
    const { session } = caller;
    const { uid } = await findInteraction(call, params.uid!, session);
    await endSession(deps, origin, session.accountId, session.id);
    const path = `${PAGES.signIn}?next=${PATHS.interaction}/${uid}` as const;
    return redirect(deps.config, path, [clearCookie(deps.config, 'session'), newBrowserCookie(deps)]);
  },
});
