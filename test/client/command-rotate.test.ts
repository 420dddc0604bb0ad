import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { endTerminal, listLiveTerminals } from '../../src/domain/permissions/terminals.ts';
import { asker } from '../helpers/api-keys.ts';
import { connectByCode, copyStore, homeOf, personAtHome } from '../helpers/auth-people.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { noTerminals } from '../helpers/terminal.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

/** `vouchsafe auth rotate`: a new session key, whatever happens on the way. */

const DYING = `--import=${new URL('../helpers/dying-steps.mjs', import.meta.url).href}`;

onEveryEngine('rotating a session key', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { clock: REAL_CLOCK, limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.url);
  });
  test.after(() => on.stop());

  const ask = () => ['request', '--service', on.url, '--cap', 'api:default:documents/:read'];

  test('the profile goes on with what was granted, a token of the old key works on, and the old key ends at the first use of the new one', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const { stdout } = await bot.auth(ask());
    const granted = await ann.auth(['grant', '-', '--yes'], { stdin: stdout });
    const copy = homeOf(t);
    await bot.json(t, ['retry', '--last']);
    copyStore(bot, copy);
    const { access_token: token } = await bot.json(t, ['token']);
    const before = await bot.json(t, ['status']);

    const rotated = await bot.json(t, ['rotate']);
    t.like(rotated, { rotated: true, profile: 'default', old_thumbprint: before.thumbprint });
    t.true(Date.parse(rotated.old_ends_at) > Date.now() + 500_000);
    t.is((await copy.json(t, ['caps'])).granted.length, 1, 'the old key works until the new one is used');
    t.is((await bot.json(t, ['whoami'])).thumbprint, rotated.thumbprint);
    await copy.fails(t, ['caps'], 3, 'SESSION_KEY_ENDED');
    t.true((await api.ask(token)).body.active);
    t.like(await bot.json(t, ['import', '-'], { stdin: granted.stdout }), { kind: 'grant' });
    t.is((await bot.json(t, ['caps'])).granted.length, 1);
  });

  test('killed at each of its steps, the profile goes on working, with one key and nothing left behind', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const { stdout } = await bot.auth(ask());
    t.is((await ann.auth(['grant', '-', '--yes'], { stdin: stdout })).code, 0);
    await bot.json(t, ['retry', '--last']);
    const folder = join(bot.store, 'profiles/default');
    const keys: string[] = [];
    for (let step = 1; ; step += 1) {
      // It takes over the lock of the one that died before, so that each begins at the same point.
      t.is((await bot.auth(['import', '-'], { stdin: stdout })).code, 0, `step ${step}`);
      const env = { NODE_OPTIONS: DYING, VOUCHSAFE_DIE_AT: String(step) };
      const ended = await bot.auth(['rotate'], { env });
      if (ended.code === 0) break;
      t.is(ended.code, -1, `step ${step}: ${ended.stderr}`);
      t.is((await bot.json(t, ['caps'])).granted.length, 1, `step ${step}`);
      t.false(readdirSync(folder).includes('key.next.json'), `step ${step}`);
      keys.push(JSON.parse(readFileSync(join(folder, 'key.json'), 'utf8')).x);
    }
    const [first] = keys;
    const before = keys.filter((key) => key === first).length;
    t.true(before >= 5, `died ${before} times before the service knew the next key`);
    t.true(new Set(keys).size >= 5, `died ${new Set(keys).size} times after it did`);
    await bot.json(t, ['rotate']);
    const left = readdirSync(folder).filter((name) => name.startsWith('.'));
    // Who died before it wrote its name might live: its folder is swept half a minute later.
    const isNameless = (name: string) =>
      readdirSync(join(folder, name)).every((file) => readFileSync(join(folder, name, file), 'utf8') === '');
    t.deepEqual(
      left.filter((name) => !isNameless(name)),
      [],
    );
  });

  test('of sixteen rotations at once all end well or say why, and the profile goes on', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const { stdout } = await bot.auth(ask());
    t.is((await ann.auth(['grant', '-', '--yes'], { stdin: stdout })).code, 0);
    const ended = await Promise.all(Array.from({ length: 16 }, () => bot.auth(['rotate'])));
    for (const { code, stderr } of ended) {
      t.true(
        code === 0 ||
          ['STORE_BUSY', 'SESSION_KEY_ENDED', 'REQUEST_CONFLICT'].some((each) => stderr.includes(each)),
        stderr,
      );
    }
    t.true(ended.some(({ code }) => code === 0));
    t.is((await bot.json(t, ['caps'])).granted.length, 1);
  });

  test('where the service does not know the key any more it is said; a person signs the profile in again', async (t) => {
    const ann = await personAtHome(t, on, places);
    const { thumbprint } = await ann.json(t, ['status']);
    await endTerminal(on.service.deps, asker, ann.id, thumbprint, { endsGrants: false });
    await ann.fails(t, ['whoami'], 3, 'SESSION_KEY_ENDED');
    await ann.fails(t, ['rotate'], 3, 'SESSION_KEY_ENDED');
    if (noTerminals !== undefined) return;
    const asked = ann.atTerminal(t, ['rotate', '--no-popup'], { stdout: join(ann.folder, 'out') });
    await asked.shows(/code: \S+/);
    await connectByCode(on, asked.shown().split('code:')[1]!, ann.id);
    t.is(await asked.ended, 0, asked.shown());
    const status = await ann.json(t, ['whoami']);
    t.like(status, { authenticated: true, kind: 'human', account: ann.id });
    t.not(status.thumbprint, thumbprint);
  });

  test('an agent whose session key was ended gets another one by its own key, at a terminal or with --paste', async (t) => {
    const bot = homeOf(t);
    await bot.json(t, ['login', '--service', on.url, '--method', 'agent']);
    await bot.json(t, [...ask(), '--send']);
    const before = await bot.json(t, ['whoami']);
    const copy = homeOf(t);
    copyStore(bot, copy);
    // Somebody else ends the key: the profile is as it was.
    await copy.json(t, ['logout']);
    await bot.fails(t, ['whoami'], 3, 'SESSION_KEY_ENDED');
    await bot.fails(t, ['rotate'], 3, 'SESSION_KEY_ENDED');
    const after = await bot.json(t, ['rotate', '--paste']);
    t.like(after, { authenticated: true, kind: 'agent', agent_id: before.agent_id });
    t.not(after.thumbprint, before.thumbprint);
    await bot.json(t, [...ask(), '--send']);
    t.like(await bot.json(t, ['whoami']), { agent_id: before.agent_id, thumbprint: after.thumbprint });
  });

  test('whoever copied a home acts with it until its person ends that: then within a second with nothing', async (t) => {
    const ann = await personAtHome(t, on, places);
    const bot = homeOf(t);
    const first = await bot.auth(ask());
    await ann.json(t, [...ask(), '--grant', '--yes']);
    const thief = homeOf(t);
    copyStore(ann, thief);
    // What a thief can do: read whose it is and what it holds, get tokens, and grant within the bound.
    t.is((await thief.json(t, ['whoami'])).account, ann.id);
    t.is((await thief.json(t, ['caps'])).granted.length, 1);
    const { access_token: token } = await thief.json(t, ['token']);
    t.is((await thief.auth(['grant', '-', '--yes'], { stdin: first.stdout })).code, 0);
    t.true((await bot.json(t, ['retry', '--last'])).covered);
    // What not: more than the bound.
    const more = await bot.auth(['request', '--cap', 'api:default:documents/:write']);
    await thief.fails(t, ['grant', '-', '--yes'], 5, 'REQUEST_UNKNOWN', { stdin: more.stdout });

    // And take the key over: then its person notices, and is mailed.
    await thief.json(t, ['rotate']);
    await thief.json(t, ['whoami']);
    await ann.fails(t, ['whoami'], 3, 'SESSION_KEY_ENDED');
    const [listed, ...others] = await listLiveTerminals(on.service.deps, ann.id);
    t.is(others.length, 0, 'the account page has one terminal, the one that acts');
    await endTerminal(on.service.deps, asker, ann.id, listed!.row.thumbprint, { endsGrants: true });
    const endedAt = performance.now();
    t.false((await api.ask(token)).body.active);
    t.true(performance.now() - endedAt < 1000);
    for (const args of [['whoami'], ['caps'], ['token'], ['rotate'], ['grant', '-', '--yes']]) {
      await thief.fails(t, args, 3, 'SESSION_KEY_ENDED', { stdin: first.stdout });
    }
    await bot.fails(t, ['token'], 5, 'PERMISSIONS_MISSING');
    t.false((await bot.json(t, ['retry', '--last'])).covered);
  });
});
