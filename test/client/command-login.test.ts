import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { denyPermissions } from '../../src/domain/permissions/decide-request.ts';
import { findRequestOfCode } from '../../src/domain/permissions/request-codes.ts';
import { listLiveTerminals } from '../../src/domain/permissions/terminals.ts';
import { asker } from '../helpers/api-keys.ts';
import { connectByCode, homeOf, personAtHome } from '../helpers/auth-people.ts';
import { BARE_ENVIRONMENT } from '../helpers/bare-environment.ts';
import { newMailbox } from '../helpers/common.ts';
import { newPerson } from '../helpers/permissions.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { noTerminals } from '../helpers/terminal.ts';
import { addTreeApi, openPlaces } from '../helpers/workspaces.ts';

/** How a profile signs in: as a person, as a new agent, with the key of an agent; and out. */

onEveryEngine('signing a profile in', (engine, test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { clock: REAL_CLOCK, limits: { permissionsPerIp: '100000/h' } });
    await addTreeApi(on, on.url);
  });
  test.after(() => on.stop());

  async function refuseByCode(shown: string, accountId: string) {
    const code = /[A-Z2-9]{4}-[A-Z2-9]{4}/.exec(shown)![0];
    const row = await findRequestOfCode(on.service.deps, code);
    await denyPermissions(on.service.deps, asker, row!.id, accountId);
  }

  const ask = () => ['request', '--service', on.url, '--cap', 'api:default:documents/:read'];

  test('without a terminal a new agent is registered, its key is in a file of its own, and its first request binds the session key', async (t) => {
    const bot = homeOf(t);
    const mailbox = newMailbox();
    const ended = await bot.auth(['login', '--service', on.url, '--method', 'agent', '--email', mailbox]);
    t.is(ended.code, 0, ended.stderr);
    t.is((await on.mailTo(mailbox)).to, mailbox, 'the owner of the mailbox is asked');
    const status = JSON.parse(ended.stdout);
    t.like(status, { authenticated: true, kind: 'agent', service: on.url });
    const file = join(bot.store, 'profiles/default/credential.json');
    t.is(statSync(file).mode & 0o777, 0o600);
    const { credential } = JSON.parse(readFileSync(file, 'utf8'));
    t.regex(credential, /^sk_/);
    t.false((ended.stdout + ended.stderr).includes(credential));
    await bot.json(t, [...ask(), '--send']);
    t.like(await bot.json(t, ['whoami']), {
      kind: 'agent',
      agent_id: status.agent_id,
      account: status.account,
    });
    t.like(await bot.json(t, ['login', '--service', on.url, '--profile', 'other']), { profile: 'other' });
    t.is((await bot.json(t, ['status'])).agent_id, status.agent_id, 'no verb looks into another profile');
    t.not((await bot.json(t, ['status'], { env: { VOUCHSAFE_PROFILE: 'other' } })).agent_id, status.agent_id);
    await bot.fails(t, ['login', '--method', 'browser', '--email', mailbox], 2, 'INVALID_USAGE');

    await bot.json(t, ['logout']);
    t.deepEqual(readdirSync(join(bot.store, 'profiles/default')).sort(), ['profile.json', 'requests.json']);
    await bot.fails(t, ['whoami'], 3, 'NO_KEY');
    t.like(await bot.json(t, ['status']), { authenticated: false, agent_id: null, thumbprint: null });
  });

  test('the key of an agent comes from stdin or a terminal that does not show it, and is checked', async (t) => {
    const { credential, agent_id } = await on.register();
    const bot = homeOf(t);
    const args = ['login', '--service', on.url, '--method', 'key'];
    t.like(await bot.json(t, args, { stdin: `${credential}\n` }), { kind: 'agent', agent_id });
    await bot.fails(t, args, 2, 'INVALID_USAGE', { stdin: '' });
    for (const method of ['key', 'agent', 'browser']) {
      await bot.fails(t, ['login', '--method', method], 2, 'INVALID_USAGE', { stdin: credential });
    }
    t.is((await bot.json(t, ['status'])).agent_id, agent_id, 'its key may be nowhere else');
    await homeOf(t).fails(t, args, 3, 'AUTH_REQUIRED', { stdin: `${credential.slice(0, -1)}x` });
    if (noTerminals !== undefined) return;
    const other = homeOf(t);
    const typed = other.atTerminal(t, args);
    await typed.shows(/Key of the agent: /);
    typed.type(`${credential}x\x7f\r`);
    t.is(await typed.ended, 0, typed.shown());
    t.false(typed.shown().includes(credential.slice(0, 12)));
    t.is((await other.json(t, ['status'])).agent_id, agent_id);
  });

  test.skipIf(noTerminals)(
    'at a terminal a person signs in, by a browser unless it is not wanted; the link has no code',
    async (t) => {
      const bin = join(homeOf(t).folder, 'bin');
      mkdirSync(bin);
      writeFileSync(join(bin, 'xdg-open'), '#!/bin/sh\nprintf "%s" "$*" > opened\n');
      chmodSync(join(bin, 'xdg-open'), 0o755);
      const env = { PATH: `${bin}:${BARE_ENVIRONMENT.PATH}` };
      for (const more of [[], ['--no-popup'], ['--no-popup', '--paste']]) {
        const [home, person] = [homeOf(t), await newPerson(places)];
        const signing = home.atTerminal(t, ['login', '--service', on.url, ...more], {}, env);
        await signing.shows(/code: \S+/);
        t.true(signing.shown().includes(`${on.url}/permissions `), 'the page, without a code');
        await connectByCode(on, signing.shown().split('code:')[1]!, person.id);
        if (more.includes('--paste')) {
          await signing.shows(/Paste/);
          signing.type('\x04');
        }
        t.is(await signing.ended, 0, signing.shown());
        t.is(existsSync(join(home.folder, 'opened')), more.length === 0);
        if (more.length === 0)
          t.is(readFileSync(join(home.folder, 'opened'), 'utf8'), `${on.url}/permissions`);
        t.is((await home.json(t, ['whoami'])).account, person.id);
      }
    },
  );

  test('a login over a key that is somebody’s makes another key; a login that is refused says so', async (t) => {
    const ann = await personAtHome(t, on, places);
    const { thumbprint } = await ann.json(t, ['status']);
    const decided: Promise<void>[] = [];
    const login = ['login', '--method', 'browser'];
    const again = await ann.json(t, login, {
      onStderr(stderr) {
        if (/code: \S+\n/.test(stderr) && decided.length === 0)
          decided.push(connectByCode(on, stderr, ann.id));
      },
    });
    await ann.fails(t, login, 5, 'REQUEST_DENIED', {
      onStderr(stderr) {
        if (/code: \S+\n/.test(stderr) && decided.length === 1) decided.push(refuseByCode(stderr, ann.id));
      },
    });
    await Promise.all(decided);
    t.like(await ann.json(t, ['status']), { authenticated: false, account: null });
    t.is((await listLiveTerminals(on.service.deps, ann.id)).length, 0, 'no key stays behind that nobody has');
    t.not(again.thumbprint, thumbprint);
    t.like(again, { authenticated: true, account: ann.id });
  });

  test('history has the last twenty grants, oldest first', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const { stdout } = await bot.auth(ask());
    await ann.auth(['grant', '-', '--yes'], { stdin: stdout });
    await bot.json(t, ['retry', '--last']);
    const file = join(bot.store, 'profiles/default/grants.jsonl');
    const line = JSON.parse(readFileSync(file, 'utf8'));
    const ids = Array.from({ length: 25 }, (_, index) => `grt_${String(index).padStart(4, '0')}`);
    writeFileSync(
      file,
      ids.map((id) => `${JSON.stringify({ ...line, grant: { ...line.grant, id } })}\n`).join(''),
    );
    const { grants } = await bot.json(t, ['caps', '--history']);
    t.deepEqual(
      grants.map(({ id }: { id: string }) => id),
      ids.slice(5),
    );
  });
});
