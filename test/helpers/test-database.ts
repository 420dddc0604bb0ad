import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Config } from '../../src/config/load.ts';
import { openMigrated } from '../../src/store/engine/open.ts';

export type Engine = 'sqlite' | 'postgres';
/** Those of this run: `npm run test:sqlite` leaves PostgreSQL out. */
export const ENGINES: readonly Engine[] =
  process.env.TEST_DATABASE_URL === undefined ? ['sqlite'] : ['sqlite', 'postgres'];

/** A database of one test's own. */
export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

/** Creates an empty database. */
export function createTestDatabase(engine: Engine): Promise<TestDatabase> {
  return engine === 'sqlite' ? createFile() : createOnServer();
}

/** Creates a database that all migrations were applied to: a copy of one that the first test to ask for it has migrated. */
export async function createMigratedDatabase(engine: Engine): Promise<TestDatabase> {
  return engine === 'sqlite' ? createFile(await templateFile()) : createOnServer(await templateOnServer());
}

async function createFile(template?: string): Promise<TestDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-test-'));
  const file = join(folder, 'test.db');
  if (template !== undefined) copyFileSync(template, file);
  return {
    url: `file:${file}`,
    drop: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function createOnServer(template?: string): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  // Copied as files: the other way writes each page of it into the log, too.
  const copying = template === undefined ? '' : ` TEMPLATE ${template} STRATEGY FILE_COPY`;
  await asAdmin((admin) => admin.query(`CREATE DATABASE ${name}${copying}`));
  return {
    url: urlOf(name),
    drop: () => asAdmin((admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  };
}

/** In the folder of this run, whose processes may make it at the same time: the last one stays, and all are alike. */
async function templateFile(): Promise<string> {
  const template = join(tmpdir(), 'vouchsafe-template.db');
  if (existsSync(template)) return template;
  const made = await createFile();
  const file = made.url.slice('file:'.length);
  await migrateAt({ kind: 'sqlite', file });
  renameSync(file, template);
  await made.drop();
  return template;
}

/** Of this run alone, by the name that test/run.ts gives, which drops it. @returns undefined where there is no such run */
async function templateOnServer(): Promise<string | undefined> {
  const template = process.env.TEST_TEMPLATE;
  if (template === undefined) return undefined;
  await asAdmin(async (admin) => {
    await admin.query('SELECT pg_advisory_lock(hashtext($1))', [template]); // until the connection ends
    const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [template]);
    if (rowCount === 1) return;
    const unfinished = `${template}_unfinished`;
    await admin.query(`CREATE DATABASE ${unfinished}`);
    await migrateAt({ kind: 'postgres', url: urlOf(unfinished), prepared: true });
    await admin.query(`ALTER DATABASE ${unfinished} RENAME TO ${template}`);
  });
  return template;
}

async function migrateAt(place: Config['database']): Promise<void> {
  const { db } = await openMigrated(place, (cause) => {
    throw cause;
  });
  await db.close();
}

function serverUrl(): string {
  const url = process.env.TEST_DATABASE_URL;
  if (url === undefined) throw new Error('Run the tests by "npm test": it starts PostgreSQL.');
  return url;
}

function urlOf(name: string): string {
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  return url.href;
}

async function asAdmin(work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(serverUrl());
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
