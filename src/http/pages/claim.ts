import { z } from 'zod';
import { type ClaimLink, readClaimLink } from '../../domain/claims/claim-links.ts';
import { type ClaimView, viewClaim } from '../../domain/claims/claim-review.ts';
import { approveClaim, confirmClaim, denyClaim } from '../../domain/claims/decide-claim.ts';
import { Failure } from '../../errors.ts';
import { formatTime } from '../../lib/format-time.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { setCookie } from '../server/cookies.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { form, typedCode, wrongCodeText } from './forms.ts';
import { submit } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/**
 * The pages on which a human reviews a claim, approves or denies it. The link's token moves from the URL into a cookie with
 * the first request, so that it stays in no history and no log; nothing happens before a button is pressed.
 */

const approveForm = form({
  attempt: z.string().max(64),
  code: typedCode,
  /** The button that was pressed: show me the code, in place of taking mine. */
  way: z.literal('reveal').optional(),
});
const denyForm = form({ no_more: z.literal('on').optional() });

type Visit<Form = unknown> = Call<Form, 'browser'>;

/** GET /claim */
export function claimPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Review a claim',
    handle(call) {
      return review(pages, call, 'claim');
    },
  });
}

/** POST /claim */
export function approve(pages: Pages) {
  return submit({
    caller: 'browser',
    summary: 'Approve a claim',
    form: approveForm,
    async handle(call) {
      const { deps, origin, body } = call;
      const link = heldLink(call);
      try {
        const decision = { attemptId: body.attempt, signedInAs: call.caller.session };
        if (body.way === 'reveal') await confirmClaim(deps, origin, link, decision);
        else await approveClaim(deps, origin, link, { ...decision, code: body.code });
      } catch (error) {
        // What the human can mend is said on the page itself, where they mend it.
        if (!(error instanceof Failure) || !MENDABLE.has(error.kind)) throw error;
        const view = await viewHeld(call, link);
        const shown = {
          ...present(call, view),
          ...(error.kind === 'interactionRequired' && { needsSignIn: true }),
          ...(body.way === undefined && view.ways && { way: 'typed' }),
        };
        const problem =
          error.kind === 'wrongCode' ? wrongCodeText(error, view.attempt?.proof === 'code') : error.message;
        return pages.show(
          call.caller,
          'claim',
          { ...shown, problem },
          error.kind === 'interactionRequired' ? 401 : 400,
        );
      }
      return redirect(deps.config, PAGES.claim);
    },
  });
}

/** GET /claim/deny */
export function denyPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Say that this was not me',
    handle(call) {
      return review(pages, call, 'deny');
    },
  });
}

/** POST /claim/deny */
export const deny = submit({
  caller: 'browser',
  summary: 'End a claim',
  form: denyForm,
  async handle(call) {
    const link = heldLink(call);
    await denyClaim(call.deps, call.origin, link, { noMore: call.body.no_more !== undefined });
    return redirect(call.deps.config, PAGES.claim);
  },
});

const MENDABLE = new Set(['badRequest', 'wrongCode', 'codeExpired', 'interactionRequired']);

/** A page about the claim of the link that this browser holds, or was just opened with. */
async function review(pages: Pages, call: Visit, template: 'claim' | 'deny'): Promise<HandlerResult> {
  const fromUrl = call.query.get('t');
  if (fromUrl !== null) return keepLink(call, fromUrl);
  const view = await viewHeld(call, heldLink(call));
  refuseStranger(call, view);
  const typedCode = call.caller.draft(PAGES.claim)?.code;
  // What has ended stays to be read, and is gone (RFC 9110 section 15.5.11).
  const isGone = view.state === 'over' || view.state === 'denied';
  // Who has an older mail can still say no by it.
  const isReplaced = view.state === 'replaced' && template === 'claim';
  const status = isGone || isReplaced ? 410 : 200;
  return pages.show(call.caller, template, { ...present(call, view), typedCode }, status);
}

async function viewHeld(call: Pick<Visit, 'deps' | 'caller'>, link: ClaimLink): Promise<ClaimView> {
  const view = await viewClaim(call.deps, link, call.caller.session);
  if (view === undefined) throw nothingHere();
  return view;
}

function keepLink(call: Visit, token: string): HandlerResult {
  const link = readClaimLink(call.deps, token);
  if (link === undefined) throw nothingHere();
  const path = link.kind === 'deny' ? PAGES.denyClaim : PAGES.claim;
  return redirect(call.deps.config, path, [
    ...call.caller.cookies,
    setCookie(call.deps.config, 'claim', token),
  ]);
}

function heldLink(call: Pick<Visit, 'deps' | 'caller'>): ClaimLink {
  const link = readClaimLink(call.deps, call.caller.cookie('claim') ?? '');
  if (link === undefined) throw nothingHere();
  return link;
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

function present({ deps, caller, query }: Pick<Visit, 'deps' | 'caller' | 'query'>, view: ClaimView): object {
  const { ways } = view;
  const other = ways?.first === 'typed' ? ways.canReveal && 'reveal' : ways?.canType && 'typed';
  const asked = query.get('way');
  const isTheirs = view.isFromMail || caller.session !== undefined; // another session than theirs was refused
  const { scopes, claimedScopes } = deps.config;
  return {
    ...view,
    agentName: view.agentName && displayName(view.agentName),
    registeredAt: formatTime(view.registeredAt),
    attempt: view.attempt && {
      ...view.attempt,
      mailbox: isTheirs ? view.attempt.mailbox : maskMailbox(view.attempt.mailbox),
      askedAt: formatTime(view.attempt.askedAt),
    },
    scopes: claimedScopes.map((name) => ({ name, description: scopes.get(name)!.description })),
    revealed: view.revealed && { code: view.revealed.code, until: formatTime(view.revealed.expiresAt) },
    // Which way the human goes: the one that suits the agent, unless they chose the other.
    way: other && asked === other ? other : ways?.first,
    otherWay: other && asked === other ? ways?.first : other || undefined,
    needsSignIn: view.mustSignIn && caller.session === undefined,
    problem: undefined,
  };
}
