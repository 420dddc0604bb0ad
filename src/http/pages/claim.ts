import { z } from 'zod';
import { type ClaimLink, readClaimLink } from '../../domain/claims/claim-links.ts';
import { type ClaimView, findClaimState, viewClaim } from '../../domain/claims/claim-review.ts';
import { approveClaim, confirmClaim, denyClaim } from '../../domain/claims/decide-claim.ts';
import { Failure, type FailureKind } from '../../errors.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { keepDraft } from '../server/browser-session.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { checkedNames, formSchema, type Problem, typedCode, wrongCodeText } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect, redirectWithToken } from './pages.ts';
import { presentClaim } from './present-claim.ts';

/**
 * The pages on which a human reviews a claim and approves or denies it. The first request moves the token of the link
 * from the URL into a cookie, which keeps it out of the browser history and of logs. Only a POST changes anything.
 */

/** The agent gets each scope whose checkbox is on: `scope:read`. */
const approveForm = formSchema({
  attempt: z.string().max(64),
  code: typedCode,
  /** The button that shows the code to the human, instead of the button that submits a typed code. */
  way: z.literal('reveal').optional(),
  /** The button that approves nothing, and shows the page for the other direction of the code. */
  other_way: z.enum(['typed', 'reveal']).optional(),
}).catchall(z.string().max(64));
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
      if (body.other_way !== undefined) {
        return redirect(
          deps.config,
          `${PAGES.claim}?way=${body.other_way}`,
          keepDraft(deps, PAGES.claim, body),
        );
      }
      try {
        const scopes = checkedNames(body, 'scope');
        const decision = { attemptId: body.attempt, signedInAs: call.caller.session, scopes };
        if (body.way === 'reveal') await confirmClaim(deps, origin, link, decision);
        else await approveClaim(deps, origin, link, { ...decision, code: body.code });
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        return showRefusal(pages, call, link, error);
      }
      return redirect(deps.config, PAGES.claim);
    },
  });
}

/** GET /claim/state: returns how far a claim is, for the script of a page that waits. */
export const claimState = operation({
  caller: 'browser',
  summary: 'How far a claim is',
  async handle(call) {
    const found = await findClaimState(call.deps, readLinkCookie(call));
    if (found === undefined || isOfAnother(call, found.mailbox)) throw claimNotFound();
    return { data: { state: found.state } };
  },
});

/** GET /claim/deny: asks the human to confirm the denial. */
export function denyPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Decline a claim: the question',
    handle(call) {
      return showClaim(pages, call, 'deny');
    },
  });
}

/** POST /claim/deny: denies a claim. */
export const deny = formOperation({
  caller: 'browser',
  summary: 'Decline a claim',
  form: denyForm,
  async handle(call) {
    const link = readLinkCookie(call);
    await denyClaim(call.deps, call.origin, link, { noMore: call.body.no_more !== undefined });
    return redirect(call.deps.config, PAGES.claim);
  },
});

/** Shows the claim of the link in the URL or in the cookie. @throws Failure `notFound` */
async function showClaim(pages: Pages, call: PageCall, template: 'claim' | 'deny'): Promise<HandlerResult> {
  const fromUrl = call.query.get('t');
  if (fromUrl !== null) return moveLinkToCookie(call, fromUrl);
  const view = await viewLinkedClaim(call, readLinkCookie(call));
  if (isOfAnother(call, view.attempt?.mailbox)) return showForAnother(pages, call, view);
  const draft = call.caller.draft(template === 'claim' ? PAGES.claim : PAGES.denyClaim);
  // What was typed for an older attempt is not for this one.
  const typed = template === 'deny' || draft?.attempt === view.attempt?.id ? draft : undefined;
  // The page of an ended claim is still readable, with status 410 (RFC 9110 section 15.5.11).
  const hasEnded = view.state === 'over' || view.state === 'denied';
  // The deny link of an older mail still denies the claim.
  const isSuperseded = view.state === 'replaced' && template === 'claim';
  const status = hasEnded || isSuperseded ? 410 : 200;
  return pages.show(call.caller, template, presentClaim(call, view, typed), status);
}

/** Shows why a claim was not approved: on its page what the human can correct there or has ended; otherwise throws the failure. */
async function showRefusal(
  pages: Pages,
  call: PageCall<z.output<typeof approveForm>>,
  link: ClaimLink,
  error: Failure,
): Promise<HandlerResult> {
  const status = STATUS_ON_PAGE[error.kind];
  if (status === undefined) throw error;
  const view = await viewLinkedClaim(call, link);
  if (isOfAnother(call, view.attempt?.mailbox)) return showForAnother(pages, call, view);
  if (error.kind === 'forbidden') throw error;
  const needsSignIn = error.kind === 'interactionRequired';
  const typed = error.kind === 'wrongCode' ? { ...call.body, code: '' } : call.body;
  const values = {
    ...presentClaim(call, view, typed, needsSignIn),
    ...(view.state === 'waiting' && { problem: problemOf(error, view) }),
  };
  const page = pages.show(call.caller, 'claim', values, status);
  // The page after signing in has what was typed and selected.
  const draft = needsSignIn ? keepDraft(call.deps, PAGES.claim, call.body) : [];
  return { ...page, cookies: [...(page.cookies ?? []), ...draft] };
}

/** The status of the claim page after a refused approval, by the kind of the failure. */
const STATUS_ON_PAGE: Partial<Record<FailureKind, number>> = {
  badRequest: 400,
  wrongCode: 400,
  codeExpired: 400,
  interactionRequired: 401,
  forbidden: 403,
  alreadyClaimed: 409,
  claimExpired: 410,
  claimSuperseded: 410,
  claimDenied: 410,
  claimRevoked: 410,
};

function problemOf(error: Failure, view: ClaimView): Problem {
  if (error.kind === 'wrongCode') return wrongCodeText(error, view.attempt?.proof === 'code');
  if (error.details.field === 'scopes') return { key: 'claim.nothingSelected', field: 'permissions' };
  if (error.kind === 'badRequest') return { key: 'claim.notSixDigits', field: 'code' };
  return { key: error.kind === 'interactionRequired' ? 'claim.signInBefore' : 'claim.askedAgain' };
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
  return redirectWithToken(call, path, 'claim', token);
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
    { hint: 'claim.openTheLink' },
  );
}

/** Reports whether the session belongs to another mailbox than the attempt (S-76). @param mailbox that of the attempt, if any */
function isOfAnother({ caller }: Pick<PageCall, 'caller'>, mailbox: string | undefined): boolean {
  const { session } = caller;
  return session !== undefined && mailbox !== undefined && mailbox !== session.mailbox;
}

function showForAnother(pages: Pages, { caller }: Pick<PageCall, 'caller'>, view: ClaimView): HandlerResult {
  return pages.show(caller, 'claim-of-another', { mailbox: maskMailbox(view.attempt!.mailbox) }, 403);
}
