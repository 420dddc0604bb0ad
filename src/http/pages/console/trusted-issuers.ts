import { fetchIssuerKeys, findIssuers } from '../../../domain/operators/trusted-issuers.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { formSchema } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { showConsole } from './show.ts';

/** The console's page of agent providers, which shows what the configuration trusts and changes nothing of it. */

const none = undefined;
const PATH = CONSOLE.trustedIssuers;

export function trustedIssuerRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, issuersPage(pages)),
    row('POST', PATH, 'operator', none, fetchKeys),
  ];
}

/** GET /console/trusted-issuers: lists those that are trusted, and those that were. */
function issuersPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'The agent providers that are trusted',
    async handle({ deps, caller }) {
      return showConsole(pages, caller, 'trustedIssuers', 'trusted-issuers', await findIssuers(deps));
    },
  });
}

/** POST /console/trusted-issuers: fetches the keys of all of them now. */
const fetchKeys = formOperation({
  caller: 'operator',
  summary: 'Fetch their keys',
  form: formSchema({}),
  async handle({ deps, caller }) {
    await fetchIssuerKeys(deps);
    return redirect(deps.config, PATH, caller.cookies, 'issuerKeysFetched');
  },
});
