import { revokePersonalKey } from '../../src/domain/credentials/personal-keys.ts';
import { createWorkspace, deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { until } from '../helpers/api.ts';
import { asker } from '../helpers/api-keys.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { history } from '../helpers/key-pages.ts';
import { openSeed, type SeedWorld } from '../helpers/seed-world.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What Stable Baseline says of its MCP server, sentence by sentence, over the official SDK. */

const ALL = ['read', 'write', 'delete'];

onEveryEngine('Stable Baseline', (engine, test) => {
  let world: SeedWorld;
  test.before(async () => {
    world = await openSeed(engine, 'stable-baseline', { name: 'Stable Baseline' });
  });
  test.after(() => world.stop());

  /** A workspace with a document or diagram in each place of the tree that it begins with, and its owner. */
  async function workspace(owner?: string) {
    const { places } = world;
    const ann = owner ?? (await places.person());
    const id = await places.workspace([ann, 'owner']);
    const boss = await world.connect((await places.key(ann, [{ workspaceId: id, actions: ALL }])).credential);
    const write = (item: string, type: string, parent?: string) =>
      boss.call('write_item', { item, type, text: `text of ${item}`, ...(parent && { in: parent }) });
    await write('plan', 'document', 'launch');
    await write('spec', 'document', 'specs');
    await write('sketch', 'diagram', 'specs');
    await write('draft', 'document', 'drafts');
    await write('top', 'document');
    return { id, ann, boss, node: (name: string) => places.findNode(id, name) };
  }
  const at = (workspaceId: string, nodeId: string, actions = ['read'], types?: string[]) => ({
    workspaceId,
    nodeId,
    actions,
    types,
  });

  test('a key for one workspace, and for one folder of another: true inside, false beside and above', async (t) => {
    const one = await workspace();
    const two = await workspace(one.ann);
    const { credential } = await world.places.key(one.ann, [
      { workspaceId: one.id, actions: ['read'] },
      at(two.id, await two.node('specs')),
    ]);
    const bot = await world.connect(credential);
    const read = (workspaceId: string, item: string) =>
      bot.outcome('read_item', { workspace: workspaceId, item });
    for (const item of ['plan', 'spec', 'draft', 'top']) t.is(await read(one.id, item), 'ok', item);
    t.is(await read(two.id, 'spec'), 'ok');
    t.is(await read(two.id, 'draft'), 'resource_scope', 'beside');
    t.is(await read(two.id, 'plan'), 'resource_scope', 'above');
    t.is(await read(two.id, 'top'), 'resource_scope', 'the workspace itself');
    t.is(await read('wsp_none', 'spec'), 'resource_scope');
    const listed = await bot.call('list_items', { workspace: two.id });
    t.deepEqual(listed.map(({ id }: { id: string }) => id).toSorted(), ['sketch', 'spec', 'specs']);
    for (const { boss } of [one, two]) await boss.close();
    await bot.close();
  });

  test('what is in a folder of the folder is in it, too', async (t) => {
    const { id, ann, boss, node } = await workspace();
    const { credential } = await world.places.key(ann, [at(id, await node('launch'), ['read', 'write'])]);
    const bot = await world.connect(credential);
    t.is(await bot.outcome('create_folder', { folder: 'api', in: 'specs' }), 'ok');
    t.is(await bot.outcome('write_item', { item: 'v1', type: 'document', text: 'x', in: 'api' }), 'ok');
    t.is(await bot.outcome('read_item', { item: 'v1' }), 'ok');
    t.is(
      await bot.outcome('write_item', { item: 'pay', type: 'document', text: 'x', in: 'hiring' }),
      'resource_scope',
    );
    t.is(await bot.outcome('create_folder', { folder: 'mine' }), 'resource_scope', 'a project of its own');
    for (const client of [bot, boss]) await client.close();
  });

  test('granular permissions: reading documents and writing diagrams is neither the other way round', async (t) => {
    const { id, ann, boss, node } = await workspace();
    const specs = await node('specs');
    const { credential } = await world.places.key(ann, [
      at(id, specs, ['read'], ['document']),
      at(id, specs, ['write'], ['diagram']),
    ]);
    const bot = await world.connect(credential);
    const write = (item: string, type: string) =>
      bot.outcome('write_item', { item, type, text: 'changed', in: 'specs' });
    t.is(await bot.outcome('read_item', { item: 'spec' }), 'ok');
    t.is(await write('sketch', 'diagram'), 'ok');
    t.is(await bot.outcome('read_item', { item: 'sketch' }), 'missing_scope');
    t.is(await write('spec', 'document'), 'missing_scope');
    t.is(await write('spec', 'diagram'), 'missing_scope', 'a thing has the type that it has');
    t.is(await write('new', 'document'), 'missing_scope');
    t.is(await write('new', 'diagram'), 'ok');
    t.is((await boss.call('read_item', { item: 'spec' })).text, 'text of spec');
    for (const client of [bot, boss]) await client.close();
  });

  test('a move follows the tree of the server: who has the old folder loses the thing, who has the new one gains it', async (t) => {
    const { id, ann, boss, node } = await workspace();
    const inSpecs = await world.connect(
      (await world.places.key(ann, [at(id, await node('specs'), ALL)])).credential,
    );
    const inDrafts = await world.connect(
      (await world.places.key(ann, [at(id, await node('drafts'))])).credential,
    );
    t.is(await inDrafts.outcome('read_item', { item: 'spec' }), 'resource_scope');
    t.is(
      await inSpecs.outcome('move_item', { item: 'spec', to: 'drafts' }),
      'failed',
      'it may not put it there',
    );
    await boss.call('move_item', { item: 'spec', to: 'drafts' });
    t.is(await inDrafts.outcome('read_item', { item: 'spec' }), 'ok');
    t.is(await inSpecs.outcome('read_item', { item: 'spec' }), 'resource_scope');
    await boss.call('move_item', { item: 'drafts', to: 'hiring' });
    t.is(await inDrafts.outcome('read_item', { item: 'spec' }), 'ok', 'a place stays on its folder');
    t.like(
      (await world.api.read(id)).find(({ id: name }) => name === 'drafts'),
      { parent: 'hiring' },
    );
    for (const client of [inSpecs, inDrafts, boss]) await client.close();
  });

  test('people choose from the tree of a new workspace at once; a folder that is deleted ends the keys for it', async (t) => {
    const { on, api, places } = world;
    const { deps } = on.service;
    const ann = await places.person();
    const id = await createWorkspace(deps, asker, ann, 'Fresh');
    await until(async () => (await api.read(id)).length === 4);
    t.deepEqual(
      (await api.read(id)).map(({ id: name, parent, kind }) => [name, parent, kind]),
      [
        ['drafts', 'launch', 'folder'],
        ['hiring', null, 'project'],
        ['launch', null, 'project'],
        ['specs', 'launch', 'folder'],
      ],
    );
    const { credential } = await places.key(ann, [at(id, await places.findNode(id, 'specs'))]);
    const bot = await world.connect(credential);
    t.is(await bot.outcome('list_items'), 'ok');
    const boss = await world.connect((await places.key(ann, [{ workspaceId: id, actions: ALL }])).credential);
    await boss.call('delete_folder', { folder: 'launch' });
    const began = performance.now();
    await until(async () => (await bot.outcome('list_items')) === '401');
    t.true(performance.now() - began < 1000);
    t.deepEqual(
      (await api.read(id)).map(({ id: name }) => name),
      ['hiring'],
    );
    await boss.close();
  });

  test('a workspace that is deleted takes its keys along, and what the server kept of it', async (t) => {
    const { id, ann, boss } = await workspace();
    t.truthy(world.workspaces.find(id, 'spec'));
    await deleteWorkspace(world.on.service.deps, asker, ann, id);
    const began = performance.now();
    await until(async () => (await boss.outcome('list_items')) === '401');
    await until(() => world.workspaces.find(id, 'spec') === undefined);
    t.true(performance.now() - began < 1000);
  });

  test('a name is required, five lifetimes can be chosen, and the key is shown once; then its beginning', async (t) => {
    const browser = await signIn(world.on, newMailbox());
    const form = await browser.get('/keys/new');
    t.deepEqual(
      [...form.text.matchAll(/<input type="radio" name="life" value="([^"]+)"/g)].map(([, life]) => life),
      ['7', '30', '90', '365', 'never'],
    );
    t.is((await browser.post('/keys/new', { name: '', preset: 'read' })).status, 400);
    await browser.get('/keys/new');
    const made = await browser.post('/keys/new', { name: 'CI/CD Pipeline', preset: 'read', life: '30' });
    const [, credential] = /<code id="key">(sta_\w+)<\/code>/.exec(made.text)!;
    const [row] = await history(browser);
    t.true(row!.text.includes(credential!.slice(0, 8)));
    t.false(row!.text.includes(credential!.slice(0, 12)));
    const client = await world.connect(credential!);
    t.is(await client.outcome('list_items'), 'ok');
    await client.close();
  });

  test('a key goes behind the word Bearer: without it 401 says so', async (t) => {
    const { ann, id, boss } = await workspace();
    const { credential } = await world.places.key(ann, [{ workspaceId: id, actions: ['read'] }]);
    const raw = await world.send(undefined, { method: 'tools/list' }, { Authorization: credential });
    t.is(raw.status, 401);
    t.regex(raw.body.error.data.message, /Authorization: Bearer/);
    await boss.close();
  });

  test('a revoked key stays in the list, struck through, and never works again', async (t) => {
    const { on, places } = world;
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const { id: ann } = (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM accounts WHERE mailbox = ?',
      [mailbox],
    ))!;
    const { id, boss } = await workspace(ann);
    const { credential, key } = await places.key(ann, [{ workspaceId: id, actions: ['read'] }]);
    const bot = await world.connect(credential);
    await revokePersonalKey(on.service.deps, asker, ann, key.id);
    await until(async () => (await bot.outcome('list_items')) === '401');
    const ended = (await history(browser)).filter(({ isStruck }) => isStruck);
    t.is(ended.length, 1);
    t.false(ended[0]!.canEnd);
    await revokePersonalKey(on.service.deps, asker, ann, key.id).catch(() => undefined);
    await t.throwsAsync(world.connect(credential));
    await boss.close();
  });

  test('from a 401 alone a client finds the metadata, the authorization server and all its documents', async (t) => {
    const { status, headers } = await world.send(undefined, { method: 'initialize' });
    t.is(status, 401);
    const read = async (url: string) => {
      const response = await fetch(url, { headers: { Connection: 'close' } });
      t.is(response.status, 200, url);
      return (await response.json()) as Record<string, unknown>;
    };
    const [, metadata] = /resource_metadata="([^"]+)"/.exec(headers.get('www-authenticate')!)!;
    const { authorization_servers: servers, resource } = await read(metadata!);
    t.is(resource, world.url);
    const [issuer] = servers as string[];
    t.is(issuer, world.on.url);
    const server = await read(`${issuer}/.well-known/oauth-authorization-server`);
    const openid = await read(`${issuer}/.well-known/openid-configuration`);
    for (const scope of ['openid', 'profile', 'email']) {
      t.true((openid.scopes_supported as string[]).includes(scope), scope);
    }
    t.truthy((await read(String(server.jwks_uri))).keys);
    const registered = await world.on.post('/oauth/clients/register', {
      client_name: 'Desktop',
      redirect_uris: ['http://127.0.0.1/callback'],
      token_endpoint_auth_method: 'none',
    });
    t.is(registered.status, 201);
  });
});

onEveryEngine('Stable Baseline, as time goes by', (engine, test) => {
  test('a key expires at the millisecond, with 401; a new one takes its place', async (t) => {
    const world = await openSeed(engine, 'stable-baseline', { cacheSeconds: 0 });
    t.teardown(() => world.stop());
    const { on, places } = world;
    const ann = await places.person();
    const id = await places.workspace([ann, 'owner']);
    const { credential } = await places.key(ann, [{ workspaceId: id, actions: ['read'] }], 7);
    const bot = await world.connect(credential);
    on.clock.advance(7 * 86_400 - 0.001);
    t.is(await bot.outcome('list_items'), 'ok');
    on.clock.advance(0.001);
    t.is(await bot.outcome('list_items'), '401');
    const next = await places.key(ann, [{ workspaceId: id, actions: ['read'] }], 7);
    const again = await world.connect(next.credential);
    t.is(await again.outcome('list_items'), 'ok');
    await again.close();
  });
});
