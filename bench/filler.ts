import Database from 'better-sqlite3';
import pg from 'pg';
import type { Value } from '../src/store/engine/db.ts';
import type { Put } from './rows.ts';

/** Puts many rows straight into a database that nobody serves from meanwhile. */
export interface Filler {
  /** Notes a row; rows of a table all have the same columns. */
  put: Put;
  /** Writes what was noted, in the order in which the tables were first named. */
  flush(): Promise<void>;
  /** Writes the rest, and leaves the database as a running service does: the log folded in, the statistics up to date. */
  close(): Promise<void>;
}

export async function openFiller(url: string): Promise<Filler> {
  const tables = new Map<string, Record<string, Value>[]>();
  const engine = url.startsWith('file:') ? openSqlite(url.slice('file:'.length)) : await openPostgres(url);
  async function flush(): Promise<void> {
    await engine.write(tables);
    for (const rows of tables.values()) rows.length = 0;
  }
  return {
    put(table, row) {
      const rows = tables.get(table) ?? [];
      tables.set(table, rows);
      rows.push(row);
    },
    flush,
    async close() {
      await flush();
      await engine.close();
    },
  };
}

type Tables = ReadonlyMap<string, readonly Record<string, Value>[]>;

function openSqlite(file: string): { write(tables: Tables): Promise<void>; close(): Promise<void> } {
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  db.pragma('cache_size = -1000000');
  const statements = new Map<string, Database.Statement>();
  return {
    async write(tables) {
      db.transaction(() => {
        for (const [table, rows] of tables) {
          for (const row of rows) {
            const columns = Object.keys(row);
            const sql = `INSERT INTO ${table} (${columns}) VALUES (${columns.map(() => '?')})`;
            const statement = statements.get(sql) ?? db.prepare(sql);
            statements.set(sql, statement);
            statement.run(...Object.values(row));
          }
        }
      })();
    },
    async close() {
      db.pragma('wal_checkpoint(TRUNCATE)');
      db.close();
    },
  };
}

async function openPostgres(
  url: string,
): Promise<{ write(tables: Tables): Promise<void>; close(): Promise<void> }> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query('SET synchronous_commit = off');
  const { rows: columnTypes } = await client.query<{ table: string; column: string; type: string }>(
    `SELECT table_name AS table, column_name AS column, data_type AS type FROM information_schema.columns
     WHERE table_schema = 'public'`,
  );
  const typeOf = new Map(columnTypes.map(({ table, column, type }) => [`${table}.${column}`, type]));
  return {
    async write(tables) {
      for (const [table, rows] of tables) {
        // Rows with different columns go apart.
        for (const same of Map.groupBy(rows, (row) => Object.keys(row).join(',')).values()) {
          const columns = Object.keys(same[0]!);
          const arrays = columns.map(
            (column, index) => `$${index + 1}::${typeOf.get(`${table}.${column}`)}[]`,
          );
          const values = columns.map((column) => same.map((row) => row[column]));
          await client.query(`INSERT INTO ${table} (${columns}) SELECT * FROM unnest(${arrays})`, values);
        }
      }
    },
    async close() {
      await client.query('VACUUM ANALYZE');
      await client.query('CHECKPOINT');
      await client.end();
    },
  };
}
