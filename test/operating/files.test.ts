import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readDiskSpace, watchDatabaseFile } from '../../src/store/engine/database-file.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { freePort } from '../helpers/free-port.ts';
import { startTestService, TEST_SECRET } from '../helpers/service.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-files-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A folder that others may look into, as one that somebody made beforehand. */
function openFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  chmodSync(path, 0o755);
  return path;
}

/** Serves in a folder until it has said so, looks, and ends it. */
async function whileServing(cwd: string, env: Record<string, string>, look: () => void): Promise<void> {
  const ports = { PORT: String(await freePort()), OPS_PORT: '0' };
  const child = spawn(process.execPath, [CLI, 'serve'], {
    cwd,
    env: { ...ports, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    look();
  } finally {
    child.kill('SIGTERM');
    await once(child, 'close');
  }
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

describe('files that are written', () => {
  test('are for their owner alone, also in a folder that was there: database, what lies beside it, copy', async () => {
    const cwd = openFolder('modes');
    await whileServing(cwd, { DATABASE_URL: 'file:./v.db' }, () => {
      assert.deepEqual(readdirSync(cwd).sort(), ['secret', 'v.db', 'v.db-shm', 'v.db-wal', 'v.db.lock']);
      for (const file of readdirSync(cwd)) assert.equal(modeOf(join(cwd, file)), '600', file);
    });
    const { code, stderr } = await vouchsafe(['backup', 'copy.db'], cwd, { DATABASE_URL: 'file:./v.db' });
    assert.equal(code, 0, stderr);
    assert.equal(modeOf(join(cwd, 'copy.db')), '600');
    assert.equal((await vouchsafe(['mail', 'preview', 'mails'], cwd)).code, 0);
    assert.equal(modeOf(join(cwd, 'mails')), '700');
  });
});

describe('the secret that is made on this machine', () => {
  test('lies beside the database, whatever the current folder', async () => {
    const data = openFolder('beside');
    const env = { DATABASE_URL: `file:${join(data, 'v.db')}` };
    const [one, other] = [openFolder('one'), openFolder('other')];
    await whileServing(one, env, () => assert.ok(existsSync(join(data, 'secret'))));
    const made = statSync(join(data, 'secret')).mtimeMs;
    await whileServing(other, env, () => {});
    assert.equal(statSync(join(data, 'secret')).mtimeMs, made);
    assert.deepEqual([readdirSync(one), readdirSync(other)], [[], []]);
  });

  test('is found where earlier versions kept it, if the database is from then', async () => {
    const cwd = openFolder('earlier');
    mkdirSync(join(cwd, 'data'));
    writeFileSync(join(cwd, 'data/secret'), `${TEST_SECRET}\n`);
    const env = { DATABASE_URL: 'file:./elsewhere/v.db' };
    await whileServing(cwd, { ...env, SECRET: TEST_SECRET }, () => {});
    await whileServing(cwd, env, () => assert.ok(!existsSync(join(cwd, 'elsewhere/secret'))));
  });

  test('is made by serve alone: no command writes what it was not asked for', async () => {
    const cwd = openFolder('commands');
    for (const [args, code] of [
      [['doctor'], 0],
      [['config'], 0],
      [['backup', 'copy.db'], 1],
      [['check', 'http://127.0.0.1:1'], 1],
      [['--help'], 0],
    ] as const) {
      const ended = await vouchsafe(args, cwd, { SECRET: '' });
      assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
      assert.deepEqual(readdirSync(cwd), [], args.join(' '));
    }
    assert.equal((await vouchsafe(['agent', 'list'], cwd, { SECRET: '' })).code, 0);
    assert.ok(!existsSync(join(cwd, 'data/secret')));
    const rotated = await vouchsafe(['keys', 'rotate'], cwd, { SECRET: '' });
    assert.equal(rotated.code, 2);
    assert.match(rotated.stderr, /^SECRET: there is none yet/);
  });
});

describe('the file of a running database', () => {
  const ways: Record<string, (file: string) => void> = {
    'was removed': (file) => rmSync(file),
    'was removed (moved away)': (file) => renameSync(file, `${file}.away`),
    'was replaced': (file) => {
      copyFileSync(file, `${file}.copy`);
      renameSync(`${file}.copy`, file);
    },
    'was cut short': (file) => truncateSync(file, 4096),
    'was overwritten': (file) => writeFileSync(file, Buffer.alloc(statSync(file).size + 4096, 'x')),
  };
  for (const [way, harm] of Object.entries(ways)) {
    test(`that ${way} is noticed`, async (t) => {
      const file = join(folder, `${way.replaceAll(/\W/g, '-')}.db`);
      writeFileSync(file, Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(8192)]));
      const noticed = new Promise<Error>((resolve) => {
        const { stop } = watchDatabaseFile(file, resolve, 5);
        t.after(stop);
      });
      harm(file);
      const keepAlive = setInterval(() => {}, 1000);
      const { message } = await noticed;
      clearInterval(keepAlive);
      assert.equal(
        message,
        `DATABASE_URL: the file ${file} ${way.replace(/ \(.*/, '')} while the service ran. Put it back, or restore a backup.`,
      );
    });
  }

  test('the service ends by it, and not by its own writing', async () => {
    let gone: unknown;
    let tell = () => {};
    const told = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const on = await startTestService('sqlite', {
      overrides: {
        watchFileMs: 10,
        onFileGone: (cause) => {
          gone = cause;
          tell();
        },
      },
    });
    for (let round = 0; round < 20; round += 1) await on.register();
    assert.equal(gone, undefined);
    rmSync(on.database.url.slice('file:'.length));
    await told;
    assert.match(String(gone), /was removed/);
    await on.stop();
  });
});

describe('a disk that is almost full', () => {
  test('makes the service not ready, by bytes or by share', async () => {
    const { free, total } = readDiskSpace(join(folder, 'v.db'));
    const share = Math.floor((100 * free) / total);
    for (const [least, status] of [
      ['0', 200],
      [`${Math.floor(free / 2e6)}MB`, 200],
      [`${Math.ceil((2 * free) / 1e9)}GB`, 503],
      ...(share > 1 ? ([[`${Math.floor(share / 2)}%`, 200]] as const) : []),
      ...(share < 98 ? ([[`${share + 1}%`, 503]] as const) : []),
    ] as const) {
      const on = await startTestService('sqlite', { env: { DISK_FREE_MIN: least } });
      const response = await fetch(`http://localhost:${on.service.opsPort}/readyz`);
      const text = await response.text();
      assert.equal(response.status, status, `${least}: ${text}`);
      if (status === 503) assert.match(text, /DISK_FREE_MIN/);
      await on.stop();
    }
  });

  test('whose folder is gone makes it not ready, and ends nothing', async () => {
    const on = await startTestService('sqlite');
    rmSync(dirname(on.database.url.slice('file:'.length)), { recursive: true });
    for (let round = 0; round < 3; round += 1) {
      const response = await fetch(`http://localhost:${on.service.opsPort}/readyz`);
      assert.equal(response.status, 503, await response.text());
    }
    await on.stop();
  });

  test('amounts that cannot be read are refused by name', async () => {
    for (const DISK_FREE_MIN of ['100', '-1MB', '100%', 'much', '1.5GB']) {
      const { code, stderr } = await vouchsafe(['config'], folder, { DISK_FREE_MIN });
      assert.equal(code, 2, DISK_FREE_MIN);
      assert.match(stderr, /^DISK_FREE_MIN must be/);
    }
  });
});
