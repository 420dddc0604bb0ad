import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { unavailable } from '../../../errors.ts';
import type { Tx, Value } from '../db.ts';

/** Connections to PostgreSQL or to a pooler in front of it: pools, timeouts, statements, transactions and errors. */

/** The address of a PostgreSQL database, and how to use its connections. */
export interface PostgresPlace {
  url: string;
  /**
   * Whether each connection has a server session of its own. A pooler may hand the session to another client after each
   * transaction. So nothing may be left on it: statements have no names, and each transaction sets its own timeouts.
   */
  prepared: boolean;
}

/** How many times a transaction runs that conflicts with others. A conflict ends when the other transaction commits. */
const ATTEMPTS_MAX = 6;

/** All statements of the transaction see what was committed before the first of them. */
export const READ = 'ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** Keys of advisory locks: arbitrary numbers, the same in every process. */
export const MIGRATION_LOCK = 7_310_524;
export const SERVICE_LOCK = 7_310_525;

/** The server cancels a statement that takes longer. */
export const STATEMENT_MS = 2000;
const IDLE_MS = 5000;

/** How long to wait for the error of a cancelled statement; without it, the connection is dead. */
const ANSWER_MS = 2000;

/** A pool of connections, and how a transaction begins on them. */
export interface Pool {
  pool: pg.Pool;
  /** Returns the statement that begins a transaction. @param how modes such as `READ ONLY` */
  begin(how?: string): string;
  prepared: boolean;
}

/** Opens a pool of up to `max` connections; `statementMs` is the timeout of a statement. */
export function openPool({ url, prepared }: PostgresPlace, max: number, statementMs = STATEMENT_MS): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: 2000,
    // Poolers refuse connections with these startup parameters.
    ...(prepared && { statement_timeout: statementMs, idle_in_transaction_session_timeout: IDLE_MS }),
    query_timeout: statementMs + ANSWER_MS,
    keepAlive: true,
    // Statements that a transaction starts together are sent together and answered in order: one round trip instead of
    // one each.
    pipeline: true,
    application_name: 'vouchsafe',
    types: { getTypeParser },
  });
  // The pool replaces a connection that fails while idle; without a listener the error would end the process.
  pool.on('error', () => {});
  // The same for a connection that fails between two statements of a transaction: the next statement throws.
  pool.on('connect', (client) => client.on('error', () => {}));
  const timeouts = `SET LOCAL statement_timeout = ${statementMs}; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_MS}`;
  return {
    pool,
    begin: (how = '') => (prepared ? `BEGIN ${how}` : `BEGIN ${how}; ${timeouts}`),
    prepared,
  };
}

/**
 * Checks that the server has the startup parameters of the connection. A pooler may drop them; behind one, whatever is
 * left on the connection would reach other clients.
 *
 * @throws Error that explainOpenError() recognizes
 */
export async function refusePooler(client: Pick<pg.Client, 'query'>): Promise<void> {
  const { rows } = await client.query<{ time: string }>(
    `SELECT current_setting('statement_timeout') AS time`,
  );
  if (rows[0]?.time !== `${STATEMENT_MS / 1000}s`)
    throw new Error('A pooler keeps settings from the server.');
}

/** Parses BIGINT (OID 20) to a number: epoch milliseconds and counts stay far below 2^53. */
const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === 20 ? Number : pg.types.getTypeParser(oid, format as 'text');

const statementCache = new Map<string, { name: string; text: string }>();

/**
 * Names a statement, so that each connection plans its text once. Every process uses the same name for the same text,
 * because a pooler may hand the connection of one process to another. `?` becomes `$1`, `$2`, … (no literal in our SQL
 * contains a `?`).
 */
function prepare(sql: string): { name: string; text: string } {
  let statement = statementCache.get(sql);
  if (statement === undefined) {
    let count = 0;
    const text = sql.replace(/\?/g, () => {
      count += 1;
      return `$${count}`;
    });
    statement = { name: `v${createHash('sha256').update(text).digest('hex').slice(0, 24)}`, text };
    statementCache.set(sql, statement);
  }
  return statement;
}

type Query = (statement: { name?: string; text: string; values: unknown[] }) => Promise<pg.QueryResult>;

/**
 * Returns the statements of one connection.
 *
 * @param send sends one statement and returns its result
 */
export function statements(send: Query, prepared: boolean): Tx {
  const query = async (sql: string, params: readonly Value[]) => {
    const values = params.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value));
    const { name, text } = prepare(sql);
    try {
      return await send(prepared ? { name, text, values } : { text, values });
    } catch (error) {
      // Inside a transaction, inTransaction() must see a conflict as it is.
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

/** Reads the server's clock, epoch ms. */
export async function readNow(on: Pick<Tx, 'get'>): Promise<number> {
  const row = await on.get<{ now: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
  );
  return row!.now;
}

/** Returns statements of which each is a transaction of its own. */
export function lone({ pool, begin, prepared }: Pool): Tx {
  if (prepared) return statements((statement) => pool.query(statement), true);
  return statements(async (statement) => {
    const client = await pool.connect();
    let broken: Error | undefined;
    try {
      // All three are sent together.
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
 * Runs `work` in a transaction, and again after a conflict with another one.
 *
 * @param how modes such as `READ ONLY`
 * @throws Failure `unavailable` where the error may be temporary
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
      // Only a whole transaction runs again, and only after the server has reported a conflict.
      if (!isConflict(error) || attempt === ATTEMPTS_MAX) throw translate(error);
    } finally {
      client.release(broken);
    }
    await sleep(Math.random() * 10 * 2 ** attempt);
  }
}

/**
 * Serialization failure, deadlock and unique violation. A transaction that inserts a unique key first reads whether it
 * exists. So a violation means that a concurrent transaction inserted the key, and the second run reads it.
 */
const CONFLICTS = new Set(['40001', '40P01', '23505']);

function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && CONFLICTS.has(error.code ?? '');
}

// SQLSTATE classes 08 connection, 53 resources, 57 operator intervention (shutdown, statement timeout), 58 system
// error, 40 conflict; 25P03 idle in transaction for too long, 25006 read-only server, 55P03 lock timeout.
const TEMPORARY = /^(08|53|57|58|40|25P03|25006|55P03)/;

/** Translates an error of the driver: to Failure `unavailable` where it may be temporary. */
function translate(error: unknown): unknown {
  if (error instanceof pg.DatabaseError) return TEMPORARY.test(error.code ?? '') ? unavailable(error) : error;
  if (!(error instanceof Error) || error.name === 'Failure') return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const isLost = /^E[A-Z]+$/.test(code) || /connect|connection|timeout/i.test(error.message);
  return isLost ? unavailable(error) : error;
}
