import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { unavailable } from '../errors.ts';
import type { Db, Tx, Value } from './db.ts';

/** A transaction that lost against another is run again so often; the reason is gone once the other has committed. */
const ATTEMPTS_MAX = 6;
/** The server ends a statement that takes longer. */
const STATEMENT_MS = 2000;
const MIGRATION_STATEMENT_MS = 60_000;
/** A server that has not even said so by then is not there any more: the wire went dead. */
const ANSWER_MS = 2000;
/** All of its statements see what was committed before the first of them. */
const READ = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';
const MIGRATION_LOCK = 7_310_524; // any number, the same in every process

/**
 * PostgreSQL, or what speaks its protocol. Reads have connections of their own, so that introspection answers while writers
 * stand in line; every wait has an end.
 *
 * @throws Error when the server acknowledges commits before they are on disk
 */
export async function openPostgres(url: string): Promise<Db> {
  const writers = openPool(url, 8);
  const readers = openPool(url, 8);
  const brief = openPool(url, 2);
  try {
    const { rows } = await readers.query('SHOW synchronous_commit');
    if (rows[0]?.synchronous_commit === 'off') {
      throw new Error(
        'The database runs with synchronous_commit=off: it would forget what it has acknowledged.',
      );
    }
  } catch (error) {
    await Promise.all([writers, readers, brief].map((pool) => pool.end()));
    throw error;
  }

  async function inTransaction<Result>(
    pool: pg.Pool,
    work: (client: pg.PoolClient) => Promise<Result>,
    begin = 'BEGIN',
  ): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await pool.connect().catch((error) => {
        throw translate(error);
      });
      let broken: Error | undefined;
      try {
        await client.query(begin);
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((cause) => {
          broken = cause;
        });
        // Only the whole transaction is run again, and only where the server says that another one was in the way.
        if (!isConflict(error) || attempt === ATTEMPTS_MAX) throw translate(error);
      } finally {
        client.release(broken);
      }
      await sleep(Math.random() * 10 * 2 ** attempt);
    }
  }

  return {
    engine: 'postgres',
    get: statements(readers).get,
    all: statements(readers).all,
    tx: (work, length) =>
      inTransaction(length === 'brief' ? brief : writers, (client) => work(statements(client))),
    read: (work) => inTransaction(readers, (client) => work(statements(client)), READ),

    async migrate(work) {
      const migrator = openPool(url, 1, MIGRATION_STATEMENT_MS);
      try {
        await inTransaction(migrator, async (client) => {
          await client.query(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`);
          await work({ ...statements(client), script: async (sql) => void (await client.query(sql)) });
        });
      } finally {
        await migrator.end();
      }
    },

    backup: (file) => dump(url, file),

    async now() {
      const row = await statements(readers).get<{ now: number }>(
        'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
      );
      return row!.now;
    },

    async close() {
      await Promise.all([writers, readers, brief].map((pool) => pool.end()));
    },
  };
}

function openPool(url: string, max: number, statementMs = STATEMENT_MS): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: 2000,
    statement_timeout: statementMs,
    idle_in_transaction_session_timeout: 5000,
    query_timeout: statementMs + ANSWER_MS,
    keepAlive: true,
    // What a transaction asks at once goes out at once, and is answered in its order: one way there and back instead of one each.
    pipeline: true,
    application_name: 'vouchsafe',
    // BIGINT as a number: epoch milliseconds and counts stay far below 2^53.
    types: { getTypeParser: (oid, format) => (oid === 20 ? Number : pg.types.getTypeParser(oid, format)) },
  });
  // A connection that dies while idle is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {});
  // The same for one that dies between two statements of a transaction: its next statement says so.
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

const prepared = new Map<string, { name: string; text: string }>();

/** Each text is planned once per connection, under a name; `?` becomes `$1`, `$2`, … (no literal of ours holds a `?`). */
function prepare(sql: string): { name: string; text: string } {
  let statement = prepared.get(sql);
  if (statement === undefined) {
    let count = 0;
    const text = sql.replace(/\?/g, () => {
      count += 1;
      return `$${count}`;
    });
    statement = { name: `v${prepared.size}`, text };
    prepared.set(sql, statement);
  }
  return statement;
}

function statements(connection: pg.Pool | pg.PoolClient): Tx {
  const query = async (sql: string, params: readonly Value[]) => {
    const values = params.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value));
    try {
      return await connection.query({ ...prepare(sql), values });
    } catch (error) {
      // Inside a transaction a conflict must reach inTransaction as it is.
      throw isConflict(error) ? error : translate(error);
    }
  };
  return {
    get: async <Row>(sql: string, params: readonly Value[] = []) =>
      (await query(sql, params)).rows[0] as Row | undefined,
    all: async <Row>(sql: string, params: readonly Value[] = []) => (await query(sql, params)).rows as Row[],
    run: async (sql, params = []) => (await query(sql, params)).rowCount ?? 0,
  };
}

/**
 * Serialization failure, deadlock, unique violation. Whoever writes a key looks first whether it is taken: one that is taken all
 * the same was taken at the same moment, and the second run sees it.
 */
const CONFLICTS = new Set(['40001', '40P01', '23505']);

function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && CONFLICTS.has(error.code ?? '');
}

// Classes 08 connection, 53 resources, 57 intervention (shutdown, statement timeout), 25P03 idle too long, 40 conflicts.
const PASSING = /^(08|53|57|58|40|25P03|25006)/;

function translate(error: unknown): unknown {
  if (error instanceof pg.DatabaseError) return PASSING.test(error.code ?? '') ? unavailable(error) : error;
  if (!(error instanceof Error) || error.name === 'Failure') return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const lost = /^E[A-Z]+$/.test(code) || /connect|connection|timeout/i.test(error.message);
  return lost ? unavailable(error) : error;
}

async function dump(url: string, file: string): Promise<void> {
  const child = spawn('pg_dump', ['--format=custom', `--file=${file}`, url], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', () => reject(new Error('Copying a PostgreSQL database needs the program pg_dump.')));
    child.on('close', resolve);
  });
  if (code !== 0) throw new Error(`pg_dump failed: ${said.trim().split('\n')[0]}`);
}
