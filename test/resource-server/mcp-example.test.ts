import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { startMcpServer } from '../../examples/mcp-server/server.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { freePort } from '../helpers/free-port.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The official client against the example: what an agent with a key sees. */
onEveryEngine('the example of an MCP server', (engine, test) => {
  let on: TestService;
  let api: Api;
  let url: string;
  let stop: () => Promise<void>;
  test.before(async () => {
    on = await startTestService(engine);
    const port = await freePort();
    url = `http://localhost:${port}/mcp`;
    api = await addApi(on, url);
    const { clientId, clientSecret, resource } = api;
    ({ stop } = await startMcpServer({ issuer: on.url, resource, clientId, clientSecret, port }));
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
    t.deepEqual(
      tools.map((tool) => [tool.name, tool._meta?.['vouchsafe/scopes'], tool.annotations?.readOnlyHint]),
      [
        ['list_apps', ['read'], true],
        ['create_app', ['write'], false],
        ['delete_app', ['admin'], false],
        ['records', ['read', 'write'], false],
      ],
    );
    await client.close();
  });

  test('an anonymous key looks; a claimed one changes what is its own; nobody gets what no scope gives', async (t) => {
    const anonymous = await connect((await on.register()).credential);
    const claimed = await connect((await on.claimed('mcp@example.com')).credential);
    const stranger = await connect((await on.claimed('stranger@example.com')).credential);
    t.deepEqual(await claimed.call('create_app', { app: 'shop' }), { created: 'shop' });
    t.deepEqual(await claimed.call('records', { app: 'shop', action: 'insert', value: 'a' }), ['a']);
    t.deepEqual(await anonymous.call('list_apps'), ['shop']);
    t.deepEqual(await anonymous.call('records', { app: 'shop', action: 'query' }), ['a']);

    t.is(await status(anonymous.call('create_app', { app: 'other' })), 403);
    t.is(await status(anonymous.call('records', { app: 'shop', action: 'insert' })), 403);
    t.is(await status(claimed.call('delete_app', { app: 'shop' })), 403);
    t.is(await status(stranger.call('records', { app: 'shop', action: 'insert' })), -32003);
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
      `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp", scope="read write"`,
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
    t.is(await status(reader.call('list_apps')), 200);
    t.is(await status(reader.call('create_app', { app: 'mine' })), 403);
    await on.del(`/api/tokens/${made.body.data.id}`, agent.credential);
    const began = Date.now();
    while ((await status(reader.call('list_apps'))) === 200);
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
});
