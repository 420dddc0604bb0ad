import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { allPages, PAGE_ROWS_MAX } from '../../lib/list-pages.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import {
  countBelongings,
  type FoundAccountRow,
  findAccountFound,
  findAccountFoundByMailbox,
  listHumansFound,
} from '../../store/account-search.ts';
import { findAccount, lockAccount } from '../../store/accounts.ts';
import { listActiveOfAccount } from '../../store/key-search.ts';
import type { RequestOrigin } from '../../work.ts';
import { isMailboxSuppressed, setMailAllowed } from '../accounts/mail-suppressions.ts';
import { endSessionsOf, oldestLive } from '../accounts/sessions.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { revokeCredential } from '../credentials/revoke-credential.ts';
import { useCase } from '../limits/use-case.ts';
import { type AuditEntry, listEventsAbout } from './audit-entries.ts';
import { type Figure, toFigure } from './figures.ts';
import { idBounds } from './id-bounds.ts';
import { endTerminalsOf } from './permissions.ts';
import { readSearchText } from './search.ts';

/** The accounts of humans, as operators see them: their mailboxes are masked. */

/** A request for one page of accounts. */
export interface AccountsQuery {
  /** An id, its start, or a mailbox in full. */
  search: string;
  /** Only accounts that were created at or after this time, epoch ms. */
  since: number | undefined;
  /** The `next` of the page before. */
  before: string | undefined;
}

/** An account as an operator sees it; times in epoch ms. */
export interface FoundAccount {
  id: string;
  /** Masked; undefined: an agent's own account, or one that was deleted. */
  mailbox: string | undefined;
  isHuman: boolean;
  /** The owner's account, of a linked agent. */
  parentId: string | undefined;
  createdAt: number;
  endedAt: number | undefined;
  /** When a session was last used, within the 30 days that they are kept. */
  seenAt: number | undefined;
  hasAuthenticator: boolean;
}

/** Lists one page of humans' accounts, newest first. */
export async function findAccounts(
  { db }: Pick<Deps, 'db'>,
  query: AccountsQuery,
): Promise<{ accounts: FoundAccount[]; next: string | undefined }> {
  const text = readSearchText(query.search);
  if (text.by === 'mailbox') {
    const row = await findAccountFoundByMailbox(db, text.mailbox);
    return { accounts: row === undefined ? [] : [toFoundAccount(row)], next: undefined };
  }
  const first = query.since === undefined ? undefined : firstIdAt('usr', query.since);
  if (text.by !== 'nothing' && !(text.by === 'id' && text.prefix === 'usr'))
    return { accounts: [], next: undefined };
  const start = text.by === 'id' ? text.start : 'usr_';
  const bounds = { ...idBounds(start, first), before: query.before ?? '~' };
  const found = await listHumansFound(db, bounds, PAGE_ROWS_MAX + 1);
  const rows = found.slice(0, PAGE_ROWS_MAX);
  return {
    accounts: rows.filter(({ id }) => id.startsWith(start)).map(toFoundAccount),
    next: found.length > rows.length ? rows.at(-1)!.id : undefined,
  };
}

/** Iterates over the pages of all accounts that a query finds. */
export async function* allAccountsFound(
  deps: Pick<Deps, 'db'>,
  query: AccountsQuery,
): AsyncGenerator<FoundAccount[]> {
  const pages = allPages(query.before, (before) => findAccounts(deps, { ...query, before }));
  for await (const { accounts } of pages) yield accounts;
}

/** One account, with what it has and its newest events. */
export interface ShownAccount {
  account: FoundAccount;
  agents: Figure;
  keys: Figure;
  apps: Figure;
  sessions: Figure;
  /** Whether agents may mail it; undefined: it has no mailbox. */
  isMailWanted: boolean | undefined;
  events: AuditEntry[];
}

const EVENTS_SHOWN = 20;
const BELONGINGS_MAX = 10_000;

/** Shows one account, of a human or an agent. @returns undefined if there is none with this id */
export async function showAccount(deps: Deps, id: string): Promise<ShownAccount | undefined> {
  const row = await findAccountFound(deps.db, id);
  if (row === undefined) return undefined;
  const now = deps.clock();
  const [counts, events, isSuppressed] = await Promise.all([
    countBelongings(deps.db, id, { now, ...oldestLive(now) }, BELONGINGS_MAX + 1),
    listEventsAbout(deps, { accountId: id }, EVENTS_SHOWN),
    row.mailbox === null ? undefined : isMailboxSuppressed(deps, row.mailbox),
  ]);
  return {
    account: toFoundAccount(row),
    agents: toFigure(counts.agents, BELONGINGS_MAX),
    keys: toFigure(counts.keys, BELONGINGS_MAX),
    apps: toFigure(counts.apps, BELONGINGS_MAX),
    sessions: toFigure(counts.sessions, BELONGINGS_MAX),
    isMailWanted: isSuppressed === undefined ? undefined : !isSuppressed,
    events,
  };
}

/**
 * Finds the account of a person who has one.
 *
 * @param named its id, or its mailbox in full
 * @returns undefined also for agents' own accounts and deleted ones
 */
export async function findPerson({ db }: Pick<Deps, 'db'>, named: string): Promise<FoundAccount | undefined> {
  const text = readSearchText(named);
  const row =
    text.by === 'mailbox'
      ? await findAccountFoundByMailbox(db, text.mailbox)
      : await findAccountFound(db, named);
  return row === undefined || row.kind !== 'human' || row.endedAt !== null ? undefined : toFoundAccount(row);
}

/** Ends all sessions and terminals of an account as an operator, from the next request on. @throws Failure `notFound` */
export async function endAccountSessions(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    if ((await findAccount(work.tx, id)) === undefined) throw accountNotFound();
    const terminals = await endTerminalsOf(work, id);
    const sessions = await endSessionsOf(work, id);
    await recordOperatorEvent(work, act, {
      kind: 'operator.sessions_ended',
      subject: id,
      details: { sessions, terminals },
    });
  });
}

/** How many keys one transaction revokes, so that no other one waits for long. */
const KEYS_BATCH = 200;

/**
 * Revokes all keys and tokens that work in an account as an operator, those of merged agents among them, from the next
 * introspection on.
 *
 * @returns how many
 * @throws Failure `notFound`
 */
export async function revokeAccountKeys(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  id: string,
): Promise<number> {
  let revoked = 0;
  for (;;) {
    const count = await useCase(deps, origin, {}, async (work) => {
      const { tx, now } = work;
      if ((await findAccount(tx, id)) === undefined) throw accountNotFound();
      await lockAccount(tx, id);
      const keys = await listActiveOfAccount(tx, id, now, KEYS_BATCH);
      for (const key of keys) await revokeCredential(work, key);
      if (keys.length > 0 || revoked === 0) {
        await recordOperatorEvent(work, act, {
          kind: 'operator.keys_revoked',
          subject: id,
          details: { keys: keys.length },
        });
      }
      return keys.length;
    });
    revoked += count;
    if (count < KEYS_BATCH) return revoked;
  }
}

/** Stops or allows mail of agents to an account as an operator. @throws Failure `notFound`, also without a mailbox */
export async function setAccountMail(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  id: string,
  wanted: boolean,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const account = await findAccount(work.tx, id);
    if (account === undefined || account.mailbox === null) throw accountNotFound();
    await setMailAllowed(work, account.mailbox, wanted);
    await recordOperatorEvent(work, act, { kind: 'operator.mail_changed', subject: id, details: { wanted } });
  });
}

function toFoundAccount(row: FoundAccountRow): FoundAccount {
  return {
    id: row.id,
    mailbox: row.mailbox === null ? undefined : maskMailbox(row.mailbox),
    isHuman: row.kind === 'human',
    parentId: row.parentId ?? undefined,
    createdAt: row.createdAt,
    endedAt: row.endedAt ?? undefined,
    seenAt: row.seenAt ?? undefined,
    hasAuthenticator: row.authenticatorAt !== null,
  };
}

function accountNotFound(): Failure {
  return new Failure('notFound', 'There is no such account.');
}
