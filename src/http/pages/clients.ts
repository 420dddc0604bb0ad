import { readClientBound } from '../../domain/apps/client-bounds.ts';
import { createClient } from '../../domain/apps/create-client.ts';
import { countOwnClients, listOwnClients } from '../../domain/apps/list-clients.ts';
import { listPlacesOfHolders } from '../../domain/workspaces/pick-places.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { changeClientRows } from './change-client.ts';
import { clientForm, type EnteredClient, presentClientForm, problemOf, readClient } from './client-form.ts';
import type { Problem } from './forms.ts';
import { presentSearchedList, readListQuery } from './lists.ts';
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
import { presentPlaces } from './present-places.ts';
import { readWhere } from './where.ts';

/** The pages of the OAuth clients that a human registered. */

const none = undefined;

/** Creates the rows of these pages. */
export function ownClientRows(pages: Pages): Row[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  const [list, path] = [PAGES.clients, `${PAGES.clients}/:id`];
  return [
    row('GET', list, user, none, clientsPage(pages)),
    row('GET', PAGES.newClient, recent, none, newClientPage(pages)),
    row('POST', PAGES.newClient, recent, none, create(pages)),
    row('GET', path, user, none, clientPage(pages)),
    ...changeClientRows(pages),
  ];
}

/** GET /apps/clients: lists the clients of an account. */
function clientsPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My OAuth clients',
    async handle({ deps, caller, query }) {
      const { accountId } = caller.session;
      const wanted = readListQuery(query);
      const [counts, page] = await Promise.all([
        countOwnClients(deps, accountId, wanted),
        listOwnClients(deps, accountId, wanted),
      ]);
      return pages.show(caller, 'clients', {
        clients: page.items.map((client) => presentClient(client, deps.clock())),
        ...presentSearchedList(PAGES.clients, query, wanted, counts, page),
      });
    },
  });
}

/** GET /apps/clients/new: shows the form of a new client. */
function newClientPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What a client is',
    handle: (call) => showNew(pages, call, call.caller.draft(PAGES.newClient)),
  });
}

async function showNew(
  pages: Pages,
  { deps, caller }: Pick<UserCall, 'deps' | 'caller'>,
  entered: EnteredClient | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const where = await presentClientWhere(deps, caller.session.accountId, entered ?? {});
  const values = presentClientForm(deps.config, entered, where, problem);
  return pages.show(caller, 'client-form', values);
}

/** POST /apps/clients/new: creates a client and shows its secret once. */
function create(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Make a client',
    form: clientForm,
    hasChoices: true,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      // The browser sent the form again: the secret was shown, and the client is in the list.
      if (wasShown(call)) return redirect(deps.config, PAGES.clients, caller.cookies, 'clientShown');
      if (body.search !== undefined) return showNew(pages, call, withoutOnce(body));
      const { accountId } = caller.session;
      try {
        const where = await readWhere(deps, accountId, body);
        const input = readClient(deps, body, accountId, where);
        const { client, secret } = await createClient(deps, origin, input, { owner: accountId });
        return showSecret(pages, call, client, 'made', secret);
      } catch (error) {
        return showNew(pages, call, withoutOnce(body), problemOf(error));
      }
    },
  });
}

/** GET /apps/clients/:id: shows one client. */
function clientPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'One of them',
    async handle(call) {
      const client = await findOwn(call);
      const bound = await readClientBound(call.deps.db, client.id);
      const places = bound && (await listPlacesOfHolders(call.deps, [client.id])).get(client.id);
      return pages.show(call.caller, 'client', {
        client: presentClient(client, call.deps.clock()),
        places: places && presentPlaces(places),
        worksNowhere: bound?.length === 0,
      });
    },
  });
}
