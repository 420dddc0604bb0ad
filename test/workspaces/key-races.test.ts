import { changeRole, leaveWorkspace, removeMember } from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { readAccess } from '../../src/resource-server/access.ts';
import { may } from '../../src/resource-server/index.ts';
import type { Server } from '../helpers/api-keys.ts';
import { makeAppKey } from '../helpers/app-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { basic } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces, openWorkspaces, outcome, type Person, type Workspaces } from '../helpers/workspaces.ts';

/** How many act at once, one of them on what the others depend on. */
const AT_ONCE = 16;
const ROUNDS = 4;
const API = 'https://docs.example.com';

onEveryEngine('keys made while what they depend on changes', (engine, test) => {
  let world: Workspaces;
  let api: Server & { url: string };
  const places = openPlaces(() => world.on);
  test.before(async () => {
    world = await openWorkspaces(engine, { limits: { keysPerAccount: 1000 } });
    api = await places.server(API);
  });
  // Nothing live in a workspace that ended, no place of somebody who is not in it: the oracle looks.
  test.after(() => world.stop());

  type Made = { credential: string };

  /** Lets many make keys while one of them, in the middle, does something else. */
  async function race(make: (at: number) => Promise<Made>, act: () => Promise<unknown>) {
    const made: Made[] = [];
    const refusals: string[] = [];
    const acts = Array.from({ length: AT_ONCE }, async (_, at) => {
      if (at === AT_ONCE / 2) {
        await act();
        return;
      }
      const result = await outcome(make(at).then((key) => void made.push(key)));
      if (result !== 'done') refusals.push(result);
    });
    await Promise.all(acts);
    return { made, refusals };
  }

  async function team() {
    const [ann, bob] = [await world.person('ann'), await world.person('bob')];
    const id = await world.workspace(ann, [[bob, 'admin']]);
    const node = await places.node(API, id, 'app_1', 'app');
    return { ann, bob, id, node };
  }
  const told = async ({ credential }: Made) => (await api.ask(credential)).body;
  const wide = (by: Person, id: string, node: string, at: number) =>
    places.key(by.id, [
      { workspaceId: id, ...(at % 2 === 0 && { nodeId: node }), actions: ['read', 'write'] },
    ]);
  const live = (id: string) => countOf(world.on, 'places WHERE workspace_id = ? AND ended_at IS NULL', [id]);

  test(`while its maker is demoted: none does more than the role, and none is made after it, ${ROUNDS} times`, async (t) => {
    const { deps, origin } = world;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { ann, bob, id, node } = await team();
      const { made, refusals } = await race(
        (at) => wide(bob, id, node, at),
        () => changeRole(deps, origin, ann.id, id, { memberId: bob.id, role: 'viewer', endsKeys: false }),
      );
      t.is(made.length + refusals.length, AT_ONCE - 1);
      t.true(
        refusals.every((each) => each === 'forbidden'),
        refusals.join(),
      );
      for (const key of made) {
        const { scope, authorization_details } = await told(key);
        t.is(scope, 'read');
        t.deepEqual(authorization_details[0].actions, ['read']);
      }
      t.is(await live(id), made.length);
      t.is(await outcome(wide(bob, id, node, 1)), 'forbidden');
    }
  });

  test(`while its maker is demoted and the box for keys is on: none is left, ${ROUNDS} times`, async (t) => {
    const { deps, origin } = world;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { ann, bob, id, node } = await team();
      const { made } = await race(
        (at) => wide(bob, id, node, at),
        () => changeRole(deps, origin, ann.id, id, { memberId: bob.id, role: 'viewer', endsKeys: true }),
      );
      for (const key of made) t.false((await told(key)).active);
      t.is(await live(id), 0);
    }
  });

  test(`while its maker is removed, or leaves: none is left, but those of things, ${ROUNDS} times`, async (t) => {
    const { deps, origin } = world;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { ann, bob, id, node } = await team();
      const ofThings: Made[] = [];
      const { made, refusals } = await race(
        async (at) => {
          if (at % 4 !== 3) return wide(bob, id, node, at);
          const key = await makeAppKey(world.on, bob.id, id, node);
          ofThings.push(key);
          return key;
        },
        () =>
          round % 2 === 0
            ? removeMember(deps, origin, ann.id, id, bob.id)
            : leaveWorkspace(deps, origin, bob.id, id),
      );
      t.is(made.length + refusals.length, AT_ONCE - 1);
      t.true(
        refusals.every((each) => each === 'notFound'),
        refusals.join(),
      );
      for (const key of made) t.is((await told(key)).active, ofThings.includes(key));
      t.is(await live(id), ofThings.length);
    }
  });

  test(`while its node dies: no place on it lives, and no key without another, ${ROUNDS} times`, async (t) => {
    const headers = { ...basic(api.id, api.secret), 'Content-Type': 'application/json' };
    for (let round = 0; round < ROUNDS; round += 1) {
      const { bob, id, node } = await team();
      const onNode: Made[] = [];
      const { made, refusals } = await race(
        async (at) => {
          if (at % 4 === 3) return wide(bob, id, node, 1);
          const key = await (at % 4 === 1 ? makeAppKey(world.on, bob.id, id, node) : wide(bob, id, node, 0));
          onNode.push(key);
          return key;
        },
        async () => {
          const body = JSON.stringify({ workspace: id, delete: ['app_1'] });
          t.is((await world.on.request('PUT', '/resource/nodes', { headers, body })).status, 200);
        },
      );
      t.is(made.length + refusals.length, AT_ONCE - 1);
      t.true(
        refusals.every((each) => ['badRequest', 'notFound'].includes(each)),
        refusals.join(),
      );
      for (const key of made) t.is((await told(key)).active, !onNode.includes(key));
      t.is(
        await countOf(
          world.on,
          `places p JOIN nodes n ON n.id = p.node_id
           WHERE p.workspace_id = ? AND p.ended_at IS NULL AND n.ended_at IS NOT NULL`,
          [id],
        ),
        0,
      );
    }
  });

  test('while its node is moved: it names its node all the time, and what lies in it the API alone says', async (t) => {
    const headers = { ...basic(api.id, api.secret), 'Content-Type': 'application/json' };
    const { bob, id, node } = await team();
    const tell = async (parent: string | undefined) => {
      const upsert = [
        { id: 'one', kind: 'folder', name: 'One' },
        { id: 'two', kind: 'folder', name: 'Two' },
        { id: 'app_1', kind: 'app', name: 'App', ...(parent !== undefined && { parent }) },
      ];
      const body = JSON.stringify({ workspace: id, upsert });
      return (await world.on.request('PUT', '/resource/nodes', { headers, body })).status;
    };
    t.is(await tell('one'), 200);
    const key = await wide(bob, id, node, 0);
    const inOne = await wide(bob, id, await places.findNode(id, 'one'), 0);
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, at) => (at % 3 === 0 ? tell(at % 2 === 0 ? 'two' : 'one') : told(key))),
    );
    for (const answer of answers) {
      if (typeof answer === 'number') t.is(answer, 200);
      else t.is(answer.authorization_details[0].node, 'app_1');
    }
    t.is(await tell('two'), 200);
    // The chain of before lets in who has the old folder; that of now does not, whatever was remembered.
    const token = {
      subject: bob.id,
      scopes: ['read'],
      access: readAccess((await told(inOne)).authorization_details, API)!,
    };
    t.true(may(token, 'read', { workspace: id, within: ['one', 'app_1'] }));
    t.false(may(token, 'read', { workspace: id, within: ['two', 'app_1'] }));
  });

  test(`while the workspace is deleted: nothing live remains in it, ${ROUNDS} times`, async (t) => {
    const { deps, origin } = world;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { ann, bob, id, node } = await team();
      const { made, refusals } = await race(
        (at) => (at % 4 === 3 ? makeAppKey(world.on, bob.id, id, node) : wide(bob, id, node, at)),
        () => deleteWorkspace(deps, origin, ann.id, id),
      );
      t.is(made.length + refusals.length, AT_ONCE - 1);
      t.true(
        refusals.every((each) => ['badRequest', 'notFound'].includes(each)),
        refusals.join(),
      );
      for (const key of made) t.false((await told(key)).active);
      t.is(await live(id), 0);
      t.is(
        await countOf(
          world.on,
          `credentials c WHERE c.placed = 1 AND c.revoked_at IS NULL
             AND c.id IN (SELECT holder FROM places WHERE workspace_id = ?)`,
          [id],
        ),
        0,
      );
    }
  });
});
