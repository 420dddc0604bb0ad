import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Db } from '../../src/store/engine/db.ts';
import { openDatabase } from '../../src/store/engine/open.ts';
import { BARE_ENVIRONMENT } from './bare-environment.ts';
import { configFor } from './crashing.ts';
import { ensure } from './ensure.ts';
import {
  createTestDatabase,
  type Engine,
  type Reply,
  TEST_SECRET,
  type TestDatabase,
  type TestService,
} from './service.ts';

/** Databases and services whose storage is tried. */

/** Opens a database, without migrating it. */
export const openTestDatabase = (database: TestDatabase) =>
  openDatabase(configFor(database.url).database, () => {});

/** A database with a table to write on. */
export async function notebook(t: ExecutionContext, engine: Engine): Promise<{ db: Db; url: string }> {
  const database = await createTestDatabase(engine);
  const db = await openTestDatabase(database);
  t.teardown(async () => {
    await db.close();
    await database.drop();
  });
  await db.migrate(async (tx) => {
    await tx.script('CREATE TABLE notes (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)');
    return false;
  });
  return { db, url: database.url };
}

export const INSERT_NOTE = 'INSERT INTO notes (id, value) VALUES (?, 0)';

/** Where a program of the helpers lies. */
export const helperPath = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url));

export async function registerAt(url: string): Promise<{ status: number; data: { credential: string } }> {
  const response = await fetch(`${url}/agent/auth`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"type":"anonymous"}',
  });
  const { data } = (await response.json()) as { data: { credential: string } };
  return { status: response.status, data };
}

export async function opsStatus(on: TestService, path: string): Promise<{ status: number }> {
  const response = await fetch(`http://127.0.0.1:${on.service.opsPort}${path}`);
  await response.arrayBuffer();
  return response;
}

export function assertUnavailable(t: ExecutionContext, reply: Reply): void {
  t.is(reply.status, 503, reply.text);
  t.is(reply.body.error.code, 'unavailable');
  t.true(reply.body.error.retryable);
  t.regex(reply.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
}

/** Runs `serve` on a database that it should refuse; what it said on its error output. */
export async function serveAndEnd(databaseUrl: string): Promise<{ code: number | null; said: string }> {
  const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
  const child = spawn(process.execPath, [cli, 'serve'], {
    env: {
      ...BARE_ENVIRONMENT,
      PORT: '0',
      OPS_PORT: '0',
      DATABASE_URL: databaseUrl,
      SECRET: TEST_SECRET,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const startedAt = performance.now();
  const [code] = await once(child, 'close');
  ensure(performance.now() - startedAt < 8000, 'it ends at once');
  return { code, said };
}
