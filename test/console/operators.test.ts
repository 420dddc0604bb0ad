import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { countOf } from '../helpers/ceremony.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { newMailbox } from '../helpers/common.ts';
import { startTestService, TEST_SECRET, type TestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** Who is an operator: the configuration, and the command line on one's own machine. */

test('OPERATORS and the file name operators in any spelling of their address, and OPERATORS counts', (t) => {
  const operatorsOf = (env: Record<string, string>) => [
    ...loadConfig({ SECRET: TEST_SECRET, ...env }).operators,
  ];
  t.deepEqual(operatorsOf({}), []);
  t.deepEqual(operatorsOf({ OPERATORS: ' Ada@Example.com, bob@example.com,ada@example.com ' }), [
    'ada@example.com',
    'bob@example.com',
  ]);
  t.throws(() => operatorsOf({ OPERATORS: 'ada@example.com, nobody' }), {
    instanceOf: ConfigError,
    message: /^OPERATORS must be mail addresses separated by commas; nobody is none/,
  });
});

onEveryEngine('vouchsafe operator', (engine, test) => {
  let on: TestService;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-operators-'));
    on = await startTestService(engine);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });
  const cli = (args: string[], env: Record<string, string> = {}) =>
    vouchsafe(args, folder, { DATABASE_URL: on.database.url, ...env });

  test('adds, lists and removes operators of this machine, and the audit log knows', async (t) => {
    const mailbox = newMailbox('Ada');
    const canonical = mailbox.toLowerCase();
    const added = await cli(['operator', 'add', mailbox, '--json']);
    t.deepEqual([added.code, JSON.parse(added.stdout)], [0, { mailbox: canonical, added: true }]);
    const again = await cli(['operator', 'add', mailbox]);
    t.deepEqual([again.code, again.stdout], [0, `${canonical} is an operator already.\n`]);
    const listed = await cli(['operator', 'list', '--json'], { OPERATORS: 'bob@example.com' });
    t.deepEqual(JSON.parse(listed.stdout).operators, [
      { mailbox: 'bob@example.com', from: 'configuration' },
      { mailbox: canonical, from: 'database' },
    ]);
    const removed = await cli(['operator', 'remove', mailbox, '--json']);
    t.deepEqual([removed.code, JSON.parse(removed.stdout)], [0, { removed: canonical }]);
    const gone = await cli(['operator', 'remove', mailbox]);
    t.deepEqual([gone.code, gone.stderr], [4, 'There is no such operator.\n']);
    for (const kind of ['operator.added', 'operator.removed']) {
      t.is(await countOf(on, 'events WHERE kind = ?', [kind]), 1, kind);
    }
    t.is(await countOf(on, 'events WHERE details LIKE ?', [`%${canonical}%`]), 0, 'no mailbox in full');
  });

  test('refuses what is no address, an operator of the configuration, and any other machine', async (t) => {
    const cases: [args: string[], env: Record<string, string>, says: RegExp][] = [
      [['add', 'nobody'], {}, /It takes an address such as ada@example\.com/],
      [['remove', 'bob@example.com'], { OPERATORS: 'bob@example.com' }, /take it out of "operators"/],
      [
        ['add', 'ada@example.com'],
        { PUBLIC_URL: 'https://id.example.com', SMTP_URL: 'smtp://mail.example.com' },
        /add the address to "operators" in the file, or to OPERATORS/,
      ],
    ];
    for (const [args, env, says] of cases) {
      const { code, stderr } = await cli(['operator', ...args], env);
      t.is(code, 2, stderr);
      t.regex(stderr, says);
    }
  });
});
