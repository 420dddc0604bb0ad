import { z } from 'zod';
import { readClientBound } from '../../domain/apps/client-bounds.ts';
import type { OAuthClient } from '../../domain/apps/clients.ts';
import { changeClient, removeClient, rotateClientSecret } from '../../domain/apps/manage-clients.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { DAY_MS } from '../../lib/time.ts';
import { type HandlerResult, operation, type Row, row } from '../server/table.ts';
import {
  authOf,
  clientForm,
  type EnteredClient,
  enteredAs,
  presentClientForm,
  problemOf,
  readChange,
} from './client-form.ts';
import { formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import {
  findOwn,
  presentClient,
  presentClientWhere,
  showSecret,
  type UserCall,
  wasShown,
  withoutOnce,
} from './present-client.ts';
import { readWhere } from './where.ts';

/** The pages that change the OAuth clients of a human. */

const none = undefined;

/** How long the old secret works on after a rotation, by the value of the form; the first is chosen beforehand. */
const OVERLAPS_MS: Readonly<Record<string, number>> = {
  '1d': DAY_MS,
  '1h': DAY_MS / 24,
  '7d': 7 * DAY_MS,
  now: 0,
};

/** Creates the rows of these pages. */
export function changeClientRows(pages: Pages): Row[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  const path = `${PAGES.clients}/:id`;
  return [
    row('GET', `${path}/edit`, recent, none, editPage(pages)),
    row('POST', `${path}/edit`, recent, none, edit(pages)),
    row('GET', `${path}/rotate`, recent, none, actPage(pages, 'rotate')),
    row('POST', `${path}/rotate`, recent, none, rotate(pages)),
    row('GET', `${path}/delete`, user, none, actPage(pages, 'delete')),
    row('POST', `${path}/delete`, user, none, remove),
  ];
}

/** GET /apps/clients/:id/edit: shows the form with what a client is. */
function editPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What can be changed of one',
    async handle(call) {
      const { deps, caller } = call;
      const client = await findOwn(call);
      const entered = caller.draft(`${PAGES.clients}/${client.id}/edit`);
      if (entered !== undefined) return showEdit(pages, call, client, entered);
      const bound = await readClientBound(deps.db, client.id);
      return showEdit(pages, call, client, enteredAs(deps.config, client, bound));
    },
  });
}

/** POST /apps/clients/:id/edit: changes a client. */
function edit(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Change one',
    form: clientForm,
    hasChoices: true,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      const client = await findOwn(call);
      if (body.search !== undefined) return showEdit(pages, call, client, withoutOnce(body));
      const { accountId } = caller.session;
      try {
        const where = await readWhere(deps, accountId, body);
        const change = readChange(deps, body, accountId, where);
        await changeClient(deps, origin, client.id, change, { owner: accountId });
        return redirect(deps.config, `${PAGES.clients}/${client.id}`, caller.cookies, 'clientSaved');
      } catch (error) {
        return showEdit(pages, call, client, withoutOnce(body), problemOf(error));
      }
    },
  });
}

async function showEdit(
  pages: Pages,
  { deps, caller }: Pick<UserCall, 'deps' | 'caller'>,
  client: OAuthClient,
  entered: EnteredClient,
  problem?: Problem,
): Promise<HandlerResult> {
  const shown = presentClient(client, deps.clock());
  const where = await presentClientWhere(deps, caller.session.accountId, entered);
  const form = presentClientForm(deps.config, { ...entered, auth: authOf(client.metadata) }, where, problem);
  return pages.show(caller, 'client-form', { ...form, client: shown });
}

/** GET /apps/clients/:id/rotate and /delete: asks first. */
function actPage(pages: Pages, act: 'rotate' | 'delete') {
  return operation({
    caller: act === 'rotate' ? 'recentlyVerifiedUser' : 'signedInUser',
    summary: 'Ask before it',
    handle: (call) => showAct(pages, call, act),
  });
}

async function showAct(
  pages: Pages,
  call: Pick<UserCall, 'deps' | 'caller' | 'params'>,
  act: 'rotate' | 'delete',
  problem?: Problem,
): Promise<HandlerResult> {
  const client = await findOwn(call);
  if (act === 'rotate' && client.secretHash === null) throw notFound();
  const draft = call.caller.draft(`${PAGES.clients}/${client.id}/${act}`);
  const overlaps = Object.keys(OVERLAPS_MS);
  const values = {
    client: presentClient(client, call.deps.clock()),
    act,
    overlaps,
    overlap: overlaps.find((each) => each === draft?.overlap) ?? overlaps[0],
    problem,
  };
  return pages.show(call.caller, 'client-act', values);
}

/** POST /apps/clients/:id/rotate: replaces its secret, and shows the new one once. */
function rotate(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Replace its secret',
    form: formSchema({ overlap: z.string().max(8).default('') }),
    async handle(call) {
      const { deps, origin, body, caller, params } = call;
      // The browser sent the form again: to rotate again would end the secret that it showed.
      if (wasShown(call)) return showSecret(pages, call, await findOwn(call), 'rotated', undefined);
      const overlapMs = OVERLAPS_MS[body.overlap];
      if (overlapMs === undefined) {
        return showAct(pages, call, 'rotate', {
          key: 'console.resourceServers.problem.overlap',
          field: 'overlap',
        });
      }
      const by = { owner: caller.session.accountId };
      const { client, secret } = await rotateClientSecret(deps, origin, params.id!, overlapMs, by);
      return showSecret(pages, call, client, 'rotated', secret);
    },
  });
}

/** POST /apps/clients/:id/delete: deletes a client. */
const remove = formOperation({
  caller: 'signedInUser',
  summary: 'Delete one',
  form: formSchema({}),
  async handle({ deps, origin, caller, params }) {
    await removeClient(deps, origin, params.id!, { owner: caller.session.accountId });
    return redirect(deps.config, PAGES.clients, [], 'clientDeleted');
  },
});

function notFound(): Failure {
  return new Failure('notFound', 'There is no such client among yours.');
}
