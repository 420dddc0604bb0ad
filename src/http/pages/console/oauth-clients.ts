import { removeClient, resumeClient, suspendClient } from '../../../domain/apps/manage-clients.ts';
import {
  CLIENT_ORIGINS,
  CLIENT_STATUSES,
  type FoundClient,
  findClients,
  showClient,
} from '../../../domain/operators/oauth-clients.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { readOneOf } from '../lists.ts';
import type { Pages } from '../pages.ts';
import { presentFacts } from '../present-client.ts';
import { type Act, actRows, pathOfThing } from './acts.ts';
import { createMenu, readCursor, readSearch, showList } from './lists.ts';
import { showConsole } from './show.ts';

/** The console's pages of OAuth clients: the list, one of them, suspending, resuming and removing it. */

const none = undefined;
const PATH = CONSOLE.oauthClients;
const MENUS = [createMenu('clientStatus', CLIENT_STATUSES), createMenu('origin', CLIENT_ORIGINS)];

/** What an operator does with a client, and what its page says of it. */
const ACTS = {
  suspend: { flash: 'clientSuspended', deed: { summary: 'Suspend it' }, act: ofOperator(suspendClient) },
  resume: { flash: 'clientResumed', deed: { summary: 'Resume it' }, act: ofOperator(resumeClient) },
  remove: {
    flash: 'clientRemoved',
    deed: { summary: 'Remove it' },
    act: (deps, origin, operator, id) => removeClient(deps, origin, id, { operator }),
  },
} as const satisfies Record<string, Pick<Act, 'flash' | 'deed' | 'act'>>;
type ActName = keyof typeof ACTS;

function ofOperator(change: typeof suspendClient): Act['act'] {
  return (deps, origin, operator, id) => change(deps, origin, id, operator);
}

export function oauthClientRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, clientsPage(pages)),
    row('GET', `${PATH}/:id`, 'operator', none, clientPage(pages)),
    ...(Object.keys(ACTS) as ActName[]).flatMap((name) =>
      actRows(PATH, { name, page: { summary: 'Ask before it' }, show: showAct(pages, name), ...ACTS[name] }),
    ),
  ];
}

/** GET /console/oauth-clients: lists the clients that a search and filters find. */
function clientsPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All OAuth clients',
    async handle(call) {
      const { deps, query } = call;
      const page = await findClients(deps, {
        search: readSearch(query),
        status: readOneOf(query, 'clientStatus', CLIENT_STATUSES),
        origin: readOneOf(query, 'origin', CLIENT_ORIGINS),
        before: readCursor(query),
      });
      const clients = page.items.map(present);
      return showList(pages, call, 'oauthClients', 'oauth-clients', MENUS, page, { clients });
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

/** Shows the page that asks before something is done to a client. */
function showAct(pages: Pages, act: ActName): Act['show'] {
  return async ({ deps, caller, params }, entered) => {
    const found = await showClient(deps, params.id!);
    const isPossible =
      found !== undefined && (found.client.status === 'suspended' ? act !== 'suspend' : act !== 'resume');
    if (!isPossible || found.client.status === 'ended') throw notFound();
    const values = { client: present(found.client), act, ...entered };
    return showConsole(pages, caller, 'oauthClients', 'oauth-client-act', values);
  };
}

function present(client: FoundClient) {
  const { origin, status, registeredBy, endedAt } = client;
  return {
    ...presentFacts(client),
    path: pathOfThing(PATH, client.id),
    origin,
    status,
    registeredBy,
    endedAt,
  };
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such client.');
}
