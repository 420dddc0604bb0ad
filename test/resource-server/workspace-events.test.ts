import { createHash } from 'node:crypto';
import { changeResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { recordEvent } from '../../src/domain/audit/audit-log.ts';
import { revokePersonalKey } from '../../src/domain/credentials/personal-keys.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import {
  endPlacesOfGranter,
  endPlacesOfWorkspace,
  endPlacesOnNodes,
} from '../../src/domain/workspaces/places.ts';
import { updateWorkspaceEnded } from '../../src/store/workspaces.ts';
import { addServer, asker, type Server } from '../helpers/api-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

const API = 'https://docs.example.com';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

interface Event {
  id: string;
  type: string;
  workspace?: string;
  user_id?: string;
  all?: true;
  key_ids: string[];
  token_hashes: string[];
}

onEveryEngine('what resource servers are told of workspaces', (engine, test) => {
  let on: TestService;
  let api: Server;
  let plain: Server;
  let narrow: Server;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine);
    api = await places.server(API);
    plain = await addServer(on, 'https://plain.example.com');
    narrow = await places.server('https://narrow.example.com');
    await changeResourceServer(on.service.deps, asker, narrow.id, { hasAllWorkspaces: false });
  });
  test.after(() => on.stop());

  const read = async (who: Server, query: string) =>
    (await on.request('GET', `/resource/events${query}`, { headers: basic(who.id, who.secret) })).body as {
      events: Event[];
      last: string;
    };
  /** What each server is told of an act. */
  async function told(act: () => Promise<unknown>): Promise<[api: Event[], plain: Event[], narrow: Event[]]> {
    on.clock.advance(120); // what ended before is not a moment ago any more
    const { last } = await read(api, '');
    await act();
    const pages = [];
    for (const who of [api, plain, narrow]) pages.push((await read(who, `?after=${last}`)).events);
    return pages as [Event[], Event[], Event[]];
  }

  test('a key made, a role changed, a member gone: one event each, with the workspace, the member and the keys', async (t) => {
    const [ann, ben] = [await places.person(), await places.person()];
    const wsp = await places.workspace([ann, 'owner'], [ben, 'admin']);
    let made: Awaited<ReturnType<typeof places.key>>;
    const given = await told(async () => {
      made = await places.key(ben, [{ workspaceId: wsp, resources: [API], actions: ['read'] }]);
    });
    const expected = {
      type: 'workspace_changed',
      workspace: wsp,
      user_id: ben,
      key_ids: [made!.key.id],
      token_hashes: [sha256(made!.credential)],
    };
    t.like(given[0][0], expected);
    t.is(given[0].length, 1);
    t.deepEqual(given[1], [], 'an API that does not understand workspaces');
    t.deepEqual(given[2], [], 'an API without a place there, which is not told of all');

    const changed = await told(() =>
      places.act(async (work) => {
        await recordEvent(work, { kind: 'member.role_changed', accountId: ben, workspaceId: wsp });
      }),
    );
    t.like(changed[0][0], expected);

    const left = await told(() => places.act((work) => endPlacesOfGranter(work, wsp, ben, 'member_left')));
    t.like(left[0][0], expected, 'with the key that ended');
    const later = await told(() =>
      places.act(async (work) => {
        await recordEvent(work, { kind: 'member.left', accountId: ben, workspaceId: wsp });
      }),
    );
    t.like(later[0][0], { ...expected, key_ids: [], token_hashes: [] });
  });

  test('a place for every API concerns all that understand workspaces', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const [first, second, third] = await told(() =>
      places.key(ann, [{ workspaceId: wsp, actions: ['read'] }]),
    );
    t.deepEqual([first.length, second.length, third.length], [1, 0, 1]);
  });

  test('of a personal workspace only those are told that have a place or a tree there', async (t) => {
    const ann = await places.person();
    const [first, second, third] = await told(() =>
      places.key(ann, [{ workspaceId: ann, path: 'a/', resources: [API], actions: ['read'] }]),
    );
    t.like(first[0], { type: 'workspace_changed', workspace: ann });
    t.deepEqual([second, third], [[], []]);
  });

  test('an account that is deleted takes its personal workspace along: who told its tree is told, and nobody else', async (t) => {
    const { deps } = on.service;
    const ann = await places.person();
    await places.node('https://narrow.example.com', ann, 'prj_own');
    const { credential } = await places.key(ann, [{ workspaceId: ann, resources: [API], actions: ['read'] }]);
    const [first, second, third] = await told(() => deleteAccount(deps, asker, ann));
    const deleted = { type: 'workspace_deleted', workspace: ann, user_id: undefined };
    t.like(first.at(-1), { ...deleted, token_hashes: [sha256(credential)] });
    t.like(third.at(-1), { ...deleted, token_hashes: [] });
    t.true(second.every(({ workspace }) => workspace === undefined));
    for (const live of ['nodes', 'places']) {
      t.is(await countOf(on, `${live} WHERE workspace_id = ? AND ended_at IS NULL`, [ann]), 0, live);
    }
    t.is(await countOf(on, 'trees WHERE workspace_id = ?', [ann]), 0);
  });

  test('an account without things of its own ends without an event of a workspace', async (t) => {
    const ann = await places.person();
    const all = (await told(() => deleteAccount(on.service.deps, asker, ann))).flat();
    t.deepEqual(
      all.filter(({ workspace }) => workspace !== undefined),
      [],
    );
  });

  test('a workspace that is deleted: who had a place or a thing there is told to delete its data', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const node = await places.node('https://narrow.example.com', wsp, 'prj_1');
    const { credential } = await places.key(ann, [{ workspaceId: wsp, nodeId: node, actions: ['read'] }]);
    const [first, second, third] = await told(() =>
      places.act(async (work) => {
        await endPlacesOfWorkspace(work, wsp);
        await updateWorkspaceEnded(work.tx, wsp, work.now);
        await recordEvent(work, { kind: 'workspace.deleted', accountId: ann, workspaceId: wsp });
      }),
    );
    t.deepEqual(
      first.map(({ type, token_hashes }) => [type, token_hashes]),
      [
        ['workspace_changed', []],
        ['workspace_deleted', []],
      ],
      'an API hears of a workspace, and nothing of keys for another API',
    );
    t.deepEqual(second, []);
    t.like(third.at(-1), {
      type: 'workspace_deleted',
      workspace: wsp,
      user_id: undefined,
      token_hashes: [sha256(credential)],
    });
  });

  test('a placed key that its maker revokes is told where it worked', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const { key, credential } = await places.key(ann, [
      { workspaceId: wsp, resources: [API], actions: ['read'] },
    ]);
    const [first, second, third] = await told(() => revokePersonalKey(on.service.deps, asker, ann, key.id));
    t.like(first[0], { type: 'revoked', token_hashes: [sha256(credential)] });
    t.deepEqual([second, third], [[], []]);
  });

  test('with more than 500 keys all answers about the workspace are out of date', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const node = await places.node(API, wsp, 'prj_2');
    const { key } = await places.key(ann, [{ workspaceId: wsp, nodeId: node, actions: ['read'] }]);
    await places.act(({ tx }) =>
      tx.run(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 501)
         INSERT INTO credentials (hash, id, account_id, scope, resources, prefix, last_four, created_at, retires_others, kind, placed)
         SELECT CAST(${engine === 'sqlite' ? `'h' || n.i AS BLOB` : `'h' || n.i AS BYTEA`}), 'key_many' || n.i, account_id, scope, resources,
           prefix, last_four, created_at, retires_others, kind, placed FROM n, credentials WHERE id = ?`,
        [key.id],
      ),
    );
    await places.act(({ tx }) =>
      tx.run(
        `INSERT INTO places (id, holder, workspace_id, resource, node_id, actions, granted_by, created_at)
         SELECT 'plc_' || c.id, c.id, p.workspace_id, p.resource, p.node_id, p.actions, p.granted_by, p.created_at
         FROM credentials c, places p WHERE c.id LIKE 'key_many%' AND p.holder = ?`,
        [key.id],
      ),
    );
    await places.endNode(node);
    const [first] = await told(() =>
      places.act((work) => endPlacesOnNodes(work, { resource: API, workspaceId: wsp })),
    );
    t.like(first[0], { workspace: wsp, all: true, key_ids: [], token_hashes: [] });
  });
});
