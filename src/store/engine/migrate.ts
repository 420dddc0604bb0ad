import { readdirSync, readFileSync } from 'node:fs';
import { sha256 } from '../../lib/hash.ts';
import type { Db } from './db.ts';

const FOLDER = new URL('../../../db/migrations/', import.meta.url);

interface Migration {
  version: number;
  name: string;
  sql: string;
  checksum: string;
}

/**
 * Brings the database up to the newest migration: all pending ones in one transaction, under a lock that other processes
 * wait for.
 *
 * @returns the names of those applied now
 * @param upTo the version to stop at
 * @throws Error as checkApplied
 */
export async function migrate(
  db: Pick<Db, 'migrate'>,
  now: number,
  { folder = FOLDER, upTo = Number.POSITIVE_INFINITY }: { folder?: URL; upTo?: number } = {},
): Promise<string[]> {
  const known = readMigrations(folder);
  let applied: string[] = [];
  await db.migrate(async (tx) => {
    applied = [];
    await tx.script(
      `CREATE TABLE IF NOT EXISTS migrations (
         version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`,
    );
    const done = new Map(
      (await tx.all<{ version: number; checksum: string }>('SELECT version, checksum FROM migrations')).map(
        (row) => [row.version, row.checksum],
      ),
    );
    checkApplied(done, known);
    for (const migration of known) {
      if (!done.has(migration.version) && migration.version <= upTo) {
        await tx.script(migration.sql);
        await tx.run('INSERT INTO migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)', [
          migration.version,
          migration.name,
          migration.checksum,
          now,
        ]);
        applied.push(migration.name);
      }
    }
  });
  return applied;
}

/**
 * Whether this program knows a database by its migrations.
 *
 * @param applied checksums by version
 * @throws Error when one differs from its file, or there are more than this program knows
 */
export function checkApplied(applied: Map<number, string>, known = readMigrations(FOLDER)): void {
  const newest = Math.max(0, ...applied.keys());
  if (newest > known.length) {
    throw new Error(
      `The database is at migration ${newest}, this program knows ${known.length}: start a newer version.`,
    );
  }
  for (const { version, name, checksum } of known) {
    if (applied.has(version) && applied.get(version) !== checksum) {
      throw new Error(`Migration ${name} was changed after it was applied to this database.`);
    }
  }
}

/** All tables that migrations make, in an order in which each comes after those that it refers to. */
export function migrationTables(): string[] {
  const made = readMigrations(FOLDER).flatMap(({ sql }) =>
    [...sql.matchAll(/^CREATE TABLE (\w+)/gm)].map(([, name]) => name!),
  );
  return made.filter((name) => !name.endsWith('_anew')); // renamed to one that is there already
}

/** How many migrations the database still lacks; all of them where it holds nothing yet. */
export async function pendingMigrations(db: Db, folder: URL = FOLDER): Promise<number> {
  const known = readMigrations(folder).length;
  const row = await db
    .get<{ done: number }>('SELECT COUNT(*) AS done FROM migrations')
    .catch(() => undefined);
  return Math.max(0, known - (row?.done ?? 0));
}

function readMigrations(folder: URL): Migration[] {
  const files = readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .sort();
  return files.map((name, index) => {
    const sql = readFileSync(new URL(name, folder), 'utf8');
    const version = Number.parseInt(name, 10);
    if (version !== index + 1) throw new Error(`The migration ${name} is out of order.`);
    return { version, name, sql, checksum: sha256(sql).toString('hex') };
  });
}
