import { z } from 'zod';
import { denyPermissions } from '../../domain/permissions/decide-request.ts';
import { type GivenPermission, grantPermissions } from '../../domain/permissions/grant.ts';
import { referRequest } from '../../domain/permissions/refer-request.ts';
import { readRequestToken } from '../../domain/permissions/request-codes.ts';
import { type RequestReview, reviewRequest } from '../../domain/permissions/review.ts';
import {
  connectTerminal,
  listGrantableWorkspaces,
  TERMINAL_LIFE,
} from '../../domain/permissions/terminals.ts';
import { Failure } from '../../errors.ts';
import type { SignedAnswer } from '../../lib/artifacts/permission-grant.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { clearCookie } from '../server/cookies.ts';
import { type Call, type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { checkedNames, formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import { presentLives, presentReview } from './present-permissions.ts';
import { describeScopes } from './scopes.ts';

/**
 * The page on which a human decides about a permission request, or about a terminal that wants to act for them. What is granted is
 * what this browser was shown: the id of a request is a digest of what it asks for.
 */

/** Creates the rows of this page. */
export function reviewRows(pages: Pages): Row[] {
  return [
    row('GET', PAGES.reviewPermissions, 'recentlyVerifiedUser', undefined, reviewPage(pages)),
    row('POST', PAGES.reviewPermissions, 'recentlyVerifiedUser', undefined, decide(pages)),
    row('POST', PAGES.referPermissions, 'recentlyVerifiedUser', undefined, refer(pages)),
  ];
}

/** The human allows each action whose box is on: `may:0:read`; of a terminal each scope and workspace: `scope:read`, `in:wsp_…`. */
const decideForm = formSchema({
  request: z.string().max(64),
  decision: z.enum(['approve', 'deny']),
  workspace: z.string().max(80).optional(),
  life: z
    .string()
    .regex(/^[1-9][0-9]{0,8}$/)
    .optional(),
}).catchall(z.string().max(64));

const referForm = formSchema({ request: z.string().max(64), workspace: z.string().max(80) });

type ReviewCall = Pick<Call<unknown, 'recentlyVerifiedUser'>, 'deps' | 'caller' | 'origin'>;
type DecideCall = Call<z.output<typeof decideForm>, 'recentlyVerifiedUser'>;

/** GET /permissions/review: shows a request. */
function reviewPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'Review what is asked for',
    async handle(call) {
      const { deps, caller } = call;
      const id = readRequestToken(deps, caller.cookie('permission') ?? '');
      if (id === undefined) throw requestNotFound();
      const draft = caller.draft(PAGES.reviewPermissions);
      const isOfThis = draft?.request === id && draft.decision === 'approve';
      return showReview(pages, call, id, isOfThis ? draft : undefined);
    },
  });
}

/** POST /permissions/review: grants what is ticked, or declines. */
function decide(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Grant what is asked for, or some of it, or decline',
    form: decideForm,
    hasChoices: true,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      const { accountId } = caller.session;
      // The form must be about the request that this browser was shown.
      if (readRequestToken(deps, caller.cookie('permission') ?? '') !== body.request) throw requestNotFound();
      try {
        const review = await reviewRequest(deps, body.request, accountId);
        if (body.decision === 'deny') {
          const denial = await denyPermissions(deps, origin, body.request, accountId);
          return showDone(pages, call, { state: 'declined', isLogin: review.isLogin, answer: denial });
        }
        return review.isLogin ? await connect(pages, call) : await grant(pages, call, review);
      } catch (error) {
        const problem = problemOf(error);
        if (problem === undefined) return showClosed(pages, call, error);
        return showReview(pages, call, body.request, body, problem);
      }
    },
  });
}

/** POST /permissions/review/refer: mails the owners and admins of a workspace who may grant what this member may not. */
function refer(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Ask the owners and admins of a workspace to decide',
    form: referForm,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      if (readRequestToken(deps, caller.cookie('permission') ?? '') !== body.request) throw requestNotFound();
      try {
        await referRequest(deps, origin, body.request, caller.session.accountId, body.workspace);
      } catch (error) {
        return showClosed(pages, call, error);
      }
      return redirect(deps.config, PAGES.reviewPermissions, caller.cookies, 'requestReferred');
    },
  });
}

async function grant(pages: Pages, call: DecideCall, review: RequestReview): Promise<HandlerResult> {
  const { deps, origin, body, caller } = call;
  const { accountId } = caller.session;
  const ticked = new Set(checkedNames(body, 'may'));
  const permissions = review.permissions.flatMap(({ index, actions, workspace }): GivenPermission[] => {
    const given = actions.map(({ action }) => action).filter((action) => ticked.has(`${index}:${action}`));
    if (given.length === 0) return [];
    return [{ index, actions: given, ...(workspace === undefined && { space: body.workspace }) }];
  });
  if (permissions.length === 0) throw new WrongForm({ key: 'connect.nothingSelected', field: 'permissions' });
  const isChosen = review.workspaces.some(({ id }) => id === body.workspace);
  const needsChoice = permissions.some(({ index }) => review.permissions[index]!.workspace === undefined);
  if (needsChoice && review.workspaces.length > 1 && !isChosen) {
    throw new WrongForm({ key: 'review.chooseWorkspace', field: 'workspace' });
  }
  const lifetimeSeconds = Math.min(Number(body.life ?? review.lifetimeSeconds), review.lifetimeSeconds);
  const { grant: signed } = await grantPermissions(
    deps,
    origin,
    review.id,
    { accountId },
    { permissions, lifetimeSeconds },
  );
  const scopes = permissions.flatMap(({ index, actions }) =>
    review.permissions[index]!.actions.filter(({ action }) => actions.includes(action)).map(
      ({ scope }) => scope,
    ),
  );
  return showDone(pages, call, {
    state: 'granted',
    answer: signed,
    name: displayName(review.name ?? ''),
    agentId: review.owner === 'you' ? review.agentId : undefined,
    scopes: [...new Set(scopes)].toSorted(),
  });
}

async function connect(pages: Pages, call: DecideCall): Promise<HandlerResult> {
  const { deps, origin, body, caller } = call;
  const { accountId } = caller.session;
  const bound = { scopes: checkedNames(body, 'scope'), workspaces: checkedNames(body, 'in') };
  if (bound.scopes.length === 0)
    throw new WrongForm({ key: 'connect.nothingSelected', field: 'permissions' });
  if (bound.workspaces.length === 0) throw new WrongForm({ key: 'terminal.chooseWhere', field: 'where' });
  const lifetimeSeconds = Number(body.life ?? TERMINAL_LIFE.default);
  const answer = await connectTerminal(deps, origin, body.request, accountId, { bound, lifetimeSeconds });
  return showDone(pages, call, { state: 'connected', isLogin: true, answer });
}

/** What is wrong with the form that was sent. */
class WrongForm extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.key);
    this.problem = problem;
  }
}

/** @returns undefined for what is no mistake in the form */
function problemOf(error: unknown): Problem | undefined {
  if (error instanceof WrongForm) return error.problem;
  if (!(error instanceof Failure)) return undefined;
  if (error.kind === 'badRequest') return { key: 'review.thingGone', field: 'permissions' };
  return error.kind === 'forbidden' ? { key: 'review.roleMayNot', field: 'permissions' } : undefined;
}

/** Shows a request. @param typed the fields as they were sent; undefined: nothing was sent yet */
async function showReview(
  pages: Pages,
  call: ReviewCall,
  id: string,
  typed: Readonly<Record<string, string | undefined>> | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const { deps, caller, origin } = call;
  let review: RequestReview;
  try {
    review = await reviewRequest(deps, id, caller.session.accountId);
  } catch (error) {
    return showClosed(pages, call, error);
  }
  if (review.state !== 'open') return pages.show(caller, 'permission-done', { state: review.state }, 410);
  const shared = { ...presentReview(review, typed), ownNetwork: origin.address.coarse, problem };
  if (!review.isLogin) return pages.show(caller, 'permission-review', shared);
  const { accountId } = caller.session;
  const scopes = describeScopes(deps.config, [...deps.config.scopes.keys()]);
  const grantable = await listGrantableWorkspaces(deps, accountId);
  const values = {
    ...shared,
    // What cannot be undone is granted on pages alone.
    scopes: scopes
      .filter(({ isDestructive }) => !isDestructive)
      .map((scope) => ({ ...scope, isOn: typed !== undefined && `scope:${scope.name}` in typed })),
    places: grantable.map(({ id, name }) => ({
      id,
      name: name && displayName(name),
      isOn: typed === undefined ? grantable.length === 1 : `in:${id}` in typed,
    })),
    lives: presentLives(TERMINAL_LIFE.max, typed?.life ?? String(TERMINAL_LIFE.default), [
      TERMINAL_LIFE.default,
    ]),
  };
  return pages.show(caller, 'permission-terminal', values);
}

/** Shows what became of a request, and what we signed about it: who asked may be where only a person carries things to. */
function showDone(
  pages: Pages,
  { deps, caller }: ReviewCall,
  { answer, ...values }: { state: string; answer: SignedAnswer; [name: string]: unknown },
): HandlerResult {
  const done = pages.show(caller, 'permission-done', {
    ...values,
    artifact: JSON.stringify(answer, null, 2),
  });
  return { ...done, cookies: [...(done.cookies ?? []), clearCookie(deps.config, 'permission')] };
}

/** Shows a request about which nobody can decide any more. @throws any other failure */
function showClosed(pages: Pages, { caller }: ReviewCall, error: unknown): HandlerResult {
  const kind = error instanceof Failure ? error.kind : undefined;
  if (kind === 'requestDecided') return pages.show(caller, 'permission-done', { state: 'decided' }, 409);
  if (kind === 'requestExpired') return pages.show(caller, 'permission-done', { state: 'over' }, 410);
  throw error;
}

/** Creates the failure for a link whose request is not there. */
export function requestNotFound(): Failure {
  return new Failure(
    'notFound',
    'There is no request to show. In this browser, open the link that the agent gave you, or type its code.',
    { hint: 'requests.openTheLink' },
  );
}
