import { z } from 'zod';
import { readDeclineLink, readInvitationLink } from '../../domain/workspaces/invitation-links.ts';
import {
  acceptInvitation,
  declineInvitation,
  type ReceivedInvitation,
  type Unwanted,
  viewInvitation,
} from '../../domain/workspaces/invitations.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { clearCookie } from '../server/cookies.ts';
import { type Call, type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect, redirectWithToken } from './pages.ts';
import { workspacePath } from './present-workspace.ts';

/**
 * The pages of an invitation, for its reader. Its link names no workspace to anybody but who is signed in with the invited
 * mailbox; opening it changes nothing.
 */

const none = undefined;

const stop = z.literal('on').optional();
const stopFields = { stop_workspace: stop, stop_all: stop };
const decideForm = formSchema({ decision: z.enum(['join', 'decline']), ...stopFields });
const declineForm = formSchema(stopFields);

/** Creates the rows of these pages. */
export function invitationRows(pages: Pages): Row[] {
  return [
    row('GET', PAGES.invitation, 'browser', none, invitationPage(pages)),
    row('POST', PAGES.invitation, 'signedInUser', none, decide(pages)),
    row('GET', PAGES.declineInvitation, 'browser', none, declinePage(pages)),
    row('POST', PAGES.declineInvitation, 'browser', none, declineByMail(pages)),
  ];
}

/** GET /invitation: moves the token of the link into a cookie, out of the browser history; then shows the invitation. */
function invitationPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'An invitation to a workspace',
    async handle(call) {
      const { deps, caller, query } = call;
      const token = query.get('t');
      if (token !== null) {
        if (readInvitationLink(deps, token) === undefined) throw notFound();
        return redirectWithToken(call, PAGES.invitation, 'invitation', token);
      }
      return showInvitation(pages, call, idOf(call), caller.draft(PAGES.invitation));
    },
  });
}

type BrowserCall = Pick<Call<unknown, 'browser'>, 'deps' | 'caller'>;

/** Shows an invitation to whoever reads it. @param entered what was chosen before signing in, or refused */
async function showInvitation(
  pages: Pages,
  { deps, caller }: BrowserCall,
  id: string,
  entered: { stop_workspace?: string | undefined; stop_all?: string | undefined } = {},
  problem?: Problem,
): Promise<HandlerResult> {
  const { session } = caller;
  if (session === undefined) return pages.show(caller, 'invitation', { state: 'signedOut' });
  const view = await viewInvitation(deps, id, session.mailbox);
  const status = problem === undefined ? STATUS[view.state] : 400;
  return pages.show(caller, 'invitation', { ...present(view), ...presentStops(entered), problem }, status);
}

/** A foreign one does not exist for the reader. */
const STATUS = { open: 200, over: 410, foreign: 404 } as const;

const present = (view: ReceivedInvitation) =>
  view.state === 'open' ? { ...view, workspaceName: displayName(view.workspaceName) } : view;

const presentStops = (entered: { stop_workspace?: string | undefined; stop_all?: string | undefined }) => ({
  stopsWorkspace: entered.stop_workspace === 'on',
  stopsAll: entered.stop_all === 'on',
});

const unwantedOf = (body: z.output<typeof declineForm>): Unwanted | undefined =>
  body.stop_all ? 'all' : body.stop_workspace ? 'ofWorkspace' : undefined;

/** POST /invitation: joins, or declines. */
function decide(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Join, or decline',
    form: decideForm,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      const id = idOf(call);
      if (body.decision === 'decline') {
        const view = await viewInvitation(deps, id, caller.session.mailbox);
        if (view.state !== 'open') return showInvitation(pages, call, id);
        await declineInvitation(deps, origin, id, unwantedOf(body));
        return withoutCookie(deps, pages.show(caller, 'invitation', { state: 'declined' }));
      }
      try {
        const workspaceId = await acceptInvitation(deps, origin, caller.session.accountId, id);
        const cookie = clearCookie(deps.config, 'invitation');
        return redirect(deps.config, workspacePath(workspaceId), [cookie], 'workspaceJoined');
      } catch (error) {
        const kind = error instanceof Failure ? error.kind : undefined;
        if (kind === 'invitationVoid') return pages.show(caller, 'invitation', { state: 'over' }, 410);
        if (kind === 'notFound') return showInvitation(pages, call, id);
        if (kind !== 'tooMany') throw error;
        return showInvitation(pages, call, id, body, { key: 'invitation.full' });
      }
    },
  });
}

/** GET /invitation/decline: asks the reader of the mail, signed in or not, to confirm. It names nothing. */
function declinePage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Ask whether to decline',
    async handle(call) {
      const { deps, caller, query } = call;
      const token = query.get('t');
      if (token !== null) {
        if (readDeclineLink(deps, token) === undefined) throw notFound();
        return redirectWithToken(call, PAGES.declineInvitation, 'refuse', token);
      }
      if (readDeclineLink(deps, caller.cookie('refuse') ?? '') === undefined) throw notFound();
      const entered = presentStops(caller.draft(PAGES.declineInvitation) ?? {});
      return pages.show(caller, 'invitation', { state: 'asked', ...entered });
    },
  });
}

/** POST /invitation/decline: declines by the link of the mail. */
function declineByMail(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'Decline an invitation',
    form: declineForm,
    async handle({ deps, origin, body, caller }) {
      const id = readDeclineLink(deps, caller.cookie('refuse') ?? '');
      if (id === undefined) throw notFound();
      await declineInvitation(deps, origin, id, unwantedOf(body));
      return pages.show(caller, 'invitation', { state: 'declined' });
    },
  });
}

/** The invitation whose link this browser opened. @throws Failure `notFound` */
function idOf({ deps, caller }: BrowserCall): string {
  const id = readInvitationLink(deps, caller.cookie('invitation') ?? '');
  if (id === undefined) throw notFound();
  return id;
}

function withoutCookie(deps: BrowserCall['deps'], page: HandlerResult): HandlerResult {
  return { ...page, cookies: [...(page.cookies ?? []), clearCookie(deps.config, 'invitation')] };
}

function notFound(): Failure {
  return new Failure(
    'notFound',
    'There is no invitation to show. In this browser, open the link of its mail.',
    {
      hint: 'invitation.openTheLink',
    },
  );
}
