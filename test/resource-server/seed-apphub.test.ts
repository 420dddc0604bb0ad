import { readFileSync } from 'node:fs';
import { issueAccessToken, tokenExpiry } from '../../src/domain/credentials/access-tokens.ts';
import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { asker } from '../helpers/api-keys.ts';
import { getCode, redeem, registerApp } from '../helpers/app-client.ts';
import { newMailbox } from '../helpers/common.ts';
import { openSeed, type SeedWorld } from '../helpers/seed-world.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What apphub says of its MCP server, sentence by sentence, over the official SDK. */

const TIERS = ['read', 'write', 'admin'] as const;

/** Each tool, by action where it depends on that, with the tier that it needs. */
const TOOLS: [tool: string, needs: (typeof TIERS)[number], args?: Record<string, string>][] = [
  ...['list_my_apps', 'get_app_url', 'list_apis', 'search_table', 'preflight_check'].map(
    (tool) => [tool, 'read'] as [string, 'read'],
  ),
  ...['get_api_schema', 'test_api', 'discover_apis'].map((tool) => [tool, 'read'] as [string, 'read']),
  ...['deploy_app', 'rollback_deploy', 'restart_app', 'env_vars'].map(
    (tool) => [tool, 'write'] as [string, 'write'],
  ),
  ...['import_and_deploy', 'set_app_spec', 'manage_oauth_client', 'connect_repo', 'manage_api_key'].map(
    (tool) => [tool, 'admin'] as [string, 'admin'],
  ),
  ['manage_app', 'write', { action: 'update' }],
  ['manage_app', 'admin', { action: 'archive' }],
  ['manage_app', 'admin', { action: 'unarchive' }],
  ['manage_ci', 'read', { action: 'list' }],
  ['manage_ci', 'write', { action: 'rerun' }],
  ['manage_ci', 'admin', { action: 'enable' }],
  ['manage_ci', 'admin', { action: 'disable' }],
  ['manage_table', 'read', { action: 'list' }],
  ['manage_table', 'read', { action: 'describe' }],
  ['manage_table', 'write', { action: 'create' }],
  ['manage_table', 'write', { action: 'drop' }],
  ['records', 'read', { action: 'query' }],
  ['records', 'write', { action: 'insert' }],
  ['records', 'write', { action: 'update' }],
  ['records', 'write', { action: 'delete' }],
  ['records', 'write', { action: 'bulk_insert' }],
  ['connect_repo', 'admin', { action: 'connect' }],
  ['connect_repo', 'admin', { action: 'disconnect' }],
  ['manage_app', 'admin', { action: 'delete' }],
];

/** What all tools take; each reads what it knows. */
const ARGS = { app: 'shop', table: 'main', query: 'x', name: 'X', value: 'x', spec: 'x', source: 'x' };
/** Those that are about no app. */
const WITHOUT_APP = ['list_my_apps', 'list_apis', 'discover_apis'];
const argsOf = (tool: string, args: object = {}): Record<string, unknown> => {
  const { app, ...others } = ARGS;
  return { ...others, ...(!WITHOUT_APP.includes(tool) && { app }), ...args };
};

onEveryEngine('apphub', (engine, test) => {
  let world: SeedWorld;
  test.before(async () => {
    world = await openSeed(engine, 'apphub', { name: 'apphub-mcp' }, { claimedScopes: [...TIERS] });
  });
  test.after(() => world.stop());

  /** An agent of somebody, which gets tokens. */
  async function newAgent(mailbox = newMailbox()) {
    const { user_id: owner, agent_id: agentId, credential } = await world.on.claimed(mailbox);
    /** A token of it with these scopes, as it gets them for its identity. */
    const token = async (...scopes: string[]) => {
      const { value } = await world.places.act((work) => {
        const audience = { url: world.api.url, tokens: 'opaque' as const };
        const { now } = work;
        const expiresAt = tokenExpiry(world.on.service.deps, audience, now, Number.POSITIVE_INFINITY);
        return issueAccessToken(work, {
          agentId,
          accountId: owner,
          scopes,
          audience,
          issuedAt: now,
          expiresAt,
        });
      });
      return value;
    };
    return { owner, agentId, credential, token };
  }

  test('only tokens of OAuth come in: a key reaches no tool', async (t) => {
    const { credential, token } = await newAgent();
    const byKey = await world.connect(credential);
    for (const [tool, , args] of TOOLS) {
      t.is(await byKey.outcome(tool, argsOf(tool, args)), 'oauth_only', tool);
    }
    const byToken = await world.connect(await token('read'));
    t.is(await byToken.outcome('list_my_apps'), 'ok');
    for (const client of [byKey, byToken]) await client.close();
  });

  test('an app that registered itself comes with the token that its human approved', async (t) => {
    const app = await registerApp(world.on);
    const query = { scope: 'read write', resource: world.url };
    const { code, asked } = await getCode(world.on, app, { query, boxes: ['scope:read', 'scope:write'] });
    const { body } = await redeem(world.on, app, { code, asked }, { resource: world.url });
    const client = await world.connect(body.access_token);
    t.deepEqual(await client.call('deploy_app', { app: 'shop' }), { deployed: 'shop', version: 1 });
    t.deepEqual(await client.call('list_my_apps'), ['shop']);
    t.is(await client.outcome('set_app_spec', argsOf('set_app_spec')), 'missing_scope');
    await client.close();
  });

  test('a request without a token is 401 with the challenge, and -32001 "credentials required"', async (t) => {
    const { status, headers, body } = await world.send(undefined, { method: 'tools/list' });
    t.is(status, 401);
    const { origin } = new URL(world.url);
    t.is(
      headers.get('www-authenticate'),
      `Bearer realm="apphub-mcp", resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp", scope="read write"`,
    );
    // As that product says it, and beside it a sentence for people.
    const { data, ...error } = body.error;
    t.deepEqual(
      { ...body, error },
      { jsonrpc: '2.0', id: 1, error: { code: -32001, message: 'credentials required' } },
    );
    t.deepEqual(Object.keys(data), ['message']);
    const expired = await world.send('at_nothing', { method: 'tools/list' });
    t.is(expired.status, 401);
    t.regex(expired.headers.get('www-authenticate')!, /error="invalid_token"/);
    t.is(expired.body.error.code, -32001);
  });

  test('each tool needs its tier, some by their action; admin implies write, and write implies read', async (t) => {
    for (const tier of TIERS) {
      const { token } = await newAgent();
      const owner = await world.connect(await token('admin'));
      await owner.call('deploy_app', { app: 'shop' });
      const client = await world.connect(await token(tier));
      for (const [tool, needs, args] of TOOLS) {
        const outcome = await client.outcome(tool, argsOf(tool, args));
        const isAllowed = TIERS.indexOf(tier) >= TIERS.indexOf(needs);
        const about = `${tool} ${args?.action ?? ''} with ${tier}`;
        if (isAllowed) t.true(['ok', 'failed'].includes(outcome), `${about}: ${outcome}`);
        else t.is(outcome, 'missing_scope', about);
      }
      for (const each of [client, owner]) await each.close();
    }
  });

  test('an action that no rule names is refused, and so is a tool that is not there', async (t) => {
    const { token } = await newAgent();
    const client = await world.connect(await token('admin'));
    t.is(await client.outcome('records', argsOf('records', { action: 'truncate' })), 'endpoint_forbidden');
    t.is(await client.outcome('records', argsOf('records')), 'endpoint_forbidden');
    t.is(await client.outcome('add_record', argsOf('add_record')), 'endpoint_forbidden');
    await client.close();
  });

  test('phase 2: an app elsewhere is outside the reach, one that may be looked at is not changed', async (t) => {
    const { places } = world;
    const mailbox = newMailbox();
    const { owner } = await newAgent(mailbox);
    const boss = await places.person();
    const [all, looking, foreign] = [
      await places.workspace([boss, 'owner'], [owner, 'admin']),
      await places.workspace([boss, 'owner'], [owner, 'admin']),
      await places.workspace([boss, 'owner']),
    ];
    const builder = await newAgent(mailbox);
    await placeAgent(world.on.service.deps, asker, owner, builder.agentId, [
      { workspaceId: all, actions: ['admin'] },
      { workspaceId: looking, actions: ['read', 'write'] },
    ]);
    const build = await world.connect(await builder.token(...TIERS));
    for (const workspace of [all, looking]) await build.call('deploy_app', { app: 'shop', workspace });
    await build.call('deploy_app', { app: 'blog', workspace: all });

    // One app alone, one workspace as a viewer.
    const agent = await newAgent(mailbox);
    const nodeId = await places.findNode(all, 'shop');
    await placeAgent(world.on.service.deps, asker, owner, agent.agentId, [
      { workspaceId: all, nodeId, actions: ['read', 'write'] },
      { workspaceId: looking, actions: ['read', 'write'] },
    ]);
    await places.setRole(looking, owner, 'viewer');
    const client = await world.connect(await agent.token(...TIERS));
    const outcome = (tool: string, workspace: string, app = 'shop', action?: string) =>
      client.outcome(tool, { ...argsOf(tool), app, workspace, ...(action && { action }) });
    t.is(await outcome('restart_app', all), 'ok');
    t.is(await outcome('get_app_url', all, 'blog'), 'resource_scope', 'another app of the workspace');
    t.is(await outcome('restart_app', all, 'blog'), 'resource_scope');
    t.is(await outcome('get_app_url', foreign), 'resource_scope', 'an app of another workspace');
    t.is(await outcome('get_app_url', looking), 'ok');
    t.is(await outcome('restart_app', looking), 'endpoint_forbidden', 'not canManage');
    t.is(
      await outcome('manage_app', all, 'shop', 'archive'),
      'missing_scope',
      'rights on the app, not this one',
    );
    t.deepEqual(await client.call('list_my_apps', { workspace: all }), ['shop']);
    for (const each of [client, build]) await each.close();
  });

  test('a session belongs to who opened it: to others it is not there, and subscriptions fail', async (t) => {
    const [mine, theirs] = [await (await newAgent()).token('read'), await (await newAgent()).token('read')];
    const client = await world.connect(mine);
    const session = { 'Mcp-Session-Id': client.transport.sessionId! };
    t.is((await world.send(mine, { method: 'tools/list' }, session)).status, 200);
    t.is((await world.send(theirs, { method: 'tools/list' }, session)).status, 404);
    const subscribe = { method: 'resources/subscribe', params: { uri: 'app://shop' } };
    const refused = await world.send(theirs, subscribe, session);
    t.is(refused.status, 400);
    t.is(refused.body.error.code, -32600);
    t.regex(refused.body.error.message, /Mcp-Session-Id required/);
    await client.close();
  });

  test('the catalogue of errors', async (t) => {
    const token = await (await newAgent()).token('read');
    const client = await world.connect(token);
    const session = { 'Mcp-Session-Id': client.transport.sessionId! };
    const codeOf = async (
      message: object,
      credential: string | undefined = token,
      headers: object = session,
    ) => {
      const { status, body } = await world.send(credential, message, { ...headers });
      return [status, body.error?.code ?? body.result?.content[0].text];
    };
    const call = (name: string, args: object) => ({
      method: 'tools/call',
      params: { name, arguments: args },
    });
    t.deepEqual(await codeOf({ method: 'tools/list' }, 'at_nothing'), [401, -32001]);
    t.deepEqual(await codeOf({ method: 'resources/subscribe', params: {} }, token, {}), [400, -32600]);
    t.deepEqual(await codeOf({ method: 'no/such/method' }), [200, -32601]);
    const [status, text] = await codeOf(call('search_table', { app: 'shop' }));
    t.is(status, 200);
    t.regex(String(text), /-32602/);
    t.deepEqual(await codeOf(call('get_app_url', { app: 'shop', workspace: 'wsp_none' })), [200, -32003]);
    t.deepEqual(await codeOf(call('deploy_app', { app: 'shop' })), [403, -32003], 'more scope would help');
    await client.close();
  });
});

onEveryEngine('apphub, with a tool that is switched off', (engine, test) => {
  test('phase 1 goes in order: of three faults the deny list is told first, then the scope, then the form', async (t) => {
    const path = new URL('../../examples/apphub.config.json', import.meta.url);
    const { policy } = JSON.parse(readFileSync(path, 'utf8'));
    const world = await openSeed(engine, 'apphub', {}, { policy: { ...policy, deny: ['restart_app'] } });
    t.teardown(() => world.stop());
    const reader = await world.connect((await world.on.register()).credential);
    const writer = await world.connect((await world.on.claimed(newMailbox())).credential);
    t.is(await reader.outcome('restart_app', argsOf('restart_app')), 'endpoint_forbidden');
    t.is(await reader.outcome('deploy_app', argsOf('deploy_app')), 'missing_scope');
    t.is(await writer.outcome('deploy_app', argsOf('deploy_app')), 'oauth_only');
    for (const client of [reader, writer]) await client.close();
  });
});
