import { removeClient, resumeClient, suspendClient } from '../../../domain/apps/manage-clients.ts';
import type { OperatorAct } from '../../../domain/audit/operator-acts.ts';
import {
  CLIENT_ORIGINS,
  CLIENT_STATUSES,
  type FoundClient,
  findClients,
  showClient,
} from '../../../domain/operators/oauth-clients.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import type { Flash } from '../../server/flash.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { formSchema, type Problem } from '../forms.ts';
import { readOneOf } from '../lists.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { presentFacts } from '../present-client.ts';
import { createMenu, presentList, readCursor, readSearch } from './lists.ts';
import { readAct, reasonField } from './reason.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of OAuth clients: the list, one of them, suspending, resuming and removing it. */

const none = undefined;
const PATH = CONSOLE.oauthClients;
const MENUS = [createMenu('clientStatus', CLIENT_STATUSES), createMenu('origin', CLIENT_ORIGINS)];

/** What an operator does with a client, and what the next page says of it. */
const ACTS = {
  suspend: { flash: 'clientSuspended', summary: 'Suspend it' },
  resume: { flash: 'clientResumed', summary: 'Resume it' },
  remove: { flash: 'clientRemoved', summary: 'Remove it' },
} as const satisfies Record<string, { flash: Flash; summary: string }>;
type Act = keyof typeof ACTS;

export function oauthClientRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, clientsPage(pages)),
    row('GET', `${PATH}/:id`, 'operator', none, clientPage(pages)),
    ...(Object.keys(ACTS) as Act[]).flatMap((act) => [
      row('GET', `${PATH}/:id/${act}`, 'operator', none, actPage(pages, act)),
      row('POST', `${PATH}/:id/${act}`, 'recentlyVerifiedOperator', none, submitAct(pages, act)),
    ]),
  ];
}

/** GET /console/oauth-clients: lists the clients that a search and filters find. */
function clientsPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All OAuth clients',
    async handle({ deps, caller, query }) {
      const found = await findClients(deps, {
        search: readSearch(query),
        status: readOneOf(query, 'clientStatus', CLIENT_STATUSES),
        origin: readOneOf(query, 'origin', CLIENT_ORIGINS),
        before: readCursor(query),
      });
      const { list, paging, problem } = presentList(PATH, query, MENUS, found);
      const values = { clients: found.clients.map(present), list, paging, problem };
      const status = problem === undefined ? 200 : 400;
      return showConsole(pages, caller, 'oauthClients', 'oauth-clients', values, status);
    },
  });
}

/** GET /console/oauth-clients/:id: one of them, also after it has ended. The URL of a document is encoded. */
function clientPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'One of them',
    async handle({ deps, caller, params }) {
      const found = await showClient(deps, params.id!);
      if (found === undefined) throw notFound();
      const values = { ...found, client: present(found.client) };
      return showConsole(pages, caller, 'oauthClients', 'oauth-client', values);
    },
  });
}

/** GET /console/oauth-clients/:id/ACT: asks first, and why. */
function actPage(pages: Pages, act: Act) {
  return operation({
    caller: 'operator',
    summary: 'Ask before it',
    handle: (call) =>
      showAct(pages, call, act, call.caller.draft(`${pathOf(call.params.id!)}/${act}`)?.reason),
  });
}

/** POST /console/oauth-clients/:id/ACT: acts on it. */
function submitAct(pages: Pages, act: Act) {
  const { flash, summary } = ACTS[act];
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary,
    form: formSchema({ reason: reasonField }),
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const operator = readAct(call, body.reason);
      if ('key' in operator) return showAct(pages, call, act, body.reason, operator);
      await run(act, deps, origin, params.id!, operator);
      return redirect(deps.config, pathOf(params.id!), caller.cookies, flash);
    },
  });
}

function run(
  act: Act,
  deps: OperatorCall['deps'],
  origin: OperatorCall['origin'],
  id: string,
  operator: OperatorAct,
): Promise<unknown> {
  if (act === 'remove') return removeClient(deps, origin, id, { operator });
  return (act === 'suspend' ? suspendClient : resumeClient)(deps, origin, id, operator);
}

async function showAct(
  pages: Pages,
  { deps, caller, params }: Pick<OperatorCall, 'deps' | 'caller' | 'params'>,
  act: Act,
  reason: string | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const found = await showClient(deps, params.id!);
  const isPossible =
    found !== undefined && (found.client.status === 'suspended' ? act !== 'suspend' : act !== 'resume');
  if (!isPossible || found.client.status === 'ended') throw notFound();
  const values = { client: present(found.client), act, reason, problem };
  return showConsole(
    pages,
    caller,
    'oauthClients',
    'oauth-client-act',
    values,
    problem === undefined ? 200 : 400,
  );
}

/** Returns the page of a client. The id of one with a document is its URL. */
function pathOf(id: string): `/${string}` {
  return `${PATH}/${encodeURIComponent(id)}`;
}

function present(client: FoundClient) {
  const { origin, status, registeredBy, endedAt } = client;
  return { ...presentFacts(client), path: pathOf(client.id), origin, status, registeredBy, endedAt };
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such client.');
}
