import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { BARE_ENVIRONMENT } from '../helpers/bare-environment.ts';
import { freePort } from '../helpers/free-port.ts';
import { createTestDatabase, TEST_SECRET, type TestDatabase } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

test.describe('a start before PostgreSQL is there', (test) => {
  let folder: string;
  let database: TestDatabase;
  let proxy: TcpProxy;

  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-start-'));
    database = await createTestDatabase('postgres');
    const { hostname, port } = new URL(database.url);
    proxy = await startTcpProxy({ host: hostname, port: Number(port) });
  });
  test.after(async () => {
    await proxy.close();
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (env: Record<string, string>): Promise<{ child: ChildProcess; lines: string[] }> => {
    const url = new URL(database.url);
    url.hostname = '127.0.0.1';
    url.port = String(proxy.port);
    const child = spawn(process.execPath, [CLI, 'serve'], {
      cwd: folder,
      env: {
        ...BARE_ENVIRONMENT,
        SECRET: TEST_SECRET,
        DATABASE_URL: url.href,
        PORT: String(await freePort()),
        OPS_PORT: '0',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines: string[] = [];
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        child.emit('said', line);
      });
    }
    return { child, lines };
  };
  const said = async (
    t: ExecutionContext,
    child: ChildProcess,
    lines: string[],
    what: RegExp,
  ): Promise<void> => {
    while (!lines.some((line) => what.test(line))) {
      const [line] = await Promise.race([once(child, 'said'), once(child, 'close').then(() => [undefined])]);
      if (line === undefined) t.fail(`ended without saying ${what}: ${lines.join('\n')}`);
    }
  };

  test('waits, says so, and serves once it is there', async (t) => {
    await proxy.cut();
    const { child, lines } = await start({});
    await said(t, child, lines, /waiting for the database/);
    t.regex(lines.join('\n'), /DATABASE_URL: the database test_\w+ at 127\.0\.0\.1:\d+ refuses connections/);
    await proxy.mend();
    await said(t, child, lines, /Vouchsafe serves at/);
    child.kill('SIGTERM');
    t.deepEqual(await once(child, 'close'), [0, null]);
  });

  test('gives up after STARTUP_TIMEOUT, with the sentence and exit code 1', async (t) => {
    await proxy.cut();
    const { child, lines } = await start({ STARTUP_TIMEOUT: '1' });
    const [code] = await once(child, 'close');
    t.is(code, 1, lines.join('\n'));
    t.regex(lines.at(-1)!, /^DATABASE_URL: .* refuses connections/);
    await proxy.mend();
  });

  test('a signal ends the wait', async (t) => {
    await proxy.cut();
    const { child, lines } = await start({});
    await said(t, child, lines, /waiting for the database/);
    child.kill('SIGTERM');
    t.is((await once(child, 'close'))[0], 143);
    await proxy.mend();
  });

  test('what waiting does not mend ends it at once', async (t) => {
    for (const [env, sentence] of [
      [{ DATABASE_URL: database.url.replace(/\/test_\w+/, '/nothing_here') }, /does not exist/],
      [{ DATABASE_URL: 'file:/dev/null/v.db' }, /cannot be opened/],
    ] as const) {
      const { child, lines } = await start(env);
      t.is((await once(child, 'close'))[0], 1, lines.join('\n'));
      t.regex(lines.at(-1)!, sentence);
      t.notRegex(lines.join('\n'), /waiting/);
    }
  });
});
