import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { homeOf, personAtHome } from '../helpers/auth-people.ts';
import { givenBy, newPerson } from '../helpers/permissions.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { noTerminals } from '../helpers/terminal.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

/** `vouchsafe auth …` as a person and an agent use it, each in a home of their own, with files between them. */

const SPEC = 'vouchsafe.api:default:documents/:read';

onEveryEngine('the client command line', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { clock: REAL_CLOCK, limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.url);
  });
  test.after(() => on.stop());

  const ask = (spec = SPEC) => ['request', '--service', on.url, '--cap', spec];

  test('the whole story goes by files alone: asked, reviewed, granted, taken in, used, taken away', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const file = join(bot.folder, 'request.vauth.json');
    const { request_id: id } = await bot.json(t, [...ask(), '--emit', 'request.vauth.json']);
    t.like(await bot.json(t, ['retry', id]), { request_id: id, covered: false, command: null });
    t.like(await bot.json(t, ['retry', '--last']), { request_id: id, covered: false });

    const { next } = await ann.json(t, ['import', file]);
    t.is(next, `vouchsafe auth grant ${id}`);
    await ann.fails(t, ['grant', id], 2, 'CONFIRMATION_REQUIRED');
    t.like(await bot.json(t, ['retry', id]), { covered: false });
    const granted = await ann.auth(['grant', id, '--yes']);
    t.is(granted.code, 0, granted.stderr);
    t.regex(granted.stderr, /1\. vouchsafe\.api:default:documents\/:read/);
    const grant = JSON.parse(granted.stdout);
    t.like(grant, { kind: 'vouchsafe.auth.grant', request_id: id, granted_by: { account: ann.id } });
    await ann.fails(t, ['grant', id, '--yes'], 5, 'REQUEST_CONFLICT');

    const other = homeOf(t);
    await other.json(t, ask('api:default:other/:read'));
    await other.fails(t, ['import', '-'], 5, 'WRONG_AUDIENCE', { stdin: granted.stdout });
    const taken = await bot.json(t, ['import', '--stdin'], { stdin: granted.stdout });
    t.like(taken, { imported: true, kind: 'grant', request_id: id, grant_id: grant.id });
    t.deepEqual(taken.permissions, grant.permissions);
    t.like(await bot.json(t, ['retry', id]), { covered: true, missing: [] });
    t.deepEqual(await bot.json(t, ask()), { changed: false, missing: [], added: [] });

    const { granted: held } = await bot.json(t, ['caps']);
    const { access_token: token } = await bot.json(t, ['token']);
    const told = (await api.ask(token)).body;
    t.like(told, { active: true, workspace: ann.id });
    t.deepEqual(
      held.map((each: { space: string; path: string; actions: string[] }) => [
        each.space,
        each.path,
        each.actions,
      ]),
      told.authorization_details.map((each: { identifier: string; path: string; actions: string[] }) => [
        each.identifier,
        each.path,
        each.actions,
      ]),
      'caps says what introspection says',
    );
    const narrow = await bot.json(t, ['token', '--cap', 'api:default:documents/plan.md:read']);
    t.is((await api.ask(narrow.access_token)).body.authorization_details[0].path, 'documents/plan.md');
    await bot.fails(t, ['token', '--cap', 'api:default:elsewhere/:read'], 5, 'PERMISSIONS_MISSING');
    t.like(await bot.json(t, ['caps', '--diff', 'api:default:documents/x:read']), {
      covered: true,
      missing: [],
    });
    t.deepEqual(await bot.json(t, ['caps', '--diff', 'api:default:documents/:read,write']), {
      requested: 'vouchsafe.api:default:documents/:read,write',
      covered: false,
      changed: true,
      missing: ['vouchsafe.api:default:documents/:write'],
    });
    t.is((await bot.json(t, ['caps', '--history'])).grants[0].id, grant.id);

    t.like(await ann.json(t, ['logout']), { authenticated: false });
    await ann.fails(t, ['grant', file, '--yes'], 3, 'AUTH_REQUIRED');
    t.like(await ann.json(t, ['status']), { authenticated: false, account: null });
  });

  test('the commands for files in docs/agents.md work as they stand there, each at its machine', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    await bot.auth(ask('api:default:other/:read'));
    const document = readFileSync(new URL('../../docs/agents.md', import.meta.url), 'utf8');
    const block = /The same by files[\s\S]*?```sh\n([\s\S]*?)```/.exec(document)![1]!;
    const atMachines = { "# The agent's machine": bot, "# Ann's machine": ann };
    let home = bot;
    const said: string[] = [];
    for (const line of block.trim().split('\n')) {
      const machine = Object.entries(atMachines).find(([name]) => line.startsWith(name));
      if (machine !== undefined) {
        [, home] = machine;
        continue;
      }
      const args = line.replace(/^vouchsafe auth /, '').split(' ');
      const ended = await home.auth(args);
      t.is(ended.code, 0, `${line}: ${ended.stderr}`);
      said.push(ended.stdout);
      // It is handed over, as an attachment is.
      const file = 'request.vauth.json';
      if (args.includes('--emit')) copyFileSync(join(bot.folder, file), join(ann.folder, file));
    }
    t.is(said.length, 5);
    t.like(JSON.parse(said[3]!), { covered: true, missing: [] });
    t.like(JSON.parse(said[4]!), { covered: true, missing: [] });
  });

  test('a person grants to their own terminal by request --grant; an agent’s profile never grants', async (t) => {
    const ann = await personAtHome(t, on, places);
    await ann.fails(t, [...ask(), '--grant'], 2, 'CONFIRMATION_REQUIRED');
    const made = await ann.json(t, [...ask(), '--grant', '--yes', '--expiry', '1h']);
    t.like(made, { changed: true });
    t.regex(made.grant_id, /^grt_/);
    t.true(Date.parse(made.expires_at) <= Date.now() + 3_600_000);
    t.deepEqual(made.added[0].actions, ['read']);
    t.deepEqual(await ann.json(t, [...ask(), '--grant']), { changed: false, missing: [], added: [] });
    t.is((await api.ask((await ann.json(t, ['token'])).access_token)).body.sub, ann.id);

    const bot = homeOf(t);
    t.like(await bot.json(t, ['login', '--service', on.url]), { authenticated: true, kind: 'agent' });
    await bot.fails(t, [...ask(), '--grant', '--yes'], 5, 'GRANT_NOT_ALLOWED');
    const { stdout } = await bot.auth(ask());
    await bot.fails(t, ['grant', '--stdin', '--yes'], 5, 'GRANT_NOT_ALLOWED', { stdin: stdout });
    const stranger = homeOf(t);
    await stranger.json(t, ask());
    await stranger.fails(t, ['grant', '--stdin', '--yes'], 3, 'AUTH_REQUIRED', { stdin: stdout });
  });

  test('less is granted by --only and --expiry, and what was withheld is told', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const { stdout } = await bot.auth([...ask('api:default:a/:read'), '--cap', 'api:default:b/:read,write']);
    await ann.fails(t, ['grant', '-', '--only', '3', '--yes'], 2, 'INVALID_USAGE', { stdin: stdout });
    const granted = await ann.auth(['grant', '-', '--only', '2', '--expiry', '10m', '--yes'], {
      stdin: stdout,
    });
    t.is(granted.code, 0, granted.stderr);
    t.regex(granted.stderr, /^ {2}\d\. vouchsafe\.api:default:b\/:read,write {2}DANGEROUS$/m);
    t.notRegex(granted.stderr, /a\/:read.*DANGEROUS/);
    const grant = JSON.parse(granted.stdout);
    t.deepEqual(
      grant.permissions.map(({ path }: { path: string }) => path),
      ['a/'],
    );
    t.true(Date.parse(grant.expires_at) <= Date.now() + 601_000);
    const retried = await bot.json(t, ['retry', '--last']);
    t.false(retried.covered);
    t.deepEqual(
      retried.missing.map(({ path, actions }: { path: string; actions: string[] }) => [path, actions]),
      [['b/', ['read', 'write']]],
    );
    const beyond = await bot.auth(ask('api:default:c/:write'));
    await ann.fails(t, ['grant', '-', '--yes'], 5, 'REQUEST_UNKNOWN', { stdin: beyond.stdout });
  });

  test('request --wait shows link and code, waits for a person, and takes in what they grant', async (t) => {
    const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
    const sent = await bot.json(t, [...ask(), '--send']);
    t.regex(sent.user_code, /^[A-Z2-9]{4}-[A-Z2-9]{4}$/);
    t.true(sent.verification_uri.startsWith(`${on.url}/`));
    const { id } = JSON.parse((await bot.auth(ask())).stdout);
    t.is(id, sent.request_id, 'the same is not asked twice');
    let granted: Promise<unknown> | undefined;
    const answer = await bot.json(t, [...ask(), '--wait'], {
      onStderr(stderr) {
        if (!/Waiting/.test(stderr)) return;
        granted ??= bot
          .auth(ask())
          .then(({ stdout }) => ann.auth(['grant', '-', '--yes'], { stdin: stdout }));
      },
    });
    await granted;
    t.like(answer, { kind: 'grant', request_id: id });
  });

  test.skipIf(noTerminals)(
    'at a terminal the artifact comes from stdin, and the answer from the keyboard',
    async (t) => {
      const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
      const { stdout } = await bot.auth(ask());
      const file = join(ann.folder, 'in.json');
      // What comes after the artifact answers no question.
      writeFileSync(file, stdout);
      const args = ['grant', '--stdin'];
      const out = join(ann.folder, 'out.json');
      const no = ann.atTerminal(t, args, { stdin: file, stdout: out });
      await no.shows(/Grant this as .*\[y\/N\]/);
      no.type('n\n');
      t.is(await no.ended, 1);
      t.regex(no.shown(), /REQUEST_CANCELLED/);
      t.false((await bot.json(t, ['retry', '--last'])).covered);
      const yes = ann.atTerminal(t, args, { stdin: file, stdout: out });
      await yes.shows(/\[y\/N\]/);
      yes.type('y\n');
      t.is(await yes.ended, 0, yes.shown());
      t.is(JSON.parse(readFileSync(out, 'utf8')).kind, 'vouchsafe.auth.grant');
      t.true((await bot.json(t, ['retry', '--last'])).covered);
    },
  );

  test.skipIf(noTerminals)(
    'a pasted artifact ends by itself, also in one line of 10,000 letters, and what follows it in the paste is no answer',
    async (t) => {
      const [ann, bot] = [await personAtHome(t, on, places), homeOf(t)];
      const caps = Array.from({ length: 40 }, (_, index) => [
        '--cap',
        `api:default:${'p'.repeat(180)}${index}/:read`,
      ]);
      const { stdout } = await bot.auth(['request', '--service', on.url, ...caps.flat()]);
      const pasting = ann.atTerminal(t, ['grant', '--paste']);
      await pasting.shows(/Paste the artifact/);
      const line = JSON.stringify(JSON.parse(stdout));
      t.true(line.length > 10_000);
      pasting.type(`\`\`\`json\n${line}\n\`\`\`\ny\ny\n`);
      await pasting.shows(/\[y\/N\]/);
      pasting.type('\n');
      t.is(await pasting.ended, 1, pasting.shown());
      t.regex(pasting.shown(), /REQUEST_CANCELLED/);
      const importing = ann.atTerminal(t, ['import', '--paste']);
      await importing.shows(/Paste the artifact/);
      importing.type(stdout.replaceAll('\n', '\r'));
      t.is(await importing.ended, 0, importing.shown());
      t.regex(importing.shown(), /Next: vouchsafe auth grant prq_/);
      const given = ann.atTerminal(t, ['import', '--paste']);
      await given.shows(/Paste the artifact/);
      given.type('\x03');
      t.is(await given.ended, 1);
    },
  );

  test('a yes for one action is asked, given on a page, and spent by one token', async (t) => {
    const bot = homeOf(t);
    const person = await newPerson(places);
    const once = [...ask(), '--action', 'Read the plan', '--once'];
    const { stdout } = await bot.auth(once);
    const request = JSON.parse(stdout);
    t.like(request, { action: 'Read the plan', once: true });
    await bot.fails(t, [...ask(), '--once'], 2, 'INVALID_REQUEST_ARTIFACT');
    await bot.json(t, [...once, '--send']);
    t.false((await bot.json(t, ['retry', request.id])).covered);
    const { grantId } = await givenBy(on, request, person.id);
    t.true((await bot.json(t, ['retry', request.id])).covered);
    t.true((await bot.json(t, ['token', '--grant', grantId])).expires_in <= 60);
    await bot.fails(t, ['token', '--grant', grantId], 5, 'PERMISSIONS_MISSING');
    t.false((await bot.json(t, ['retry', request.id])).covered);
  });
});
