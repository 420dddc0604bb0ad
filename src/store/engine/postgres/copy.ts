import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, unlinkSync } from 'node:fs';
import type pg from 'pg';
import { DatabaseError } from '../../../errors.ts';
import type { Db } from '../db.ts';
import { checkApplied, migrate, migrationTables } from '../migrate.ts';
import { inUse } from '../open-error.ts';
import {
  inTransaction,
  openPool,
  type PostgresPlace,
  READ,
  readNow,
  SERVICE_LOCK,
  statements,
} from './connection.ts';

/**
 * Backup and restore of a PostgreSQL database without pg_dump, so that no client program of the server's version is
 * needed. A backup is lines of JSON: a header; for each table its name and its rows as `row_to_json` writes them; a
 * footer with the number of rows and the SHA-256 of all lines before it.
 */

/** Timeout of a statement. */
const COPY_MS = 3_600_000;
/** Rows that are read or inserted by one statement. */
const ROWS = 2000;

interface Header {
  vouchsafe: 'backup';
  format: 1;
  migrations: { version: number; checksum: string }[];
}
const TABLE = '{"table":';

/**
 * Writes one snapshot of the database into a new file. Other transactions do not wait for it.
 *
 * @throws Error where the file exists already or cannot be written; an incomplete file is removed
 */
export async function writeBackup(place: PostgresPlace, file: string): Promise<void> {
  const output = createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true });
  await once(output, 'open');
  const hash = createHash('sha256');
  const write = async (line: string) => {
    hash.update(`${line}\n`);
    if (!output.write(`${line}\n`)) await once(output, 'drain');
  };
  const pool = openPool(place, 1, COPY_MS);
  try {
    const rows = await inTransaction(pool, (client) => writeRows(client, write), READ);
    output.end(`${JSON.stringify({ rows, sha256: hash.digest('hex') })}\n`);
    await once(output, 'close');
  } catch (error) {
    output.destroy();
    unlinkSync(file);
    throw error;
  } finally {
    await pool.pool.end();
  }
}

async function writeRows(client: pg.PoolClient, write: (line: string) => Promise<void>): Promise<number> {
  const { rows: migrations } = await client.query(
    'SELECT version, checksum FROM migrations ORDER BY version',
  );
  await write(JSON.stringify({ vouchsafe: 'backup', format: 1, migrations }));
  const { rows: found } = await client.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()`,
  );
  const existing = new Set(found.map(({ name }) => name));
  let count = 0;
  for (const table of migrationTables().filter((name) => existing.has(name))) {
    await write(`${TABLE}${JSON.stringify(table)}}`);
    await client.query(
      `DECLARE copied NO SCROLL CURSOR FOR SELECT row_to_json(t)::text AS line FROM ${table} t`,
    );
    for (;;) {
      const { rows } = await client.query<{ line: string }>(`FETCH ${ROWS} FROM copied`);
      for (const { line } of rows) await write(line);
      count += rows.length;
      if (rows.length === 0) break;
    }
    await client.query('CLOSE copied');
  }
  return count;
}

/**
 * Replaces the content of the database by a backup in one transaction: the old content stays until the commit.
 * Tables of other programs stay.
 *
 * @param work runs on the restored and migrated content before the commit; if it throws, everything is rolled back
 * @throws DatabaseError where the file is not a backup or is incomplete, or the database is in use
 */
export async function restorePostgres(
  place: PostgresPlace,
  file: string,
  work: (db: Db) => Promise<void>,
): Promise<void> {
  const { migrations } = await checkBackup(file);
  const applied = new Map(migrations.map(({ version, checksum }) => [version, checksum]));
  checkApplied(applied);
  const pool = openPool(place, 1, COPY_MS);
  try {
    await inTransaction(pool, async (client) => {
      const { rows } = await client.query<{ alone: boolean }>(
        `SELECT pg_try_advisory_xact_lock(${SERVICE_LOCK}) AS alone`,
      );
      if (!rows[0]?.alone) throw inUse();
      const tables = ['migrations', ...migrationTables()];
      await client.query(tables.map((table) => `DROP TABLE IF EXISTS ${table} CASCADE`).join('; '));
      const db = createTransactionDb(client, place.prepared);
      // First to the schema of the backup; once its rows are in, to the newest one.
      await migrate(db, await db.now(), { upTo: Math.max(...applied.keys()) });
      await insertRows(client, file);
      await migrate(db, await db.now());
      await work(db);
    });
    await pool.pool.query('ANALYZE');
  } finally {
    await pool.pool.end();
  }
}

/** Creates a Db whose statements and transactions all run in one open transaction. */
function createTransactionDb(client: pg.PoolClient, prepared: boolean): Db {
  const tx = statements((each) => client.query(each), prepared);
  return {
    engine: 'postgres',
    get: tx.get,
    all: tx.all,
    tx: (work) => work(tx),
    read: (work) => work(tx),
    async migrate(work) {
      while (await work({ ...tx, script: async (sql) => void (await client.query(sql)) }));
    },
    backup: () => Promise.reject(new Error('A restore makes no backup.')),
    now: () => readNow(tx),
    close: async () => {},
  };
}

async function insertRows(client: pg.PoolClient, file: string): Promise<void> {
  let table = '';
  let lines: string[] = [];
  const flush = async () => {
    if (lines.length > 0) {
      await client.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [
        `[${lines.join(',')}]`,
      ]);
    }
    lines = [];
  };
  for await (const { line, isLast } of readLines(file)) {
    if (isLast) break;
    if (line.startsWith(TABLE)) {
      await flush();
      table = parseTable(line);
      await client.query(`DELETE FROM ${table}`); // rows that a migration inserted
    } else if (table !== '') {
      lines.push(line);
      if (lines.length === ROWS) await flush();
    }
  }
  await flush();
}

function parseTable(line: string): string {
  const { table } = JSON.parse(line) as { table: string };
  if (!migrationTables().includes(table))
    throw incompleteBackup(`it has a table ${table}, which is not known here`);
  return table;
}

/** Reads and checks the whole file, before anything is changed. */
async function checkBackup(file: string): Promise<Header> {
  const hash = createHash('sha256');
  let header: Header | undefined;
  let rows = 0;
  for await (const { line, isLast } of readLines(file)) {
    if (header === undefined) header = readHeader(file, line);
    else if (isLast) {
      const footer = `${JSON.stringify({ rows, sha256: hash.digest('hex') })}`;
      if (line === footer) return header;
      throw incompleteBackup(
        line.startsWith('{"rows":') ? 'its checksum differs' : 'its last line is missing',
      );
    } else if (!line.startsWith(TABLE)) rows += 1;
    hash.update(`${line}\n`);
  }
  throw header === undefined ? notABackup(file) : incompleteBackup('its last line is missing');
}

function readHeader(file: string, line: string): Header {
  try {
    const header = JSON.parse(line) as Partial<Header> | null;
    if (header?.vouchsafe === 'backup' && header.format === 1 && Array.isArray(header.migrations)) {
      return header as Header;
    }
  } catch {
    // not JSON, so not a header
  }
  throw notABackup(file);
}

function notABackup(file: string): DatabaseError {
  return new DatabaseError(`${file} is no backup of a PostgreSQL database.`);
}

function incompleteBackup(reason: string): DatabaseError {
  return new DatabaseError(`The backup is not whole: ${reason}. Nothing was changed.`);
}

/**
 * Yields the lines of a file. Only a line feed ends a line: text in the rows may contain the other line separators of
 * Unicode.
 */
async function* readLines(file: string): AsyncGenerator<{ line: string; isLast: boolean }> {
  let before: string | undefined;
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'utf8' }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (before !== undefined) yield { line: before, isLast: false };
      before = line;
    }
  }
  if (before !== undefined) yield { line: before, isLast: rest === '' };
}
