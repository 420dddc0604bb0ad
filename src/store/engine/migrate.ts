import { readdirSync, readFileSync } from 'node:fs';
import { sha256 } from '../../lib/hash.ts';
import type { Db, MigrationTx } from './db.ts';

const FOLDER = new URL('../../../db/migrations/', import.meta.url);

interface Migration {
  version: number;
  name: string;
  sql: string;
  checksum: string;
}

/**
 * Applies all pending migrations, each in a transaction of its own, under a lock for which other processes wait.
 * So the locks that one takes are not held until all are done: a service of the version before goes on meanwhile.
 *
 * @param now epoch ms
 * @param options.upTo the last version to apply
 * @returns the names of the migrations that it applied
 * @throws Error as checkApplied() does
 */
export async function migrate(
  db: Pick<Db, 'migrate'>,
  now: number,
  { folder = FOLDER, upTo = Number.POSITIVE_INFINITY }: { folder?: URL; upTo?: number } = {},
): Promise<string[]> {
  const known = readMigrations(folder);
  const applied = new Set<string>();
  await db.migrate(async (tx) => {
    const next = await applyNext(tx, known, upTo, now);
    if (next !== undefined) applied.add(next.name);
    return next !== undefined;
  });
  return [...applied];
}

/** Applies the first migration that a database lacks. @returns undefined: it lacks none */
async function applyNext(
  tx: MigrationTx,
  known: Migration[],
  upTo: number,
  now: number,
): Promise<Migration | undefined> {
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
  const next = known.find(({ version }) => !done.has(version) && version <= upTo);
  if (next === undefined) return undefined;
  const { version, name, checksum } = next;
  await tx.script(next.sql);
  await tx.run('INSERT INTO migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)', [
    version,
    name,
    checksum,
    now,
  ]);
  return next;
}

/**
 * Checks that this program knows all migrations that were applied to a database.
 *
 * @param applied checksums by version
 * @throws Error when a checksum differs from that of the file, or a version is newer than this program knows
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

/** Returns all tables that the migrations create, each after the tables to which it refers. */
export function migrationTables(): string[] {
  const created = readMigrations(FOLDER).flatMap(({ sql }) =>
    [...sql.matchAll(/^CREATE TABLE (\w+)/gm)].map(([, name]) => name!),
  );
  return created.filter((name) => !name.endsWith('_anew')); // these are renamed to an existing table
}

/** Counts the migrations that the database lacks: all of them where it is empty. */
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
