import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { migrate, pendingMigrations } from '../../src/store/engine/migrate.ts';
import { lookInto, startCrashing } from '../helpers/crashing.ts';
import { violations } from '../helpers/oracle.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/service.ts';
import { helperPath, openTestDatabase, registerAt, serveAndEnd } from '../helpers/storage.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('migrations', (engine, test) => {
  let database: TestDatabase;
  test.before(async () => {
    database = await createTestDatabase(engine);
  });
  test.after(() => database.drop());

  test('of five processes that start at once on an empty database, one migrates and all serve', async (t) => {
    const servers = await Promise.all(Array.from({ length: 5 }, () => startCrashing([database.url])));
    const statuses = await Promise.all(servers.map(async ({ urls }) => (await registerAt(urls[0]!)).status));
    await Promise.all(servers.map((server) => server.kill()));
    t.deepEqual(statuses, [200, 200, 200, 200, 200]);
    const applied = await lookInto(database.url, (db) =>
      db.all('SELECT name FROM migrations ORDER BY version'),
    );
    const files = readdirSync(new URL('../../db/migrations/', import.meta.url)).sort();
    t.deepEqual(
      applied,
      files.map((name) => ({ name })),
    );
  });

  test('a migration that was changed after it was applied stops the start, with a sentence', async (t) => {
    await lookInto(database.url, async (db) => {
      const row = await db.get<{ checksum: string }>('SELECT checksum FROM migrations WHERE version = 1');
      await db.tx((tx) => tx.run(`UPDATE migrations SET checksum = 'another' WHERE version = 1`));
      t.teardown(() =>
        lookInto(database.url, (again) =>
          again.tx((tx) => tx.run('UPDATE migrations SET checksum = ? WHERE version = 1', [row!.checksum])),
        ),
      );
    });
    const { code, said } = await serveAndEnd(database.url);
    t.is(code, 1);
    t.regex(said, /^Migration 0001_\w+\.sql was changed after it was applied to this database\.\n$/);
  });

  test('a database that is newer than the program stops the start, with a sentence', async (t) => {
    const newer = `INSERT INTO migrations (version, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)`;
    await lookInto(database.url, (db) => db.tx((tx) => tx.run(newer)));
    t.teardown(() =>
      lookInto(database.url, (db) => db.tx((tx) => tx.run('DELETE FROM migrations WHERE version = 999'))),
    );
    const { code, said } = await serveAndEnd(database.url);
    t.is(code, 1);
    t.regex(said, /^The database is at migration 999, [^\n]* start a newer version\.\n$/);
  });

  test('a migration that fails half-way leaves nothing of itself, and is done when it is mended', async (t) => {
    const empty = await createTestDatabase(engine);
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-migrations-'));
    const db = await openTestDatabase(empty);
    t.teardown(async () => {
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
    await t.throwsAsync(migrate(db, 0, { folder: url }), { message: /nothing/ });
    await t.throwsAsync(db.get('SELECT COUNT(*) FROM second'), { message: /second/ });
    t.is(await pendingMigrations(db, url), 1);
    writeFileSync(join(folder, '0002_second.sql'), 'CREATE TABLE second (id BIGINT PRIMARY KEY);');
    t.deepEqual(await migrate(db, 0, { folder: url }), ['0002_second.sql']);
    t.deepEqual(await migrate(db, 0, { folder: url }), []);
  });

  test('a process killed at any step of migrating leaves a database that migrates', async (t) => {
    const empty = await createTestDatabase(engine);
    t.teardown(() => empty.drop());
    const files = readdirSync(new URL('../../db/migrations/', import.meta.url)).length;
    // Each process is killed later than the one before, in its own migrations: some begin with what others left.
    for (let step = 1, left = files; ; step += 1) {
      const child = spawn(process.execPath, [helperPath('dying-migration.ts'), empty.url, String(step)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      const [said] = await once(createInterface(child.stdout), 'line');
      if (said === 'stopped') child.kill('SIGKILL');
      await exited;
      const pending = await lookInto(empty.url, (db) => pendingMigrations(db));
      t.true(pending <= left, `at step ${step}`);
      left = pending;
      if (said === 'done') {
        t.is(pending, 0);
        break;
      }
      t.true(step < 100);
    }
    t.deepEqual(await lookInto(empty.url, violations), []);
  });
});
