import type { Deps } from '../../../deps.ts';
import type { OperatorAct } from '../../../domain/audit/operator-acts.ts';
import {
  type AccountsQuery,
  allAccountsFound,
  endAccountSessions,
  findAccounts,
  revokeAccountKeys,
  setAccountMail,
  showAccount,
} from '../../../domain/operators/accounts.ts';
import { countAllHumans } from '../../../domain/operators/figures.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import type { RequestOrigin } from '../../../work.ts';
import type { Flash } from '../../server/flash.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { toIso } from '../../server/wire-times.ts';
import { readId } from '../lists.ts';
import type { Pages } from '../pages.ts';
import { type Act, actRows } from './acts.ts';
import { csvFile } from './csv.ts';
import { readSearch, readSince, showList, TIME_MENU } from './lists.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of people's accounts: the list, one account, and what an operator does with it. */

const none = undefined;
const MENUS = [TIME_MENU];

/** What an operator does with an account, by the last part of its path; the texts are `console.accounts.NAME…`. */
const ACTS = {
  'end-sessions': {
    text: 'endSessions',
    act: endAccountSessions,
    flash: 'accountSessionsEnded',
    isMail: false,
  },
  'revoke-keys': { text: 'revokeKeys', act: revokeAccountKeys, flash: 'keysRevoked', isMail: false },
  'stop-mail': { text: 'stopMail', act: setMail(false), flash: 'accountMailChanged', isMail: true },
  'allow-mail': { text: 'allowMail', act: setMail(true), flash: 'accountMailChanged', isMail: true },
} as const satisfies Record<
  string,
  {
    text: string;
    act(deps: Deps, origin: RequestOrigin, by: OperatorAct, id: string): Promise<unknown>;
    flash: Flash;
    /** Whether it is about mail, which takes a mailbox. */
    isMail: boolean;
  }
>;
type ActName = keyof typeof ACTS;

function setMail(wanted: boolean) {
  return (deps: Deps, origin: RequestOrigin, by: OperatorAct, id: string) =>
    setAccountMail(deps, origin, by, id, wanted);
}

export function accountRows(pages: Pages): Row[] {
  return [
    row('GET', CONSOLE.accounts, 'operator', none, accountsPage(pages)),
    row('GET', `${CONSOLE.accounts}.csv`, 'operator', none, exportAccounts),
    row('GET', `${CONSOLE.accounts}/:id`, 'operator', none, accountPage(pages)),
    ...(Object.keys(ACTS) as ActName[]).flatMap((name) =>
      actRows(CONSOLE.accounts, {
        name,
        page: { summary: 'Ask before it is done to an account' },
        deed: { summary: 'Do it to an account' },
        flash: ACTS[name].flash,
        show: showAct(pages, name),
        act: ACTS[name].act,
      }),
    ),
  ];
}

/** GET /console/accounts: lists people's accounts. */
function accountsPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All accounts',
    async handle(call) {
      const { deps } = call;
      const [{ accounts, next }, total] = await Promise.all([
        findAccounts(deps, readQuery(call)),
        countAllHumans(deps),
      ]);
      return showList(pages, call, 'accounts', 'accounts', MENUS, { next }, { accounts, total });
    },
  });
}

const COLUMNS = ['id', 'mailbox', 'created', 'lastSeen', 'authenticator', 'deleted'] as const;

/** GET /console/accounts.csv: the same, all of it, as a table to download. */
const exportAccounts = operation({
  caller: 'operator',
  summary: 'All accounts as CSV',
  handle(call) {
    const { text } = call.deps.translators[call.caller.locale];
    const columns = COLUMNS.map((name) => text(`console.csv.${name}`));
    return csvFile('accounts.csv', columns, csvRows(call, text));
  },
});

async function* csvRows(call: OperatorCall, text: (key: string) => string): AsyncGenerator<string[][]> {
  for await (const accounts of allAccountsFound(call.deps, readQuery(call))) {
    yield accounts.map((account) => [
      account.id,
      account.mailbox ?? '',
      toIso(account.createdAt),
      account.seenAt === undefined ? '' : toIso(account.seenAt),
      text(account.hasAuthenticator ? 'status.on' : 'status.off'),
      account.endedAt === undefined ? '' : toIso(account.endedAt),
    ]);
  }
}

function readQuery(call: Pick<OperatorCall, 'deps' | 'query'>): AccountsQuery {
  const { query } = call;
  return { search: readSearch(query), since: readSince(call), before: readId(query, 'before') };
}

/** GET /console/accounts/:id: one account, with its mailbox masked. */
function accountPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'One of them',
    async handle({ deps, caller, params }) {
      const found = await showAccount(deps, params.id!);
      if (found === undefined) throw accountNotFound();
      return showConsole(pages, caller, 'accounts', 'account', found);
    },
  });
}

/** Shows the page that asks before something is done to an account. */
function showAct(pages: Pages, name: ActName): Act['show'] {
  return async ({ deps, caller, params }, entered) => {
    const found = await showAccount(deps, params.id!);
    if (found === undefined || (ACTS[name].isMail && found.account.mailbox === undefined))
      throw accountNotFound();
    const values = { ...found, name, act: ACTS[name].text, ...entered };
    return showConsole(pages, caller, 'accounts', 'account-act', values);
  };
}

function accountNotFound(): Failure {
  return new Failure('notFound', 'There is no such account.');
}
