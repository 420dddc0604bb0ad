import { revokePersonalKey } from '../../src/domain/credentials/personal-keys.ts';
import { endKeyInWorkspace, listWorkspaceKeys } from '../../src/domain/credentials/workspace-keys.ts';
import { changeRole } from '../../src/domain/workspaces/members.ts';
import { requireMember } from '../../src/domain/workspaces/workspaces.ts';
import { Failure } from '../../src/errors.ts';
import { insertMember, type Role } from '../../src/store/members.ts';
import { until } from '../helpers/api.ts';
import { asker } from '../helpers/api-keys.ts';
import { newMailbox } from '../helpers/common.ts';
import { dumpOf } from '../helpers/dump.ts';
import { signIn } from '../helpers/human.ts';
import { openSeed, type SeedWorld } from '../helpers/seed-world.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What Tiny Command says of its MCP server, sentence by sentence, over the official SDK. */

const SCOPES = ['workspace:read', 'workspace:build', 'workspace:write', 'workspace:execute'];

/** Each tool with arguments that it takes, and the scope that it needs. */
const TOOLS: Record<string, [args: Record<string, unknown>, scope: string]> = {
  list_my_assets: [{}, 'workspace:read'],
  describe_my_workspace: [{}, 'workspace:read'],
  query_records: [{ asset: 'crm' }, 'workspace:read'],
  check_enrichment: [{ asset: 'crm' }, 'workspace:read'],
  build_system: [{ asset: 'new', purpose: 'x' }, 'workspace:build'],
  update_asset: [{ asset: 'crm', purpose: 'x' }, 'workspace:build'],
  confirm_save: [{ preview: 'none' }, 'workspace:write'],
  add_record: [{ asset: 'crm', value: 'x' }, 'workspace:execute'],
  update_record: [{ asset: 'crm', record: 0, value: 'y' }, 'workspace:execute'],
  trigger_workflow: [{ asset: 'crm' }, 'workspace:execute'],
  send_via_integration: [{ asset: 'crm', to: 'x' }, 'workspace:execute'],
  run_agent: [{ asset: 'crm', task: 'x' }, 'workspace:execute'],
  run_enrichment: [{ asset: 'crm' }, 'workspace:execute'],
};

onEveryEngine('Tiny Command', (engine, test) => {
  let world: SeedWorld;
  test.before(async () => {
    world = await openSeed(engine, 'tiny-command', { path: '/v1', name: 'TinyCommand MCP' });
  });
  test.after(() => world.stop());

  /** A workspace with a saved system "crm", its owner, and an admin. */
  async function workspace() {
    const { places } = world;
    const [ann, ben] = [await places.person(), await places.person()];
    const id = await places.workspace([ann, 'owner'], [ben, 'admin']);
    const boss = await world.connect(
      (await places.key(ann, [{ workspaceId: id, actions: SCOPES }])).credential,
    );
    const { preview } = await boss.call('build_system', { asset: 'crm', purpose: 'customers' });
    await boss.call('confirm_save', { preview });
    return { id, ann, ben, boss };
  }
  const keyOf = (accountId: string, workspaceId: string, actions: readonly string[]) =>
    world.places.key(accountId, [{ workspaceId, actions }]);

  test('a key of a workspace lists what is in that workspace, and without a key nothing is told', async (t) => {
    const one = await workspace();
    const other = await workspace();
    t.deepEqual(await one.boss.call('list_my_assets'), ['crm']);
    t.is(await one.boss.outcome('query_records', { asset: 'crm', workspace: other.id }), 'resource_scope');
    t.deepEqual(await one.boss.call('list_my_assets', { workspace: other.id }), []);
    t.is((await world.send(undefined, { method: 'tools/list' })).status, 401);
    for (const { boss } of [one, other]) await boss.close();
  });

  test('the server resolves identity and workspace of a key: of one workspace that one, of two none by itself', async (t) => {
    const [one, two] = [await workspace(), await workspace()];
    t.like(await one.boss.call('describe_my_workspace'), { workspace: one.id, as: one.ann });
    const both = await world.places.key(one.ann, [
      { workspaceId: one.id, actions: SCOPES },
      { workspaceId: await world.places.workspace([one.ann, 'owner']), actions: SCOPES },
    ]);
    const client = await world.connect(both.credential);
    t.is((await client.call('describe_my_workspace')).workspace, one.ann);
    for (const each of [one.boss, two.boss, client]) await each.close();
  });

  test('thirteen tools, each by one scope, whatever else a key has', async (t) => {
    const { id, ann, boss } = await workspace();
    const { tools } = await boss.client.listTools();
    t.deepEqual(tools.map(({ name }) => name).toSorted(), Object.keys(TOOLS).toSorted());
    for (const scope of SCOPES) {
      const client = await world.connect((await keyOf(ann, id, [scope])).credential);
      for (const [name, [args, needs]] of Object.entries(TOOLS)) {
        const outcome = await client.outcome(name, args);
        if (scope !== needs) t.is(outcome, 'missing_scope', `${name} with ${scope}`);
        else t.is(outcome, name === 'confirm_save' ? 'failed' : 'ok', `${name} with ${scope}`);
      }
      await client.close();
    }
    await boss.close();
  });

  test('a read-only key for an audit bot adds nothing: it is refused before the tool runs', async (t) => {
    const { id, ann, boss } = await workspace();
    const bot = await world.connect((await keyOf(ann, id, ['workspace:read'])).credential);
    t.is(await bot.outcome('add_record', { asset: 'crm', value: 'x' }), 'missing_scope');
    t.deepEqual(await boss.call('query_records', { asset: 'crm' }), []);
    for (const client of [bot, boss]) await client.close();
  });

  test('a build is previewed by one scope, and saved by another', async (t) => {
    const { id, ann, boss } = await workspace();
    const scout = await world.connect(
      (await keyOf(ann, id, ['workspace:read', 'workspace:build'])).credential,
    );
    const { preview } = await scout.call('build_system', { asset: 'shop', purpose: 'orders' });
    t.is(await scout.outcome('confirm_save', { preview }), 'missing_scope');
    t.deepEqual(await scout.call('list_my_assets'), ['crm']);
    await boss.call('confirm_save', { preview });
    t.deepEqual(await scout.call('list_my_assets'), ['crm', 'shop']);
    for (const client of [scout, boss]) await client.close();
  });

  test('a preview lies where its system will: a key for another folder does not save it', async (t) => {
    const { id, ann, boss } = await workspace();
    const nodeId = await world.places.findNode(id, 'drafts');
    const { credential } = await world.places.key(ann, [{ workspaceId: id, nodeId, actions: SCOPES }]);
    const drafts = await world.connect(credential);
    const { preview } = await boss.call('build_system', { asset: 'api', purpose: 'x', in: 'specs' });
    t.is(await drafts.outcome('confirm_save', { preview }), 'resource_scope');
    t.is(await drafts.outcome('build_system', { asset: 'api', purpose: 'x', in: 'specs' }), 'resource_scope');
    t.is(await drafts.outcome('build_system', { asset: 'api', purpose: 'x' }), 'resource_scope');
    t.is(await drafts.outcome('build_system', { asset: 'idea', purpose: 'x', in: 'drafts' }), 'ok');
    for (const client of [drafts, boss]) await client.close();
  });

  test('each tool runs as who made the key: demoted, the next call may less, within a second', async (t) => {
    const { id, ann, ben, boss } = await workspace();
    const bens = await world.connect((await keyOf(ben, id, SCOPES)).credential);
    t.is((await bens.call('describe_my_workspace')).as, ben);
    t.is(await bens.outcome('add_record', { asset: 'crm', value: 'x' }), 'ok');
    const { deps } = world.on.service;
    await changeRole(deps, asker, ann, id, { memberId: ben, role: 'viewer', endsKeys: false });
    const began = performance.now();
    await until(
      async () => (await bens.outcome('add_record', { asset: 'crm', value: 'x' })) === 'missing_scope',
    );
    t.true(performance.now() - began < 1000);
    t.is(await bens.outcome('query_records', { asset: 'crm' }), 'ok');
    for (const client of [bens, boss]) await client.close();
  });

  test('four roles, three verbs: owners and admins make, list and end all keys of a workspace; members and viewers make none, list and end their own', async (t) => {
    const { places, on } = world;
    const people: Record<Role, string> = {
      owner: await places.person(),
      admin: await places.person(),
      member: await places.person(),
      viewer: await places.person(),
    };
    const id = await places.workspace(
      ...Object.entries(people).map(([role, who]) => [who, role as Role] as [string, Role]),
    );
    const kindOf = (act: Promise<unknown>) =>
      act.then(
        () => 'done',
        (error: unknown) => (error instanceof Failure ? error.kind : String(error)),
      );
    const { deps } = on.service;
    /** Of somebody who was an admin, and has the role now. */
    const ownKeyOf = async (role: Role) => {
      await places.setRole(id, people[role], 'admin');
      const { key } = await keyOf(people[role], id, ['workspace:read']);
      await places.setRole(id, people[role], role);
      return key.id;
    };
    const second = await places.person();
    await places.act(({ tx, now }) =>
      insertMember(tx, { workspaceId: id, accountId: second, role: 'owner', joinedAt: now }),
    );
    for (const [role, who] of Object.entries(people) as [Role, string][]) {
      const isManager = role === 'owner' || role === 'admin';
      const made = await kindOf(keyOf(who, id, ['workspace:read']));
      t.is(made, isManager ? 'done' : 'forbidden', role);
      const own = await ownKeyOf(role);
      const others = (await keyOf(second, id, ['workspace:read'])).key.id;
      const { items } = await listWorkspaceKeys(deps, await requireMember(deps.db, id, who));
      const listed = items.map(({ id: key }) => key);
      t.true(listed.includes(own), role);
      t.is(listed.includes(others), isManager, role);
      t.is(
        await kindOf(endKeyInWorkspace(deps, asker, who, id, others)),
        isManager ? 'done' : 'notFound',
        role,
      );
      t.is(await kindOf(revokePersonalKey(deps, asker, who, others)), 'notFound', `${role}, among their own`);
      t.is(await kindOf(endKeyInWorkspace(deps, asker, who, id, own)), 'done', role);
    }
  });

  test('keys are "tcm_live_" and 32 bytes, shown once; the database holds a hash', async (t) => {
    const { id, ann, boss } = await workspace();
    const { credential, key } = await keyOf(ann, id, SCOPES);
    t.regex(credential, /^tcm_live_[\w-]{43}$/);
    t.is(credential.length, 52);
    t.is(Buffer.from(credential.slice(9), 'base64url').length, 32);
    t.is(key.prefix, credential.slice(0, 13));
    t.false((await dumpOf(world.on)).includes(credential.slice(13, -4)));
    await boss.close();
  });

  test('there is no tool for keys: they are made and ended on pages alone', async (t) => {
    const { boss } = await workspace();
    const { tools } = await boss.client.listTools();
    t.deepEqual(
      tools.filter(({ name }) => /key|token|revoke|grant/i.test(name)),
      [],
    );
    await boss.close();
  });

  test('the page offers six choices, of which Standard is recommended; each makes exactly its scopes', async (t) => {
    const browser = await signIn(world.on, newMailbox());
    const { text } = await browser.get('/keys/new');
    const names = [...text.matchAll(/<input type="radio" name="preset" value="([^"]+)"/g)].map(
      ([, name]) => name,
    );
    t.deepEqual(names, ['standard', 'build-only', 'read-operate', 'read-only', 'scout', 'choose']);
    t.is(text.match(/>Recommended</g)?.length, 1);
    t.regex(text, /value="standard"[^>]*>(?:(?!<\/label>).)*Recommended/s);
    t.true(text.includes('Audit bots: looking only.'));
    const [read, build, write, execute] = SCOPES;
    for (const [preset, scopes] of Object.entries({
      standard: SCOPES,
      'build-only': [read, build, write],
      'read-operate': [read, execute],
      'read-only': [read],
      scout: [read, build],
    })) {
      await browser.get('/keys/new');
      const made = await browser.post('/keys/new', { name: preset, preset });
      const [, credential] = /<code id="key">([^<]+)<\/code>/.exec(made.text)!;
      const { body } = await world.api.ask(credential!);
      t.deepEqual(body.scope.split(' ').toSorted(), scopes.toSorted(), preset);
    }
  });

  test('a revoked key is refused within a second', async (t) => {
    const { id, ann, boss } = await workspace();
    const { credential, key } = await keyOf(ann, id, SCOPES);
    const bot = await world.connect(credential);
    t.is(await bot.outcome('list_my_assets'), 'ok');
    await revokePersonalKey(world.on.service.deps, asker, ann, key.id);
    const began = performance.now();
    await until(async () => (await bot.outcome('list_my_assets')) === '401');
    t.true(performance.now() - began < 1000);
    await t.throwsAsync(world.connect(credential));
    await boss.close();
  });

  test('MCP-Protocol-Version is required on every request after initialization', async (t) => {
    const { id, ann, boss } = await workspace();
    const { credential } = await keyOf(ann, id, SCOPES);
    const headers = { 'Mcp-Session-Id': boss.transport.sessionId! };
    t.is((await world.send(credential, { method: 'tools/list' }, headers)).status, 200);
    const without = await fetch(world.url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json, text/event-stream',
        Connection: 'close',
        Authorization: `Bearer ${credential}`,
        ...headers,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    });
    t.is(without.status, 400);
    t.like(await without.json(), { error: { code: -32600 } });
    await boss.close();
  });

  test('the surface of OAuth is there: metadata, and a realm in every 401', async (t) => {
    const { origin } = new URL(world.url);
    const document = await fetch(`${origin}/.well-known/oauth-protected-resource/v1`);
    t.like(await document.json(), {
      resource: world.url,
      authorization_servers: [world.on.url],
      scopes_supported: SCOPES,
      resource_name: 'TinyCommand MCP',
    });
    const refused = await world.send(undefined, { method: 'initialize' });
    t.is(
      refused.headers.get('www-authenticate'),
      `Bearer realm="TinyCommand MCP", resource_metadata="${origin}/.well-known/oauth-protected-resource/v1", ` +
        'scope="workspace:read workspace:build workspace:write"',
    );
  });
});

onEveryEngine('Tiny Command without the stream of events', (engine, test) => {
  test('a revoked key is refused once its answer is no longer remembered', async (t) => {
    const world = await openSeed(engine, 'tiny-command', { follow: false, cacheSeconds: 1 });
    t.teardown(() => world.stop());
    const ann = await world.places.person();
    const id = await world.places.workspace([ann, 'owner']);
    const { credential, key } = await world.places.key(ann, [
      { workspaceId: id, actions: ['workspace:read'] },
    ]);
    const bot = await world.connect(credential);
    await revokePersonalKey(world.on.service.deps, asker, ann, key.id);
    const began = performance.now();
    await until(async () => (await bot.outcome('list_my_assets')) === '401');
    t.true(performance.now() - began < 2000);
  });
});
