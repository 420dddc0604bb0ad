import { z } from 'zod';
import { connectionLink, readConnectionLink, readDenialLink } from '../../domain/hosts/connection-codes.ts';
import {
  type ConnectionRequestView,
  findConnectionRequestByCode,
  viewConnectionRequest,
} from '../../domain/hosts/connection-review.ts';
import {
  approveConnection,
  denyConnectionByMail,
  rejectConnection,
  viewDenial,
} from '../../domain/hosts/decide-connection.ts';
import { revokeOwnedHost } from '../../domain/hosts/revoke-host.ts';
import { Failure } from '../../errors.ts';
import { formatTime } from '../../lib/format-time.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName, singleLine } from '../../lib/untrusted-text.ts';
import { clearCookie, setCookie } from '../server/cookies.ts';
import { operation } from '../server/table.ts';
import { checkedNames, formSchema } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

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
const hostForm = formSchema({});

/**
 * GET /connect: asks for the code of an agent, or moves the token of a link into a cookie, out of the browser history.
 */
export function connectPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Find what an agent asks for',
    handle({ deps, caller, query }) {
      const token = query.get('t');
      if (token === null)
        return pages.show(caller, 'connect-code', {
          code: caller.draft(PAGES.connect)?.code ?? '',
          problem: undefined,
        });
      if (readConnectionLink(deps, token) === undefined) throw requestNotFound();
      return redirect(deps.config, PAGES.reviewConnection, [
        ...caller.cookies,
        setCookie(deps.config, 'connect', token),
      ]);
    },
  });
}

/** POST /connect: finds a connection request by its typed code. */
export function findByCode(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'By its code',
    form: codeForm,
    async handle({ deps, origin, body, caller }) {
      try {
        const id = await findConnectionRequestByCode(deps, origin, body.code);
        const token = new URL(connectionLink(deps, id)).searchParams.get('t')!;
        return redirect(deps.config, PAGES.reviewConnection, [
          ...caller.cookies,
          setCookie(deps.config, 'connect', token),
        ]);
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'wrongCode') throw error;
        return pages.show(caller, 'connect-code', { code: body.code, problem: error.message }, 400);
      }
    },
  });
}

/** GET /connect/review: shows a connection request for review. */
export function reviewPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'Review it',
    async handle({ deps, caller }) {
      const id = readConnectionLink(deps, caller.cookie('connect') ?? '');
      if (id === undefined) throw requestNotFound();
      const view = await viewConnectionRequest(deps, id, caller.session);
      const draft = caller.draft(PAGES.reviewConnection);
      return pages.show(caller, 'connect', presentRequest(view, draft?.approval === id ? draft : undefined));
    },
  });
}

/** POST /connect/review: approves or rejects a connection request. */
export function decide(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Let the agent in, or not',
    form: decideForm,
    async handle({ deps, origin, body, caller }) {
      // The form must be about the request that this browser was shown.
      if (readConnectionLink(deps, caller.cookie('connect') ?? '') !== body.approval) throw requestNotFound();
      const isApproved = body.decision === 'approve';
      if (isApproved)
        await approveConnection(deps, origin, body.approval, caller.session, checkedNames(body, 'allow'));
      else await rejectConnection(deps, origin, body.approval, caller.session);
      const done = pages.show(caller, 'connected', { isYes: isApproved });
      return { ...done, cookies: [...(done.cookies ?? []), clearCookie(deps.config, 'connect')] };
    },
  });
}

/** GET /connect/deny: asks the reader of the mail, signed in or not, to confirm the denial. */
export function denyPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Say that this was not me',
    async handle({ deps, caller, query }) {
      const token = query.get('t');
      if (token !== null) {
        if (readDenialLink(deps, token) === undefined) throw requestNotFound();
        const cookie = setCookie(deps.config, 'refuse', token);
        return redirect(deps.config, PAGES.denyConnection, [...caller.cookies, cookie]);
      }
      const id = readDenialLink(deps, caller.cookie('refuse') ?? '');
      if (id === undefined) throw requestNotFound();
      const { agentName, mailbox, isDecided } = await viewDenial(deps, id);
      const values = { agentName: displayName(agentName), mailbox, isDecided };
      return pages.show(caller, 'connect-deny', values, isDecided ? 410 : 200);
    },
  });
}

/** POST /connect/deny: rejects a connection request by its mailed link. */
export function denyByMail(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'Turn the agent away',
    form: refuseForm,
    async handle({ deps, origin, body, caller }) {
      const id = readDenialLink(deps, caller.cookie('refuse') ?? '');
      if (id === undefined) throw requestNotFound();
      await denyConnectionByMail(deps, origin, id, { noMore: body.no_more !== undefined });
      return pages.show(caller, 'connected', { isYes: false });
    },
  });
}

/** POST /hosts/:id/revoke: revokes a host and its agents. */
export const revokeHost = formOperation({
  caller: 'signedInUser',
  summary: 'End a host and its agents',
  form: hostForm,
  async handle(call) {
    const { deps, origin, caller, params } = call;
    await revokeOwnedHost(deps, origin, caller.session.accountId, params.id!);
    return redirect(deps.config, PAGES.agents);
  },
});

function requestNotFound(): Failure {
  return new Failure(
    'notFound',
    'There is no request to show. Open the link that the agent gave you in this browser.',
  );
}

/** Prepares a connection request for its template. Texts of agents are untrusted, see lib/untrusted-text.ts. */
function presentRequest(view: ConnectionRequestView, draft: Record<string, string> | undefined): object {
  return {
    ...view,
    agentName: displayName(view.agentName),
    hostName: view.hostName && displayName(view.hostName),
    reason: view.reason && singleLine(view.reason, 500),
    bindingMessage: view.bindingMessage && singleLine(view.bindingMessage, 200),
    askedAt: formatTime(view.askedAt),
    askedAgain: view.capabilities.some(({ wasRefused }) => wasRefused),
    capabilities: view.capabilities.map(({ constraints, ...each }) => ({
      ...each,
      on: draft === undefined ? !each.wasRefused : `allow:${each.name}` in draft,
      constraints:
        constraints &&
        Object.entries(constraints).map(([field, value]) =>
          singleLine(formatConstraint(field, value), CONSTRAINT_CHARS_MAX),
        ),
    })),
  };
}

/** Long enough for every constraint: the human would allow a truncated part unseen. */
const CONSTRAINT_CHARS_MAX = 16_384;

const OPERATOR_WORDS: Record<string, string> = {
  max: 'at most',
  min: 'at least',
  in: 'one of',
  not_in: 'none of',
  eq: 'exactly',
};

/** Formats a constraint for people: `seconds at most 120`. */
function formatConstraint(field: string, value: unknown): string {
  const isPlain = typeof value !== 'object' || value === null || Array.isArray(value);
  const operators = isPlain ? { eq: value } : value;
  const parts = Object.entries(operators).map(([name, operand]) => {
    const text = Array.isArray(operand)
      ? operand.map((each) => JSON.stringify(each)).join(', ')
      : JSON.stringify(operand);
    return `${OPERATOR_WORDS[name] ?? name} ${text}`;
  });
  return `${field} ${parts.join(' and ')}`;
}
