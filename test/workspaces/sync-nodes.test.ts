import fc from 'fast-check';
import { SyncRefused, syncNodes, type TreeNode } from '../../src/resource-server/index.ts';
import { assertProperty } from '../helpers/property.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, insertShared, type TreeApi } from '../helpers/workspaces.ts';

/** syncNodes() of the kit: the tree here becomes that of the API, whatever was there before. */

/** A tree of up to thirty nodes and eight levels. */
const trees = fc
  .array(
    fc.record({
      id: fc.integer({ min: 0, max: 40 }).map((number) => `n${number}`),
      above: fc.nat(),
      name: fc.constantFrom('Launch', 'Specs', 'Ideas'),
      isTop: fc.boolean(),
    }),
    { maxLength: 30 },
  )
  .map((drafts) => {
    const nodes: (TreeNode & { depth: number })[] = [];
    for (const { id, above, name, isTop } of drafts) {
      if (nodes.some((node) => node.id === id)) continue;
      const candidates = nodes.filter(({ depth }) => depth < 8);
      const parent = isTop ? undefined : candidates[above % Math.max(1, candidates.length)];
      const depth = parent === undefined ? 1 : parent.depth + 1;
      nodes.push({ id, kind: 'folder', name, depth, ...(parent && { parent: parent.id }) });
    }
    return nodes.map(({ depth: _, ...node }) => node);
  });

onEveryEngine('a tree that is synchronized', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  let owner: string;
  test.before(async () => {
    on = await startTestService(engine, {
      limits: { nodeBatches: '1000000/m', treesPerResourceServer: '1000000/d' },
    });
    api = await addTreeApi(on);
    owner = (await on.claimed('ann@example.com')).user_id;
  });
  test.after(() => on.stop());

  const newWorkspace = () => insertShared(on, { [owner]: 'owner' });
  const optionsFor = (workspace: string, nodes: Iterable<TreeNode> | AsyncIterable<TreeNode>) => ({
    issuer: on.url,
    clientId: api.id,
    clientSecret: api.secret,
    workspace,
    nodes,
  });
  const asTold = (nodes: TreeNode[]) =>
    nodes
      .map(({ id, parent = null, kind, name }) => ({ id, parent, kind, name }))
      .toSorted((one, other) => (one.id < other.id ? -1 : 1));
  /** How many nodes of one tree are not in another. */
  const ending = (before: TreeNode[], after: TreeNode[]) =>
    before.filter(({ id }) => !after.some((node) => node.id === id)).length;

  test('is that of the API afterwards, from any tree to any other, also where it broke off on the way', (t) =>
    assertProperty(
      t,
      [trees, trees, fc.integer({ min: 1, max: 4 }), fc.nat({ max: 12 })],
      async (t, before, after, pageSize, pagesUntilDeath) => {
        const workspace = await newWorkspace();
        await syncNodes({ ...optionsFor(workspace, before), pageSize });
        t.deepEqual(await api.read(workspace), asTold(before));
        let pages = 0;
        const death = new Error('killed');
        const confirmDeleted = ending(before, after);
        try {
          await syncNodes({
            ...optionsFor(workspace, after),
            pageSize,
            confirmDeleted,
            onProgress() {
              pages += 1;
              if (pages > pagesUntilDeath) throw death;
            },
          });
        } catch (error) {
          if (error !== death) throw error;
        }
        const left = (await api.read(workspace)).filter(
          ({ id }) => !after.some((node) => node.id === id),
        ).length;
        await syncNodes({ ...optionsFor(workspace, after), pageSize, confirmDeleted: left });
        t.deepEqual(await api.read(workspace), asTold(after));
      },
      { numRuns: engine === 'sqlite' ? 60 : 25 },
    ));

  test('once more sends nothing', async (t) => {
    const workspace = await newWorkspace();
    const nodes = [{ id: 'a', kind: 'folder', name: 'A' }];
    t.deepEqual(await syncNodes(optionsFor(workspace, nodes)), { upserted: 1, deleted: 0 });
    t.deepEqual(await syncNodes(optionsFor(workspace, nodes)), { upserted: 0, deleted: 0 });
  });

  test('takes nodes as they come, from an asynchronous source too', async (t) => {
    const workspace = await newWorkspace();
    async function* rows() {
      yield { id: 'b', parent: 'a', kind: 'folder', name: 'B' };
      yield { id: 'a', kind: 'project', name: 'A' };
    }
    t.deepEqual(await syncNodes(optionsFor(workspace, rows())), { upserted: 2, deleted: 0 });
  });

  test('does not empty a tree because a list broke off, unless it is told how many nodes that ends', async (t) => {
    const workspace = await newWorkspace();
    const many = Array.from({ length: 30 }, (_, index) => ({ id: `n${index}`, kind: 'folder', name: 'N' }));
    await syncNodes(optionsFor(workspace, many));
    const refused = await t.throwsAsync(syncNodes(optionsFor(workspace, [])), { instanceOf: SyncRefused });
    t.is(refused.code, 'confirm_needed');
    t.is(refused.deleting, 30);
    t.is((await api.read(workspace)).length, 30);
    t.deepEqual(await syncNodes({ ...optionsFor(workspace, []), confirmDeleted: 30 }), {
      upserted: 0,
      deleted: 30,
    });
  });

  test('of two at once both end right', async (t) => {
    const workspace = await newWorkspace();
    const nodes = Array.from({ length: 40 }, (_, index) => ({ id: `n${index}`, kind: 'folder', name: 'N' }));
    await Promise.all([1, 2].map(() => syncNodes({ ...optionsFor(workspace, nodes), pageSize: 10 })));
    t.deepEqual(await api.read(workspace), asTold(nodes));
  });

  test('what the service refuses is said with its code', async (t) => {
    const workspace = await newWorkspace();
    const cases: [string, TreeNode[]][] = [
      ['invalid_parent', [{ id: 'a', parent: 'nowhere', kind: 'folder', name: 'A' }]],
      ['invalid_parent', [{ id: 'a', parent: 'a', kind: 'folder', name: 'A' }]],
      ['invalid_request', [{ id: 'a b', kind: 'folder', name: 'A' }]],
    ];
    for (const [code, nodes] of cases) {
      const refused = await t.throwsAsync(syncNodes(optionsFor(workspace, nodes)), {
        instanceOf: SyncRefused,
      });
      t.is(refused.code, code);
    }
  });

  test('ten thousand nodes are told in pages, with progress', async (t) => {
    const workspace = await newWorkspace();
    const nodes = Array.from({ length: 10_000 }, (_, index) => ({
      id: `n${index}`,
      kind: 'folder',
      name: `Folder ${index}`,
      ...(index >= 100 && { parent: `n${index % 100}` }),
    }));
    const progress: number[] = [];
    const { upserted } = await syncNodes({
      ...optionsFor(workspace, nodes),
      onProgress: ({ sent, of }) => {
        t.is(of, 10_000);
        progress.push(sent);
      },
    });
    t.is(upserted, 10_000);
    t.is(progress.length, 20);
    t.is(progress.at(-1), 10_000);
  });
});
