import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EVENT_KINDS, localOrigin, record } from '../../src/domain/audit/audit-log.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { openMigrated } from '../../src/store/engine/open.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { createTestDatabase, onEveryEngine, TEST_SECRET, type TestDatabase } from '../helpers/service.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

onEveryEngine('commands that are repeated, and commands that list', (engine) => {
  let database: TestDatabase;
  let folder: string;
  const run = (...args: string[]) => vouchsafe(args, folder, { DATABASE_URL: database.url });
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };

  before(async () => {
    database = await createTestDatabase(engine);
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-commands-'));
  });
  after(async () => {
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('the same resource server added again stays one, with its secret', async () => {
    const add = ['resource', 'add', 'https://api.example.com', '--name', 'API'];
    const first = await json(...add);
    assert.match(first.client_secret, /^rss_/);
    const again = await json(...add);
    assert.equal(again.client_id, first.client_id);
    assert.equal(again.client_secret, undefined);
    assert.match((await run(...add)).stdout, /there already/);

    const rotated = await json(...add, '--rotate');
    assert.equal(rotated.client_id, first.client_id);
    assert.match(rotated.client_secret, /^rss_/);
    assert.notEqual(rotated.client_secret, first.client_secret);
    assert.equal((await json('resource', 'list')).resources.length, 1);
    assert.equal((await run('events', '--kind', 'resource.rotated')).stdout.trim().split('\n').length, 1);

    // Another URL or name is another one; other scopes under the same two are a contradiction.
    const narrower = await run(...add, '--scopes', 'read');
    assert.equal(narrower.code, 2);
    assert.match(narrower.stderr, /other scopes/);
    await json('resource', 'add', 'https://api.example.com', '--name', 'Another', '--scopes', 'read');
    assert.equal((await json('resource', 'list')).resources.length, 2);
  });

  test('removing twice, and migrating twice, say that there is nothing to do', async () => {
    const { client_id } = await json('resource', 'add', 'https://gone.example.com', '--name', 'Gone');
    assert.equal((await run('resource', 'remove', client_id)).code, 0);
    assert.equal((await run('resource', 'remove', client_id)).code, 4);
    assert.deepEqual(await json('migrate'), { applied: [] });
  });

  test('the audit comes whole, and says where it was cut', async () => {
    const { db } = await openMigrated(
      engine === 'sqlite'
        ? { kind: 'sqlite', file: database.url.slice('file:'.length) }
        : { kind: 'postgres', url: database.url, prepared: true },
      (cause) => assert.fail(String(cause)),
    );
    const deps = { random: systemRandom };
    const begin = systemClock();
    await db.tx(async (tx) => {
      for (let index = 0; index < 2500; index += 1) {
        await record(tx, deps, localOrigin('test'), begin + index, {
          kind: 'limit.hit',
          subject: `n${index}`,
        });
      }
    });
    await db.close();
    const lines = (stdout: string) =>
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));

    const all = await run('events', '--kind', 'limit.hit');
    assert.equal(lines(all.stdout).length, 2500);
    assert.equal(all.stderr, '');
    const cut = await run('events', '--kind', 'limit.hit', '--limit', '7');
    assert.equal(lines(cut.stdout).length, 7);
    assert.equal(cut.stderr.trim(), `There are more. Go on with --after ${lines(cut.stdout).at(-1).id}`);
    const rest = await run('events', '--kind', 'limit.hit', '--after', lines(cut.stdout).at(-1).id);
    assert.equal(lines(rest.stdout)[0].subject, 'n7');

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
    assert.deepEqual(
      [lines(some.stdout)[0].subject, lines(some.stdout).at(-1).subject, lines(some.stdout).length],
      ['n100', 'n199', 100],
    );
  });

  test('kinds are listed, and one that is not known is refused with the nearest', async () => {
    assert.deepEqual((await run('events', '--kinds')).stdout.trim().split('\n'), [...EVENT_KINDS]);
    const wrong = await run('events', '--kind', 'claim.complete');
    assert.equal(wrong.code, 2);
    assert.equal(wrong.stdout, '');
    assert.match(wrong.stderr, /Did you mean claim\.completed\?/);
    for (const args of [
      ['events', '--until', 'soon'],
      ['events', '--since', 'x'],
      ['events', '--limit', '0'],
      ['agent', 'list', '--limit', 'all'],
    ]) {
      assert.equal((await run(...args)).code, 2, args.join(' '));
    }
  });

  test('a reader that has had enough ends the command without complaint', async () => {
    const child = spawn(process.execPath, [CLI, 'events'], {
      cwd: folder,
      env: { SECRET: TEST_SECRET, DATABASE_URL: database.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    assert.equal(said, '');
  });
});
