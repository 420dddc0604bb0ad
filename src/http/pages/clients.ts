import { createClient } from '../../domain/apps/create-client.ts';
import { countOwnClients, listOwnClients } from '../../domain/apps/list-clients.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { operation, type Row, row } from '../server/table.ts';
import { changeClientRows } from './change-client.ts';
import { clientForm, presentClientForm, problemOf, readClient } from './client-form.ts';
import { presentSearchedList, readListQuery } from './lists.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import { findOwn, presentClient, showSecret, wasShown, withoutOnce } from './present-client.ts';

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
    handle({ deps, caller }) {
      const entered = caller.draft(PAGES.newClient);
      return pages.show(caller, 'client-form', presentClientForm(deps.config, entered));
    },
  });
}

/** POST /apps/clients/new: creates a client and shows its secret once. */
function create(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Make a client',
    form: clientForm,
    hasLines: true,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      // The browser sent the form again: the secret was shown, and the client is in the list.
      if (wasShown(call)) return redirect(deps.config, PAGES.clients, caller.cookies, 'clientShown');
      try {
        const by = { owner: caller.session.accountId };
        const { client, secret } = await createClient(deps, origin, readClient(deps, body), by);
        return showSecret(pages, call, client, 'made', secret);
      } catch (error) {
        const values = presentClientForm(deps.config, withoutOnce(body), problemOf(error));
        return pages.show(caller, 'client-form', values, 400);
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
      return pages.show(call.caller, 'client', { client: presentClient(client, call.deps.clock()) });
    },
  });
}
