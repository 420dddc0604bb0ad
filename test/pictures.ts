/**
 * Makes the pictures of the documents: runs the tests in a browser, which look at every page, and copies what they saw.
 *
 *   npm run pictures              # runs them first, on SQLite and PostgreSQL
 *   npm run pictures -- --copy    # copies what an earlier run left in test/screenshots/
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PICTURES } from './helpers/pictures.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
if (!process.argv.includes('--copy')) {
  const files = globSync('test/browser/*.test.ts', { cwd: ROOT });
  const env = { ...process.env, SCREENSHOTS: '1' };
  const { status } = spawnSync('npm', ['test', '--', ...files], { cwd: ROOT, env, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
for (const [file, seen] of Object.entries(PICTURES)) {
  copyFileSync(`${ROOT}test/screenshots/${seen}.png`, `${ROOT}docs/${file}.png`);
}
