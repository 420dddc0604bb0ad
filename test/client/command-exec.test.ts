import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { AuthHome } from '../helpers/auth-home.ts';
import { homeOf, type PersonAtHome, personAtHome } from '../helpers/auth-people.ts';
import { BARE_ENVIRONMENT } from '../helpers/bare-environment.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { noTerminals } from '../helpers/terminal.ts';
import { addTreeApi, openPlaces } from '../helpers/workspaces.ts';

/** `vouchsafe auth retry --exec`: what was captured here runs once it may, and nothing that travelled. */

onEveryEngine('a captured command', (engine, test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { clock: REAL_CLOCK, limits: { permissionsPerIp: '100000/h' } });
    await addTreeApi(on, on.url);
  });
  test.after(() => on.stop());

  const ask = () => ['request', '--service', on.url, '--cap', 'api:default:documents/:read'];
  /** A folder of programs in front of all others: `show` writes its arguments to a file. */
  function programs(home: AuthHome) {
    const folder = join(home.folder, 'bin');
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'show');
    writeFileSync(
      file,
      '#!/bin/sh\nfor each in "$0" "$@" "profile=$VOUCHSAFE_PROFILE"; do printf "%s\\0" "$each"; done >> shown\nexit 23\n',
    );
    chmodSync(file, 0o755);
    return { file, env: { PATH: `${folder}:${BARE_ENVIRONMENT.PATH}` } };
  }
  const shownBy = (home: AuthHome) =>
    readFileSync(join(home.folder, 'shown'), 'utf8').split('\0').slice(1, -1);
  async function granted(t: ExecutionContext, command: string[]) {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const { file, env } = programs(bot);
    const { stdout } = await bot.auth([...ask(), '--', ...command], { env });
    await grant(t, ann, stdout);
    return { ann, bot, file, env, id: JSON.parse(stdout).id as string };
  }
  async function grant(t: ExecutionContext, ann: PersonAtHome, stdin: string) {
    const { code, stderr } = await ann.auth(['grant', '-', '--yes'], { stdin });
    t.is(code, 0, stderr);
  }

  test('it runs once all is granted, with its arguments as they were, and its exit code is ours', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const { env } = programs(bot);
    const hostile = [
      'a b',
      '; touch pwned',
      '$(touch pwned)',
      '`touch pwned`',
      'two\nlines',
      "it's",
      '--yes',
      '*',
      '',
    ];
    const { stdout } = await bot.auth([...ask(), '--', 'show', ...hostile], { env });
    t.false(stdout.includes('pwned'), 'the command does not travel');
    const early = await bot.fails(t, ['retry', '--last', '--exec', '--yes'], 5, 'PERMISSIONS_MISSING', {
      env,
    });
    t.regex(early.hint!, /^vouchsafe auth retry prq_/);
    await grant(t, ann, stdout);
    t.deepEqual((await bot.json(t, ['retry', '--last'], { env })).command, ['show', ...hostile]);
    await bot.fails(t, ['retry', '--last', '--exec'], 2, 'CONFIRMATION_REQUIRED', { env });
    t.false(existsSync(join(bot.folder, 'shown')));
    const ran = await bot.auth(['retry', '--last', '--exec', '--yes'], { env });
    t.is(ran.code, 23, ran.stderr);
    t.is(ran.stdout, '', 'stdout is that of the command');
    t.deepEqual(shownBy(bot), [...hostile, 'profile=default']);
    t.false(existsSync(join(bot.folder, 'pwned')));
  });

  test('a signal that ends it is told; no program, no capture', async (t) => {
    const { bot, env } = await granted(t, ['sh', '-c', 'kill -9 $$']);
    await bot.fails(t, ['retry', '--last', '--exec', '--yes'], 1, 'COMMAND_SIGNAL', { env });
    await bot.fails(t, [...ask(), '--', 'no-such-program'], 2, 'COMMAND_NOT_CAPTURED');
    const other = homeOf(t);
    await other.json(t, ask());
    await other.fails(t, ['retry', '--last', '--exec', '--yes'], 2, 'COMMAND_NOT_CAPTURED');
  });

  test('it does not run where its words mean another program now, or its folder is gone', async (t) => {
    const { bot, env, file } = await granted(t, ['show']);
    const front = join(bot.folder, 'front');
    mkdirSync(front);
    writeFileSync(join(front, 'show'), '#!/bin/sh\ntouch pwned\n');
    chmodSync(join(front, 'show'), 0o755);
    const changed = { env: { PATH: `${front}:${env.PATH}` } };
    await bot.fails(t, ['retry', '--last', '--exec', '--yes'], 5, 'COMMAND_CHANGED', changed);
    t.false(existsSync(join(bot.folder, 'pwned')));
    renameSync(file, `${file}.away`);
    await bot.fails(t, ['retry', '--last', '--exec', '--yes'], 5, 'COMMAND_CHANGED', { env });
    renameSync(`${file}.away`, file);
    t.is((await bot.auth(['retry', '--last', '--exec', '--yes'], { env })).code, 23);
  });

  test('what came in a file never runs, whatever it says', async (t) => {
    const { ann, bot, id } = await granted(t, ['show']);
    const { stdout } = await bot.auth([
      ...ask().slice(0, 3),
      '--cap',
      'api:default:x/:read',
      '--',
      'touch',
      'pwned',
    ]);
    const other = homeOf(t);
    await other.json(t, ask());
    const { request_id } = await other.json(t, ['import', '-'], { stdin: stdout });
    await other.fails(t, ['retry', request_id, '--exec', '--yes'], 5, 'COMMAND_NOT_OURS');
    t.is((await other.json(t, ['retry', '--last'])).command, null);
    const artifact = JSON.parse(stdout);
    const laced = JSON.stringify({ ...artifact, command: { argv: ['touch', 'pwned'], cwd: '/' } });
    await other.fails(t, ['import', '-'], 2, 'INVALID_REQUEST_ARTIFACT', { stdin: laced });
    await ann.fails(t, ['grant', '-', '--yes'], 2, 'INVALID_REQUEST_ARTIFACT', { stdin: laced });
    t.false(existsSync(join(other.folder, 'pwned')));
    t.not(id, request_id);
  });

  test.skipIf(noTerminals)('at a terminal it is shown in full, and asked', async (t) => {
    const { bot, env, file } = await granted(t, ['show', 'a b', '\u001b[2Jx', '\u202egnp']);
    const asked = bot.atTerminal(t, ['retry', '--last', '--exec'], {}, env);
    await asked.shows(/Run it\? \[y\/N\]/);
    t.true(asked.shown().includes(String.raw`show 'a b' $'\u001b[2Jx' $'\u202egnp'`), asked.shown());
    t.true(asked.shown().includes(file));
    asked.type('no\n');
    t.is(await asked.ended, 1);
    const again = bot.atTerminal(t, ['retry', '--last', '--exec'], {}, env);
    await again.shows(/\[y\/N\]/);
    again.type('yes\n');
    t.is(await again.ended, 23);
    t.deepEqual(shownBy(bot), ['a b', '\u001b[2Jx', '\u202egnp', 'profile=default']);
  });
});
