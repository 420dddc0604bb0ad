import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { startExample } from '../helpers/seed-world.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

/** The official client against the example: what an agent with a key sees. */
onEveryEngine('the example of an MCP server', (engine, test) => {
  let on: TestService;
  let url: string;
  let stop: () => Promise<void>;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine);
    ({ url, stop } = await startExample(on));
  });
  test.after(async () => {
    await stop();
    await on.stop();
  });

  async function connect(key: string, sessionId?: string) {
    const transport = new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers: { Authorization: `Bearer ${key}` } },
      ...(sessionId && { sessionId }),
    });
    // Who goes on with a session does not ask again which version it is of.
    if (sessionId) transport.setProtocolVersion('2025-06-18');
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(transport as never);
    const call = async (name: string, args: Record<string, unknown> = {}) => {
      const result = (await client.callTool({ name, arguments: args })) as { content: { text: string }[] };
      return JSON.parse(result.content[0]!.text) as unknown;
    };
    return { client, transport, call };
  }
  const status = (call: Promise<unknown>) =>
    call.then(
      () => 200,
      (error: { code?: number; message: string }) => error.code ?? error.message,
    );

  test('the list says of each tool what it needs, and which only look', async (t) => {
    const { client } = await connect((await on.register()).credential);
    const { tools } = await client.listTools();
    const told = new Map(
      tools.map(({ name, _meta, annotations }) => [
        name,
        [_meta?.['vouchsafe/scopes'], annotations?.readOnlyHint],
      ]),
    );
    t.deepEqual(told.get('list_my_apps'), [['read'], true]);
    t.deepEqual(told.get('deploy_app'), [['write'], false]);
    t.deepEqual(told.get('manage_app'), [['write', 'admin'], false]);
    t.deepEqual(told.get('records'), [['read', 'write'], false]);
    t.deepEqual(told.get('delete_item'), [['delete'], false]);
    t.false(told.has('add_record'), 'there is no rule for it');
    await client.close();
  });

  test('an anonymous key looks; a claimed one changes what is its own; nobody gets what no scope gives', async (t) => {
    const anonymous = await connect((await on.register()).credential);
    const claimedKey = (await on.claimed('mcp@example.com')).credential;
    const claimed = await connect(claimedKey);
    const stranger = await connect((await on.claimed('stranger@example.com')).credential);
    const { user_id: workspace } = (await on.get('/api/me', claimedKey)).body.data;
    t.deepEqual(await claimed.call('deploy_app', { app: 'shop' }), { deployed: 'shop', version: 1 });
    t.deepEqual(await claimed.call('records', { app: 'shop', action: 'insert', value: 'a' }), ['a']);
    t.deepEqual(await claimed.call('list_my_apps'), ['shop']);
    t.deepEqual(await anonymous.call('list_my_apps'), []);
    t.deepEqual(await stranger.call('list_my_apps', { workspace }), []);

    t.is(await status(anonymous.call('deploy_app', { app: 'other' })), 403);
    t.is(await status(anonymous.call('records', { app: 'shop', action: 'insert' })), 403);
    t.is(await status(claimed.call('manage_app', { app: 'shop', action: 'delete' })), 403);
    for (const action of ['insert', 'query']) {
      t.is(await status(stranger.call('records', { app: 'shop', action, workspace })), -32003);
    }
    t.deepEqual(await claimed.call('records', { app: 'shop', action: 'query' }), ['a']);
    for (const { client } of [anonymous, claimed, stranger]) await client.close();
  });

  test('the way to the service is in the challenge and at both well-known paths, to the letter', async (t) => {
    const { origin } = new URL(url);
    const read = async (path: string) =>
      (await (await fetch(path, { headers: { Connection: 'close' } })).json()) as Record<string, unknown>;
    const root = await read(`${origin}/.well-known/oauth-protected-resource`);
    t.deepEqual(await read(`${origin}/.well-known/oauth-protected-resource/mcp`), root);
    t.like(root, { resource: url, authorization_servers: [on.url], bearer_methods_supported: ['header'] });
    const nobody = await fetch(url, { method: 'POST', headers: { Connection: 'close' } });
    t.is(
      nobody.headers.get('www-authenticate'),
      `Bearer realm="Example MCP server", resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp", scope="read write"`,
    );
    // What an app wants to keep is between it and the service (MCP authorization, refresh tokens).
    t.false(JSON.stringify(root).includes('offline_access'));
  });

  test('a narrowed key looks, and a revoked one does nothing any more', async (t) => {
    const agent = await on.claimed('narrow@example.com');
    const made = await on.post(
      '/api/tokens',
      { name: 'reader', scope: 'read' },
      { Authorization: `Bearer ${agent.credential}` },
    );
    const reader = await connect(made.body.data.credential);
    t.is(await status(reader.call('list_my_apps')), 200);
    t.is(await status(reader.call('deploy_app', { app: 'mine' })), 403);
    await on.del(`/api/tokens/${made.body.data.id}`, agent.credential);
    const began = Date.now();
    while ((await status(reader.call('list_my_apps'))) === 200);
    t.true(Date.now() - began < 1000);
    await reader.client.close();
    t.not(await status(connect(made.body.data.credential)), 200);
  });

  test('a session of somebody else is not there, and no key is 401 with the way to one', async (t) => {
    const mine = await connect((await on.register()).credential);
    const { credential } = await on.register();
    const ask = (headers: Record<string, string>) =>
      fetch(url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Accept: 'application/json, text/event-stream',
          Connection: 'close',
          'MCP-Protocol-Version': '2025-06-18',
          ...headers,
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
      });
    const foreign = await ask({
      Authorization: `Bearer ${credential}`,
      'Mcp-Session-Id': mine.transport.sessionId!,
    });
    t.is(foreign.status, 404);
    const nobody = await ask({});
    t.is(nobody.status, 401);
    const metadata = /resource_metadata="([^"]+)"/.exec(nobody.headers.get('www-authenticate')!)![1]!;
    const document = (await (await fetch(metadata, { headers: { Connection: 'close' } })).json()) as {
      authorization_servers: string[];
    };
    t.deepEqual(document.authorization_servers, [on.url]);
    await mine.client.close();
  });

  test('a session of one person does with each of their keys what that key may do', async (t) => {
    const agent = await on.claimed('two-keys@example.com');
    const made = await on.post(
      '/api/tokens',
      { name: 'reader', scope: 'read' },
      { Authorization: `Bearer ${agent.credential}` },
    );
    const wide = await connect(agent.credential);
    await wide.call('deploy_app', { app: 'own' });
    const { sessionId } = wide.transport;
    const narrow = await connect(made.body.data.credential, sessionId);
    t.deepEqual(await narrow.call('list_my_apps'), ['own']);
    t.is(await status(narrow.call('deploy_app', { app: 'more' })), 403);
    await wide.client.close();
  });

  test('a call that names two things needs what it takes for the whole workspace', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const all = await places.key(ann, [{ workspaceId: wsp, actions: ['read', 'write'] }]);
    const boss = await connect(all.credential);
    await boss.call('deploy_app', { app: 'one' });
    await boss.call('deploy_app', { app: 'two' });
    const nodeId = await places.findNode(wsp, 'one');
    const one = await places.key(ann, [{ workspaceId: wsp, nodeId, actions: ['read', 'write'] }]);
    const bot = await connect(one.credential);
    t.is(await status(bot.call('records', { app: 'one', action: 'insert', value: 'a' })), 200);
    for (const args of [
      { app: 'two' },
      { app: 'two', asset: 'one' },
      { app: 'two', item: 'one' },
      { app: 'two', folder: 'one', in: 'one' },
      { app: 'nothing' },
      { app: 'two', workspace: 'wsp_none' },
    ]) {
      const refused = await status(bot.call('records', { ...args, action: 'insert', value: 'a' }));
      t.is(refused, -32003, JSON.stringify(args));
    }
    t.deepEqual(await bot.call('list_my_apps'), ['one']);
    for (const { client } of [boss, bot]) await client.close();
  });
});
