import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { unavailable } from '../../../errors.ts';
import type { Tx, Value } from '../db.ts';

/** Connections to PostgreSQL, or to a pooler in front of it: connections, times, statements, errors. */

/** Where a PostgreSQL is and how it is spoken to. */
export interface PostgresPlace {
  url: string;
  /**
   * Whether a connection is ours for as long as we hold it. Behind a pooler that gives it to somebody else after each transaction
   * nothing may be left on it: no statement has a name, and times are set within each transaction.
   */
  prepared: boolean;
}

/** A transaction that lost against another is run again so often; the reason is gone once the other has committed. */
const ATTEMPTS_MAX = 6;
/** All of its statements see what was committed before the first of them. */
export const READ = 'ISOLATION LEVEL REPEATABLE READ READ ONLY';
/** Advisory locks: any numbers, the same in every process. */
export const MIGRATION_LOCK = 7_310_524;
export const SERVICE_LOCK = 7_310_525;
/** The server ends a statement that takes longer. */
export const STATEMENT_MS = 2000;
const IDLE_MS = 5000;
/** A server that has not even said so by then is not there any more: the wire went dead. */
const ANSWER_MS = 2000;

/** Connections, and how a transaction begins on them. */
export interface Pool {
  pool: pg.Pool;
  /** @param how such as `READ ONLY` */
  begin(how?: string): string;
  prepared: boolean;
}

export function openPool({ url, prepared }: PostgresPlace, max: number, statementMs = STATEMENT_MS): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: 2000,
    // Poolers refuse a connection that asks for these at its start.
    ...(prepared && { statement_timeout: statementMs, idle_in_transaction_session_timeout: IDLE_MS }),
    query_timeout: statementMs + ANSWER_MS,
    keepAlive: true,
    // What a transaction asks at once goes out at once, and is answered in its order: one way there and back instead of one each.
    pipeline: true,
    application_name: 'vouchsafe',
    types: { getTypeParser },
  });
  // A connection that dies while idle is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {});
  // The same for one that dies between two statements of a transaction: its next statement says so.
  pool.on('connect', (client) => client.on('error', () => {}));
  const times = `SET LOCAL statement_timeout = ${statementMs}; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_MS}`;
  return {
    pool,
    begin: (how = '') => (prepared ? `BEGIN ${how}` : `BEGIN ${how}; ${times}`),
    prepared,
  };
}

/**
 * A pooler may swallow what a connection asks for at its start; the next that is left on the connection is then somebody else's.
 *
 * @throws Error that explainOpenError knows
 */
export async function refusePooler(client: Pick<pg.Client, 'query'>): Promise<void> {
  const { rows } = await client.query<{ time: string }>(
    `SELECT current_setting('statement_timeout') AS time`,
  );
  if (rows[0]?.time !== `${STATEMENT_MS / 1000}s`)
    throw new Error('A pooler keeps settings from the server.');
}

/** BIGINT as a number: epoch milliseconds and counts stay far below 2^53. */
const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === 20 ? Number : pg.types.getTypeParser(oid, format as 'text');

const known = new Map<string, { name: string; text: string }>();

/**
 * Each text is planned once per connection, under a name that every process gives it: a pooler may hand one's connection to another.
 * `?` becomes `$1`, `$2`, … (no literal of ours holds a `?`).
 */
function prepare(sql: string): { name: string; text: string } {
  let statement = known.get(sql);
  if (statement === undefined) {
    let count = 0;
    const text = sql.replace(/\?/g, () => {
      count += 1;
      return `$${count}`;
    });
    statement = { name: `v${createHash('sha256').update(text).digest('hex').slice(0, 24)}`, text };
    known.set(sql, statement);
  }
  return statement;
}

type Query = (statement: { name?: string; text: string; values: unknown[] }) => Promise<pg.QueryResult>;

/** @param ask sends one statement and brings its answer */
export function statements(ask: Query, prepared: boolean): Tx {
  const query = async (sql: string, params: readonly Value[]) => {
    const values = params.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value));
    const { name, text } = prepare(sql);
    try {
      return await ask(prepared ? { name, text, values } : { text, values });
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

/** The server's clock, in epoch milliseconds. */
export async function readNow(on: Pick<Tx, 'get'>): Promise<number> {
  const row = await on.get<{ now: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
  );
  return row!.now;
}

/** Statements that each stand alone. */
export function lone({ pool, begin, prepared }: Pool): Tx {
  if (prepared) return statements((statement) => pool.query(statement), true);
  return statements(async (statement) => {
    const client = await pool.connect();
    let broken: Error | undefined;
    try {
      // All three go out at once.
      const [, result] = await Promise.all([
        client.query(begin('READ ONLY')),
        client.query(statement),
        client.query('COMMIT'),
      ]);
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((cause) => {
        broken = cause;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }, false);
}

/**
 * Runs `work` in a transaction, and again where another one was in the way.
 *
 * @param how such as `READ ONLY`
 */
export async function inTransaction<Result>(
  { pool, begin }: Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
  how?: string,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    const client = await pool.connect().catch((error) => {
      throw translate(error);
    });
    let broken: Error | undefined;
    try {
      await client.query(begin(how));
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

/** Translates an error of the driver: `unavailable` where it may pass. */
function translate(error: unknown): unknown {
  if (error instanceof pg.DatabaseError) return PASSING.test(error.code ?? '') ? unavailable(error) : error;
  if (!(error instanceof Error) || error.name === 'Failure') return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const lost = /^E[A-Z]+$/.test(code) || /connect|connection|timeout/i.test(error.message);
  return lost ? unavailable(error) : error;
}
