import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { withLock } from '../../src/client/store-lock.ts';
import { codeOf } from '../helpers/code-of.ts';
import { test } from '../helpers/suite.ts';

const LOCK = fileURLToPath(new URL('../../src/client/store-lock.ts', import.meta.url));

function newFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-lock-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Another process that takes the lock, and holds it until it is killed. */
async function holdElsewhere(t: ExecutionContext, folder: string) {
  const program = `import { withLock } from ${JSON.stringify(LOCK)};
    await withLock(${JSON.stringify(folder)}, () => { console.log('held'); return new Promise((resolve) => setTimeout(resolve, 60_000)); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return {
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

test('one process at a time works in a folder: another waits two seconds, and is told', async (t) => {
  const folder = newFolder(t);
  const other = await holdElsewhere(t, folder);
  const start = performance.now();
  t.is(await codeOf(() => withLock(folder, () => {})), 'STORE_BUSY');
  t.true(performance.now() - start >= 2000);
  await other.kill();
});

test('the lock of a process that was killed is taken over at once', async (t) => {
  const folder = newFolder(t);
  const other = await holdElsewhere(t, folder);
  await other.kill();
  t.true(existsSync(join(folder, '.lock')));
  const start = performance.now();
  t.is(await withLock(folder, () => 'done'), 'done');
  t.true(performance.now() - start < 1000);
  t.deepEqual(readdirSync(folder), []);
});

test('of sixteen that find the lock of a dead process each works alone', async (t) => {
  const folder = newFolder(t);
  await (await holdElsewhere(t, folder)).kill();
  let working = 0;
  let done = 0;
  await Promise.all(
    Array.from({ length: 16 }, () =>
      withLock(folder, async () => {
        working += 1;
        t.is(working, 1);
        await new Promise((resolve) => setTimeout(resolve, 5));
        working -= 1;
        done += 1;
      }),
    ),
  );
  t.is(done, 16);
  t.deepEqual(readdirSync(folder), []);
});

test('a lock that names another machine, or no process, is taken over after thirty seconds', async (t) => {
  const owner = { pid: 1, started: '1', host: 'elsewhere', token: 'x' };
  for (const text of [JSON.stringify(owner), '{']) {
    const folder = newFolder(t);
    const lock = join(folder, '.lock');
    mkdirSync(lock, { mode: 0o700 });
    writeFileSync(join(lock, 'owner.json'), text, { mode: 0o600 });
    const age = (seconds: number) => utimesSync(lock, new Date(), new Date(Date.now() - seconds * 1000));
    age(20);
    t.is(await codeOf(() => withLock(folder, () => {})), 'STORE_BUSY', text);
    age(31);
    t.is(await codeOf(() => withLock(folder, () => {})), undefined, text);
  }
});

test('a process that was killed before it had the lock keeps nobody waiting, and nothing of it stays', async (t) => {
  const folder = newFolder(t);
  const dead = join(folder, '.lock.dead');
  const nameless = join(folder, '.lock.nameless');
  await withLock(folder, () => {
    const owner = JSON.parse(readFileSync(join(folder, '.lock', 'owner.json'), 'utf8'));
    mkdirSync(dead, { mode: 0o700 });
    writeFileSync(join(dead, 'owner.json'), JSON.stringify({ ...owner, started: '1' }), { mode: 0o600 });
  });
  mkdirSync(nameless, { mode: 0o700 });
  const start = performance.now();
  await withLock(folder, () => t.deepEqual(readdirSync(folder).toSorted(), ['.lock', '.lock.nameless']));
  t.true(performance.now() - start < 1000);
  // It may be a process that is about to write its name.
  utimesSync(nameless, new Date(), new Date(Date.now() - 31_000));
  await withLock(folder, () => t.deepEqual(readdirSync(folder), ['.lock']));
});

test('a process whose number was taken by another is dead; one that was taken over does not release the new lock', async (t) => {
  const folder = newFolder(t);
  const lock = join(folder, '.lock');
  await withLock(folder, async () => {
    const path = join(lock, 'owner.json');
    const owner = JSON.parse(readFileSync(path, 'utf8'));
    t.is(owner.pid, process.pid);
    writeFileSync(path, JSON.stringify({ ...owner, started: '1', token: 'earlier' }));
    await withLock(folder, () => {});
    mkdirSync(lock, { mode: 0o700 });
    writeFileSync(path, JSON.stringify({ ...owner, token: 'later' }), { mode: 0o600 });
  });
  t.true(existsSync(lock));
});
