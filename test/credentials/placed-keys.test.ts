import type { ExecutionContext } from 'ava';
import {
  endPlacesOfGranter,
  endPlacesOfHolder,
  endPlacesOfWorkspace,
  endPlacesOnNodes,
} from '../../src/domain/workspaces/places.ts';
import { Failure, type FailureKind } from '../../src/errors.ts';
import { addServer, type Server } from '../helpers/api-keys.ts';
import { noting } from '../helpers/commits.ts';
import { atOnce } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

const API = 'https://docs.example.com';

onEveryEngine('keys on places', (engine, test) => {
  let on: TestService;
  let api: Server & { url: string };
  let asked = 0;
  const note = () => {
    asked += 1;
  };
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, {
      wrapDb: (db) => ({
        ...db,
        ...noting({ ...db, run: () => Promise.reject(new Error('a write needs a transaction')) }, note),
        tx: (work, length) => db.tx((tx) => work(noting(tx, note)), length),
      }),
    });
    api = await places.server(API);
  });
  test.after(() => on.stop());

  const isActive = async (credential: string, at: Server = api) => (await at.ask(credential)).body.active;
  const details = async (credential: string, at: Server = api) =>
    (await at.ask(credential)).body.authorization_details;
  const refused = async (t: ExecutionContext, kind: FailureKind, act: Promise<unknown>) => {
    const error = await t.throwsAsync(act, { instanceOf: Failure });
    t.is(error?.kind, kind, error?.message);
  };

  test('a key is told with its places: what may be done where, and no further member', async (t) => {
    const [ann, ben] = [await places.person(), await places.person()];
    const one = await places.workspace([ann, 'owner']);
    const two = await places.workspace([ben, 'owner'], [ann, 'admin']);
    const folder = await places.node(API, two, 'fld_specs', 'folder');
    const { key, credential } = await places.key(ann, [
      { workspaceId: one, actions: ['write', 'read'] },
      { workspaceId: two, nodeId: folder, actions: ['read'] },
      { workspaceId: ann, path: 'drafts/', actions: ['read'] },
    ]);
    const { body } = await api.ask(credential);
    const { iat, exp, authorization_details, ...rest } = body;
    t.deepEqual(rest, {
      active: true,
      sub: ann,
      client_id: key.id,
      scope: 'read write',
      aud: API,
      iss: on.url,
      token_type: 'Bearer',
      jti: key.id,
      credential_kind: 'personal',
      credential_form: 'key',
      owner: ann,
    });
    t.is(exp, Math.floor(on.clock() / 1000) + 300);
    const common = { type: 'workspace', locations: [API] };
    t.deepEqual(authorization_details, [
      { ...common, identifier: one, actions: ['read', 'write'], privileges: ['manage'] },
      { ...common, identifier: two, node: 'fld_specs', actions: ['read'], privileges: ['manage'] },
      { ...common, identifier: ann, path: 'drafts/', actions: ['read'] },
    ]);
  });

  test('"workspace" is told where all places are in one, and only there', async (t) => {
    const ann = await places.person();
    const [one, two] = [await places.workspace([ann, 'owner']), await places.workspace([ann, 'owner'])];
    const inOne = await places.key(ann, [
      { workspaceId: one, path: 'a', actions: ['read'] },
      { workspaceId: one, path: 'b/', actions: ['write'] },
    ]);
    const inTwo = await places.key(ann, [
      { workspaceId: one, actions: ['read'] },
      { workspaceId: two, actions: ['read'] },
    ]);
    t.is((await api.ask(inOne.credential)).body.workspace, one);
    t.is((await api.ask(inTwo.credential)).body.workspace, undefined);
    t.is((await details(inTwo.credential)).length, 2);
  });

  test('an API that does not understand workspaces takes every placed key for inactive', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const old = await addServer(on, 'https://old.example.com');
    const { credential } = await places.key(ann, [{ workspaceId: wsp, actions: ['read'] }]);
    t.is((await old.ask(credential)).text, '{"active":false}');
    t.true(await isActive(credential));
  });

  test('a place for one API gives nothing at another', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const other = await places.server('https://other-docs.example.com');
    const { credential } = await places.key(ann, [{ workspaceId: wsp, resources: [API], actions: ['read'] }]);
    t.true(await isActive(credential));
    t.is((await other.ask(credential)).text, '{"active":false}');
  });

  test('an API learns only of the scopes that it knows', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const reader = await places.server('https://reader.example.com', ['read']);
    const both = await places.key(ann, [{ workspaceId: wsp, actions: ['read', 'write'] }]);
    const writing = await places.key(ann, [{ workspaceId: wsp, actions: ['write'] }]);
    t.deepEqual((await details(both.credential, reader))[0].actions, ['read']);
    t.is((await reader.ask(both.credential)).body.scope, 'read');
    t.false(await isActive(writing.credential, reader));
  });

  test('a key may do what its maker may do now: a viewer’s looks, a former member’s works no more', async (t) => {
    const [ann, ben] = [await places.person(), await places.person()];
    const wsp = await places.workspace([ann, 'owner'], [ben, 'admin']);
    const { credential } = await places.key(ben, [{ workspaceId: wsp, actions: ['read', 'write'] }]);
    t.deepEqual((await details(credential))[0].privileges, ['manage']);
    await places.setRole(wsp, ben, 'viewer');
    const { body } = await api.ask(credential);
    t.is(body.scope, 'read');
    t.deepEqual(body.authorization_details[0].actions, ['read']);
    t.is(body.authorization_details[0].privileges, undefined);
    await places.setRole(wsp, ben, 'member');
    t.is((await api.ask(credential)).body.scope, 'read write');
    await places.leave(wsp, ben);
    t.false(await isActive(credential));
  });

  test('places on one node do not outlive it, and a key without another ends with it', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const node = await places.node(API, wsp, 'prj_1');
    const one = await places.key(ann, [{ workspaceId: wsp, nodeId: node, actions: ['read'] }]);
    const two = await places.key(ann, [
      { workspaceId: wsp, nodeId: node, actions: ['read'] },
      { workspaceId: wsp, path: 'x', actions: ['read'] },
    ]);
    await places.endNode(node);
    t.false(await isActive(one.credential), 'as soon as the node has ended');
    const ends = await places.act((work) => endPlacesOnNodes(work, { resource: API, workspaceId: wsp }));
    t.like(ends, { places: 2, keys: 1 });
    t.deepEqual(
      (await details(two.credential)).map((each: { path: string }) => each.path),
      ['x'],
    );
  });

  test('who leaves takes their places along; a workspace that ends takes all', async (t) => {
    const [ann, ben] = [await places.person(), await places.person()];
    const [one, two] = [
      await places.workspace([ann, 'owner'], [ben, 'admin']),
      await places.workspace([ben, 'owner']),
    ];
    const anns = await places.key(ann, [{ workspaceId: one, actions: ['read'] }]);
    const bens = await places.key(ben, [
      { workspaceId: one, actions: ['read'] },
      { workspaceId: two, actions: ['read'] },
    ]);
    t.like(await places.act((work) => endPlacesOfGranter(work, one, ben, 'member_left')), {
      places: 1,
      keys: 0,
    });
    t.is((await api.ask(bens.credential)).body.workspace, two);
    t.true(await isActive(anns.credential));
    t.like(await places.act((work) => endPlacesOfWorkspace(work, two)), { places: 1, keys: 1 });
    t.false(await isActive(bens.credential));
    t.like(await places.act((work) => endPlacesOfHolder(work, anns.key.id, 'revoked', ann)), {
      places: 1,
      keys: 1,
    });
    t.false(await isActive(anns.credential));
  });

  test('two workspaces that end at once leave no key without a place', async (t) => {
    const ann = await places.person();
    for (let round = 0; round < 10; round += 1) {
      const ids = [await places.workspace([ann, 'owner']), await places.workspace([ann, 'owner'])];
      const { key } = await places.key(
        ann,
        ids.map((workspaceId) => ({ workspaceId, actions: ['read'] })),
      );
      const ends = await atOnce(2, (index) =>
        places.act(async (work) => {
          await places.lock(work, ids[index]!);
          return endPlacesOfWorkspace(work, ids[index]!);
        }),
      );
      t.is(ends[0]!.keys + ends[1]!.keys, 1, key.id);
    }
  });

  test('nobody gives what they do not have: foreign workspaces, wider roles, dead nodes, strange paths', async (t) => {
    const [ann, ben] = [await places.person(), await places.person()];
    const wsp = await places.workspace([ann, 'owner'], [ben, 'member']);
    const foreign = await places.workspace([ann, 'owner']);
    const node = await places.node(API, wsp, 'prj_2');
    const elsewhere = await places.node(API, foreign, 'prj_2');
    const make = (accountId: string, place: object) =>
      places.key(accountId, [{ workspaceId: wsp, actions: ['read'], ...place }]);
    await refused(t, 'notFound', make(ben, { workspaceId: foreign }));
    await refused(t, 'notFound', make(ben, { workspaceId: 'wsp_none' }));
    await refused(t, 'notFound', make(ben, { workspaceId: ann }));
    await refused(t, 'forbidden', make(ben, {}));
    await refused(t, 'badRequest', make(ann, { actions: [] }));
    await refused(t, 'badRequest', make(ann, { actions: ['fly'] }));
    await refused(t, 'badRequest', make(ann, { types: ['document'] }));
    await refused(t, 'badRequest', make(ann, { nodeId: elsewhere }));
    await refused(t, 'badRequest', make(ann, { nodeId: node, path: 'a' }));
    await refused(t, 'badRequest', make(ann, { nodeId: node, resources: ['https://old.example.com'] }));
    for (const path of [
      '/a',
      'a//b',
      '..',
      'a/../b',
      './a',
      'a%2fb',
      'a\\b',
      'a\u202eb',
      '@a',
      'e\u0301',
      'a\0',
      'x'.repeat(513),
    ]) {
      await refused(t, 'invalidPath', make(ann, { path }));
    }
    await places.endNode(node);
    await refused(t, 'badRequest', make(ann, { nodeId: node }));
    const seventeen = Array.from({ length: 17 }, (_, index) => ({
      workspaceId: `wsp_${index}`,
      actions: ['read'],
    }));
    await refused(t, 'tooMany', places.key(ann, seventeen));
    const paths = Array.from({ length: 51 }, (_, index) => ({
      workspaceId: wsp,
      path: `p${index}`,
      actions: ['read'],
    }));
    await refused(t, 'tooMany', places.key(ann, paths));
    t.is((await places.key(ann, paths.slice(1))).key.isPlaced, true);
  });

  test('a key has up to 200 places over all its workspaces', async (t) => {
    const ann = await places.person();
    const ids = await Promise.all(Array.from({ length: 5 }, () => places.workspace([ann, 'owner'])));
    const at = (workspaceId: string, count: number) =>
      Array.from({ length: count }, (_, index) => ({ workspaceId, path: `p${index}/`, actions: ['read'] }));
    await refused(
      t,
      'tooMany',
      places.key(ann, [...ids.slice(1).flatMap((id) => at(id, 50)), ...at(ids[0]!, 1)]),
    );
    const { credential } = await places.key(
      ann,
      ids.slice(1).flatMap((id) => at(id, 50)),
    );
    t.is((await details(credential)).length, 200);
  });

  test('an unplaced key costs no statement for places, a placed one a single one', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const { credential } = await places.key(ann, [{ workspaceId: wsp, actions: ['read'] }]);
    const plain = (await on.register()).credential;
    const old = await addServer(on, 'https://older.example.com');
    const statements = async (key: string, at: Server) => {
      const counts: number[] = [];
      for (let round = 0; round < 5; round += 1) {
        asked = 0;
        t.true(await isActive(key, at));
        counts.push(asked);
      }
      return Math.min(...counts);
    };
    const ofPlain = await statements(plain, old);
    t.is(await statements(plain, api), ofPlain);
    t.is(await statements(credential, api), ofPlain + 1);
  });
});
