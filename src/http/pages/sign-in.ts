import { z } from 'zod';
import { endSession } from '../../domain/sessions.ts';
import { completeSignIn, findPendingSignIn, startSignIn } from '../../domain/sign-in.ts';
import { Failure } from '../../errors.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import type { Answer, Call } from '../route.ts';
import { clearCookie, renewBrowser, setCookie } from '../visitor.ts';
import { form, typedCode, wrongCodeText } from './forms.ts';
import { type Pages, redirect } from './pages.ts';

/** Signing in with a mailed code, and out again. Nothing here tells whether a mailbox has an account (S-44). */

const next = z.string().max(64).optional();

export const signInForm = form({ next, email: z.string().max(254).default('') });
export const signInCodeForm = form({ next, code: typedCode });
export const signOutForm = form({});

type Visit<Form = undefined> = Call<Form, 'visitor'>;

/** GET /sign-in */
export function signInPage(pages: Pages): (call: Visit) => Answer {
  return ({ deps, caller, query }) => {
    const goal = goalOf(query.get('next'));
    if (caller.session !== undefined) return redirect(deps.config, goal);
    return pages.show(caller, 'sign-in', { next: goal });
  };
}

/** POST /sign-in */
export function askForCode(pages: Pages): (call: Visit<z.output<typeof signInForm>>) => Promise<Answer> {
  return async ({ deps, asker, caller, body }) => {
    const goal = goalOf(body.next);
    const mailbox = parseMailbox(body.email);
    if (mailbox === undefined) {
      const problem = 'This is not a mail address that a code can be sent to.';
      return pages.show(caller, 'sign-in', { next: goal, email: body.email, problem }, 400);
    }
    const id = await startSignIn(deps, asker, mailbox);
    return redirect(deps.config, `/sign-in/code?next=${goal}`, [setCookie('signin', id)]);
  };
}

/** GET /sign-in/code */
export function codePage(pages: Pages): (call: Visit) => Promise<Answer> {
  return async ({ deps, caller, query }) => {
    const goal = goalOf(query.get('next'));
    const pending = await findPendingSignIn(deps, caller.cookie('signin') ?? '');
    if (pending === undefined) return redirect(deps.config, `/sign-in?next=${goal}`);
    return pages.show(caller, 'sign-in-code', { next: goal, mailbox: pending.mailbox });
  };
}

/** POST /sign-in/code */
export function signIn(pages: Pages): (call: Visit<z.output<typeof signInCodeForm>>) => Promise<Answer> {
  return async ({ deps, asker, caller, body }) => {
    const goal = goalOf(body.next);
    const id = caller.cookie('signin') ?? '';
    const pending = await findPendingSignIn(deps, id);
    try {
      const secret = await completeSignIn(deps, asker, id, body.code);
      if (caller.session !== undefined) {
        await endSession(deps, asker, caller.session.accountId, caller.session.id);
      }
      const cookies = [setCookie('session', secret), renewBrowser(deps), clearCookie('signin')];
      return redirect(deps.config, goal, cookies);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const left = error.details.attemptsRemaining ?? 0;
      if (error.kind === 'wrongCode' && left > 0 && pending !== undefined) {
        const problem = wrongCodeText(error);
        return pages.show(caller, 'sign-in-code', { next: goal, mailbox: pending.mailbox, problem }, 400);
      }
      if (error.kind !== 'wrongCode' && error.kind !== 'codeExpired') throw error;
      const problem = 'The code has expired or was typed wrong too often. Ask for a new one.';
      return pages.show(caller, 'sign-in', { next: goal, email: pending?.mailbox, problem }, 400);
    }
  };
}

/** POST /sign-out */
export async function signOut({ deps, asker, caller }: Visit<z.output<typeof signOutForm>>): Promise<Answer> {
  const { session } = caller;
  if (session !== undefined) await endSession(deps, asker, session.accountId, session.id);
  return redirect(deps.config, '/sign-in', [clearCookie('session'), renewBrowser(deps)]);
}

/** Where to go after signing in: one of these pages, whatever the form or the link says (S-77). */
const GOALS = ['/account', '/claim'] as const;

function goalOf(text: string | null | undefined): (typeof GOALS)[number] {
  return GOALS.find((goal) => goal === text) ?? GOALS[0];
}
