import { newMailbox } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, insertPlaceFor, insertShared, type TreeApi } from '../helpers/workspaces.ts';

/** The tree that a resource server tells of a workspace: PUT and GET /resource/nodes. */

const PATH = '/resource/nodes';

const folder = (id: string, parent?: string, name = id) => ({
  id,
  kind: 'folder',
  name,
  ...(parent !== undefined && { parent }),
});

onEveryEngine('the tree of a workspace', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  let owner: string;
  test.before(async () => {
    on = await startTestService(engine, {
      limits: { nodesPerWorkspace: 600, nodeBatches: '100000/m', treesPerResourceServer: '100000/d' },
    });
    api = await addTreeApi(on);
    owner = (await on.claimed('ann@example.com')).user_id;
  });
  test.after(() => on.stop());

  const newWorkspace = () => insertShared(on, { [owner]: 'owner' });
  const idOf = async (workspace: string, id: string) =>
    (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM nodes WHERE workspace_id = ? AND external_id = ? AND ended_at IS NULL',
      [workspace, id],
    ))!.id;
  const isLive = async (place: string) =>
    (await on.service.deps.db.get<{ endedAt: number | null }>(
      'SELECT ended_at AS "endedAt" FROM places WHERE id = ?',
      [place],
    ))!.endedAt === null;

  test('is told in batches that can be repeated, and read back', async (t) => {
    const workspace = await newWorkspace();
    const batch = {
      workspace,
      sequence: 1,
      upsert: [
        { id: 'prj_launch', kind: 'project', name: 'Launch' },
        folder('fld_specs', 'prj_launch', 'Specs'),
      ],
    };
    const first = await api.send(batch);
    t.is(first.status, 200);
    t.deepEqual(first.body, {
      workspace,
      sequence: 1,
      upserted: 2,
      unchanged: 0,
      moved: 0,
      deleted: 0,
      nodes: 2,
    });
    const again = await api.send({ ...batch, sequence: 2 }, 'POST');
    t.deepEqual(again.body, {
      workspace,
      sequence: 2,
      upserted: 0,
      unchanged: 2,
      moved: 0,
      deleted: 0,
      nodes: 2,
    });
    t.deepEqual(await api.read(workspace), [
      { id: 'fld_specs', parent: 'prj_launch', kind: 'folder', name: 'Specs' },
      { id: 'prj_launch', parent: null, kind: 'project', name: 'Launch' },
    ]);
  });

  test('a number that is not above the last is stale and changes nothing; the last batch to the byte is none', async (t) => {
    const workspace = await newWorkspace();
    const batch = { workspace, sequence: 41, upsert: [folder('a')] };
    t.is((await api.send(batch)).status, 200);
    t.is((await api.send(batch)).status, 200, 'a lost answer is no conflict');
    for (const sequence of [41, 40, 0]) {
      const stale = await api.send({ workspace, sequence, upsert: [folder('b')] });
      t.is(stale.status, 409);
      t.like(stale.body, { error: 'stale_sequence', last: 41 });
    }
    const plain = await api.send({ workspace, upsert: [folder('c')] });
    t.is(plain.status, 200, 'without a number it is neither checked nor kept');
    t.is((await api.send(batch)).status, 200);
    t.deepEqual(
      (await api.read(workspace)).map(({ id }) => id),
      ['a', 'c'],
    );
  });

  test('a move carries along what is below, and what moved out of a deleted node lives on', async (t) => {
    const workspace = await newWorkspace();
    await api.send({ workspace, upsert: [folder('p'), folder('q'), folder('f', 'p'), folder('g', 'f')] });
    const place = await insertPlaceFor(on, {
      holder: 'key_1',
      workspaceId: workspace,
      grantedBy: owner,
      resource: api.url,
      nodeId: await idOf(workspace, 'g'),
    });
    const moved = await api.send({ workspace, upsert: [folder('f', 'q')], delete: ['p'] });
    t.like(moved.body, { upserted: 1, moved: 1, deleted: 1, nodes: 3 });
    t.deepEqual(
      (await api.read(workspace)).map(({ id, parent }) => [id, parent]),
      [
        ['f', 'q'],
        ['g', 'f'],
        ['q', null],
      ],
    );
    t.true(await isLive(place), 'the place stays on its node');
  });

  test('death takes all that is below, and the places on it; nothing revives them', async (t) => {
    const workspace = await newWorkspace();
    await api.send({ workspace, upsert: [folder('p'), folder('f', 'p'), folder('g', 'f')] });
    const place = await insertPlaceFor(on, {
      holder: 'key_2',
      workspaceId: workspace,
      grantedBy: owner,
      resource: api.url,
      nodeId: await idOf(workspace, 'g'),
    });
    t.like((await api.send({ workspace, delete: ['f', 'unknown'] })).body, { deleted: 2, nodes: 1 });
    t.false(await isLive(place));
    t.like((await api.send({ workspace, upsert: [folder('f', 'p'), folder('g', 'f')] })).body, {
      upserted: 2,
    });
    t.false(await isLive(place), 'a deleted id that comes again is another node');
  });

  test('`replace` ends what is not named; what people gave access to needs the number of what ends', async (t) => {
    const workspace = await newWorkspace();
    await api.send({ workspace, upsert: [folder('a'), folder('b'), folder('c', 'b')] });
    const place = await insertPlaceFor(on, {
      holder: 'key_3',
      workspaceId: workspace,
      grantedBy: owner,
      resource: api.url,
      nodeId: await idOf(workspace, 'c'),
    });
    const batch = { workspace, replace: true, upsert: [folder('a')] };
    const refused = await api.send(batch);
    t.is(refused.status, 409);
    t.like(refused.body, { error: 'confirm_needed', deleting: 2 });
    t.is((await api.send({ ...batch, confirm_deleted: 1 })).status, 409);
    t.is((await api.read(workspace)).length, 3);
    t.like((await api.send({ ...batch, confirm_deleted: 2 })).body, { deleted: 2, nodes: 1 });
    t.false(await isLive(place));
  });

  test('a batch that ends more than twenty and more than half says how many', async (t) => {
    const workspace = await newWorkspace();
    const upsert = Array.from({ length: 43 }, (_, index) => folder(`n${index}`));
    await api.send({ workspace, upsert });
    const first = upsert.slice(0, 21).map(({ id }) => id);
    t.is((await api.send({ workspace, delete: first })).status, 200, 'less than half');
    const rest = upsert.slice(21).map(({ id }) => id);
    t.like((await api.send({ workspace, delete: rest })).body, { error: 'confirm_needed', deleting: 22 });
    t.is((await api.send({ workspace, delete: rest, confirm_deleted: 22 })).status, 200);
  });

  test('a parent that is not there, is the node itself or below it, or is too deep is named by its index', async (t) => {
    const workspace = await newWorkspace();
    await api.send({ workspace, upsert: [folder('a'), folder('b', 'a'), folder('c', 'b'), folder('x')] });
    const chain = Array.from({ length: 8 }, (_, index) =>
      folder(`d${index}`, index === 0 ? 'a' : `d${index - 1}`),
    );
    const cases: [string, object][] = [
      ['upsert[0].parent', { upsert: [folder('n', 'nowhere')] }],
      ['upsert[1].parent', { upsert: [folder('y'), folder('n', 'n')] }],
      ['upsert[0].parent', { upsert: [folder('a', 'c')] }],
      ['upsert[7].parent', { upsert: chain }],
      ['upsert[0].parent', { upsert: [folder('n', 'c')], delete: ['b'] }],
      ['upsert[0].parent', { upsert: [folder('n', 'x')], delete: ['x'] }],
      ['upsert[0].parent', { upsert: [folder('b', 'a')], delete: ['a'] }],
    ];
    for (const [field, batch] of cases) {
      const refused = await api.send({ workspace, ...batch });
      t.is(refused.status, 400, JSON.stringify(batch));
      t.like(refused.body, { error: 'invalid_parent', field }, JSON.stringify(batch));
    }
    t.is((await api.read(workspace)).length, 4, 'nothing of a refused batch stays');
    await api.send({ workspace, upsert: chain.slice(0, 7) });
    const carried = await api.send({ workspace, upsert: [folder('a', 'x')] });
    t.like(
      carried.body,
      { error: 'invalid_parent', field: 'upsert[0].parent' },
      'a move carries children too deep',
    );
  });

  test('what is wrong with an entry is said with its index', async (t) => {
    const workspace = await newWorkspace();
    const cases: [string, string, object][] = [
      ['invalid_request', 'upsert[0].id', { upsert: [folder('a/b')] }],
      ['invalid_request', 'upsert[1].id', { upsert: [folder('a'), folder('x'.repeat(65))] }],
      ['invalid_request', 'upsert[0].parent', { upsert: [folder('a', '')] }],
      ['invalid_request', 'upsert[0].kind', { upsert: [{ ...folder('a'), kind: 'Folder' }] }],
      ['invalid_request', 'upsert[0].name', { upsert: [folder('a', undefined, 'n'.repeat(121))] }],
      ['invalid_request', 'upsert[0].name', { upsert: [folder('a', undefined, '\u202e')] }],
      ['invalid_request', 'upsert[1].id', { upsert: [folder('a'), folder('a')] }],
      ['invalid_request', 'delete[0]', { upsert: [folder('a')], delete: ['a'] }],
      ['invalid_request', 'delete[1]', { delete: ['a', 'b b'] }],
      ['too_many', 'upsert', { upsert: Array.from({ length: 501 }, (_, index) => folder(`n${index}`)) }],
    ];
    for (const [error, field, batch] of cases) {
      const refused = await api.send({ workspace, ...batch });
      t.is(refused.status, 400, JSON.stringify(batch).slice(0, 200));
      t.like(refused.body, { error, field });
    }
    for (const sequence of [-1, 1.5, 2 ** 53, '1']) {
      t.like(await api.send({ workspace, sequence, upsert: [] }), { status: 400 });
    }
    t.deepEqual(await api.read(workspace), []);
  });

  test('a tree has as many nodes as the operator allows', async (t) => {
    const workspace = await newWorkspace();
    const many = (from: number) => Array.from({ length: 400 }, (_, index) => folder(`n${from + index}`));
    t.is((await api.send({ workspace, upsert: many(0) })).status, 200);
    t.like((await api.send({ workspace, upsert: many(400) })).body, { error: 'too_many', field: 'upsert' });
    t.is((await api.read(workspace)).length, 400);
  });

  test('a batch may be larger than other bodies, up to 256 KiB, four levels and 4,096 names', async (t) => {
    const workspace = await newWorkspace();
    const wide = Array.from({ length: 500 }, (_, index) => folder(`n${index}`, undefined, 'x'.repeat(100)));
    t.is((await api.send({ workspace, upsert: wide })).status, 200);
    const long = await api.send({ workspace, upsert: wide, delete: ['d'.repeat(256 * 1024)] });
    t.is(long.status, 413);
    t.is((await api.send(`{"workspace":"${workspace}","upsert":[[[[[]]]]]}`)).status, 400);
  });

  test('is told and read by those alone who understand workspaces; ended and unknown ones are like ones that are not there', async (t) => {
    const workspace = await newWorkspace();
    const plain = await addTreeApi(on, 'https://plain.example.com', { understandsWorkspaces: false });
    for (const answer of [
      await plain.send({ workspace, upsert: [] }),
      await plain.get(`${PATH}?workspace=${workspace}`),
      await plain.get('/resource/workspaces'),
    ]) {
      t.is(answer.status, 403);
      t.is(answer.body.error, 'access_denied');
    }
    const ended = await newWorkspace();
    await on.service.deps.db.tx((tx) => tx.run('UPDATE workspaces SET ended_at = 1 WHERE id = ?', [ended]));
    const answers = await Promise.all(
      [ended, 'wsp_000000000000unknown00000', 'usr_unknown', ''].flatMap((workspace) => [
        api.send({ workspace, upsert: [] }),
        api.get(`${PATH}?workspace=${workspace}`),
      ]),
    );
    for (const { status, body } of answers) {
      t.is(status, 404);
      t.deepEqual(body, { error: 'not_found', error_description: 'There is no such workspace.' });
    }
  });

  test('each API has a tree of its own, and never sees another’s nodes', async (t) => {
    const workspace = await newWorkspace();
    const other = await addTreeApi(on, 'https://other-tree.example.com');
    await api.send({ workspace, upsert: [folder('a')] });
    await other.send({ workspace, upsert: [folder('a', undefined, 'Other'), folder('b')] });
    t.like((await other.send({ workspace, replace: true, upsert: [folder('b')] })).body, {
      deleted: 1,
      nodes: 1,
    });
    t.deepEqual(await api.read(workspace), [{ id: 'a', parent: null, kind: 'folder', name: 'a' }]);
  });

  test('of a personal workspace an API knows if a credential of that account is for it', async (t) => {
    const agent = await on.register();
    t.is((await api.send({ workspace: agent.user_id, upsert: [folder('a')] })).status, 200);
    await on.service.deps.db.tx((tx) =>
      tx.run('UPDATE credentials SET resources = ? WHERE account_id = ?', [
        'https://elsewhere.example.com',
        agent.user_id,
      ]),
    );
    t.is((await api.send({ workspace: agent.user_id, upsert: [folder('b')] })).status, 404);
  });

  test('an agent that is merged takes no tree along: the old one ends, nobody is told to delete, and the new account is told anew', async (t) => {
    const agent = await on.register();
    const old = agent.user_id;
    t.is(
      (await api.send({ workspace: old, sequence: 9, upsert: [folder('a'), folder('b', 'a')] })).status,
      200,
    );
    const { last } = (await api.get('/resource/events')).body;
    const mailbox = newMailbox();
    const { claim_token } = agent;
    await on.post('/agent/auth/claim', { claim_token, email: mailbox });
    const otp = await on.codeFor(mailbox);
    const claimed = await on.post('/agent/auth/claim/complete', { claim_token, otp });
    const user = claimed.body.data.user_id;
    t.not(user, old);
    const { db } = on.service.deps;
    t.deepEqual(await db.all('SELECT sequence FROM trees WHERE workspace_id = ?', [old]), []);
    const live = 'SELECT id FROM nodes WHERE workspace_id = ? AND ended_at IS NULL';
    t.deepEqual(await db.all(live, [old]), []);
    t.is((await api.send({ workspace: old, upsert: [folder('c')] })).status, 404);
    const { events } = (await api.get(`/resource/events?after=${last}`)).body;
    t.deepEqual(
      events.map(({ type }: { type: string }) => type),
      ['account_merged'],
    );
    t.is((await api.send({ workspace: user, sequence: 1, upsert: [folder('a')] })).status, 200);
  });

  test('an API that is not told of all workspaces is told of those that it is connected to, or where it has a place', async (t) => {
    const few = await addTreeApi(on, 'https://few.example.com', { hasAllWorkspaces: false });
    const workspace = await newWorkspace();
    const told = async () => {
      const { body } = await few.get('/resource/workspaces');
      return body.workspaces.map(({ id }: { id: string }) => id);
    };
    t.is((await few.send({ workspace, upsert: [folder('a')] })).status, 404);
    t.deepEqual(await told(), []);
    await insertPlaceFor(on, {
      holder: 'key_4',
      workspaceId: workspace,
      grantedBy: owner,
      resource: few.url,
    });
    t.deepEqual(await told(), [workspace]);
    t.is((await few.send({ workspace, upsert: [folder('a')] })).status, 200);
  });

  test('the workspaces are listed page by page with their members, and ended ones without', async (t) => {
    const fresh = await addTreeApi(on, 'https://lister.example.com');
    const made: string[] = [];
    for (let count = 0; count < 55; count += 1) made.push(await newWorkspace());
    await on.service.deps.db.tx((tx) =>
      tx.run('UPDATE workspaces SET ended_at = 1 WHERE id = ?', [made[0]!]),
    );
    await on.service.deps.db.tx((tx) =>
      tx.run('UPDATE members SET ended_at = 1 WHERE workspace_id = ?', [made[0]!]),
    );
    const found: { id: string; ended_at: string | null; members: unknown[] }[] = [];
    let after: string | undefined = '';
    while (after !== undefined) {
      const { body } = await fresh.get(`/resource/workspaces?after=${after}`);
      found.push(...body.workspaces);
      after = body.next;
    }
    const byId = new Map(found.map((each) => [each.id, each]));
    for (const id of made.slice(1)) {
      t.like(byId.get(id), { ended_at: null, members: [{ account: owner, role: 'owner' }] });
    }
    t.like(byId.get(made[0]!), { ended_at: new Date(1).toISOString(), members: [] });
    t.is(new Set(found.map(({ id }) => id)).size, found.length);
  });

  test('of batches with one number sent sixteen times at once, one is taken', async (t) => {
    const workspace = await newWorkspace();
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, index) =>
        api.send({ workspace, sequence: 7, upsert: [folder(`n${index}`)] }),
      ),
    );
    t.is(answers.filter(({ status }) => status === 200).length, 1);
    t.is(answers.filter(({ status }) => status === 409).length, 15);
    t.is((await api.read(workspace)).length, 1);
  });

  test('of batches with crossed numbers sent at once, each that is taken has a number above the one before', async (t) => {
    for (let round = 0; round < 8; round += 1) {
      const workspace = await newWorkspace();
      const answers = await Promise.all(
        [3, 1, 4, 2].map(async (sequence) => ({
          sequence,
          ...(await api.send({ workspace, sequence, replace: true, upsert: [folder(`n${sequence}`)] })),
        })),
      );
      t.is(answers.find(({ sequence }) => sequence === 4)!.status, 200, 'none is above it');
      for (const { status, body } of answers.filter(({ status: each }) => each !== 200)) {
        t.is(status, 409);
        t.true(body.last >= 2);
      }
      t.deepEqual(
        (await api.read(workspace)).map(({ id }) => id),
        ['n4'],
        'and what it says is what there is',
      );
    }
  });

  test('two moves that would make a ring: one is taken, the other refused, every time', async (t) => {
    for (let round = 0; round < 8; round += 1) {
      const workspace = await newWorkspace();
      await api.send({ workspace, upsert: [folder('a'), folder('b')] });
      const answers = await Promise.all([
        api.send({ workspace, upsert: [folder('a', 'b')] }),
        api.send({ workspace, upsert: [folder('b', 'a')] }),
      ]);
      t.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 400]);
    }
  });

  test('changes are in the audit log, one line a minute', async (t) => {
    const workspace = await newWorkspace();
    const lines = () =>
      on.service.deps.db.all<{ details: string }>(
        `SELECT details FROM events WHERE kind = 'tree.changed' AND workspace_id = ?`,
        [workspace],
      );
    await api.send({ workspace, upsert: [folder('a')] });
    await api.send({ workspace, upsert: [folder('b')] });
    t.is((await lines()).length, 1);
    on.clock.advance(60);
    await api.send({ workspace, upsert: [folder('b')] });
    t.is((await lines()).length, 1, 'nothing changed');
    await api.send({ workspace, upsert: [folder('c')] });
    t.is((await lines()).length, 2);
  });

  test('junk is bounded: an API tells of so many workspaces a day, and has so many nodes in all (P-6)', async (t) => {
    const small = await startTestService(engine, {
      limits: { treesPerResourceServer: '3/d', nodesPerResourceServer: 5 },
    });
    t.teardown(() => small.stop());
    const teller = await addTreeApi(small);
    const boss = (await small.claimed('boss@example.com')).user_id;
    const [one, two, three, four] = await Promise.all(
      Array.from({ length: 4 }, () => insertShared(small, { [boss]: 'owner' })),
    );
    const nodes = (count: number) => Array.from({ length: count }, (_, index) => folder(`n${index}`));
    t.is((await teller.send({ workspace: one, upsert: nodes(4) })).status, 200);
    for (let again = 0; again < 3; again += 1) {
      small.clock.advance(1);
      t.is((await teller.send({ workspace: one, upsert: nodes(4) })).status, 200, 'one that is told already');
    }
    small.clock.advance(11); // the number of all nodes is remembered for some seconds
    const tooMany = await teller.send({ workspace: two, upsert: nodes(6) });
    t.is(tooMany.status, 400);
    t.is(tooMany.body.error, 'too_many');
    t.is((await teller.send({ workspace: two, upsert: nodes(1) })).status, 200);
    t.is((await teller.send({ workspace: three, upsert: [] })).status, 200);
    const limited = await teller.send({ workspace: four, upsert: [] });
    t.is(limited.status, 429);
    t.is((await teller.send({ workspace: one, upsert: nodes(4) })).status, 200);
    small.clock.advance(86_400);
    t.is((await teller.send({ workspace: four, upsert: [] })).status, 200);
  });
});
