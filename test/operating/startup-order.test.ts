import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../helpers/free-port.ts';
import { createTestDatabase, TEST_SECRET, type TestDatabase } from '../helpers/service.ts';
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

describe('a start before PostgreSQL is there', () => {
  let folder: string;
  let database: TestDatabase;
  let proxy: TcpProxy;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-start-'));
    database = await createTestDatabase('postgres');
    const { hostname, port } = new URL(database.url);
    proxy = await startTcpProxy({ host: hostname, port: Number(port) });
  });
  after(async () => {
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
  const said = async (child: ChildProcess, lines: string[], what: RegExp): Promise<void> => {
    while (!lines.some((line) => what.test(line))) {
      const [line] = await Promise.race([once(child, 'said'), once(child, 'close').then(() => [undefined])]);
      if (line === undefined) assert.fail(`ended without saying ${what}: ${lines.join('\n')}`);
    }
  };

  test('waits, says so, and serves once it is there', async () => {
    await proxy.cut();
    const { child, lines } = await start({});
    await said(child, lines, /waiting for the database/);
    assert.match(
      lines.join('\n'),
      /DATABASE_URL: the database test_\w+ at 127\.0\.0\.1:\d+ refuses connections/,
    );
    await proxy.mend();
    await said(child, lines, /Vouchsafe serves at/);
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'close'), [0, null]);
  });

  test('gives up after STARTUP_TIMEOUT, with the sentence and exit code 1', async () => {
    await proxy.cut();
    const { child, lines } = await start({ STARTUP_TIMEOUT: '1' });
    const [code] = await once(child, 'close');
    assert.equal(code, 1, lines.join('\n'));
    assert.match(lines.at(-1)!, /^DATABASE_URL: .* refuses connections/);
    await proxy.mend();
  });

  test('a signal ends the wait', async () => {
    await proxy.cut();
    const { child, lines } = await start({});
    await said(child, lines, /waiting for the database/);
    child.kill('SIGTERM');
    assert.equal((await once(child, 'close'))[0], 143);
    await proxy.mend();
  });

  test('what waiting does not mend ends it at once', async () => {
    for (const [env, sentence] of [
      [{ DATABASE_URL: database.url.replace(/\/test_\w+/, '/nothing_here') }, /does not exist/],
      [{ DATABASE_URL: 'file:/dev/null/v.db' }, /cannot be opened/],
    ] as const) {
      const { child, lines } = await start(env);
      assert.equal((await once(child, 'close'))[0], 1, lines.join('\n'));
      assert.match(lines.at(-1)!, sentence);
      assert.doesNotMatch(lines.join('\n'), /waiting/);
    }
  });
});
