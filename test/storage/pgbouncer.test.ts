import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { vouchsafe } from '../helpers/cli.ts';
import { freePort } from '../helpers/free-port.ts';
import { createTestDatabase, startTestService, type TestDatabase } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const PROGRAM = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path));

/** A real pgbouncer in transaction mode in front of a database: every transaction may get another connection. */
async function startBouncer(
  folder: string,
  url: string,
  more: string[] = [],
): Promise<{ url: string; stop(): Promise<void> }> {
  const { hostname, port, pathname, username, password } = new URL(url);
  const own = await freePort();
  const file = join(folder, `pgbouncer-${own}.ini`);
  writeFileSync(join(folder, 'users.txt'), `"${username}" "${password}"\n`);
  writeFileSync(
    file,
    [
      '[databases]',
      `* = host=${hostname === 'localhost' ? '127.0.0.1' : hostname} port=${port}`,
      '[pgbouncer]',
      `listen_addr = 127.0.0.1`,
      `listen_port = ${own}`,
      `unix_socket_dir =`,
      'auth_type = plain',
      `auth_file = ${join(folder, 'users.txt')}`,
      'pool_mode = transaction',
      'default_pool_size = 8',
      'min_pool_size = 4',
      'server_round_robin = 1',
      ...more,
    ].join('\n'),
  );
  // pgbouncer refuses to run as root.
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child: ChildProcess = spawn(PROGRAM!, [...user, '-q', file], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  while (!(await answers(own))) {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended with ${child.exitCode}`);
    await sleep(50);
  }
  return {
    url: `postgres://${username}:${password}@127.0.0.1:${own}${pathname}`,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

const behindPgbouncer = test.skipIf(PROGRAM === undefined && 'pgbouncer is not installed');
behindPgbouncer.describe('behind pgbouncer in transaction mode', (test) => {
  let folder: string;
  let database: TestDatabase;
  let strict: Awaited<ReturnType<typeof startBouncer>>;
  let lenient: Awaited<ReturnType<typeof startBouncer>>;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-pgbouncer-'));
    chmodSync(folder, 0o755);
    database = await createTestDatabase('postgres');
    strict = await startBouncer(folder, database.url);
    lenient = await startBouncer(folder, database.url, [
      'ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout',
    ]);
  });
  test.after(async () => {
    await strict.stop();
    await lenient.stop();
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a start and doctor name the setting, whether the pooler refuses startup parameters or swallows them', async (t) => {
    for (const { url } of [strict, lenient]) {
      for (const command of ['migrate', 'doctor']) {
        const ended = await vouchsafe([command], folder, { DATABASE_URL: url });
        t.is(ended.code, 1);
        t.regex(ended.stdout + ended.stderr, /pooler such as pgbouncer: set PG_PREPARED=off/, command);
      }
    }
  });

  test('with PG_PREPARED=off two services register, claim, introspect and revoke, many at once', async (t) => {
    const options = { env: { PG_PREPARED: 'off' }, database: { url: strict.url, drop: async () => {} } };
    const one = await startTestService('postgres', options);
    const two = await startTestService('postgres', { ...options, clock: one.clock });
    try {
      const agents = await Promise.all(
        Array.from({ length: 60 }, (_, index) => (index % 2 ? one : two).register()),
      );
      const seen = await Promise.all(
        agents.map(({ credential }, index) => (index % 2 ? two : one).get('/api/me', credential)),
      );
      t.deepEqual([...new Set(seen.map(({ status }) => status))], [200]);
      const claimed = await one.claimed('pooled@example.com');
      t.is((await two.get('/api/me', claimed.credential)).status, 200);
      const revoked = await one.form('/oauth2/revoke', { token: claimed.credential });
      t.is(revoked.status, 200);
      t.is((await two.get('/api/me', claimed.credential)).status, 401);
    } finally {
      await one.stop();
      await two.stop();
    }
  });

  test('times hold within each transaction, and on no connection afterwards', async (t) => {
    const options = { env: { PG_PREPARED: 'off' }, database: { url: strict.url, drop: async () => {} } };
    const on = await startTestService('postgres', options);
    try {
      const { db } = on.service.deps;
      const time = `SELECT current_setting('statement_timeout') AS time`;
      t.deepEqual(await db.get(time), { time: '2s' });
      t.deepEqual(await db.tx((tx) => tx.get(time)), { time: '2s' });
      await t.throwsAsync(db.get('SELECT pg_sleep(3)'), { message: /cannot answer now/ });
      t.deepEqual(await db.get(time), { time: '2s' });
    } finally {
      await on.stop();
    }
    const plain = await startTestService('postgres', { database });
    await plain.stop();
  });

  test('backup and restore go through it, and a restore is refused while a service holds its lock through it', async (t) => {
    const env = { PG_PREPARED: 'off', DATABASE_URL: strict.url };
    const options = { env: { PG_PREPARED: 'off' }, database: { url: strict.url, drop: async () => {} } };
    const on = await startTestService('postgres', options);
    const { credential } = await on.register();
    const file = join(folder, 'copy');
    t.is((await vouchsafe(['backup', file], folder, env)).code, 0);
    const refused = await vouchsafe(['restore', file, '--accept-revived'], folder, env);
    t.deepEqual([refused.code, /works on this database/.test(refused.stderr)], [1, true], refused.stderr);
    await on.stop();
    const done = await vouchsafe(['restore', file, '--accept-revived'], folder, env);
    t.is(done.code, 0, done.stderr);
    const again = await startTestService('postgres', options);
    t.is((await again.get('/api/me', credential)).status, 200);
    await again.stop();
  });
});
