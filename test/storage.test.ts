import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import pg from 'pg';
import { addResourceServer } from '../src/domain/audiences/resource-servers.ts';
import { localAsker } from '../src/domain/audit/audit-log.ts';
import { sweep } from '../src/domain/jobs/retention.ts';
import type { Db } from '../src/store/db.ts';
import { migrate, pendingMigrations } from '../src/store/migrate.ts';
import { openDatabase } from '../src/store/open.ts';
import { confirm, newMailbox, newUser, openAuthMd, SIGNED_API, says, succeeded } from './helpers/auth-md.ts';
import { configFor, lookInto, startCrashing } from './helpers/crashing.ts';
import { violations } from './helpers/oracle.ts';
import {
  basic,
  createTestClock,
  createTestDatabase,
  type Engine,
  onEveryEngine,
  type Reply,
  startTestService,
  type TestDatabase,
  type TestService,
} from './helpers/service.ts';
import { startTcpProxy, type TcpProxy } from './helpers/tcp-proxy.ts';

const open = (database: TestDatabase) => openDatabase(configFor(database.url).database, () => {});
const helper = (name: string) => fileURLToPath(new URL(`./helpers/${name}`, import.meta.url));

/** A database with a table to write on. */
async function notebook(t: TestContext, engine: Engine): Promise<{ db: Db; url: string }> {
  const database = await createTestDatabase(engine);
  const db = await open(database);
  t.after(async () => {
    await db.close();
    await database.drop();
  });
  await db.migrate((tx) => tx.script('CREATE TABLE notes (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)'));
  return { db, url: database.url };
}
const INSERT = 'INSERT INTO notes (id, value) VALUES (?, 0)';
const noted = async (db: Db) =>
  (await db.all<{ id: number }>('SELECT id FROM notes ORDER BY id')).map(({ id }) => id);

onEveryEngine('transactions', (engine) => {
  test('of many at once, those that fail leave nothing and those that succeed are all there', async (t) => {
    const { db } = await notebook(t, engine);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 300 }, (_, id) =>
        db.tx(async (tx) => {
          await tx.run(INSERT, [id]);
          if (id % 2 === 0) await turn();
          if (id % 3 === 0) throw new Error(`number ${id} changed its mind`);
          if (id % 7 === 0) await tx.run(INSERT, [id]); // breaks the primary key
          return id;
        }),
      ),
    );
    const kept = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    assert.deepEqual(
      kept,
      Array.from({ length: 300 }, (_, id) => id).filter((id) => id % 3 !== 0 && id % 7 !== 0),
    );
    assert.deepEqual(await noted(db), kept);
    const [first] = outcomes;
    assert.ok(first?.status === 'rejected');
    assert.equal(first.reason.message, 'number 0 changed its mind', 'the error is the one that was thrown');
  });

  test('what one request writes neither shows in another before its commit, nor is lost with another’s rollback', async (t) => {
    const { db } = await notebook(t, engine);
    let written: (() => void) | undefined;
    const isWritten = new Promise<void>((resolve) => {
      written = resolve;
    });
    const failing = db.tx(async (tx) => {
      await tx.run(INSERT, [1]);
      written!();
      for (let count = 0; count < 20; count += 1) await turn();
      throw new Error('taken back');
    });
    const refused = assert.rejects(failing, /taken back/);
    await isWritten;
    const other = db.tx((tx) => tx.run(INSERT, [2]));
    assert.ok(!(await noted(db)).includes(1), 'not yet committed');
    await refused;
    await other;
    assert.deepEqual(await noted(db), [2]);
  });

  test('who was told of a commit reads it at once', async (t) => {
    const { db } = await notebook(t, engine);
    for (let id = 0; id < 50; id += 1) {
      await db.get('SELECT COUNT(*) FROM notes'); // a look before, which must not be what is seen after
      await db.tx((tx) => tx.run(INSERT, [id]));
      assert.equal((await noted(db)).length, id + 1);
    }
  });

  test('a row that points to nothing is refused', async (t) => {
    const database = await createTestDatabase(engine);
    const db = await open(database);
    t.after(async () => {
      await db.close();
      await database.drop();
    });
    await migrate(db, 0);
    const orphan = `INSERT INTO agents (id, account_id, registration_id, created_at) VALUES ('a', 'nobody', 'r', 0)`;
    await assert.rejects(
      db.tx((tx) => tx.run(orphan)),
      /foreign key/i,
    );
  });
});

describe('SQLite', () => {
  test('it syncs every commit to disk before it is acknowledged, and checks references', async (t) => {
    const { db } = await notebook(t, 'sqlite');
    const pragma = (name: string) => db.tx((tx) => tx.get<Record<string, unknown>>(`PRAGMA ${name}`));
    assert.deepEqual(await pragma('journal_mode'), { journal_mode: 'wal' });
    assert.deepEqual(await pragma('synchronous'), { synchronous: 2 });
    assert.deepEqual(await pragma('foreign_keys'), { foreign_keys: 1 });
  });

  test('two processes share a file, and nothing that either acknowledged is lost', async (t) => {
    const database = await createTestDatabase('sqlite');
    const servers = await Promise.all([0, 1].map(() => startCrashing([database.url])));
    t.after(async () => {
      await Promise.all(servers.map((server) => server.kill()));
      await database.drop();
    });
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, index) => registerAt(servers[index % 2]!.urls[0]!)),
    );
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    const seen = await Promise.all(
      replies.map(({ data }, index) => statusOfMe(servers[(index + 1) % 2]!.urls[0]!, data.credential)),
    );
    assert.deepEqual([...new Set(seen)], [200]);
    assert.deepEqual(await lookInto(database.url, violations), []);
  });

  test('while another process holds the write lock, writes are refused in time, reads answer, and then all is well', async (t) => {
    const database = await createTestDatabase('sqlite');
    const on = await startTestService('sqlite', { database });
    const file = database.url.slice('file:'.length);
    const holder = spawn(process.execPath, [helper('sqlite-lock.ts'), file], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.after(async () => {
      holder.kill('SIGKILL');
      await on.stop();
      await database.drop();
    });
    const { credential } = await on.register();
    await once(createInterface(holder.stdout), 'line');

    const startedAt = performance.now();
    const waiting = Array.from({ length: 20 }, () => on.post('/agent/auth', { type: 'anonymous' }));
    const read = await on.get('/api/me', credential);
    assert.equal(read.status, 200);
    assert.ok(performance.now() - startedAt < 1500, 'reads do not wait');
    for (const reply of await Promise.all(waiting)) assertUnavailable(reply);
    const waitedMs = performance.now() - startedAt;
    assert.ok(waitedMs > 1000 && waitedMs < 3500, `${waitedMs} ms`);
    assert.equal((await opsStatus(on, '/readyz')).status, 503);
    assert.equal((await opsStatus(on, '/livez')).status, 200);

    holder.stdin.end();
    await once(holder, 'exit');
    assert.equal((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
    assert.equal((await opsStatus(on, '/readyz')).status, 200);
  });

  test('past five hundred newcomers in work the next are turned away at once, and introspection goes on', async (t) => {
    const database = await createTestDatabase('sqlite');
    const on = await startTestService('sqlite', { database });
    const holder = spawn(process.execPath, [helper('sqlite-lock.ts'), database.url.slice('file:'.length)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.after(async () => {
      holder.kill('SIGKILL');
      await on.stop();
      await database.drop();
    });
    const { deps } = on.service;
    const { server, secret } = await addResourceServer(deps, localAsker('test'), {
      url: 'https://api.example.com',
      name: 'test',
      scopes: undefined,
    });
    const { credential } = await on.register();
    await once(createInterface(holder.stdout), 'line');

    const settled: Reply[] = [];
    const turnedAway = Promise.withResolvers<void>();
    const waiting = Array.from({ length: 600 }, async () => {
      settled.push(await on.post('/agent/auth', { type: 'anonymous' }));
      if (settled.length === 100) turnedAway.resolve();
    });
    await turnedAway.promise;
    const asked = await on.form('/oauth2/introspect', { token: credential }, basic(server.id, secret));
    assert.equal(asked.body.active, true);
    holder.stdin.end();
    await Promise.all(waiting);

    assert.match(settled[0]!.text, /more to do here/);
    const away = settled.filter(({ status }) => status === 503);
    assert.ok(away.length >= 100, `${away.length} turned away`);
    for (const reply of away) assertUnavailable(reply);
    assert.equal((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
  });

  test('on a full disk writes are refused, reads go on, and with space again all is well without a restart', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-full-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder]);
    if (mounted.status !== 0) {
      rmSync(folder, { recursive: true });
      return t.skip('a small tmpfs cannot be mounted here: that takes root');
    }
    const file = join(folder, 'test.db');
    const on = await startTestService('sqlite', {
      database: { url: `file:${file}`, drop: async () => {} },
      env: { DISK_FREE_MIN: '0' }, // SQLite itself is to meet the end of the disk
    });
    t.after(async () => {
      await on.stop();
      spawnSync('umount', [folder]);
      rmSync(folder, { recursive: true });
    });
    const { credential } = await on.register();
    const ballast = join(folder, 'ballast');
    const space = statfsSync(folder);
    writeFileSync(ballast, Buffer.alloc(Math.max(0, space.bavail * space.bsize - 65_536)));

    let refused: Reply | undefined;
    for (let attempt = 0; attempt < 500 && refused === undefined; attempt += 1) {
      const reply = await on.post('/agent/auth', { type: 'anonymous' });
      if (reply.status !== 200) refused = reply;
    }
    assert.ok(refused, 'the disk did fill');
    assertUnavailable(refused);
    assert.equal((await on.get('/api/me', credential)).status, 200);
    // A probe writes less than a registration, so a few may still have found room.
    let ready = 200;
    for (let probe = 0; probe < 50 && ready === 200; probe += 1)
      ready = (await opsStatus(on, '/readyz')).status;
    assert.equal(ready, 503);

    rmSync(ballast);
    assert.equal((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
    assert.equal((await opsStatus(on, '/readyz')).status, 200);
    const check = new Database(file, { readonly: true });
    assert.equal(check.pragma('integrity_check', { simple: true }), 'ok');
    check.close();
  });
});

describe('PostgreSQL', () => {
  test('a server that would forget what it acknowledged is refused, with a sentence', async (t) => {
    const database = await createTestDatabase('postgres');
    t.after(() => database.drop());
    await asClient(database.url, (client) =>
      client.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET synchronous_commit = off`),
    );
    await assert.rejects(open(database), /synchronous_commit=off/);
    const { code, said } = await serveAndEnd(database.url);
    assert.equal(code, 1);
    assert.match(
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
    assert.equal(runs, 3);
    assert.deepEqual(await db.all('SELECT value FROM notes ORDER BY id'), [{ value: 2 }, { value: 2 }]);
  });

  test('two serializable transactions that read what the other writes both happen, one after the other', async (t) => {
    const { db } = await notebook(t, 'postgres');
    await db.tx((tx) => tx.run(INSERT, [1]));
    const both = barrier(2);
    const increment = () =>
      db.tx(async (tx) => {
        await tx.run('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
        const row = await tx.get<{ value: number }>('SELECT value FROM notes WHERE id = 1');
        await both();
        await tx.run('UPDATE notes SET value = ? WHERE id = 1', [row!.value + 1]);
      });
    await Promise.all([increment(), increment()]);
    assert.deepEqual(await db.get('SELECT value FROM notes'), { value: 2 });
  });

  test('connections ended by the server cost 503 at most, nothing acknowledged, and none is used again', async (t) => {
    const database = await createTestDatabase('postgres');
    const on = await startTestService('postgres', { database });
    t.after(async () => {
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
        else assertUnavailable(reply);
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
    assert.ok([...statuses].every((status) => status === 200 || status === 503));
    for (const key of kept) assert.equal((await on.get('/api/me', key)).status, 200);
    assert.deepEqual(await lookInto(database.url, violations), []);
  });

  /** A service that reaches its database by a wire that can be cut. */
  async function startBehindProxy(t: TestContext): Promise<{ on: TestService; wire: TcpProxy }> {
    const database = await createTestDatabase('postgres');
    const url = new URL(database.url);
    const wire = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    url.port = String(wire.port);
    const on = await startTestService('postgres', { database: { ...database, url: url.href } });
    t.after(async () => {
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
    assertUnavailable(await on.post('/agent/auth', { type: 'anonymous' }));
    assertUnavailable(await on.get('/api/me', credential));
    assert.equal((await opsStatus(on, '/readyz')).status, 503);
    assert.equal((await opsStatus(on, '/livez')).status, 200);
    assert.equal((await opsStatus(on, '/metrics')).status, 200);
    assert.ok(performance.now() - startedAt < 2500);
    await wire.mend();
    assert.equal((await opsStatus(on, '/readyz')).status, 200);
    assert.equal((await on.get('/api/me', credential)).status, 200);
    assert.equal((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
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
    for (const reply of replies) assertUnavailable(reply);
    assert.ok(performance.now() - startedAt < 10_000, `${performance.now() - startedAt} ms`);
    await wire.mend();
    assert.equal((await on.get('/api/me', credential)).status, 200);
    assert.equal((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
  });
});

onEveryEngine('migrations', (engine) => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase(engine);
  });
  after(() => database.drop());

  test('of five processes that start at once on an empty database, one migrates and all serve', async () => {
    const servers = await Promise.all(Array.from({ length: 5 }, () => startCrashing([database.url])));
    const statuses = await Promise.all(servers.map(async ({ urls }) => (await registerAt(urls[0]!)).status));
    await Promise.all(servers.map((server) => server.kill()));
    assert.deepEqual(statuses, [200, 200, 200, 200, 200]);
    const applied = await lookInto(database.url, (db) =>
      db.all('SELECT name FROM migrations ORDER BY version'),
    );
    const files = readdirSync(new URL('../db/migrations/', import.meta.url)).sort();
    assert.deepEqual(
      applied,
      files.map((name) => ({ name })),
    );
  });

  test('a migration that was changed after it was applied stops the start, with a sentence', async (t) => {
    await lookInto(database.url, async (db) => {
      const row = await db.get<{ checksum: string }>('SELECT checksum FROM migrations WHERE version = 1');
      await db.tx((tx) => tx.run(`UPDATE migrations SET checksum = 'another' WHERE version = 1`));
      t.after(() =>
        lookInto(database.url, (again) =>
          again.tx((tx) => tx.run('UPDATE migrations SET checksum = ? WHERE version = 1', [row!.checksum])),
        ),
      );
    });
    const { code, said } = await serveAndEnd(database.url);
    assert.equal(code, 1);
    assert.match(said, /^Migration 0001_\w+\.sql was changed after it was applied to this database\.\n$/);
  });

  test('a database that is newer than the program stops the start, with a sentence', async (t) => {
    const newer = `INSERT INTO migrations (version, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)`;
    await lookInto(database.url, (db) => db.tx((tx) => tx.run(newer)));
    t.after(() =>
      lookInto(database.url, (db) => db.tx((tx) => tx.run('DELETE FROM migrations WHERE version = 999'))),
    );
    const { code, said } = await serveAndEnd(database.url);
    assert.equal(code, 1);
    assert.match(said, /^The database is at migration 999, [^\n]* start a newer version\.\n$/);
  });

  test('a migration that fails half-way leaves nothing of itself or of those before it', async (t) => {
    const empty = await createTestDatabase(engine);
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-migrations-'));
    const db = await open(empty);
    t.after(async () => {
      await db.close();
      await empty.drop();
      rmSync(folder, { recursive: true });
    });
    const url = pathToFileURL(`${folder}/`);
    writeFileSync(join(folder, '0001_first.sql'), 'CREATE TABLE first (id BIGINT PRIMARY KEY);');
    writeFileSync(
      join(folder, '0002_second.sql'),
      'CREATE TABLE second (id BIGINT PRIMARY KEY); INSERT INTO second (nothing) VALUES (1);',
    );
    await assert.rejects(migrate(db, 0, { folder: url }), /nothing/);
    for (const table of ['first', 'second', 'migrations']) {
      await assert.rejects(db.get(`SELECT COUNT(*) FROM ${table}`), new RegExp(table), `${table} is there`);
    }
    assert.equal(await pendingMigrations(db, url), 2);
    writeFileSync(join(folder, '0002_second.sql'), 'CREATE TABLE second (id BIGINT PRIMARY KEY);');
    assert.deepEqual(await migrate(db, 0, { folder: url }), ['0001_first.sql', '0002_second.sql']);
    assert.deepEqual(await migrate(db, 0, { folder: url }), []);
  });

  test('a process killed at any step of migrating leaves a database that migrates', async (t) => {
    const empty = await createTestDatabase(engine);
    t.after(() => empty.drop());
    const files = readdirSync(new URL('../db/migrations/', import.meta.url)).length;
    for (let step = 1; ; step += 1) {
      const child = spawn(process.execPath, [helper('dying-migration.ts'), empty.url, String(step)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      const [said] = await once(createInterface(child.stdout), 'line');
      if (said === 'stopped') child.kill('SIGKILL');
      await exited;
      const pending = await lookInto(empty.url, (db) => pendingMigrations(db));
      assert.equal(pending, said === 'stopped' ? files : 0, `at step ${step}`);
      if (said === 'done') break;
      assert.ok(step < 100);
    }
    assert.deepEqual(await lookInto(empty.url, violations), []);
  });
});

onEveryEngine('retention', (engine) => {
  test('unclaimed registrations go with all that hangs on them, the claimed stay, and a sweep that is cut short goes on at the next', async (t) => {
    const clock = createTestClock();
    const on = await startTestService(engine, { clock });
    t.after(() => on.stop());
    const { deps } = on.service;
    const day = 86_400;
    const rows = async () => {
      const counts: Record<string, number> = {};
      const tables =
        'accounts agents registrations claims claim_attempts credentials refresh_tokens outbox counters idempotency';
      for (const table of tables.split(' ')) {
        const row = await deps.db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`);
        counts[table] = row!.n;
      }
      return counts;
    };

    const merged = await on.claimed('merged@example.com');
    const linked = await on.claimed('linked@example.com', true);
    await Promise.all(['merged@example.com', 'linked@example.com'].map((mailbox) => on.noticeTo(mailbox)));
    clock.advance(5 * day);
    await sweep(deps);
    const baseline = await rows();
    assert.equal(baseline.agents, 2);
    assert.equal(baseline.counters, 0);
    assert.equal(baseline.outbox, 0);

    const agents: Awaited<ReturnType<typeof on.register>>[] = [];
    while (agents.length < 450) {
      agents.push(...(await Promise.all(Array.from({ length: 50 }, () => on.register()))));
    }
    for (const [index, { claim_token }] of agents.slice(0, 20).entries()) {
      await on.post('/agent/auth/claim', { claim_token, email: `pending${index}@example.com` });
    }
    const assertions = [{ type: 'verified_email', email: 'asserted@example.com' }];
    await on.post('/agent/auth', { type: 'identity_assertion', assertions }, { 'Idempotency-Key': 'one' });
    await on.codeFor('asserted@example.com');
    await Promise.all(Array.from({ length: 20 }, (_, index) => on.codeFor(`pending${index}@example.com`)));
    assert.equal((await rows()).registrations, 453);

    clock.advance(30 * day);
    const { credential } = agents[0]!;
    assert.equal((await on.get('/api/me', credential)).status, 401, 'expired, though nothing was swept');
    await sweep(deps);
    assert.equal((await rows()).agents, 452, 'what has just expired stays a day');
    assert.equal((await on.get('/api/me', credential)).status, 401);

    clock.advance(day);
    let turns = 0;
    const removed = await sweep(deps, () => {
      turns += 1;
      return turns < 6; // idempotency, counters, mail, attempts, and one batch of registrations
    });
    assert.equal(removed.registrations, 16, 'a batch');
    assert.equal((await rows()).agents, 436);
    assert.deepEqual(await violations(deps.db, 'swept'), []);
    await sweep(deps);
    assert.deepEqual(await rows(), baseline);
    assert.deepEqual(await violations(deps.db, 'swept'), []);

    assert.equal((await on.get('/api/me', credential)).status, 401);
    for (const { credential: key } of [merged, linked])
      assert.equal((await on.get('/api/me', key)).status, 200);
    assert.deepEqual(await sweep(deps), {
      idempotency: 0,
      counters: 0,
      mail: 0,
      attempts: 0,
      registrations: 0,
      approvals: 0,
      forgottenAgents: 0,
      principals: 0,
      refusals: 0,
      signIns: 0,
      sessions: 0,
      tokens: 0,
      refreshTokens: 0,
      spentTokens: 0,
      events: 0,
    });
  });

  test('identities, tokens and what providers said go when they are over, and no answer is another for it', async (t) => {
    const world = await openAuthMd(engine);
    const { on, clock } = world;
    t.after(() => Promise.all([on.stop(), world.provider.stop(), world.otherProvider.stop()]));
    const { deps } = on.service;
    const { accessTokenTtlSeconds, refreshTtlSeconds, unclaimedTtlSeconds } = deps.config.limits;
    const day = 86_400;
    const user = newUser();
    const known = succeeded(await world.present(world.idJag(user)));
    const second = { ...newUser(), email: user.email };
    assert.equal(says(await world.present(world.idJag(second))), '401 interaction_required');
    const agent = succeeded(await world.identity({ type: 'anonymous' }));
    const token = await world.tokenFor(agent.identity_assertion);
    await world.tokenFor(known.identity_assertion, { resource: SIGNED_API });
    const renewed = succeeded(await world.refresh(agent.identity.refresh_token.value)).identity;
    succeeded(await world.identity({ type: 'service_auth', login_hint: newMailbox() }));
    assert.deepEqual(await violations(deps.db), []);

    clock.advance(accessTokenTtlSeconds + 600);
    assert.equal(await world.scopeOf(token), 'dead');
    const early = await sweep(deps);
    assert.deepEqual(
      [early.tokens, early.refreshTokens, early.spentTokens, early.registrations],
      [2, 0, 2, 0],
      'tokens soon, the renewal not yet',
    );
    assert.deepEqual(await violations(deps.db, 'swept'), []);
    assert.equal(await world.scopeOf(token), 'dead');
    const again = succeeded(await world.refresh(renewed.refresh_token.value)).identity;
    assert.equal(await world.scopeOf(await world.tokenFor(again.assertion)), 'read');

    clock.advance(Math.max(refreshTtlSeconds, unclaimedTtlSeconds) + day);
    assert.equal(says(await world.refresh(again.refresh_token.value)), '400 invalid_refresh_token');
    const late = await sweep(deps);
    assert.equal(
      late.registrations,
      3,
      'the anonymous one, the hinted one and the one that its owner never confirmed',
    );
    assert.deepEqual(await violations(deps.db, 'swept'), []);
    const left = async (table: string) =>
      (await deps.db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`))!.n;
    assert.equal(await left('registrations'), 1);
    assert.equal(await left('agents'), 1);
    for (const table of ['refresh_tokens', 'spent_tokens', 'credentials', 'claim_attempts']) {
      assert.equal(await left(table), 0, table);
    }
    for (const { value } of [agent.identity.refresh_token, renewed.refresh_token, again.refresh_token]) {
      assert.equal(says(await world.refresh(value)), '400 invalid_refresh_token');
    }

    const back = succeeded(await world.present(world.idJag(user)));
    assert.equal(back.registration_id, known.registration_id, 'who was let in is known for good');
    const anew = await world.present(world.idJag(second));
    assert.equal(says(anew), '401 interaction_required');
    const human = await world.visit(anew.body.claim.attempt.verification_uri, user.email);
    const done = { claim_token: anew.body.claim_token, user_code: await confirm(human) };
    succeeded(await world.complete(done));
    succeeded(await world.present(world.idJag(second)));
    assert.deepEqual(await violations(deps.db, 'swept'), []);
  });
});

async function registerAt(url: string): Promise<{ status: number; data: { credential: string } }> {
  const response = await fetch(`${url}/agent/auth`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"type":"anonymous"}',
  });
  const { data } = (await response.json()) as { data: { credential: string } };
  return { status: response.status, data };
}

async function statusOfMe(url: string, key: string): Promise<number> {
  const response = await fetch(`${url}/api/me`, { headers: { Authorization: `Bearer ${key}` } });
  await response.arrayBuffer();
  return response.status;
}

async function opsStatus(on: TestService, path: string): Promise<{ status: number }> {
  const response = await fetch(`http://127.0.0.1:${on.service.opsPort}${path}`);
  await response.arrayBuffer();
  return response;
}

function assertUnavailable(reply: Reply): void {
  assert.equal(reply.status, 503, reply.text);
  assert.equal(reply.body.error.code, 'unavailable');
  assert.equal(reply.body.error.retryable, true);
  assert.match(reply.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
}

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

/** Runs `serve` on a database that it should refuse; what it said on its error output. */
async function serveAndEnd(databaseUrl: string): Promise<{ code: number | null; said: string }> {
  const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
  const child = spawn(process.execPath, [cli, 'serve'], {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      OPS_PORT: '0',
      DATABASE_URL: databaseUrl,
      SECRET: 'f3a1c45d9be27086f3a1c45d9be27086f3a1c45d',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const startedAt = performance.now();
  const [code] = await once(child, 'close');
  assert.ok(performance.now() - startedAt < 8000, 'it ends at once');
  return { code, said };
}
