import { z } from 'zod';
import { approveClaim, type ClaimView, denyClaim, viewClaim } from '../../domain/approval.ts';
import { type ClaimLink, readClaimLink } from '../../domain/claim-links.ts';
import { Failure } from '../../errors.ts';
import { displayName, formatTime } from '../../lib/display.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import type { Answer, Call } from '../route.ts';
import { setCookie } from '../visitor.ts';
import { type Pages, redirect } from './pages.ts';

/**
 * The pages on which a human reviews a claim, approves or denies it. The link's token moves from the URL into a cookie with
 * the first request, so that it stays in no history and no log; nothing happens before a button is pressed.
 */

/** visitor.ts refuses a form without it. */
const csrf = z.string().max(64).optional();

export const approveForm = z.object({
  csrf,
  attempt: z.string().max(64),
  code: z
    .string()
    .max(32)
    .optional()
    .transform((code) => code?.replace(/[\s-]/g, '')),
});
export const denyForm = z.object({ csrf, no_more: z.literal('on').optional() });

type Visit<Form = undefined> = Call<Form, 'visitor'>;

/** GET /claim */
export function claimPage(pages: Pages): (call: Visit) => Promise<Answer> {
  return async (call) => {
    const fromUrl = call.query.get('t');
    if (fromUrl !== null) return keepLink(call, fromUrl);
    const { link } = heldLink(call);
    const view = await viewClaim(call.deps, link);
    if (view === undefined) throw nothingHere();
    refuseStranger(call, view);
    return pages.show(call.caller, 'claim', present(call, view));
  };
}

/** POST /claim */
export function approve(pages: Pages): (call: Visit<z.output<typeof approveForm>>) => Promise<Answer> {
  return async (call) => {
    const { deps, asker, body } = call;
    const { link } = heldLink(call);
    try {
      await approveClaim(deps, asker, link, {
        attemptId: body.attempt,
        code: body.code,
        signedInAs: call.caller.session,
      });
    } catch (error) {
      // What the human can mend is said on the page itself, where they mend it.
      if (!(error instanceof Failure) || !MENDABLE.has(error.kind)) throw error;
      const view = await viewClaim(deps, link);
      if (view === undefined) throw nothingHere();
      const problem = error.kind === 'wrongCode' ? wrongCodeText(error) : error.message;
      return pages.show(call.caller, 'claim', { ...present(call, view), problem }, 400);
    }
    return redirect(deps.config, '/claim');
  };
}

/** GET /claim/deny */
export function denyPage(pages: Pages): (call: Visit) => Promise<Answer> {
  return async (call) => {
    const fromUrl = call.query.get('t');
    if (fromUrl !== null) return keepLink(call, fromUrl);
    const { link } = heldLink(call);
    const view = await viewClaim(call.deps, link);
    if (view === undefined) throw nothingHere();
    refuseStranger(call, view);
    return pages.show(call.caller, 'deny', present(call, view));
  };
}

/** POST /claim/deny */
export async function deny(call: Visit<z.output<typeof denyForm>>): Promise<Answer> {
  const { link } = heldLink(call);
  await denyClaim(call.deps, call.asker, link, { noMore: call.body.no_more !== undefined });
  return redirect(call.deps.config, '/claim');
}

const MENDABLE = new Set(['badRequest', 'wrongCode', 'codeExpired']);

function wrongCodeText({ details }: Failure): string {
  const left = details.attemptsRemaining ?? 0;
  if (left === 0) return 'The code is wrong, and it was the last try. Ask the agent to have a new one sent.';
  return `The code is wrong. ${left === 1 ? 'One try is' : `${left} tries are`} left.`;
}

function keepLink(call: Visit, token: string): Answer {
  const link = readClaimLink(call.deps, token);
  if (link === undefined) throw nothingHere();
  const path = link.kind === 'deny' ? '/claim/deny' : '/claim';
  return redirect(call.deps.config, path, [...call.caller.cookies, setCookie('claim', token)]);
}

function heldLink(call: Pick<Visit, 'deps' | 'caller'>): { link: ClaimLink } {
  const link = readClaimLink(call.deps, call.caller.cookie('claim') ?? '');
  if (link === undefined) throw nothingHere();
  return { link };
}

function nothingHere(): Failure {
  return new Failure(
    'notFound',
    'There is no claim to show. Open the link in the mail, or the one that the agent gave you, in this browser.',
  );
}

/** Signed in as somebody else than the one who was asked: not theirs to decide (S-76). */
function refuseStranger({ caller }: Visit, view: ClaimView): void {
  const { session } = caller;
  if (session === undefined || view.attempt === undefined || view.attempt.mailbox === session.mailbox) return;
  throw new Failure(
    'forbidden',
    `You are signed in as ${session.mailbox}, and this agent asked ${maskMailbox(view.attempt.mailbox)}. Sign out of your account first if that is you, too.`,
  );
}

function present({ deps, caller }: Pick<Visit, 'deps' | 'caller'>, view: ClaimView): object {
  const { scopes, claimedScopes } = deps.config;
  return {
    ...view,
    agentName: view.agentName && displayName(view.agentName),
    registeredAt: formatTime(view.registeredAt),
    attempt: view.attempt && {
      ...view.attempt,
      mailbox: view.isFromMail ? view.attempt.mailbox : maskMailbox(view.attempt.mailbox),
      askedAt: formatTime(view.attempt.askedAt),
    },
    scopes: claimedScopes.map((name) => ({ name, description: scopes.get(name)!.description })),
    needsSignIn: view.mustSignIn && caller.session === undefined,
    problem: undefined,
  };
}
