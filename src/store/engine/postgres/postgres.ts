import type pg from 'pg';
import type { Db, Tx } from '../db.ts';
import {
  inTransaction,
  lone,
  MIGRATION_LOCK,
  openPool,
  type Pool,
  type PostgresPlace,
  READ,
  readNow,
  refusePooler,
  statements,
} from './connection.ts';
import { writeBackup } from './copy.ts';

/** Timeout of a statement of a migration: it may rewrite a large table. */
const MIGRATION_STATEMENT_MS = 3_600_000;
/** How long a migration waits for one of another process, and for each table that it locks: whoever reads it waits behind it. */
const MIGRATION_WAIT_MS = 60_000;

/**
 * Opens PostgreSQL, or a server that speaks its protocol. Reads have connections of their own, so that introspection
 * responds while writers wait; every wait has a timeout.
 *
 * @throws Error when the server acknowledges commits before they are on disk
 */
export async function openPostgres(place: PostgresPlace): Promise<Db> {
  const writers = openPool(place, 8);
  const readers = openPool(place, 8);
  const brief = openPool(place, 2);
  const reads = lone(readers);
  const close = async () => {
    await Promise.all([writers, readers, brief].map(({ pool }) => pool.end()));
  };
  try {
    if (place.prepared) await refusePooler(readers.pool);
    const row = await reads.get<{ synced: string }>(`SELECT current_setting('synchronous_commit') AS synced`);
    if (row?.synced === 'off') {
      throw new Error(
        'The database runs with synchronous_commit=off: it would forget what it has acknowledged.',
      );
    }
  } catch (error) {
    await close();
    throw error;
  }
  const transact = <Result>(pool: Pool, work: (tx: Tx) => Promise<Result>, how?: string) =>
    inTransaction(pool, (client) => work(statements((each) => client.query(each), place.prepared)), how);

  return {
    engine: 'postgres',
    get: reads.get,
    all: reads.all,
    tx: (work, length) => transact(length === 'brief' ? brief : writers, work),
    read: (work) => transact(readers, work, READ),

    async migrate(work) {
      const migrator = openPool(place, 1, MIGRATION_STATEMENT_MS);
      try {
        const step = async (client: pg.PoolClient) => {
          await client.query(`SET LOCAL lock_timeout = ${MIGRATION_WAIT_MS}`);
          await client.query(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`);
          const tx = statements((each) => client.query(each), place.prepared);
          return work({ ...tx, script: async (sql) => void (await client.query(lockUpdated(sql) + sql)) });
        };
        while (await inTransaction(migrator, step));
      } finally {
        await migrator.pool.end();
      }
    },

    backup: (file) => writeBackup(place, file),

    now: () => readNow(reads),

    close,
  };
}

/**
 * Returns the statements that lock the tables of which a migration updates rows, for others that write; reading goes on. Without
 * them, whoever waits for such a row would keep the migration from making an index of the table later: a deadlock, after
 * minutes of work.
 */
function lockUpdated(sql: string): string {
  const tables = new Set([...sql.matchAll(/^UPDATE (\w+)/gm)].map(([, table]) => table!));
  return [...tables].map((table) => `LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE;\n`).join('');
}
