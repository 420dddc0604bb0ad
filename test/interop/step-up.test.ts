import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { onEveryEngine } from '../helpers/suite.ts';
import { createMemory } from './sdk-memory.ts';
import { approve, openWorld, type World } from './world.ts';

/** Step-up (MCP authorization, scope challenge handling): the kit's 403 says what a tool needs, and the SDK 2.x asks for it. */

// biome-ignore lint/suspicious/noExplicitAny: the shapes of the SDK
type Any = any;

const SCOPES = {
  read: { description: 'Look' },
  write: { description: 'Change', implies: ['read'] },
  admin: { description: 'Delete', implies: ['write'], destructive: true },
};

onEveryEngine('step-up by a challenge of the kit', (engine, test) => {
  let world: World;
  test.before(async () => {
    world = await openWorld(engine, { scopes: SCOPES });
  });
  test.after(() => world.stop());

  const open = (authProvider: unknown) => {
    const transport = new StreamableHTTPClientTransport(new URL(world.mcpUrl), {
      authProvider: authProvider as Any,
    });
    return { transport, client: new Client({ name: 'step-up', version: '1' }) };
  };

  test('the human sees the new scope beside what the app has, and when they turn it on, the same call passes', async (t) => {
    const memory = createMemory();
    const first = open(memory);
    await t.throwsAsync(first.client.connect(first.transport), { name: 'UnauthorizedError' });
    await first.transport.finishAuth((await approve(world.human, memory.asked[0]!)).searchParams);
    const { client, transport } = open(memory);
    await client.connect(transport);
    const call = async (name: string, args: Record<string, unknown>): Promise<Any> => {
      const result: Any = await client.callTool({ name, arguments: args });
      return JSON.parse(result.content[0].text);
    };
    const app = `doomed-${engine}`;
    t.deepEqual(await call('deploy_app', { app }), { deployed: app, version: 1 });
    const before = memory.kept.tokens;
    t.notRegex(before.scope, /admin/);

    await t.throwsAsync(call('manage_app', { app, action: 'delete' }), { name: 'UnauthorizedError' });
    t.is(memory.asked.length, 2, 'it asks the human instead of renewing the token');
    const asked = memory.asked[1]!.searchParams.get('scope')!.split(' ');
    for (const scope of ['read', 'write', 'admin']) t.true(asked.includes(scope), scope);

    const page = await world.human.get(String(memory.asked[1]));
    const line = (scope: string) =>
      new RegExp(`<input type="checkbox" name="scope:${scope}".*</label>`).exec(page.text)![0];
    for (const held of ['read', 'write']) t.regex(line(held), / checked.*Has now/);
    t.notRegex(line('admin'), / checked|Has now/);
    t.regex(line('admin'), /Off unless you turn it on/);
    const boxes = { 'scope:read': 'on', 'scope:write': 'on', 'scope:admin': 'on' };
    const back = await world.human.post(page.path, { ...boxes, decision: 'approve' });
    await transport.finishAuth(new URL(back.path).searchParams);

    t.deepEqual(await call('manage_app', { app, action: 'delete' }), { deleted: true });
    t.regex(memory.kept.tokens.scope, /\badmin\b/);
    t.true(await world.api.isActive(before.access_token), 'the token before stays as it was');
    t.is(memory.asked.length, 2);
    await client.close();
  });

  test('when the human leaves it off, the call stays refused, and what the app had goes on working', async (t) => {
    const memory = createMemory();
    const first = open(memory);
    await t.throwsAsync(first.client.connect(first.transport), { name: 'UnauthorizedError' });
    await first.transport.finishAuth((await approve(world.human, memory.asked[0]!)).searchParams);
    const { client, transport } = open(memory);
    await client.connect(transport);
    const app = `kept-${engine}`;
    await client.callTool({ name: 'deploy_app', arguments: { app } });
    await t.throwsAsync(client.callTool({ name: 'manage_app', arguments: { app, action: 'delete' } }), {
      name: 'UnauthorizedError',
    });
    const back = await approve(world.human, memory.asked[1]!, ['scope:read', 'scope:write']);
    await transport.finishAuth(back.searchParams);
    await t.throwsAsync(client.callTool({ name: 'manage_app', arguments: { app, action: 'delete' } }));
    const result: Any = await client.callTool({ name: 'list_my_apps', arguments: {} });
    t.true(JSON.parse(result.content[0].text).includes(app));
    await client.close();
  });
});
