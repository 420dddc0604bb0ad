import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { endSession } from '../../domain/accounts/sessions.ts';
import {
  completeSignIn,
  completeSignInByLink,
  completeSignInBySecondFactor,
  findPendingSignIn,
  type SignedIn,
  startSignIn,
} from '../../domain/accounts/sign-in.ts';
import { readSignInLink } from '../../domain/accounts/sign-in-links.ts';
import { hasPassedSecondFactor } from '../../domain/accounts/totp.ts';
import { Failure } from '../../errors.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { newBrowserCookie } from '../server/browser-session.ts';
import { clearCookie, setCookie } from '../server/cookies.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type CallerKind, type HandlerResult, operation } from '../server/table.ts';
import { formSchema, type Problem, typedCode, wrongCodeText } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect, redirectWithToken } from './pages.ts';
import { returnPathOf } from './return-paths.ts';

/**
 * The pages that sign a human in by a mailed code or link, and out. No response tells whether a mailbox has an account
 * (S-44).
 */

const next = z.string().max(128).optional();

const signInForm = formSchema({ next, email: z.string().max(254).default('') });
const againForm = formSchema({ next });
const signInCodeForm = formSchema({ next, code: typedCode });
const signInLinkForm = formSchema({});
const signOutForm = formSchema({});

type PageCall<Form = undefined, Kind extends CallerKind = 'browser'> = Call<Form, Kind>;

/** GET /sign-in: asks for a mailbox. */
export function signInPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Ask for a code to sign in with',
    handle({ deps, caller, query }) {
      const typed = caller.draft(PAGES.signIn); // an app may suggest an address
      const goal = returnPathOf(typed?.next ?? query.get('next'));
      if (caller.session !== undefined) return redirect(deps.config, goal);
      return pages.show(caller, 'sign-in', { next: goal, email: typed?.email });
    },
  });
}

/** POST /sign-in: mails a code, or a link after too many wrong codes. */
export function askForCode(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'Mail one',
    form: signInForm,
    async handle(call) {
      const { caller, body } = call;
      const mailbox = parseMailbox(body.email);
      if (mailbox !== undefined) return mailCode(call, { mailbox });
      const problem = { key: 'signin.badEmail', field: 'email' };
      return pages.show(
        caller,
        'sign-in',
        { next: returnPathOf(body.next), email: body.email, problem },
        400,
      );
    },
  });
}

/** GET /sign-in/again: asks a signed-in human to verify their mailbox again. */
export function againPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Confirm that it is you',
    async handle({ deps, caller, query }) {
      const { mailbox } = caller.session;
      const next = returnPathOf(query.get('next'));
      const needsSecondFactor =
        /^\/console\b/.test(next) && !(await hasPassedSecondFactor(deps, caller.session));
      const isForApp = next.startsWith(PATHS.interaction);
      return pages.show(caller, 'sign-in-again', { next, mailbox, needsSecondFactor, isForApp });
    },
  });
}

/** POST /sign-in/again: mails a code to the mailbox of the session. */
export const askAgain = formOperation({
  caller: 'signedInUser',
  summary: 'Mail a code',
  form: againForm,
  handle(call) {
    const { mailbox, accountId } = call.caller.session;
    return mailCode(call, { mailbox, accountId });
  },
});

async function mailCode(
  call: Pick<PageCall<{ next?: string | undefined }>, 'deps' | 'origin' | 'caller' | 'body'>,
  asked: { mailbox: string; accountId?: string },
): Promise<HandlerResult> {
  const { deps, origin, caller, body } = call;
  const id = await startSignIn(deps, origin, { ...asked, locale: caller.locale });
  return redirect(deps.config, `${PAGES.signInCode}?next=${returnPathOf(body.next)}`, [
    setCookie(deps.config, 'signin', id),
  ]);
}

/** GET /sign-in/code: asks for the mailed code or for the second factor, or says that a link was mailed. */
export function codePage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Type the code, and then that of the app',
    async handle(call) {
      const goal = returnPathOf(call.caller.draft(PAGES.signInCode)?.next ?? call.query.get('next'));
      const pending = await findPendingOfBrowser(call);
      if (pending === undefined) return redirect(call.deps.config, `${PAGES.signIn}?next=${goal}`);
      return showPending(pages, call.caller, pending, goal);
    },
  });
}

/** POST /sign-in/code: verifies the mailed code or the second factor. */
export function signIn(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'Sign in',
    form: signInCodeForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const goal = returnPathOf(body.next);
      const pending = await findPendingOfBrowser(call);
      try {
        if (pending === undefined) throw new Failure('codeExpired', 'There is no code to be typed.');
        const complete = pending.waitsFor === 'secondFactor' ? completeSignInBySecondFactor : completeSignIn;
        return await redirectAfter(
          call,
          pending.id,
          await complete(deps, origin, pending.id, body.code),
          goal,
        );
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { kind, details } = error;
        if (areCodesBlocked(error)) {
          const problem = { key: 'signin.codesBlocked' };
          return pages.show(caller, 'sign-in', { next: goal, email: pending?.mailbox, problem }, 429);
        }
        if (kind === 'wrongCode' && (details.attemptsRemaining ?? 0) > 0 && pending !== undefined) {
          const problem = wrongCodeText(error, pending.waitsFor === 'code');
          return showPending(pages, caller, pending, goal, problem);
        }
        if (kind !== 'wrongCode' && kind !== 'codeExpired') throw error;
        const problem = { key: 'signin.codeExpired' };
        return pages.show(caller, 'sign-in', { next: goal, email: pending?.mailbox, problem }, 400);
      }
    },
  });
}

/** Shows the page of a pending sign-in: asks for its next proof, or says that a link was mailed. */
function showPending(
  pages: Pages,
  caller: PageCall['caller'],
  { template, mailbox, codeExpiresAt }: PendingOfBrowser,
  next: string,
  problem?: Problem,
): HandlerResult {
  // A signed-in user who confirms their mailbox can only ask for a code to that one.
  const resendPath = caller.session?.mailbox === mailbox ? PAGES.signInAgain : PAGES.signIn;
  const values = { next, mailbox, codeExpiresAt, resendPath, problem };
  return pages.show(caller, template, values);
}

/** Whether a budget of wrong codes is exhausted, so that POST /sign-in mails a link instead of a code. */
function areCodesBlocked({ details }: Failure): boolean {
  return ['signInWrongPerMailboxDay', 'wrongPerServiceDay'].includes(details.budget?.name ?? '');
}

/**
 * GET /sign-in/link: asks for confirmation. The first request moves the token of the link into a cookie, out of the
 * browser history. A GET signs nobody in.
 */
export function linkPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Sign in by a mailed link',
    async handle(call) {
      const { deps, caller, query } = call;
      const token = query.get('t');
      if (token !== null) return redirectWithToken(call, PAGES.signInLink, 'signinlink', token);
      const id = readSignInLink(deps, caller.cookie('signinlink') ?? '');
      const pending = id === undefined ? undefined : await findPendingSignIn(deps, id);
      if (pending?.waitsFor !== 'link') return showLinkExpired(pages, deps, caller);
      return pages.show(caller, 'sign-in-link', { mailbox: pending.mailbox });
    },
  });
}

/** POST /sign-in/link: signs in by the mailed link. */
export function signInByLink(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'Use it',
    form: signInLinkForm,
    async handle(call) {
      const { deps, origin, caller } = call;
      const id = readSignInLink(deps, caller.cookie('signinlink') ?? '');
      if (id === undefined) return showLinkExpired(pages, deps, caller);
      try {
        const outcome = await completeSignInByLink(deps, origin, id);
        const result = await redirectAfter(call, id, outcome, returnPathOf(undefined));
        return { ...result, cookies: [...(result.cookies ?? []), clearCookie(deps.config, 'signinlink')] };
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'codeExpired') throw error;
        return showLinkExpired(pages, deps, caller);
      }
    },
  });
}

/** Says that the link was used or has expired. */
function showLinkExpired(
  pages: Pages,
  deps: Pick<Deps, 'config'>,
  caller: PageCall['caller'],
): HandlerResult {
  const lifeSeconds = deps.config.limits.codeTtlSeconds;
  return pages.show(caller, 'sign-in-link-expired', { lifeSeconds }, 410);
}

/** Redirects to the second factor, or starts the session in this browser, in place of an earlier one. */
async function redirectAfter(
  { deps, origin, caller }: Pick<PageCall, 'deps' | 'origin' | 'caller'>,
  id: string,
  outcome: SignedIn,
  goal: `/${string}`,
): Promise<HandlerResult> {
  if (outcome.kind === 'secondFactor') {
    const cookie = setCookie(deps.config, 'signin', appendMac(deps.keyring, MAC_PURPOSE, id));
    return redirect(deps.config, `${PAGES.signInCode}?next=${goal}`, [cookie]);
  }
  const { session } = caller;
  if (session !== undefined) await endSession(deps, origin, session.accountId, session.id);
  const cookies = [
    setCookie(deps.config, 'session', outcome.secret),
    newBrowserCookie(deps),
    clearCookie(deps.config, 'signin'),
  ];
  return redirect(deps.config, goal, cookies);
}

/**
 * Finds the pending sign-in of this browser. Once the mailbox is verified, its cookie carries a MAC: the id is not
 * secret, and must not by itself allow anyone to guess the second factor.
 *
 * @returns undefined without a pending sign-in
 */
async function findPendingOfBrowser({ deps, caller }: { deps: Deps; caller: PageCall['caller'] }) {
  const cookie = caller.cookie('signin') ?? '';
  const [id = ''] = cookie.split('.');
  const pending = await findPendingSignIn(deps, id);
  if (pending === undefined) return undefined;
  if (pending.waitsFor === 'secondFactor' && verifyMac(deps.keyring, MAC_PURPOSE, cookie) !== id)
    return undefined;
  return { id, template: TEMPLATES[pending.waitsFor], ...pending };
}

type PendingOfBrowser = NonNullable<Awaited<ReturnType<typeof findPendingOfBrowser>>>;

const TEMPLATES = { code: 'sign-in-code', link: 'sign-in-link-sent', secondFactor: 'sign-in-second' };
const MAC_PURPOSE = 'sign-in-proven';

/** POST /sign-out: ends the session of this browser. */
export function signOut(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'End this session',
    form: signOutForm,
    async handle({ deps, origin, caller }) {
      const { session } = caller;
      if (session !== undefined) await endSession(deps, origin, session.accountId, session.id);
      const page = pages.show({ ...caller, session: undefined }, 'signed-out', {});
      return { ...page, cookies: [clearCookie(deps.config, 'session'), newBrowserCookie(deps)] };
    },
  });
}
