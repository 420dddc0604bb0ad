import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { endSession } from '../../domain/accounts/sessions.ts';
import {
  completeByLink,
  completeSecondFactor,
  completeSignIn,
  findPendingSignIn,
  type SignedIn,
  startSignIn,
} from '../../domain/accounts/sign-in.ts';
import { readSignInLink } from '../../domain/accounts/sign-in-links.ts';
import { Failure } from '../../errors.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { renewBrowser } from '../server/browser-session.ts';
import { clearCookie, setCookie } from '../server/cookies.ts';
import { type Call, type CallerKind, type HandlerResult, operation } from '../server/table.ts';
import { form, typedCode, wrongCodeText } from './forms.ts';
import { goalOf } from './goals.ts';
import { submit } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** Signing in with a mailed code, and out again. Nothing here tells whether a mailbox has an account (S-44). */

const next = z.string().max(128).optional();

const signInForm = form({ next, email: z.string().max(254).default('') });
const againForm = form({ next });
const signInCodeForm = form({ next, code: typedCode });
const signInLinkForm = form({});
const signOutForm = form({});

type Visit<Form = undefined, Kind extends CallerKind = 'browser'> = Call<Form, Kind>;

/** GET /sign-in */
export function signInPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Ask for a code to sign in with',
    handle({ deps, caller, query }) {
      const goal = goalOf(query.get('next'));
      if (caller.session !== undefined) return redirect(deps.config, goal);
      return pages.show(caller, 'sign-in', { next: goal });
    },
  });
}

/** POST /sign-in */
export function askForCode(pages: Pages) {
  return submit({
    caller: 'browser',
    summary: 'Mail one',
    form: signInForm,
    async handle(call) {
      const { caller, body } = call;
      const mailbox = parseMailbox(body.email);
      if (mailbox !== undefined) return mailCode(call, mailbox);
      const problem = 'This is not a mail address that a code can be sent to.';
      return pages.show(caller, 'sign-in', { next: goalOf(body.next), email: body.email, problem }, 400);
    },
  });
}

/** GET /sign-in/again */
export function againPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Confirm that it is you',
    handle({ caller, query }) {
      const { mailbox } = caller.session;
      return pages.show(caller, 'sign-in-again', { next: goalOf(query.get('next')), mailbox });
    },
  });
}

/** POST /sign-in/again */
export const askAgain = submit({
  caller: 'signedInUser',
  summary: 'Mail a code',
  form: againForm,
  handle(call) {
    const { mailbox, accountId } = call.caller.session;
    return mailCode(call, mailbox, accountId);
  },
});

async function mailCode(
  call: Pick<Visit<{ next?: string | undefined }>, 'deps' | 'origin' | 'body'>,
  mailbox: string,
  accountId?: string,
): Promise<HandlerResult> {
  const { deps, origin, body } = call;
  const id = await startSignIn(deps, origin, mailbox, accountId);
  return redirect(deps.config, `${PAGES.signInCode}?next=${goalOf(body.next)}`, [
    setCookie(deps.config, 'signin', id),
  ]);
}

/** GET /sign-in/code */
export function codePage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Type the code, and then that of the app',
    async handle(call) {
      const goal = goalOf(call.query.get('next'));
      const held = await findHeld(call);
      if (held === undefined) return redirect(call.deps.config, `${PAGES.signIn}?next=${goal}`);
      return pages.show(call.caller, held.template, { next: goal, mailbox: held.mailbox });
    },
  });
}

/** POST /sign-in/code */
export function signIn(pages: Pages) {
  return submit({
    caller: 'browser',
    summary: 'Sign in',
    form: signInCodeForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const goal = goalOf(body.next);
      const held = await findHeld(call);
      try {
        if (held === undefined) throw new Failure('codeExpired', 'There is no code to be typed.');
        const complete = held.waitsFor === 'secondFactor' ? completeSecondFactor : completeSignIn;
        return await goOn(call, held.id, await complete(deps, origin, held.id, body.code), goal);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { kind, details } = error;
        if (isBurned(error)) {
          const problem =
            'Digits were typed wrong too often, perhaps not by you. Ask again: you get a link instead.';
          return pages.show(caller, 'sign-in', { next: goal, email: held?.mailbox, problem }, 429);
        }
        if (kind === 'wrongCode' && (details.attemptsRemaining ?? 0) > 0 && held !== undefined) {
          const problem = wrongCodeText(error, held.template === TEMPLATES.code);
          return pages.show(caller, held.template, { next: goal, mailbox: held.mailbox, problem }, 400);
        }
        if (kind !== 'wrongCode' && kind !== 'codeExpired') throw error;
        const problem = 'The code has expired or was typed wrong too often. Ask for a new one.';
        return pages.show(caller, 'sign-in', { next: goal, email: held?.mailbox, problem }, 400);
      }
    },
  });
}

/** Whether digits are of no use at all for now, so that a link is mailed. */
function isBurned({ details }: Failure): boolean {
  return ['signInWrongPerMailboxDay', 'wrongPerServiceDay'].includes(details.budget?.name ?? '');
}

/** GET /sign-in/link: the token moves into a cookie, so that it stays in no history. Looking signs nobody in. */
export function linkPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Sign in by a mailed link',
    async handle({ deps, caller, query }) {
      const token = query.get('t');
      if (token !== null) {
        return redirect(deps.config, PAGES.signInLink, [
          ...caller.cookies,
          setCookie(deps.config, 'signinlink', token),
        ]);
      }
      const id = readSignInLink(deps, caller.cookie('signinlink') ?? '');
      const pending = id === undefined ? undefined : await findPendingSignIn(deps, id);
      if (pending?.waitsFor !== 'link') throw linkOver();
      return pages.show(caller, 'sign-in-link', { mailbox: pending.mailbox });
    },
  });
}

/** POST /sign-in/link */
export const signInByLink = submit({
  caller: 'browser',
  summary: 'Use it',
  form: signInLinkForm,
  async handle(call) {
    const { deps, origin, caller } = call;
    const id = readSignInLink(deps, caller.cookie('signinlink') ?? '');
    if (id === undefined) throw linkOver();
    const answer = await goOn(call, id, await completeByLink(deps, origin, id), goalOf(undefined));
    return { ...answer, cookies: [...(answer.cookies ?? []), clearCookie(deps.config, 'signinlink')] };
  },
});

function linkOver(): Failure {
  return new Failure('codeExpired', 'This link was used, or has expired. Ask for a new one at /sign-in.');
}

async function goOn(
  { deps, origin, caller }: Pick<Visit, 'deps' | 'origin' | 'caller'>,
  id: string,
  outcome: SignedIn,
  goal: `/${string}`,
): Promise<HandlerResult> {
  if (outcome.kind === 'secondFactor') {
    const cookie = setCookie(deps.config, 'signin', appendMac(deps.keyring, PROVEN, id));
    return redirect(deps.config, `${PAGES.signInCode}?next=${goal}`, [cookie]);
  }
  const { session } = caller;
  if (session !== undefined) await endSession(deps, origin, session.accountId, session.id);
  const cookies = [
    setCookie(deps.config, 'session', outcome.secret),
    renewBrowser(deps),
    clearCookie(deps.config, 'signin'),
  ];
  return redirect(deps.config, goal, cookies);
}

/**
 * The run of signing in that this browser holds. After the mailed code its cookie carries a MAC: the id alone, which is no
 * secret, must not let anybody try second factors.
 */
async function findHeld({ deps, caller }: { deps: Deps; caller: Visit['caller'] }) {
  const held = caller.cookie('signin') ?? '';
  const [id = ''] = held.split('.');
  const pending = await findPendingSignIn(deps, id);
  if (pending === undefined) return undefined;
  if (pending.waitsFor === 'secondFactor' && verifyMac(deps.keyring, PROVEN, held) !== id) return undefined;
  return { id, template: TEMPLATES[pending.waitsFor], ...pending };
}

const TEMPLATES = { code: 'sign-in-code', link: 'sign-in-link-sent', secondFactor: 'sign-in-second' };
const PROVEN = 'sign-in-proven';

/** POST /sign-out */
export const signOut = submit({
  caller: 'browser',
  summary: 'End this session',
  form: signOutForm,
  async handle({ deps, origin, caller }) {
    const { session } = caller;
    if (session !== undefined) await endSession(deps, origin, session.accountId, session.id);
    return redirect(deps.config, PAGES.signIn, [clearCookie(deps.config, 'session'), renewBrowser(deps)]);
  },
});
