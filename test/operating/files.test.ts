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
import { fileURLToPath } from 'node:url';
import { readDiskSpace, watchDatabaseFile } from '../../src/store/engine/database-file.ts';
import { BARE_ENVIRONMENT } from '../helpers/bare-environment.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { freePort } from '../helpers/free-port.ts';
import { startTestService, TEST_SECRET } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
let folder: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-files-'));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

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
    env: { ...BARE_ENVIRONMENT, ...ports, ...env },
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

test.describe('files that are written', (test) => {
  test('are for their owner alone, also in a folder that was there: database, what lies beside it, copy', async (t) => {
    const cwd = openFolder('modes');
    await whileServing(cwd, { DATABASE_URL: 'file:./v.db' }, () => {
      t.deepEqual(readdirSync(cwd).sort(), ['secret', 'v.db', 'v.db-shm', 'v.db-wal', 'v.db.lock']);
      for (const file of readdirSync(cwd)) t.is(modeOf(join(cwd, file)), '600', file);
    });
    const { code, stderr } = await vouchsafe(['backup', 'copy.db'], cwd, { DATABASE_URL: 'file:./v.db' });
    t.is(code, 0, stderr);
    t.is(modeOf(join(cwd, 'copy.db')), '600');
    t.is((await vouchsafe(['mail', 'preview', 'mails'], cwd)).code, 0);
    t.is(modeOf(join(cwd, 'mails')), '700');
  });
});

test.describe('the secret that is made on this machine', (test) => {
  test('lies beside the database, whatever the current folder', async (t) => {
    const data = openFolder('beside');
    const env = { DATABASE_URL: `file:${join(data, 'v.db')}` };
    const [one, other] = [openFolder('one'), openFolder('other')];
    await whileServing(one, env, () => t.true(existsSync(join(data, 'secret'))));
    const made = statSync(join(data, 'secret')).mtimeMs;
    await whileServing(other, env, () => {});
    t.is(statSync(join(data, 'secret')).mtimeMs, made);
    t.deepEqual([readdirSync(one), readdirSync(other)], [[], []]);
  });

  test('is found where earlier versions kept it, if the database is from then', async (t) => {
    const cwd = openFolder('earlier');
    mkdirSync(join(cwd, 'data'));
    writeFileSync(join(cwd, 'data/secret'), `${TEST_SECRET}\n`);
    const env = { DATABASE_URL: 'file:./elsewhere/v.db' };
    await whileServing(cwd, { ...env, SECRET: TEST_SECRET }, () => {});
    await whileServing(cwd, env, () => t.false(existsSync(join(cwd, 'elsewhere/secret'))));
  });

  test('is made by serve alone: no command writes what it was not asked for', async (t) => {
    const cwd = openFolder('commands');
    for (const [args, code] of [
      [['doctor'], 0],
      [['config'], 0],
      [['backup', 'copy.db'], 1],
      [['check', 'http://127.0.0.1:1'], 1],
      [['--help'], 0],
    ] as const) {
      const ended = await vouchsafe(args, cwd, { SECRET: '' });
      t.is(ended.code, code, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
      t.deepEqual(readdirSync(cwd), [], args.join(' '));
    }
    t.is((await vouchsafe(['agent', 'list'], cwd, { SECRET: '' })).code, 0);
    t.false(existsSync(join(cwd, 'data/secret')));
    const rotated = await vouchsafe(['keys', 'rotate'], cwd, { SECRET: '' });
    t.is(rotated.code, 2);
    t.regex(rotated.stderr, /^SECRET: there is none yet/);
  });
});

test.describe('the file of a running database', (test) => {
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
        t.teardown(stop);
      });
      harm(file);
      const keepAlive = setInterval(() => {}, 1000);
      const { message } = await noticed;
      clearInterval(keepAlive);
      t.is(
        message,
        `DATABASE_URL: the file ${file} ${way.replace(/ \(.*/, '')} while the service ran. Put it back, or restore a backup.`,
      );
    });
  }

  test('the service ends by it, and not by its own writing', async (t) => {
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
    t.is(gone, undefined);
    rmSync(on.database.url.slice('file:'.length));
    await told;
    t.regex(String(gone), /was removed/);
    await on.stop();
  });
});

test.describe('a disk that is almost full', (test) => {
  test('makes the service not ready, by bytes or by share', async (t) => {
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
      t.is(response.status, status, `${least}: ${text}`);
      if (status === 503) t.regex(text, /DISK_FREE_MIN/);
      await on.stop();
    }
  });

  test('whose folder is gone makes it not ready, and ends nothing', async (t) => {
    const on = await startTestService('sqlite');
    rmSync(dirname(on.database.url.slice('file:'.length)), { recursive: true });
    for (let round = 0; round < 3; round += 1) {
      const response = await fetch(`http://localhost:${on.service.opsPort}/readyz`);
      t.is(response.status, 503, await response.text());
    }
    await on.stop();
  });

  test('amounts that cannot be read are refused by name', async (t) => {
    for (const DISK_FREE_MIN of ['100', '-1MB', '100%', 'much', '1.5GB']) {
      const { code, stderr } = await vouchsafe(['config'], folder, { DISK_FREE_MIN });
      t.is(code, 2, DISK_FREE_MIN);
      t.regex(stderr, /^DISK_FREE_MIN must be/);
    }
  });
});
