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
import { formSchema, typedCode, wrongCodeText } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/**
 * The pages on which a human reviews a claim and approves or denies it. The first request moves the token of the link
 * from the URL into a cookie, which keeps it out of the browser history and of logs. Only a POST changes anything.
 */

const approveForm = formSchema({
  attempt: z.string().max(64),
  code: typedCode,
  /** The button that shows the code to the human, instead of the button that submits a typed code. */
  way: z.literal('reveal').optional(),
});
const denyForm = formSchema({ no_more: z.literal('on').optional() });

type PageCall<Form = unknown> = Call<Form, 'browser'>;

/** GET /claim: shows a claim for review. */
export function claimPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Review a claim',
    handle(call) {
      return showClaim(pages, call, 'claim');
    },
  });
}

/** POST /claim: approves a claim with a typed code, or confirms it and shows the code to the human. */
export function approve(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'Approve a claim',
    form: approveForm,
    async handle(call) {
      const { deps, origin, body } = call;
      const link = readLinkCookie(call);
      try {
        const decision = { attemptId: body.attempt, signedInAs: call.caller.session };
        if (body.way === 'reveal') await confirmClaim(deps, origin, link, decision);
        else await approveClaim(deps, origin, link, { ...decision, code: body.code });
      } catch (error) {
        // The page itself shows failures that the human can correct on it.
        if (!(error instanceof Failure) || !CORRECTABLE.has(error.kind)) throw error;
        const view = await viewLinkedClaim(call, link);
        const values = {
          ...presentClaim(call, view),
          ...(error.kind === 'interactionRequired' && { needsSignIn: true }),
          ...(body.way === undefined && view.ways && { way: 'typed' }),
        };
        const problem =
          error.kind === 'wrongCode' ? wrongCodeText(error, view.attempt?.proof === 'code') : error.message;
        return pages.show(
          call.caller,
          'claim',
          { ...values, problem },
          error.kind === 'interactionRequired' ? 401 : 400,
        );
      }
      return redirect(deps.config, PAGES.claim);
    },
  });
}

/** GET /claim/deny: asks the human to confirm the denial. */
export function denyPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Say that this was not me',
    handle(call) {
      return showClaim(pages, call, 'deny');
    },
  });
}

/** POST /claim/deny: denies a claim. */
export const deny = formOperation({
  caller: 'browser',
  summary: 'End a claim',
  form: denyForm,
  async handle(call) {
    const link = readLinkCookie(call);
    await denyClaim(call.deps, call.origin, link, { noMore: call.body.no_more !== undefined });
    return redirect(call.deps.config, PAGES.claim);
  },
});

const CORRECTABLE = new Set(['badRequest', 'wrongCode', 'codeExpired', 'interactionRequired']);

/** Shows the claim of the link in the URL or in the cookie. @throws Failure `notFound`, `forbidden` */
async function showClaim(pages: Pages, call: PageCall, template: 'claim' | 'deny'): Promise<HandlerResult> {
  const fromUrl = call.query.get('t');
  if (fromUrl !== null) return moveLinkToCookie(call, fromUrl);
  const view = await viewLinkedClaim(call, readLinkCookie(call));
  assertMailboxOwner(call, view);
  const typedCode = call.caller.draft(PAGES.claim)?.code;
  // The page of an ended claim is still readable, with status 410 (RFC 9110 section 15.5.11).
  const hasEnded = view.state === 'over' || view.state === 'denied';
  // The deny link of an older mail still denies the claim.
  const isSuperseded = view.state === 'replaced' && template === 'claim';
  const status = hasEnded || isSuperseded ? 410 : 200;
  return pages.show(call.caller, template, { ...presentClaim(call, view), typedCode }, status);
}

async function viewLinkedClaim(call: Pick<PageCall, 'deps' | 'caller'>, link: ClaimLink): Promise<ClaimView> {
  const view = await viewClaim(call.deps, link, call.caller.session);
  if (view === undefined) throw claimNotFound();
  return view;
}

function moveLinkToCookie(call: PageCall, token: string): HandlerResult {
  const link = readClaimLink(call.deps, token);
  if (link === undefined) throw claimNotFound();
  const path = link.kind === 'deny' ? PAGES.denyClaim : PAGES.claim;
  return redirect(call.deps.config, path, [
    ...call.caller.cookies,
    setCookie(call.deps.config, 'claim', token),
  ]);
}

function readLinkCookie(call: Pick<PageCall, 'deps' | 'caller'>): ClaimLink {
  const link = readClaimLink(call.deps, call.caller.cookie('claim') ?? '');
  if (link === undefined) throw claimNotFound();
  return link;
}

function claimNotFound(): Failure {
  return new Failure(
    'notFound',
    'There is no claim to show. Open the link in the mail, or the one that the agent gave you, in this browser.',
  );
}

/** @throws Failure `forbidden` if the session belongs to another mailbox than the attempt (S-76) */
function assertMailboxOwner({ caller }: PageCall, view: ClaimView): void {
  const { session } = caller;
  if (session === undefined || view.attempt === undefined || view.attempt.mailbox === session.mailbox) return;
  throw new Failure(
    'forbidden',
    `You are signed in as ${session.mailbox}, and this agent asked ${maskMailbox(view.attempt.mailbox)}. Sign out of your account first if that is you, too.`,
  );
}

function presentClaim(
  { deps, caller, query }: Pick<PageCall, 'deps' | 'caller' | 'query'>,
  view: ClaimView,
): object {
  const { ways } = view;
  const alternative = ways?.first === 'typed' ? ways.canReveal && 'reveal' : ways?.canType && 'typed';
  const requestedWay = query.get('way');
  // A session of another mailbox never gets here, see assertMailboxOwner().
  const mayReadMailbox = view.isFromMail || caller.session !== undefined;
  const { scopes, claimedScopes } = deps.config;
  return {
    ...view,
    agentName: view.agentName && displayName(view.agentName),
    registeredAt: formatTime(view.registeredAt),
    attempt: view.attempt && {
      ...view.attempt,
      mailbox: mayReadMailbox ? view.attempt.mailbox : maskMailbox(view.attempt.mailbox),
      askedAt: formatTime(view.attempt.askedAt),
    },
    scopes: claimedScopes.map((name) => ({ name, description: scopes.get(name)!.description })),
    revealed: view.revealed && { code: view.revealed.code, until: formatTime(view.revealed.expiresAt) },
    // The way that suits the agent, unless the human chose the alternative.
    way: alternative && requestedWay === alternative ? alternative : ways?.first,
    otherWay: alternative && requestedWay === alternative ? ways?.first : alternative || undefined,
    needsSignIn: view.mustSignIn && caller.session === undefined,
    problem: undefined,
  };
}
