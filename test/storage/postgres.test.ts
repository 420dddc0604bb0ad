import { setImmediate as turn } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import pg from 'pg';
import { lookInto } from '../helpers/crashing.ts';
import { violations } from '../helpers/oracle.ts';
import { createTestDatabase, startTestService, type TestService } from '../helpers/service.ts';
import {
  assertUnavailable,
  INSERT_NOTE,
  notebook,
  openTestDatabase,
  opsStatus,
  serveAndEnd,
} from '../helpers/storage.ts';
import { test } from '../helpers/suite.ts';
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.ts';

test.describe('PostgreSQL', (test) => {
  test('a server that would forget what it acknowledged is refused, with a sentence', async (t) => {
    const database = await createTestDatabase('postgres');
    t.teardown(() => database.drop());
    await asClient(database.url, (client) =>
      client.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET synchronous_commit = off`),
    );
    await t.throwsAsync(openTestDatabase(database), { message: /synchronous_commit=off/ });
    const { code, said } = await serveAndEnd(database.url);
    t.is(code, 1);
    t.regex(
      said,
      /^DATABASE_URL: [^\n]* cannot be used: The database runs with synchronous_commit=off[^\n]*\n$/,
    );
  });

  test('two transactions that lock each other out both happen, one of them at its second run', async (t) => {
    const { db } = await notebook(t, 'postgres');
    await db.tx((tx) => tx.run('INSERT INTO notes (id, value) VALUES (1, 0), (2, 0)'));
    const both = barrier(2);
    let runs = 0;
    const add = (first: number, second: number) =>
      db.tx(async (tx) => {
        runs += 1;
        await tx.run('UPDATE notes SET value = value + 1 WHERE id = ?', [first]);
        await both();
        await tx.run('UPDATE notes SET value = value + 1 WHERE id = ?', [second]);
      });
    await Promise.all([add(1, 2), add(2, 1)]);
    t.is(runs, 3);
    t.deepEqual(await db.all('SELECT value FROM notes ORDER BY id'), [{ value: 2 }, { value: 2 }]);
  });

  test('a statement of a migration may take an hour, and waits for others for a minute', async (t) => {
    const { db } = await notebook(t, 'postgres');
    await db.migrate(async (tx) => {
      const time = (name: string) => tx.get(`SELECT current_setting('${name}') AS time`);
      t.deepEqual(await time('statement_timeout'), { time: '1h' });
      t.deepEqual(await time('lock_timeout'), { time: '1min' });
      return false;
    });
  });

  test('a migration that updates rows and then makes an index of them locks out nobody who waits for one, and is done at its first run', async (t) => {
    const { db } = await notebook(t, 'postgres');
    await db.tx((tx) => tx.run(INSERT_NOTE, [1]));
    const runs = { migration: 0, writer: 0 };
    let written: Promise<number> | undefined;
    await db.migrate(async (tx) => {
      runs.migration += 1;
      await tx.script('UPDATE notes SET value = 1');
      written ??= db.tx(async (writing) => {
        runs.writer += 1;
        return writing.run('UPDATE notes SET value = value + 1');
      });
      const waiting = `SELECT COUNT(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      while ((await db.get<{ n: number }>(waiting))!.n === 0);
      t.deepEqual(await db.get('SELECT value FROM notes'), { value: 0 }, 'reading goes on');
      await tx.script('CREATE INDEX notes_value ON notes (value)');
      return false;
    });
    t.is(await written, 1);
    t.deepEqual(runs, { migration: 1, writer: 1 });
    t.deepEqual(await db.get('SELECT value FROM notes'), { value: 2 });
  });

  test('two serializable transactions that read what the other writes both happen, one after the other', async (t) => {
    const { db } = await notebook(t, 'postgres');
    await db.tx((tx) => tx.run(INSERT_NOTE, [1]));
    const both = barrier(2);
    const increment = () =>
      db.tx(async (tx) => {
        await tx.run('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
        const row = await tx.get<{ value: number }>('SELECT value FROM notes WHERE id = 1');
        await both();
        await tx.run('UPDATE notes SET value = ? WHERE id = 1', [row!.value + 1]);
      });
    await Promise.all([increment(), increment()]);
    t.deepEqual(await db.get('SELECT value FROM notes'), { value: 2 });
  });

  test('connections ended by the server cost 503 at most, nothing acknowledged, and none is used again', async (t) => {
    const database = await createTestDatabase('postgres');
    const on = await startTestService('postgres', { database });
    t.teardown(async () => {
      await on.stop();
      await database.drop();
    });
    const kept: string[] = [];
    const statuses = new Set<number>();
    let isOver = false;
    const clients = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const reply = await on.post('/agent/auth', { type: 'anonymous' });
        statuses.add(reply.status);
        if (reply.status === 200) kept.push(reply.body.data.credential);
        else assertUnavailable(t, reply);
      }
    });
    await asClient(process.env.TEST_DATABASE_URL!, async (admin) => {
      for (let round = 0; round < 20; round += 1) {
        const before = kept.length;
        await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
          new URL(database.url).pathname.slice(1),
        ]);
        while (kept.length < before + 8) await turn();
      }
    });
    isOver = true;
    await Promise.all(clients);
    t.true([...statuses].every((status) => status === 200 || status === 503));
    for (const key of kept) t.is((await on.get('/api/me', key)).status, 200);
    t.deepEqual(await lookInto(database.url, violations), []);
  });

  /** A service that reaches its database by a wire that can be cut. */
  async function startBehindProxy(t: ExecutionContext): Promise<{ on: TestService; wire: TcpProxy }> {
    const database = await createTestDatabase('postgres');
    const url = new URL(database.url);
    const wire = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    url.port = String(wire.port);
    const on = await startTestService('postgres', { database: { ...database, url: url.href } });
    t.teardown(async () => {
      await wire.mend();
      await on.stop();
      await wire.close();
      await database.drop();
    });
    return { on, wire };
  }

  test('a server that is not there is 503 and unready at once, and ready again when it is back', async (t) => {
    const { on, wire } = await startBehindProxy(t);
    const { credential } = await on.register();
    await wire.cut();
    const startedAt = performance.now();
    assertUnavailable(t, await on.post('/agent/auth', { type: 'anonymous' }));
    assertUnavailable(t, await on.get('/api/me', credential));
    t.is((await opsStatus(on, '/readyz')).status, 503);
    t.is((await opsStatus(on, '/livez')).status, 200);
    t.is((await opsStatus(on, '/metrics')).status, 200);
    t.true(performance.now() - startedAt < 2500);
    await wire.mend();
    t.is((await opsStatus(on, '/readyz')).status, 200);
    t.is((await on.get('/api/me', credential)).status, 200);
    t.is((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
  });

  test('a wire that went dead without a word is noticed within ten seconds', async (t) => {
    const { on, wire } = await startBehindProxy(t);
    const { credential } = await on.register();
    wire.freeze();
    const startedAt = performance.now();
    const replies = await Promise.all([
      on.post('/agent/auth', { type: 'anonymous' }),
      on.get('/api/me', credential),
    ]);
    for (const reply of replies) assertUnavailable(t, reply);
    t.true(performance.now() - startedAt < 10_000, `${performance.now() - startedAt} ms`);
    await wire.mend();
    t.is((await on.get('/api/me', credential)).status, 200);
    t.is((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
  });
});

/** Resolves for all when so many have come; after that it holds nobody up. */
function barrier(count: number): () => Promise<void> {
  let arrived = 0;
  let release: (() => void) | undefined;
  const open = new Promise<void>((resolve) => {
    release = resolve;
  });
  return () => {
    arrived += 1;
    if (arrived >= count) release!();
    return open;
  };
}

async function asClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
