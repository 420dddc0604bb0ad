import { z } from 'zod';
import { readConnectionLink, readDenialLink } from '../../domain/hosts/connection-codes.ts';
import { viewConnectionRequest } from '../../domain/hosts/connection-review.ts';
import {
  approveConnection,
  denyConnectionByMail,
  rejectConnection,
  viewDenial,
} from '../../domain/hosts/decide-connection.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { clearCookie } from '../server/cookies.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { findWaiting } from './find-by-code.ts';
import { checkedNames, formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirectWithToken } from './pages.ts';
import { presentRequest } from './present-connection.ts';

/**
 * The pages on which a human decides about a connection request of an agent under a host. The link or the code of the
 * agent, or a mail, leads to them. A decision on the review page requires a mailed code that the human verified within
 * the last 15 minutes (Agent Auth Protocol 1.0-draft, section 8.11).
 */

const codeForm = formSchema({ code: z.string().max(64).default('') });

/** The human allows each capability whose checkbox is on: `allow:read`. */
const decideForm = formSchema({
  approval: z.string().max(64),
  decision: z.enum(['approve', 'deny']),
}).catchall(z.string().max(64));

const refuseForm = formSchema({ no_more: z.literal('on').optional() });

/**
 * GET /connect: asks for the code of an agent, or moves the token of a link into a cookie, out of the browser history.
 */
export function connectPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Find what an agent asks for',
    handle(call) {
      const { deps, caller, query } = call;
      const token = query.get('t');
      if (token === null)
        return pages.show(caller, 'connect-code', {
          code: caller.draft(PAGES.connect)?.code ?? '',
        });
      if (readConnectionLink(deps, token) === undefined) throw requestNotFound();
      return redirectWithToken(call, PAGES.reviewConnection, 'connect', token);
    },
  });
}

/** POST /connect: finds a connection request by its typed code. */
export function findByCode(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'By its code',
    form: codeForm,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      try {
        const found = await findWaiting(deps, origin, body.code);
        return redirectWithToken(call, ...found);
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'wrongCode') throw error;
        const problem: Problem = { key: 'connect.wrongCode', field: 'code' };
        return pages.show(caller, 'connect-code', { code: body.code, problem }, 400);
      }
    },
  });
}

/** GET /connect/review: shows a connection request for review. */
export function reviewPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'Review it',
    async handle(call) {
      const { deps, caller } = call;
      const id = readConnectionLink(deps, caller.cookie('connect') ?? '');
      if (id === undefined) throw requestNotFound();
      const draft = caller.draft(PAGES.reviewConnection);
      const isOfThis = draft?.approval === id && draft.decision === 'approve';
      try {
        return await showRequest(pages, call, id, isOfThis ? draft : undefined);
      } catch (error) {
        return showClosedRequest(pages, call, error);
      }
    },
  });
}

/** POST /connect/review: approves or rejects a connection request. */
export function decide(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Approve what an agent asks for, or decline',
    form: decideForm,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      // The form must be about the request that this browser was shown.
      if (readConnectionLink(deps, caller.cookie('connect') ?? '') !== body.approval) throw requestNotFound();
      try {
        const approved =
          body.decision === 'approve'
            ? await approveConnection(
                deps,
                origin,
                body.approval,
                caller.session,
                checkedNames(body, 'allow'),
              )
            : undefined;
        if (approved === undefined) await rejectConnection(deps, origin, body.approval, caller.session);
        const values = approved && { ...approved, agentName: displayName(approved.agentName) };
        const done = pages.show(caller, 'connected', { approved: values });
        return { ...done, cookies: [...(done.cookies ?? []), clearCookie(deps.config, 'connect')] };
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'badRequest')
          return showClosedRequest(pages, call, error);
        return showRequest(pages, call, body.approval, body, { key: 'connect.nothingSelected' });
      }
    },
  });
}

type ReviewCall = Pick<Call<unknown, 'recentlyVerifiedUser'>, 'deps' | 'caller'>;

/** Shows a request. @param problem what is wrong with the form that was sent */
async function showRequest(
  pages: Pages,
  { deps, caller }: ReviewCall,
  id: string,
  typed: Record<string, string | undefined> | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const view = await viewConnectionRequest(deps, id, caller.session);
  const values = { ...presentRequest(view, typed), problem };
  return pages.show(caller, 'connect', values);
}

/** Shows a request about which this user cannot decide: it is over, or it asks somebody else. @throws any other failure */
function showClosedRequest(pages: Pages, { caller }: ReviewCall, error: unknown): HandlerResult {
  const kind = error instanceof Failure ? error.kind : undefined;
  if (kind === 'codeExpired') return pages.show(caller, 'connect', { state: 'over' }, 410);
  if (kind === 'forbidden') return pages.show(caller, 'connect', { state: 'foreign' }, 403);
  throw error;
}

/** GET /connect/deny: asks the reader of the mail, signed in or not, to confirm the denial. */
export function denyPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Ask whether to decline',
    async handle(call) {
      const { deps, caller, query } = call;
      const token = query.get('t');
      if (token !== null) {
        if (readDenialLink(deps, token) === undefined) throw requestNotFound();
        return redirectWithToken(call, PAGES.denyConnection, 'refuse', token);
      }
      const id = readDenialLink(deps, caller.cookie('refuse') ?? '');
      if (id === undefined) throw requestNotFound();
      const { agentName, isDecided } = await viewDenial(deps, id);
      const refusesMail = caller.draft(PAGES.denyConnection)?.no_more === 'on';
      const values = { agentName: displayName(agentName), isDecided, refusesMail };
      return pages.show(caller, 'connect-deny', values, isDecided ? 410 : 200);
    },
  });
}

/** POST /connect/deny: rejects a connection request by its mailed link. */
export function denyByMail(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'Decline what an agent asks for',
    form: refuseForm,
    async handle({ deps, origin, body, caller }) {
      const id = readDenialLink(deps, caller.cookie('refuse') ?? '');
      if (id === undefined) throw requestNotFound();
      await denyConnectionByMail(deps, origin, id, { noMore: body.no_more !== undefined });
      return pages.show(caller, 'connected', {});
    },
  });
}

function requestNotFound(): Failure {
  return new Failure(
    'notFound',
    'There is no request to show. In this browser, open the link that the agent gave you.',
    { hint: 'claim.openTheLink' },
  );
}
