import Database from 'better-sqlite3';
import pg from 'pg';
import { migrate } from '../../src/store/engine/migrate.ts';
import { openDatabase } from '../../src/store/engine/open.ts';
import { configFor } from '../helpers/crashing.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/service.ts';
import { callSites, collectStatements, type Statement } from '../helpers/statements.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** Tables that an operator fills by hand, a row at a time. All others grow with agents, humans or time. */
const SMALL = new Map([
  ['resource_servers', 'one row for each API that the operator adds'],
  ['signing_keys', 'one row for each rotation'],
  ['clock_mark', 'one row'],
  ['job_marks', 'one row for each job'],
  ['operators', 'one row for each operator that the command line makes'],
  ['secret_marks', 'one row for each secret in use'],
  ['migrations', 'one row for each release that changes the tables'],
]);

/** Statements that go through an index of their own from end to end, and why that is short. */
const WALKED: Record<string, string> = {
  oauth_clients_ending: 'clients that ended or were suspended a moment ago: it is emptied at once',
  agents_owner_unknown: 'what versions before changed since the last look: once a minute it is emptied',
  events_unnumbered: 'what came since the last look: once a minute it is emptied',
  outbox_due: 'the mails that wait: what has left is not in it',
  oauth_clients_unused: 'those of which there are 200,000 at most',
};

/** What lists are asked: from their first row, or beside a place. */
const places = (row: object) => [undefined, { side: 'after', ...row }, { side: 'before', ...row }];
const SEARCHES = [undefined, 'name'];

/** What an owner's list of agents is asked. */
function ownedLists(toArguments: (filter: object, order: object, place: unknown) => unknown[]): unknown[][] {
  return [undefined, 'active', 'unused', 'revoked'].flatMap((state) =>
    SEARCHES.flatMap((search) =>
      ['used', 'name'].flatMap((by) =>
        [true, false].flatMap((isDescending) =>
          places({ key: by === 'used' ? 1 : 'a', id: 'agt_1' }).map((place) =>
            toArguments({ state, search, lifetimeStart: 1 }, { by, isDescending }, place),
          ),
        ),
      ),
    ),
  );
}

/** What a human's list of keys is asked. */
function personalLists(toArguments: (filter: object, place: unknown) => unknown[]): unknown[][] {
  return [undefined, 'live', 'ended'].flatMap((state) =>
    SEARCHES.flatMap((search) =>
      places({ id: 'key_1' }).map((place) => toArguments({ state, search, now: 1 }, place)),
    ),
  );
}

/** The statements whose text depends on what they are asked. */
/** Ways in which operators search: what is looked through, and what narrows it. */
const AGENT_SEARCHES = [
  { range: { by: 'all' } },
  ...[
    { by: 'account', accountId: 'usr_1' },
    { by: 'mailbox', mailbox: 'a@example.com' },
    { by: 'keyPrefix', prefix: 'sk_1234' },
  ].map((range) => ({ range })),
  {
    range: { by: 'all' },
    fromId: 'agt_1',
    toId: 'agt_2',
    idStart: 'agt_1',
    nameStart: 'a',
    networkStart: '1.',
    issuer: 'https://agents.example.com',
  },
  ...['active', 'revoked', 'expired'].map((status) => ({ range: { by: 'all' }, status })),
  ...['anonymous', 'merge', 'link'].map((type) => ({ range: { by: 'all' }, type })),
];
const KEY_BOUNDS = { fromId: 'key_1', toId: 'key_2' };
const KEY_SEARCHES = [
  { by: 'all' },
  { by: 'prefix', prefix: 'sk_1234' },
  { by: 'agent', agentId: 'agt_1' },
  { by: 'account', accountId: 'usr_1' },
  { by: 'mailbox', mailbox: 'a@example.com' },
].flatMap((range) => [
  { range, ...KEY_BOUNDS },
  ...['active', 'expiring', 'revoked', 'expired'].map((status) => ({
    range,
    status,
    holder: 'agent',
    idStart: 'key_1',
    nameStart: 'a',
    ...KEY_BOUNDS,
  })),
]);

const CLIENT_SEARCHES = [
  {},
  { nameStart: 'a' },
  { mailbox: 'a@example.com' },
  { owner: 'usr_1' },
  ...['active', 'unused', 'suspended', 'ended'].map((status) => ({ status })),
  { origin: 'dynamic' },
];
const WORKSPACE_SEARCHES = [
  {},
  { nameStart: 'a' },
  { mailbox: 'a@example.com' },
  { accountId: 'usr_1' },
  ...['active', 'ended'].map((status) => ({ status })),
];
const BORN = { fromId: 'evt_1', toId: 'evt_2' };
const EVENT_SEARCHES = [
  { by: 'all' },
  { by: 'kind', kind: 'key.revoked' },
  ...['account', 'agent', 'workspace', 'subject'].map((by) => ({ by, id: 'usr_1', born: BORN })),
].flatMap((range) => [
  { range, ...BORN },
  { range, ...BORN, kind: 'key.revoked', ids: ['agt_1'], networkStart: '1.', requestId: 'req_1' },
]);

const VARIANTS: Record<string, unknown[][]> = {
  listEventsFound: EVENT_SEARCHES.map((search) => [search, '~', 51]),
  findEventWindowEnd: EVENT_SEARCHES.map((search) => [search, '~']),
  listAgentsFound: AGENT_SEARCHES.map((search) => [search, undefined, { now: 1, lifetimeStart: 0 }, 51]),
  findWindowEnd: AGENT_SEARCHES.map((search) => [search, undefined]),
  listKeysFound: KEY_SEARCHES.map((search) => [search, '~', { now: 1, expiresBy: 2 }, 51]),
  findKeyWindowEnd: KEY_SEARCHES.map((search) => [search, '~']),
  incrementTries: [['claim_attempts'], ['sign_ins']].map(([table]) => [table, { id: '', counter: 0 }, 5, 0]),
  listEventsOf: [{ accountId: 'usr_1' }, { agentId: 'agt_1' }, { workspaceId: 'wsp_1' }].flatMap((whose) =>
    places({ id: 'evt_1' }).map((place) => [whose, place, 10]),
  ),
  listSelectedEvents: places({ id: 'evt_1' }).flatMap((place) => [
    ['usr_1', { kinds: ['key.created', 'key.revoked'], about: undefined }, place, 10],
    ['usr_1', { kinds: undefined, about: { agentIds: ['agt_1', 'agt_2'], keyIds: ['key_1'] } }, place, 10],
    ['usr_1', { kinds: ['key.created'], about: { agentIds: ['agt_1'], keyIds: ['key_1'] } }, place, 10],
  ]),
  listOwnedPage: ownedLists((filter, order, place) => ['usr_1', filter, order, place, 10]),
  countOwned: ownedLists((filter, order, place) => ['usr_1', filter, order, place]),
  listPersonalPage: personalLists((filter, place) => ['usr_1', filter, place, 10]),
  countPersonal: personalLists((filter, place) => ['usr_1', filter, place]),
  listKeysPage: places({ id: 'key_1' }).map((place) => ['agt_1', place, 10]),
  listExpiringPersonal: [['usr_1', 1, 2, 5]],
  listSessionsPage: places({ key: 1, id: 'ses_1' }).map((place) => [
    'usr_1',
    { began: 1, seen: 1 },
    'ses_2',
    place,
    10,
  ]),
  listHostsPage: SEARCHES.flatMap((search) =>
    places({ key: 1, id: 'hst_1' }).map((place) => ['usr_1', search, 1, place, 10]),
  ),
  countHosts: SEARCHES.flatMap((search) =>
    places({ key: 1, id: 'hst_1' }).map((place) => ['usr_1', search, place]),
  ),
  listOwnedClientsPage: SEARCHES.flatMap((search) =>
    places({ id: 'cli_1' }).map((place) => ['usr_1', search, place, 10]),
  ),
  countOwnedClients: SEARCHES.flatMap((search) =>
    places({ id: 'cli_1' }).map((place) => ['usr_1', search, place]),
  ),
  listConnectedPage: SEARCHES.flatMap((search) =>
    places({ key: 1, id: 'con_1' }).map((place) => ['usr_1', { search, now: 1 }, place, 10]),
  ),
  countConnected: SEARCHES.flatMap((search) =>
    places({ key: 1, id: 'con_1' }).map((place) => ['usr_1', { search, now: 1 }, place]),
  ),
  listClientsFound: CLIENT_SEARCHES.flatMap((search) =>
    [undefined, { key: 1, id: 'cli_1' }].map((before) => [search, before, 51]),
  ),
  findClientWindowEnd: CLIENT_SEARCHES.flatMap((search) =>
    [undefined, { key: 1, id: 'cli_1' }].map((before) => [search, before]),
  ),
  listWorkspacesFound: WORKSPACE_SEARCHES.flatMap((search) =>
    [undefined, { key: 1, id: 'wsp_1' }].map((before) => [search, before, 51]),
  ),
  findWorkspaceWindowEnd: WORKSPACE_SEARCHES.flatMap((search) =>
    [undefined, { key: 1, id: 'wsp_1' }].map((before) => [search, before]),
  ),
  listHolderPage: ['agent', 'app'].flatMap((kind) =>
    [undefined, 'usr_1'].flatMap((grantedBy) =>
      places({ id: 'agt_1' }).map((place) => [{ workspaceId: 'wsp_1', kind, grantedBy, now: 1 }, place, 26]),
    ),
  ),
  updateOAuthClientSuspended: [1, null].map((at) => ['cli_1', at]),
  listFeedEvents: [
    [{ after: 'evt_1' }, 10],
    [{ from: 'evt_1' }, 10],
  ],
  updateCodesEndedBefore: ['claim_attempts', 'sign_ins'].map((table) => [table, 1, '', 10]),
  upsertClockMark: [true, false].map((isSetBack) => [1, isSetBack]),
  deleteExpiredRegistrations: [[0, 10]],
  listNodesNamed: [['wsp_1', 'a', 10]],
  listNodesOfKinds: places({ id: 'nod_1' }).map((place) => ['wsp_1', ['app'], place, 26]),
  listNodesById: [[['nod_1']]],
  insertNodes: [[[{ id: 'nod_1' }], 1]],
  updateNodesEnded: [[['nod_1'], 1]],
  areNodesInUse: [[['nod_1']]],
  listWorkspacesAfter: [undefined, 'https://api.example.com'].map((url) => ['', url, 51]),
};

const statements: Statement[] = await collectStatements(VARIANTS);

test('every line of the store that runs a statement is looked at', (t) => {
  const seen = new Set(statements.map(({ at }) => at));
  t.deepEqual(
    callSites().filter((site) => !seen.has(site)),
    [],
  );
  t.true(statements.length > 190, `${statements.length} statements`);
});

/** Columns of a table that refer to a row of another one. */
interface Reference {
  table: string;
  columns: string[];
}

onEveryEngine('a million rows', (engine, test) => {
  let database: TestDatabase;
  let look: {
    references(): Promise<Reference[]>;
    /** Of each index of a table without a condition, its columns in order. */
    indexes(table: string): Promise<string[][]>;
    /** What a statement reads from end to end: `table` or `table by index`. */
    scans(statement: Statement): Promise<string[]>;
    end(): Promise<unknown>;
  };

  test.before(async () => {
    database = await createTestDatabase(engine);
    const db = await openDatabase(configFor(database.url).database, () => {});
    await migrate(db, Date.now());
    await db.close();
    look = engine === 'sqlite' ? lookIntoSqlite(database.url) : await lookIntoPostgres(database.url);
  });
  test.after(async () => {
    await look.end();
    await database.drop();
  });

  test('every reference leads an index without condition: deleting a row looks through no table', async (t) => {
    const references = await look.references();
    t.true(references.length >= 15, `${references.length} references`);
    for (const { table, columns } of references) {
      const indexes = await look.indexes(table);
      const leads = indexes.some((index) => columns.every((column, place) => index[place] === column));
      t.true(leads, `${table} (${columns}) leads none of ${JSON.stringify(indexes)}`);
    }
  });

  test('no statement goes through a table that grows', async (t) => {
    const found: string[] = [];
    for (const statement of statements) {
      for (const scan of await look.scans(statement)) {
        const [table, index] = scan.split(' by ');
        if (SMALL.has(table!) || (index !== undefined && index in WALKED)) continue;
        found.push(`${statement.at} goes through ${scan}: ${statement.sql.replace(/\s+/g, ' ')}`);
      }
    }
    t.deepEqual(found, []);
  });
});

function lookIntoSqlite(url: string): Awaited<ReturnType<typeof lookIntoPostgres>> {
  const db = new Database(url.slice('file:'.length), { readonly: true });
  const all = <Row>(sql: string, ...params: unknown[]) => db.prepare(sql).all(...params) as Row[];
  const tables = all<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'table'`).map(
    ({ name }) => name,
  );
  return {
    async references() {
      return tables.flatMap((table) =>
        [
          ...Map.groupBy(
            all<{ id: number; from: string }>(`SELECT id, "from" FROM pragma_foreign_key_list(?)`, table),
            ({ id }) => id,
          ).values(),
        ].map((rows) => ({ table, columns: rows.map(({ from }) => from) })),
      );
    },
    async indexes(table) {
      const whole = all<{ name: string }>('SELECT name FROM pragma_index_list(?) WHERE partial = 0', table);
      return whole.map(({ name }) =>
        all<{ name: string }>('SELECT name FROM pragma_index_info(?) ORDER BY seqno', name).map(
          (column) => column.name,
        ),
      );
    },
    async scans({ sql, params }) {
      const plan = all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, ...Array(params).fill(null));
      // `SCAN outbox USING INDEX outbox_due`, `SCAN events`; a name that is no table's is that of a subquery.
      return plan.flatMap(({ detail }) => {
        const [, name, index] = /^SCAN (\w+)(?:.* USING (?:COVERING )?INDEX (\w+))?/.exec(detail) ?? [];
        const table = name && tableOf(sql, name, tables);
        return table === undefined ? [] : [index === undefined ? table : `${table} by ${index}`];
      });
    },
    async end() {
      db.close();
    },
  };
}

/** The table behind a name in a plan, which may be that of an alias (`FROM credentials c`). */
function tableOf(sql: string, name: string, tables: readonly string[]): string | undefined {
  return tables.includes(name)
    ? name
    : tables.find((table) => new RegExp(`\\b${table} (?:AS )?${name}\\b`).test(sql));
}

/** Some thousands of rows in every table, so that the planner sees what its choices cost. */
async function fill(client: pg.Client): Promise<void> {
  // The rows are not what the service would write: what refers to others is not checked.
  await client.query('SET session_replication_role = replica');
  const { rows } = await client.query<{ table: string; column: string; type: string; nullable: string }>(
    `SELECT table_name AS table, column_name AS column, data_type AS type, is_nullable AS nullable
     FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'migrations' ORDER BY ordinal_position`,
  );
  for (const [table, columns] of Map.groupBy(rows, (row) => row.table)) {
    const values = columns.map(({ column, type, nullable }) => {
      if (column === 'kind') return `(ARRAY['key', 'token', 'registration.created', 'host'])[1 + n % 4]`;
      const value = { bigint: 'n', bytea: 'sha256(n::text::bytea)', text: `md5(n::text)` }[type];
      return nullable === 'YES' ? `CASE WHEN n % 2 = 0 THEN ${value} END` : value;
    });
    await client.query(`INSERT INTO ${table} SELECT ${values} FROM generate_series(1, 5000) n`);
  }
  await client.query('ANALYZE');
}

interface Node {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Index Cond'?: string;
  Filter?: string;
  Plans?: Node[];
}

async function lookIntoPostgres(url: string) {
  const client = new pg.Client(url);
  await client.connect();
  await fill(client);
  // The tables are small all the same: without this they would be read as a whole, and rightly.
  await client.query('SET enable_seqscan = off');
  const all = async <Row>(sql: string, params: unknown[] = []) =>
    (await client.query(sql, params)).rows as Row[];
  const columns = (numbers: string, of: string) =>
    `ARRAY(SELECT a.attname::text FROM unnest(${numbers}) WITH ORDINALITY AS k (number, place)
       JOIN pg_attribute a ON a.attrelid = ${of} AND a.attnum = k.number ORDER BY k.place)`;
  return {
    references: () =>
      all<Reference>(
        `SELECT c.conrelid::regclass::text AS table, ${columns('c.conkey', 'c.conrelid')} AS columns
         FROM pg_constraint c WHERE c.contype = 'f'`,
      ),
    async indexes(table: string) {
      const rows = await all<{ columns: string[] }>(
        `SELECT ${columns('i.indkey::int2[]', 'i.indrelid')} AS columns
         FROM pg_index i WHERE i.indrelid = $1::regclass AND i.indpred IS NULL`,
        [table],
      );
      return rows.map((row) => row.columns);
    },
    async scans({ sql }: Statement) {
      let count = 0;
      const text = sql.replace(/\?/g, () => `$${++count}`);
      const [row] = await all<{ 'QUERY PLAN': [{ Plan: Node }] }>(
        `EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`,
      );
      return scansIn(row!['QUERY PLAN'][0].Plan);
    },
    end: () => client.end(),
  };
}

/** Whole tables; and indexes that are gone through without a condition, unless a limit alone ends it. */
function scansIn(node: Node, isLimited = false): string[] {
  const { Plans = [], Filter } = node;
  const table = node['Relation Name'];
  const index = node['Index Name'];
  const isScan = /^(Seq|Index|Index Only|Bitmap Index) Scan$/.test(node['Node Type']);
  const isBound = node['Index Cond'] !== undefined || (isLimited && Filter === undefined);
  const own =
    isScan && !(index !== undefined && isBound) ? [index ? `${table} by ${index}` : `${table}`] : [];
  const limits = node['Node Type'] === 'Limit' || (isLimited && node['Node Type'] === 'LockRows');
  return [...own, ...Plans.flatMap((child) => scansIn(child, limits))];
}
