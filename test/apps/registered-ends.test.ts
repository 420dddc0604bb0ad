import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '../../src/domain/apps/create-client.ts';
import { rotateClientSecret, suspendClient } from '../../src/domain/apps/manage-clients.ts';
import { AT_COMMAND_LINE } from '../../src/domain/audit/operator-acts.ts';
import { repeatRevocations } from '../../src/domain/jobs/after-restore.ts';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { deleteExcessOAuthClients } from '../../src/store/retention.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import {
  type App,
  askFor,
  getCode,
  listConsents,
  newHuman,
  PUBLIC_CLIENT,
  REDIRECT,
  redeem,
  refresh,
  registerApp,
} from '../helpers/app-client.ts';
import { countOf } from '../helpers/ceremony.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { ensure } from '../helpers/ensure.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('how registered clients end', (engine, test) => {
  let on: TestService;
  let api: Api;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-clients-'));
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  const origin = localOrigin('test');
  const cli = (...args: string[]) => vouchsafe(args, folder, { DATABASE_URL: on.database.url });
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await cli(...args, '--json');
    ensure(code === 0, stderr);
    return JSON.parse(stdout);
  };
  const accountOf = async (mailbox: string) =>
    (await on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]))!
      .id;

  /** Another person lets a client use their account. */
  async function approve(clientId: string) {
    const person = await newHuman(on);
    const app: App = { clientId, secret: undefined, registered: undefined };
    const query = { scope: 'read', resource: api.resource };
    const { body } = await redeem(on, app, await getCode(on, app, { query, browser: person.browser }));
    ensure(await api.isActive(body.access_token), 'it works');
    return { ...person, app, token: body.access_token as string, refreshToken: body.refresh_token as string };
  }

  const noticesOf = (mailbox: string) =>
    countOf(
      on,
      `notices n JOIN events e ON e.id = n.event_id JOIN outbox o ON o.id = n.mail_id
       WHERE o.mailbox = ? AND e.kind = 'app.revoked'`,
      [mailbox],
    );

  test("deleting an account ends its clients, and other people's consents to them, each mailed", async (t) => {
    const owner = await accountOf((await newHuman(on)).mailbox);
    const { client } = await createClient(on.service.deps, origin, PUBLIC_CLIENT, { owner });
    const people = [await approve(client.id), await approve(client.id)];
    await deleteAccount(on.service.deps, origin, owner);
    for (const { token, mailbox, app, refreshToken } of people) {
      t.false(await api.isActive(token));
      t.is((await refresh(on, app, refreshToken)).status, 401);
      t.is(await noticesOf(mailbox), 1);
    }
    t.is(await countOf(on, "events WHERE kind = 'client.removed' AND subject = ?", [client.id]), 1);
  });

  test('a suspended client gets nothing and its consents end; resumed, it has to ask anew', async (t) => {
    const { client_id: id } = await json(
      'client',
      'add',
      '--name',
      'Reports',
      '--redirect',
      REDIRECT,
      '--auth',
      'none',
    );
    const { token, app, refreshToken, mailbox, browser } = await approve(id);
    const headers = {
      Authorization: `Basic ${Buffer.from(`${api.clientId}:${api.clientSecret}`).toString('base64')}`,
    };
    const { last } = (await on.request('GET', '/resource/events', { headers })).body;
    t.deepEqual(await json('client', 'suspend', id, '--reason', 'abuse'), { suspended: id });
    t.false(await api.isActive(token));
    t.true((await on.request('GET', `/resource/events?after=${last}`, { headers })).body.events.length > 0);
    t.is((await refresh(on, app, refreshToken)).status, 401);
    t.is(await noticesOf(mailbox), 1);
    t.is((await browser.get(askFor(app, { scope: 'read' }).path)).status, 400);
    t.deepEqual(
      (await json('client', 'list', '--status', 'suspended')).clients.map(
        (each: { client_id: string }) => each.client_id,
      ),
      [id],
    );
    await json('client', 'resume', id);
    t.is((await refresh(on, app, refreshToken)).status, 400);
    t.is((await listConsents(on.service.deps, await accountOf(mailbox))).length, 0);
    await getCode(on, app, { query: { scope: 'read' }, browser });
  });

  test('a client that registered itself cannot come back while it is suspended', async (t) => {
    const { clientId, registered } = await registerApp(on);
    await suspendClient(on.service.deps, origin, clientId, { accountId: undefined, reason: undefined });
    const headers = { Authorization: `Bearer ${registered.registration_access_token}` };
    for (const method of ['GET', 'PUT'] as const) {
      const body = { client_id: clientId, redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' };
      const reply = await on.request(method, `/oauth2/register/${clientId}`, {
        headers: { ...headers, ...(method === 'PUT' && { 'Content-Type': 'application/json' }) },
        ...(method === 'PUT' && { body: JSON.stringify(body) }),
      });
      t.is(reply.status, 401, method);
    }
  });

  test('the command line adds, lists, shows, rotates and removes clients', async (t) => {
    const added = await json(
      'client',
      'add',
      '--name',
      'Nightly',
      '--grant',
      'credentials',
      '--scopes',
      'read',
    );
    t.regex(added.client_secret, /^cs_/);
    t.like(added, { token_endpoint_auth_method: 'client_secret_post', grant_types: ['client_credentials'] });
    const shown = await json('client', 'show', added.client_id);
    t.like(shown, { name: 'Nightly', origin: 'operator', status: 'unused', scopes: ['read'] });
    t.false(JSON.stringify(shown).includes(added.client_secret));
    const { clients } = await json('client', 'list', 'night');
    t.deepEqual(clients, [shown]);
    const rotated = await json('client', 'rotate-secret', added.client_id, '--overlap', '0');
    const ask = (secret: string) =>
      on.form('/oauth2/token', {
        grant_type: 'client_credentials',
        client_id: added.client_id,
        client_secret: secret,
        scope: 'read',
        resource: api.resource,
      });
    t.is((await ask(added.client_secret)).status, 401);
    const { body } = await ask(rotated.client_secret);
    t.true(await api.isActive(body.access_token));
    t.deepEqual(await json('client', 'remove', added.client_id), { removed: added.client_id });
    t.false(await api.isActive(body.access_token));
    t.is((await json('client', 'show', added.client_id)).status, 'ended');
    for (const args of [
      ['show', 'cli_0'],
      ['remove', 'cli_0'],
      ['suspend', 'cli_0'],
      ['rotate-secret', added.client_id],
    ]) {
      const { code, stderr } = await cli('client', ...args);
      t.deepEqual([code, stderr], [4, 'There is no such client.\n'], args.join(' '));
    }
    t.is((await cli('client', 'add', '--name', 'x', '--redirect', 'http://app.example')).code, 2);
    t.is((await cli('client', 'add', '--name', 'x', '--auth', 'other')).code, 2);
    const word = await json('client', 'add', '--name', 'Wiki', '--grant', 'assertion');
    t.deepEqual(word.grant_types, ['urn:ietf:params:oauth:grant-type:jwt-bearer']);
    t.is((await cli('client', 'add', '--name', 'x', '--grant', 'assertion', '--auth', 'none')).code, 2);
  });

  test('registrations that nobody used for a day are swept, the oldest where there are too many; others stay', async (t) => {
    const persons = await createClient(on.service.deps, origin, PUBLIC_CLIENT, {
      owner: await accountOf((await newHuman(on)).mailbox),
    });
    const [used, unused] = [await registerApp(on), await registerApp(on)];
    await approve(used.clientId);
    const exists = (id: string) => countOf(on, 'oauth_clients WHERE id = ?', [id]);
    on.clock.advance(86_401);
    const older = await registerApp(on);
    on.clock.advance(1);
    const newer = await registerApp(on);
    await deleteExpiredRows(on.service.deps);
    t.deepEqual(
      await Promise.all([persons.client.id, used.clientId, unused.clientId, newer.clientId].map(exists)),
      [1, 1, 0, 1],
    );
    await on.service.deps.db.tx((tx) => deleteExcessOAuthClients(tx, 1, 1000));
    t.deepEqual(
      await Promise.all([persons.client.id, used.clientId, older.clientId, newer.clientId].map(exists)),
      [1, 1, 0, 1],
    );
  });

  test('1,000 tokens of apps are no keys: the page of keys and what is left of them stay as they were', async (t) => {
    const { browser, mailbox } = await newHuman(on);
    const account = await accountOf(mailbox);
    await getCode(on, await registerApp(on), { query: { scope: 'read' }, browser });
    const before = (await browser.get('/keys')).text.replaceAll(/value="[^"]*"/g, '');
    await on.service.deps.db.tx(async (tx) => {
      for (let index = 0; index < 1000; index += 1) {
        await tx.run(
          `INSERT INTO credentials (hash, id, account_id, scope, prefix, last_four, created_at, expires_at, retires_others, kind,
             client_id, oauth_grant) VALUES (?, ?, ?, 'read', 'at_', 'xxxx', ?, ?, 0, 'token', 'cli_x', 'con_x')`,
          [
            Buffer.from(`${account}${index}`),
            `tok_many${account}${index}`,
            account,
            on.clock(),
            on.clock() + 1e6,
          ],
        );
      }
    });
    t.is((await browser.get('/keys')).text.replaceAll(/value="[^"]*"/g, ''), before);
    await browser.get('/keys/new');
    const made = await browser.post('/keys/new', { name: 'script', preset: 'read-only' });
    t.is(made.status, 200);
    t.regex(made.text, /<code id="key">sk_/);
  });

  test('the export of an account has its apps and clients, without a secret', async (t) => {
    const { browser, mailbox } = await newHuman(on);
    const owner = await accountOf(mailbox);
    const { client, secret } = await createClient(
      on.service.deps,
      origin,
      { ...PUBLIC_CLIENT, authMethod: 'client_secret_post' },
      { owner },
    );
    const app = await registerApp(on);
    await getCode(on, app, { query: { scope: 'read' }, browser });
    const { text } = await browser.get('/account/export');
    const { apps, oauth_clients: clients } = JSON.parse(text);
    t.like(apps, [{ client_id: app.clientId, name: 'Marlin Editor', scopes: ['read'] }]);
    t.like(clients, [{ client_id: client.id, client_name: 'Reports', redirect_uris: [REDIRECT] }]);
    t.false(text.includes(secret!));
  });

  test('after a restore the ends of consents and clients are repeated', async (t) => {
    const deps = on.service.deps;
    const [first, second, third] = [
      await createClient(deps, origin, PUBLIC_CLIENT),
      await createClient(deps, origin, PUBLIC_CLIENT),
      await createClient(deps, origin, PUBLIC_CLIENT),
    ].map(({ client }) => client.id);
    const people = [await approve(first!), await approve(second!), await approve(third!)];
    const [consent] = await listConsents(deps, await accountOf(people[0]!.mailbox));
    const events = [
      { id: 'evt_a', kind: 'app.revoked', subject: consent!.id },
      { id: 'evt_b', kind: 'client.removed', subject: second },
      { id: 'evt_c', kind: 'client.suspended', subject: third },
    ] as const;
    t.is(await repeatRevocations(deps, origin, events), 3);
    for (const { token } of people) t.false(await api.isActive(token));
    for (const { mailbox } of people.slice(0, 2))
      t.is(await noticesOf(mailbox), 0, 'mailed when it happened');
  });

  test('after a restore a secret that was replaced, and what was taken away, work no longer', async (t) => {
    const deps = on.service.deps;
    const { client, secret } = await createClient(deps, origin, {
      ...PUBLIC_CLIENT,
      redirectUris: [],
      authMethod: 'client_secret_post',
      grantTypes: ['client_credentials'],
    });
    const ask = () =>
      on.form('/oauth2/token', {
        grant_type: 'client_credentials',
        client_id: client.id,
        client_secret: secret!,
        resource: api.resource,
      });
    t.is((await ask()).status, 200);
    const person = await approve((await registerApp(on)).clientId);
    const [consent] = await listConsents(deps, await accountOf(person.mailbox));
    const events = [
      { id: 'evt_d', kind: 'client.rotated', subject: client.id },
      { id: 'evt_e', kind: 'app.narrowed', subject: consent!.id },
    ] as const;
    t.is(await repeatRevocations(deps, origin, events), 2);
    t.is((await ask()).status, 401);
    t.false(await api.isActive(person.token));
    t.is((await refresh(on, person.app, person.refreshToken)).body.error, 'invalid_grant');
    const { secret: next } = await rotateClientSecret(deps, origin, client.id, 0, {
      operator: AT_COMMAND_LINE,
    });
    const again = await on.form('/oauth2/token', {
      grant_type: 'client_credentials',
      client_id: client.id,
      client_secret: next,
      resource: api.resource,
    });
    t.is(again.status, 200);
  });

  test('registration has a second path', async (t) => {
    const reply = await on.post('/oauth/clients/register', {
      redirect_uris: [REDIRECT],
      token_endpoint_auth_method: 'none',
    });
    t.is(reply.status, 201);
    await getCode(
      on,
      { clientId: reply.body.client_id, secret: undefined, registered: reply.body },
      { query: { scope: 'read' } },
    );
  });
});
