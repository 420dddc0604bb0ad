import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { EVENT_KINDS, recordEvent } from '../../src/domain/audit/audit-log.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { openMigrated } from '../../src/store/engine/open.ts';
import { localOrigin } from '../../src/work.ts';
import { BARE_ENVIRONMENT } from '../helpers/bare-environment.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { createTestDatabase, TEST_SECRET, type TestDatabase } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

onEveryEngine('commands that are repeated, and commands that list', (engine, test) => {
  let database: TestDatabase;
  let folder: string;
  const run = (...args: string[]) => vouchsafe(args, folder, { DATABASE_URL: database.url });
  const json = async (t: ExecutionContext, ...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    t.is(code, 0, stderr);
    return JSON.parse(stdout);
  };

  test.before(async () => {
    database = await createTestDatabase(engine);
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-commands-'));
  });
  test.after(async () => {
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('the same resource server added again stays one, with its secret', async (t) => {
    const add = ['resource', 'add', 'https://api.example.com', '--name', 'API'];
    const first = await json(t, ...add);
    t.regex(first.client_secret, /^rss_/);
    const again = await json(t, ...add);
    t.is(again.client_id, first.client_id);
    t.is(again.client_secret, undefined);
    t.regex((await run(...add)).stdout, /there already/);

    const rotated = await json(t, ...add, '--rotate');
    t.is(rotated.client_id, first.client_id);
    t.regex(rotated.client_secret, /^rss_/);
    t.not(rotated.client_secret, first.client_secret);
    t.is((await json(t, 'resource', 'list')).resources.length, 1);
    t.is((await run('events', '--kind', 'resource.rotated')).stdout.trim().split('\n').length, 1);

    // Another URL or name is another one; other scopes under the same two are a contradiction.
    const narrower = await run(...add, '--scopes', 'read');
    t.is(narrower.code, 2);
    t.regex(narrower.stderr, /other scopes/);
    await json(t, 'resource', 'add', 'https://api.example.com', '--name', 'Another', '--scopes', 'read');
    t.is((await json(t, 'resource', 'list')).resources.length, 2);
  });

  test('removing twice, and migrating twice, say that there is nothing to do', async (t) => {
    const { client_id } = await json(t, 'resource', 'add', 'https://gone.example.com', '--name', 'Gone');
    t.is((await run('resource', 'remove', client_id)).code, 0);
    t.is((await run('resource', 'remove', client_id)).code, 4);
    t.deepEqual(await json(t, 'migrate'), { applied: [] });
  });

  test('the audit comes whole, and says where it was cut', async (t) => {
    const { db } = await openMigrated(
      engine === 'sqlite'
        ? { kind: 'sqlite', file: database.url.slice('file:'.length) }
        : { kind: 'postgres', url: database.url, prepared: true },
      (cause) => t.fail(String(cause)),
    );
    const deps = { random: systemRandom };
    const origin = localOrigin('test');
    const begin = systemClock();
    await db.tx(async (tx) => {
      for (let index = 0; index < 2500; index += 1) {
        await recordEvent(
          { tx, now: begin + index, deps, origin },
          { kind: 'limit.hit', subject: `n${index}` },
        );
      }
    });
    await db.close();
    const lines = (stdout: string) =>
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));

    const all = await run('events', '--kind', 'limit.hit');
    t.is(lines(all.stdout).length, 2500);
    t.is(all.stderr, '');
    const cut = await run('events', '--kind', 'limit.hit', '--limit', '7');
    t.is(lines(cut.stdout).length, 7);
    t.is(cut.stderr.trim(), `There are more. Go on with --after ${lines(cut.stdout).at(-1).id}`);
    const rest = await run('events', '--kind', 'limit.hit', '--after', lines(cut.stdout).at(-1).id);
    t.is(lines(rest.stdout)[0].subject, 'n7');

    const iso = (ms: number) => new Date(ms).toISOString();
    const some = await run(
      'events',
      '--kind',
      'limit.hit',
      '--since',
      iso(begin + 100),
      '--until',
      iso(begin + 200),
    );
    t.deepEqual(
      [lines(some.stdout)[0].subject, lines(some.stdout).at(-1).subject, lines(some.stdout).length],
      ['n100', 'n199', 100],
    );
  });

  test('kinds are listed, and one that is not known is refused with the nearest', async (t) => {
    t.deepEqual((await run('events', '--kinds')).stdout.trim().split('\n'), [...EVENT_KINDS]);
    const wrong = await run('events', '--kind', 'claim.complete');
    t.is(wrong.code, 2);
    t.is(wrong.stdout, '');
    t.regex(wrong.stderr, /Did you mean claim\.completed\?/);
    for (const args of [
      ['events', '--until', 'soon'],
      ['events', '--since', 'x'],
      ['events', '--limit', '0'],
      ['agent', 'list', '--limit', 'all'],
    ]) {
      t.is((await run(...args)).code, 2, args.join(' '));
    }
  });

  test('a reader that has had enough ends the command without complaint', async (t) => {
    const child = spawn(process.execPath, [CLI, 'events'], {
      cwd: folder,
      env: { ...BARE_ENVIRONMENT, SECRET: TEST_SECRET, DATABASE_URL: database.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const [code] = await once(child, 'close');
    t.is(code, 0);
    t.is(said, '');
  });
});
