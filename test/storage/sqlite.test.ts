import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'better-sqlite3';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/work.ts';
import { lookInto, startCrashing } from '../helpers/crashing.ts';
import { violations } from '../helpers/oracle.ts';
import { basic, createTestDatabase, type Reply, startTestService } from '../helpers/service.ts';
import { assertUnavailable, helperPath, notebook, opsStatus, registerAt } from '../helpers/storage.ts';
import { test } from '../helpers/suite.ts';

test.describe('SQLite', (test) => {
  test('it syncs every commit to disk before it is acknowledged, and checks references', async (t) => {
    const { db } = await notebook(t, 'sqlite');
    const pragma = (name: string) => db.tx((tx) => tx.get<Record<string, unknown>>(`PRAGMA ${name}`));
    t.deepEqual(await pragma('journal_mode'), { journal_mode: 'wal' });
    t.deepEqual(await pragma('synchronous'), { synchronous: 2 });
    t.deepEqual(await pragma('foreign_keys'), { foreign_keys: 1 });
  });

  test('two processes share a file, and nothing that either acknowledged is lost', async (t) => {
    const database = await createTestDatabase('sqlite');
    const servers = await Promise.all([0, 1].map(() => startCrashing([database.url])));
    t.teardown(async () => {
      await Promise.all(servers.map((server) => server.kill()));
      await database.drop();
    });
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, index) => registerAt(servers[index % 2]!.urls[0]!)),
    );
    t.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    const seen = await Promise.all(
      replies.map(({ data }, index) => statusOfMe(servers[(index + 1) % 2]!.urls[0]!, data.credential)),
    );
    t.deepEqual([...new Set(seen)], [200]);
    t.deepEqual(await lookInto(database.url, violations), []);
  });

  test('while another process holds the write lock, writes are refused in time, reads answer, and then all is well', async (t) => {
    const database = await createTestDatabase('sqlite');
    const on = await startTestService('sqlite', { database });
    const file = database.url.slice('file:'.length);
    const holder = spawn(process.execPath, [helperPath('sqlite-lock.ts'), file], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.teardown(async () => {
      holder.kill('SIGKILL');
      await on.stop();
      await database.drop();
    });
    const { credential } = await on.register();
    await once(createInterface(holder.stdout), 'line');

    const startedAt = performance.now();
    const waiting = Array.from({ length: 20 }, () => on.post('/agent/auth', { type: 'anonymous' }));
    const read = await on.get('/api/me', credential);
    t.is(read.status, 200);
    t.true(performance.now() - startedAt < 1500, 'reads do not wait');
    for (const reply of await Promise.all(waiting)) assertUnavailable(t, reply);
    const waitedMs = performance.now() - startedAt;
    t.true(waitedMs > 1000 && waitedMs < 3500, `${waitedMs} ms`);
    t.is((await opsStatus(on, '/readyz')).status, 503);
    t.is((await opsStatus(on, '/livez')).status, 200);

    holder.stdin.end();
    await once(holder, 'exit');
    t.is((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
    t.is((await opsStatus(on, '/readyz')).status, 200);
  });

  test('past five hundred newcomers in work the next are turned away at once, and introspection goes on', async (t) => {
    const database = await createTestDatabase('sqlite');
    const on = await startTestService('sqlite', { database });
    const holder = spawn(
      process.execPath,
      [helperPath('sqlite-lock.ts'), database.url.slice('file:'.length)],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    t.teardown(async () => {
      holder.kill('SIGKILL');
      await on.stop();
      await database.drop();
    });
    const { deps } = on.service;
    const { server, secret } = await addResourceServer(deps, localOrigin('test'), {
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
    t.true(asked.body.active);
    holder.stdin.end();
    await Promise.all(waiting);

    t.regex(settled[0]!.text, /more to do here/);
    const away = settled.filter(({ status }) => status === 503);
    t.true(away.length >= 100, `${away.length} turned away`);
    for (const reply of away) assertUnavailable(t, reply);
    t.is((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
  });

  const onSmallDisk = test.skipIf(!canMount() && 'a small tmpfs cannot be mounted here: that takes root');
  onSmallDisk(
    'on a full disk writes are refused, reads go on, and with space again all is well without a restart',
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-full-'));
      mountSmallDisk(folder);
      const file = join(folder, 'test.db');
      const on = await startTestService('sqlite', {
        database: { url: `file:${file}`, drop: async () => {} },
        env: { DISK_FREE_MIN: '0' }, // SQLite itself is to meet the end of the disk
      });
      t.teardown(async () => {
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
      if (refused === undefined) return t.fail('the disk did not fill');
      assertUnavailable(t, refused);
      t.is((await on.get('/api/me', credential)).status, 200);
      // A probe writes less than a registration, so a few may still have found room.
      let ready = 200;
      for (let probe = 0; probe < 50 && ready === 200; probe += 1)
        ready = (await opsStatus(on, '/readyz')).status;
      t.is(ready, 503);

      rmSync(ballast);
      t.is((await on.post('/agent/auth', { type: 'anonymous' })).status, 200);
      t.is((await opsStatus(on, '/readyz')).status, 200);
      const check = new Database(file, { readonly: true });
      t.is(check.pragma('integrity_check', { simple: true }), 'ok');
      check.close();
    },
  );
});

async function statusOfMe(url: string, key: string): Promise<number> {
  const response = await fetch(`${url}/api/me`, { headers: { Authorization: `Bearer ${key}` } });
  await response.arrayBuffer();
  return response.status;
}

function mountSmallDisk(folder: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder]).status === 0;
}

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-mount-'));
  const isMounted = mountSmallDisk(folder);
  if (isMounted) spawnSync('umount', [folder]);
  rmSync(folder, { recursive: true });
  return isMounted;
}
