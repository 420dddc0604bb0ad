import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { type Ended, vouchsafe } from '../helpers/cli.ts';
import { startFakeIssuer } from '../helpers/issuer.ts';
import {
  basic,
  createTestDatabase,
  startTestService,
  type TestDatabase,
  type TestService,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The operator's commands, each in a process of its own beside the running service. */

onEveryEngine('the command line', (engine, test) => {
  let on: TestService;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-cli-'));
    on = await startTestService(engine);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  const cli = (args: string[], env: Record<string, string> = {}) =>
    vouchsafe(args, folder, { DATABASE_URL: on.database.url, ...env });
  /** The answer of a command that went well. */
  const json = async (t: ExecutionContext, ...args: string[]) => {
    const ended = await cli([...args, '--json']);
    t.is(ended.code, 0, ended.stderr);
    t.is(ended.stderr, '');
    return JSON.parse(ended.stdout);
  };
  const assertEnded = (
    t: ExecutionContext,
    { code, stdout, stderr }: Ended,
    expected: number,
    says: RegExp,
  ) => {
    t.is(code, expected, stderr);
    t.is(stdout, '');
    t.regex(stderr, says);
    t.notRegex(stderr, /\n\s+at /, 'no stack is shown to an operator');
  };

  test('a resource server is added, introspects at once, is listed without its secret, and is out once removed', async (t) => {
    const made = await json(
      t,
      'resource',
      'add',
      'https://api.example.com/mcp',
      '--name',
      'API',
      '--scopes',
      'read',
    );
    t.deepEqual(Object.keys(made), [
      'client_id',
      'client_secret',
      'url',
      'name',
      'scopes',
      'workspaces',
      'all_workspaces',
    ]);
    t.regex(made.client_id, /^rs_/);
    t.regex(made.client_secret, /^rss_[0-9A-Za-z]{49}$/);
    // Before it asks anything: when it connected is noted within seconds.
    const [listed, text] = await Promise.all([
      cli(['resource', 'list', '--json']),
      cli(['resource', 'list']),
    ]);
    const { resources } = JSON.parse(listed.stdout);
    const { client_secret, ...shown } = made;
    t.deepEqual(
      resources.find((each: { client_id: string }) => each.client_id === made.client_id),
      shown,
    );
    t.regex(
      text.stdout,
      new RegExp(`^${made.client_id}  https://api.example.com/mcp  API  \\(last connected: never\\)$`, 'm'),
    );
    for (const { stdout } of [listed, text]) t.false(stdout.includes(client_secret.slice(4)));

    const agent = await on.claimed('resource@example.com');
    const ask = () =>
      on.form('/oauth2/introspect', { token: agent.credential }, basic(made.client_id, made.client_secret));
    const { body } = await ask();
    t.deepEqual([body.active, body.scope, body.aud], [true, 'read', 'https://api.example.com/mcp']);

    t.deepEqual(await json(t, 'resource', 'remove', made.client_id), { removed: made.client_id });
    // What another process removes is cached for a second.
    const removedAt = performance.now();
    while ((await ask()).status === 200 && performance.now() - removedAt < 5000) await sleep(50);
    t.is((await ask()).status, 401);
    assertEnded(
      t,
      await cli(['resource', 'remove', made.client_id]),
      4,
      /^There is no such resource server\.\n$/,
    );
    t.false((await cli(['resource', 'list'])).stdout.includes(made.client_id));
  });

  test('agents are listed page by page, shown, and revoked with their keys and claims', async (t) => {
    const [first, second] = [await on.register(), await on.claimed('shown@example.com')];
    const pending = await on.register();
    await on.post('/agent/auth/claim', { claim_token: pending.claim_token, email: 'pending@example.com' });
    const otp = await on.codeFor('pending@example.com');

    const { agents } = await json(t, 'agent', 'list');
    const ids = agents.map(({ agent_id }: { agent_id: string }) => agent_id);
    t.deepEqual(ids, ids.toSorted(), 'oldest first');
    for (const { agent_id } of [first, second, pending]) t.truthy(ids.includes(agent_id));
    const page = await json(t, 'agent', 'list', '--after', first.agent_id, '--limit', '1');
    t.deepEqual(
      page.agents.map(({ agent_id }: { agent_id: string }) => agent_id),
      [second.agent_id],
    );

    const [shown, claimed, text] = await Promise.all([
      json(t, 'agent', 'show', pending.agent_id),
      json(t, 'agent', 'show', second.agent_id),
      cli(['agent', 'show', second.agent_id]),
    ]);
    t.is(shown.claim.status, 'pending');
    t.deepEqual(
      [claimed.claim, claimed.mode, claimed.owner],
      [{ status: 'claimed' }, 'merge', second.user_id],
    );
    t.deepEqual(JSON.parse(text.stdout), claimed);
    t.false(JSON.stringify([agents, shown, claimed]).includes('@'), 'mailboxes are not for the screen');

    t.deepEqual(await json(t, 'agent', 'revoke', pending.agent_id), { revoked: pending.agent_id });
    t.is((await on.get('/api/me', pending.credential)).status, 401);
    const late = await on.post('/agent/auth/claim/complete', { claim_token: pending.claim_token, otp });
    t.deepEqual([late.status, late.body.error.code], [410, 'claim_expired']);
    t.truthy((await json(t, 'agent', 'show', pending.agent_id)).revoked_at);
    t.regex((await cli(['agent', 'list'])).stdout, new RegExp(`^${pending.agent_id}  revoked `, 'm'));
    const twice = await cli(['agent', 'revoke', pending.agent_id]);
    t.is(twice.code, 0);

    const missing = await Promise.all([cli(['agent', 'show', 'agt_0']), cli(['agent', 'revoke', 'agt_0'])]);
    for (const ended of missing) assertEnded(t, ended, 4, /^There is no such agent\.\n$/);
  });

  test('a key is revoked by its id, at once, and again without harm', async (t) => {
    const { credential } = await on.claimed('key@example.com');
    const { id } = (await on.get('/api/me', credential)).body.data.key;
    t.deepEqual(await json(t, 'key', 'revoke', id), { revoked: id });
    t.is((await on.get('/api/me', credential)).status, 401);
    t.deepEqual(await json(t, 'key', 'revoke', id), { revoked: id });
    assertEnded(t, await cli(['key', 'revoke', 'key_0']), 4, /^There is no such key\.\n$/);
  });

  test('events are JSON lines, oldest first, and every filter narrows them', async (t) => {
    const agent = await on.claimed('events@example.com');
    const lines = async (...args: string[]) => {
      const { code, stdout, stderr } = await cli(['events', ...args]);
      t.is(code, 0, stderr);
      return stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    };
    const all = await lines();
    const ids = all.map(({ id }) => id);
    t.deepEqual(ids, ids.toSorted());
    for (const each of all) {
      const {
        id,
        at,
        kind,
        account_id: _1,
        agent_id: _2,
        subject: _3,
        address,
        request_id,
        details: _4,
        ...rest
      } = each;
      t.deepEqual(rest, {});
      t.regex(id, /^evt_/);
      t.is(new Date(at).toISOString(), at);
      t.regex(kind, /^[a-z]+\.[a-z_]+$/);
      t.truthy(address && request_id);
    }
    for (const secret of [agent.credential, agent.claim_token])
      t.false(JSON.stringify(all).includes(secret.slice(3)));

    const [ofAgent, ofKind, ofAccount, rest, one, none, both] = await Promise.all([
      lines('--agent', agent.agent_id),
      lines('--kind', 'claim.completed'),
      lines('--account', agent.user_id),
      lines('--after', ids[1]),
      lines('--limit', '1', '--json'),
      lines('--since', '2999-01-01T00:00:00Z'),
      lines('--agent', agent.agent_id, '--kind', 'claim.completed', '--since', '2000-01-01T00:00:00Z'),
    ]);
    t.deepEqual(
      ofAgent,
      all.filter((each) => each.agent_id === agent.agent_id),
    );
    t.true(ofAgent.some(({ kind }) => kind === 'registration.created'));
    t.deepEqual(
      ofKind,
      all.filter((each) => each.kind === 'claim.completed'),
    );
    t.deepEqual(
      ofAccount,
      all.filter((each) => each.account_id === agent.user_id),
    );
    t.deepEqual(rest, all.slice(2));
    t.deepEqual(one, all.slice(0, 1));
    t.deepEqual(none, []);
    t.is(both.length, 1);
  });

  test('a database that does not answer is exit code 1 and a sentence', async (t) => {
    const url = engine === 'sqlite' ? 'file:/dev/null/v.db' : 'postgres://nobody:hunter2@127.0.0.1:1/none';
    const ended = await cli(['agent', 'list'], { DATABASE_URL: url });
    assertEnded(t, ended, 1, /\S/);
    t.false(ended.stderr.includes('hunter2'));
  });

  test('what the service signs with is listed and rotated; at once, all that was signed before is dead', async (t) => {
    const keys = async (...args: string[]) => {
      const answer = await json(t, 'signing-key', ...args);
      t.notRegex(JSON.stringify(answer), /"d"|sealed|private/);
      return answer;
    };
    const states = async () => (await keys('list')).keys.map(({ state }: { state: string }) => state);
    const published = async () =>
      (await on.get('/.well-known/jwks.json')).body.keys.map(({ kid }: { kid: string }) => kid);
    const register = async () => (await on.post('/agent/identity', { type: 'anonymous' })).body;
    const exchange = async (assertion: string) => {
      const grant_type = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
      const { status, body } = await on.form('/oauth2/token', { grant_type, assertion });
      return status === 200 ? 'live' : body.error;
    };

    const before = await register();
    const [first] = await published();
    t.deepEqual(await states(), ['current']);
    t.is(await exchange(before.identity_assertion), 'live');

    const next = await keys('rotate');
    t.is(next.state, 'next');
    t.is(Date.parse(next.used_from) - Date.parse(next.created_at), 600_000);
    t.deepEqual((await published()).sort(), [first, next.kid].sort());
    t.deepEqual(await states(), ['next', 'current']);
    t.is(await exchange(before.identity_assertion), 'live');

    const urgent = await keys('rotate', '--now');
    // The clock of this test stands still, and the one of the command does not.
    on.clock.advance((Date.now() - on.clock()) / 1000);
    t.is(urgent.state, 'current');
    t.deepEqual(await published(), [urgent.kid]);
    t.is(await exchange(before.identity_assertion), 'invalid_grant');
    const after = await register();
    t.is(await exchange(after.identity_assertion), 'live');
    const renewal = { type: 'refresh', refresh_token: before.identity.refresh_token.value };
    const renewed = (await on.post('/agent/identity', renewal)).body;
    t.is(await exchange(renewed.identity.assertion), 'live', 'agents renew what is dead');
    const line = (await cli(['keys', 'list'])).stdout;
    t.regex(line, new RegExp(`^${urgent.kid}  current  from .+Z\n$`));
    const events = await cli(['events', '--kind', 'signing_key.made']);
    t.deepEqual(
      events.stdout
        .trim()
        .split('\n')
        .map((each) => JSON.parse(each).subject),
      [next.kid, urgent.kid],
    );
  });

  test('an agent that is revoked has neither tokens nor anything to renew', async (t) => {
    const agent = (await on.post('/agent/identity', { type: 'anonymous' })).body;
    const grant_type = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const exchange = () => on.form('/oauth2/token', { grant_type, assertion: agent.identity_assertion });
    const { access_token } = (await exchange()).body;
    const { agent_id } = (await on.get('/api/me', access_token)).body.data;
    await json(t, 'agent', 'revoke', agent_id);
    t.is((await on.get('/api/me', access_token)).status, 401);
    t.is((await exchange()).body.error, 'invalid_grant');
    const renewal = { type: 'refresh', refresh_token: agent.identity.refresh_token.value };
    t.is((await on.post('/agent/identity', renewal)).body.error, 'invalid_refresh_token');
  });

  test('doctor says of every agent provider whether its keys can be had', async (t) => {
    const provider = await startFakeIssuer({ clock: Date.now });
    try {
      const dead = { issuer: 'http://127.0.0.1:1', displayName: 'Dead' };
      const file = join(folder, 'providers.json');
      writeFileSync(file, JSON.stringify({ trustedIssuers: [provider.entry(), dead] }));
      const ended = await cli(['doctor', '--json'], { CONFIG: file });
      t.is(ended.code, 1);
      const said = JSON.parse(ended.stdout).findings.filter(
        ({ name }: { name: string }) => name === 'provider',
      );
      t.deepEqual(
        said.map(({ ok }: { ok: boolean }) => ok),
        [true, false],
      );
      t.truthy(said[0].says.startsWith(provider.url) && said[1].says.startsWith(dead.issuer), ended.stdout);
    } finally {
      await provider.stop();
    }
  });

  test('doctor finds everything well, or says what is not', async (t) => {
    const [well, text, badMail, badSetting] = await Promise.all([
      json(t, 'doctor'),
      cli(['doctor']),
      cli(['doctor', '--json'], { SMTP_URL: 'smtp://127.0.0.1:1' }),
      cli(['doctor'], { PORT: 'x' }),
    ]);
    t.true(well.ok);
    t.deepEqual(
      well.findings.map(({ name }: { name: string }) => name),
      ['configuration', 'database', 'clock', 'mail'],
    );
    t.regex(text.stdout, /^ok {3}configuration: serves as http:\/\/localhost:3000\nok {3}database: /);
    t.is(badMail.code, 1);
    const findings = JSON.parse(badMail.stdout).findings.filter(({ ok }: { ok: boolean }) => !ok);
    t.deepEqual(
      findings.map(({ name }: { name: string }) => name),
      ['mail'],
    );
    t.is(badSetting.code, 1);
    t.regex(badSetting.stdout, /^BAD {2}configuration: PORT /);
  });

  test.describe('a new database', (test) => {
    let empty: TestDatabase;
    test.before(async () => {
      empty = await createTestDatabase(engine);
    });
    test.after(() => empty.drop());

    test('doctor changes nothing in it, migrate brings it up to date and says so, once', async (t) => {
      const env = { DATABASE_URL: empty.url };
      const doctor = await cli(['doctor'], env);
      t.regex(
        doctor.stdout,
        /database: (sqlite, .* is made by the first start|postgres, answers; [1-9]\d* migrations? to apply at start)/,
      );
      const first = await cli(['migrate', '--json'], env);
      t.is(first.code, 0, first.stderr);
      t.deepEqual(JSON.parse(first.stdout).applied[0], '0001_first.sql');
      const second = await cli(['migrate'], env);
      t.deepEqual([second.code, second.stdout], [0, 'Nothing to do.\n']);
      t.regex((await cli(['doctor'], env)).stdout, /database: \w+, answers, up to date/);
    });
  });

  test('a backup is not written over a file that is there', async (t) => {
    const file = join(folder, 'precious');
    writeFileSync(file, 'precious');
    assertEnded(t, await cli(['backup', file]), 1, /precious.*exists/);
    t.is(readFileSync(file, 'utf8'), 'precious');
  });

  if (engine === 'sqlite') {
    // The words of commands are the same whatever the engine.
    test('--json may stand before the command, in its middle and behind it', async (t) => {
      const places = [
        ['--json', 'agent', 'list'],
        ['agent', '--json', 'list'],
        ['agent', 'list', '--json'],
      ];
      const [first, ...others] = await Promise.all(places.map((args) => cli(args)));
      t.truthy(JSON.parse(first!.stdout).agents);
      for (const { stdout } of others) t.is(stdout, first!.stdout);
    });

    test('a command or argument that cannot be is exit code 2 with a sentence', async (t) => {
      const wrong: [string[], RegExp][] = [
        [['dance'], /unknown command 'dance'/],
        [['agent', 'dance'], /unknown command 'dance'/],
        [['agent', 'show'], /missing required argument 'id'/],
        [['agent', 'list', '--colour'], /unknown option '--colour'/],
        [['agent', 'list', '--limit', '0'], /--limit/],
        [['agent', 'list', '--limit', 'x'], /--limit/],
        [['events', '--since', 'yesterday'], /--since/],
        [['resource', 'add', 'https://api.example.com'], /--name/],
        [['resource', 'add', 'api', '--name', 'API'], /absolute http or https URL/],
        [
          ['resource', 'add', 'https://api.example.com', '--name', 'API', '--scopes', 'fly'],
          /no such scope.*read, write/,
        ],
        [['backup'], /missing required argument 'file'/],
        [['signing-key', 'dance'], /unknown command 'dance'/],
        [['keys', 'rotate', '--later'], /unknown option '--later'/],
      ];
      const ended = await Promise.all(wrong.map(([args]) => cli(args)));
      ended.forEach((each, index) => {
        assertEnded(t, each, 2, wrong[index]![1]);
      });
    });

    test('help and version are exit code 0, and no command at all is not', async (t) => {
      const [help, version, nothing] = await Promise.all([cli(['--help']), cli(['--version']), cli([])]);
      t.is(help.code, 0);
      for (const name of [
        'serve',
        'migrate',
        'backup',
        'restore',
        'resource',
        'agent',
        'key',
        'signing-key',
        'events',
        'doctor',
        'check',
        'Exit codes',
      ]) {
        t.true(help.stdout.includes(name), name);
      }
      const { version: told } = JSON.parse(
        readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
      );
      t.deepEqual([version.code, version.stdout], [0, `${told}\n`]);
      t.is(nothing.code, 2);
    });

    test('a backup taken while the service writes opens, and holds all that was acknowledged before it', async (t) => {
      const agents = [await on.claimed('backup@example.com'), await on.register()];
      let writing = true;
      const writers = Array.from({ length: 4 }, async () => {
        while (writing) await on.register();
      });
      const file = join(folder, 'copy.db');
      const ended = await cli(['backup', file]);
      writing = false;
      await Promise.all(writers);
      t.is(ended.code, 0, ended.stderr);
      t.regex(ended.stdout, /^Copied to /);
      t.true(statSync(file).size > 0);

      const database = { url: `file:${file}`, drop: async () => {} };
      const copy = await startTestService(engine, { database, clock: on.clock });
      for (const { credential } of agents) t.is((await copy.get('/api/me', credential)).status, 200);
      const [{ fine }] = (await copy.service.deps.db.all<{ fine: string }>(
        'SELECT integrity_check AS fine FROM pragma_integrity_check',
      )) as [{ fine: string }];
      t.is(fine, 'ok');
      await copy.claimed('after@example.com');
      await copy.stop();
    });
  }
});
