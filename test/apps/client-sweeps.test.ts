import { createClient } from '../../src/domain/apps/create-client.ts';
import { suspendClient } from '../../src/domain/apps/manage-clients.ts';
import { AT_COMMAND_LINE } from '../../src/domain/audit/operator-acts.ts';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { deleteExcessOAuthClients } from '../../src/store/retention.ts';
import { localOrigin } from '../../src/work.ts';
import {
  type App,
  askFor,
  getCode,
  newHuman,
  PUBLIC_CLIENT,
  REDIRECT,
  redeem,
  registerApp,
} from '../helpers/app-client.ts';
import { countOf } from '../helpers/ceremony.ts';
import { type ClientHost, startClientHost } from '../helpers/client-host.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const DAY = 86_400;

onEveryEngine('how many clients are kept', (engine, test) => {
  let on: TestService;
  let host: ClientHost;
  test.before(async () => {
    on = await startTestService(engine);
    host = await startClientHost();
    host.connect(on);
  });
  test.after(async () => {
    host.stop();
    await on.stop();
  });

  const origin = localOrigin('test');
  const isKept = async (id: string) => (await countOf(on, 'oauth_clients WHERE id = ?', [id])) === 1;
  const sweep = () => deleteExpiredRows(on.service.deps);

  /** Publishes a client, and lets a browser ask for it. */
  async function publish(path: string): Promise<App> {
    const client_id = host.urlOf(path);
    host.publish(path, { client_id, redirect_uris: [REDIRECT] });
    const app = { clientId: client_id, secret: undefined, registered: {} };
    t303(await on.get(askFor(app, { scope: 'read' }).path));
    return app;
  }
  function t303({ status, text }: { status: number; text: string }) {
    if (status !== 303) throw new Error(text);
  }

  test('a registration that comes too often is to be repeated later', async (t) => {
    const narrow = await startTestService(engine, { limits: { clientsPerIp: '1/h' } });
    t.teardown(() => narrow.stop());
    const register = () =>
      narrow.post('/oauth2/register', { redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' });
    t.is((await register()).status, 201);
    for (const reply of [await register(), await register()]) {
      t.deepEqual([reply.status, reply.body.error], [429, 'temporarily_unavailable']);
      t.true(Number(reply.headers.get('retry-after')) > 0);
    }
  });

  test('all addresses of an IPv6 /48 register five times as many clients as one of its /64 does', async (t) => {
    const narrow = await startTestService(engine, {
      limits: { clientsPerIp: '2/h' },
      env: { TRUST_PROXY: '1' },
    });
    t.teardown(() => narrow.stop());
    const register = async (address: string) => {
      const body = JSON.stringify({ redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' });
      const headers = { 'Content-Type': 'application/json', 'X-Forwarded-For': address };
      return (await narrow.request('POST', '/oauth2/register', { body, headers })).status;
    };
    for (let network = 1; network <= 5; network += 1) {
      const from = (host: number) => `2001:db8:1:${network}::${host}`;
      t.deepEqual(
        [await register(from(1)), await register(from(2)), await register(from(3))],
        [201, 201, 429],
        `network ${network}`,
      );
    }
    t.deepEqual([await register('2001:db8:1:6::1'), await register('2001:db8:1:7::1')], [429, 429]);
    t.is(await register('2001:db8:2::1'), 201);
    narrow.clock.advance(3600);
    t.is(await register('2001:db8:1:6::1'), 201);
  });

  test('a client whose document nobody used goes a day after it was fresh; what the operator decided stays', async (t) => {
    const [unused, suspended] = [await publish('/unused.json'), await publish('/suspended.json')];
    t.true(await suspendClient(on.service.deps, origin, suspended.clientId, AT_COMMAND_LINE));
    const used = await publish('/used.json');
    await getCode(on, used, { query: { scope: 'read' } });
    on.clock.advance(DAY);
    await sweep();
    t.true(await isKept(unused.clientId));
    on.clock.advance(120);
    await sweep();
    t.deepEqual(await Promise.all([unused, suspended, used].map(({ clientId }) => isKept(clientId))), [
      false,
      true,
      true,
    ]);
    t303(await on.get(askFor(unused, { scope: 'read' }).path));
    t.is((await on.get(askFor(suspended, { scope: 'read' }).path)).status, 400);
  });

  test('a client that connects devices alone is used, too', async (t) => {
    const device = await registerApp(on, { grant_types: ['authorization_code', DEVICE_GRANT] });
    const form = { client_id: device.clientId, scope: 'read' };
    const { user_code } = (await on.form('/oauth2/device_authorization', form)).body;
    const { browser } = await newHuman(on);
    await browser.get('/connect');
    await browser.post('/connect', { code: user_code });
    const fields = { ...browser.form('/connect/device'), 'scope:read': 'on', decision: 'approve' };
    t.is((await browser.post('/connect/device', fields)).status, 200);
    on.clock.advance(DAY + 60);
    await sweep();
    t.true(await isKept(device.clientId));
  });

  test('clients of documents count among those that are too many, and the oldest go first', async (t) => {
    const old = await publish('/old.json');
    on.clock.advance(1);
    const newer = await registerApp(on);
    await on.service.deps.db.tx((tx) => deleteExcessOAuthClients(tx, 1, 1000));
    t.deepEqual([await isKept(old.clientId), await isKept(newer.clientId)], [false, true]);
  });

  test('a used client goes after 90 days without a consent that works; those of people and operators never', async (t) => {
    const owner = (await newHuman(on)).mailbox;
    const account = await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM accounts WHERE mailbox = ?',
      [owner],
    );
    const persons = await createClient(on.service.deps, origin, PUBLIC_CLIENT, { owner: account!.id });
    const operators = await createClient(on.service.deps, origin, PUBLIC_CLIENT);
    const kept = [persons, operators].map(({ client }) => ({
      clientId: client.id,
      secret: undefined,
      registered: {},
    }));
    const [idle, renewed] = [await registerApp(on), await registerApp(on)];
    const { browser } = await getCode(on, renewed, { query: { scope: 'read' } });
    for (const app of [idle, ...kept]) {
      const got = await getCode(on, app, { query: { scope: 'read' } });
      t.is((await redeem(on, app, got)).status, 200);
    }
    on.clock.advance(89 * DAY);
    // The session is over meanwhile: whoever has a consent gives it anew.
    const { browser: again } = await newHuman(on);
    await getCode(on, renewed, { query: { scope: 'read' }, browser: again });
    t.truthy(browser);
    await sweep();
    t.true(await isKept(idle.clientId));
    on.clock.advance(2 * DAY);
    await sweep();
    t.deepEqual(await Promise.all([idle, renewed, ...kept].map(({ clientId }) => isKept(clientId))), [
      false,
      true,
      true,
      true,
    ]);
    t.is(await countOf(on, 'oauth_grants WHERE client_id = ?', [idle.clientId]), 0);
    t.is((await on.get(askFor(idle, { scope: 'read' }).path)).status, 400);
  });

  test('one human registers as many clients as the limit says, and is told what to do', async (t) => {
    const narrow = await startTestService(engine, { limits: { clientsPerAccount: 1 } });
    t.teardown(() => narrow.stop());
    const { browser } = await newHuman(narrow);
    const fields = { name: 'Reports', 'use:people': 'on', redirects: REDIRECT, 'scope:read': 'on' };
    await browser.get('/apps/clients/new');
    const first = await browser.post('/apps/clients/new', fields);
    t.is(first.status, 200, first.text);
    await browser.get('/apps/clients/new');
    const second = await browser.post('/apps/clients/new', { ...fields, name: 'Invoices' });
    t.is(second.status, 400);
    t.true(second.text.includes('You have as many clients as an account can have. Delete one first.'));
    t.true(second.text.includes('value="Invoices"'));
    const id = (await narrow.service.deps.db.get<{ id: string }>('SELECT id FROM oauth_clients', []))!.id;
    await browser.get(`/apps/clients/${id}/delete`);
    await browser.post(`/apps/clients/${id}/delete`);
    await browser.get('/apps/clients/new');
    t.is((await browser.post('/apps/clients/new', fields)).status, 200);
  });
});
