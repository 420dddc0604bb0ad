import { saveConsent } from '../../src/domain/apps/consents.ts';
import { suspendClient } from '../../src/domain/apps/manage-clients.ts';
import { AT_COMMAND_LINE } from '../../src/domain/audit/operator-acts.ts';
import { endKeyInWorkspace } from '../../src/domain/credentials/workspace-keys.ts';
import { narrowAgent, revokeOwnedAgent } from '../../src/domain/owner/manage-agents.ts';
import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { leaveWorkspace, removeMember } from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import type { Db, Tx } from '../../src/store/engine/db.ts';
import { asker, type Server } from '../helpers/api-keys.ts';
import { REDIRECT, registerApp } from '../helpers/app-client.ts';
import { newMailbox } from '../helpers/common.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces, outcome } from '../helpers/workspaces.ts';

/**
 * Whatever ends places in two workspaces at once, or in one while an agent or a key ends, takes its locks in one order: nobody waits
 * in a circle, which PostgreSQL would break after a second by making one of the two begin again.
 */

const PAIRS = 24;
const API = 'https://docs.example.com';

/** Counts the transactions that a database ended because they waited for each other in a circle. */
function countDeadlocks(): { wrapDb(db: Db): Db; found: number } {
  const counted = {
    found: 0,
    wrapDb: (db: Db): Db => ({ ...db, tx: (work, length) => db.tx((tx) => work(watched(tx)), length) }),
  };
  const watch = async <Result>(running: Promise<Result>): Promise<Result> => {
    try {
      return await running;
    } catch (error) {
      if ((error as { code?: string }).code === '40P01') counted.found += 1;
      throw error;
    }
  };
  const watched = (tx: Tx): Tx => ({
    get: (sql, params) => watch(tx.get(sql, params)),
    all: (sql, params) => watch(tx.all(sql, params)),
    run: (sql, params) => watch(tx.run(sql, params)),
  });
  return counted;
}

onEveryEngine('what ends at once', (engine, test) => {
  const deadlocks = countDeadlocks();
  let on: TestService;
  let api: Server & { url: string };
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { wrapDb: deadlocks.wrapDb, limits: { nodeBatches: '100000/m' } });
    api = await places.server(API);
  });
  test.after(() => on.stop());

  const deps = () => on.service.deps;
  /** The API says that a thing is gone. */
  const tellGone = (workspace: string) =>
    on.request('PUT', '/resource/nodes', {
      headers: { ...basic(api.id, api.secret), 'Content-Type': 'application/json' },
      body: JSON.stringify({ workspace, delete: ['thing'] }),
    });

  /** Ann owns one workspace and is an admin of another one, which is Bob's; a key and an agent of hers work in both. */
  async function pair() {
    const [annsMailbox, bob] = [newMailbox('ann'), await places.person()];
    const { user_id: ann, agent_id: agent } = await on.claimed(annsMailbox);
    const one = await places.workspace([ann, 'owner'], [bob, 'owner']);
    const two = await places.workspace([bob, 'owner'], [ann, 'admin']);
    const node = await places.node(API, one, 'thing');
    const where = [
      { workspaceId: one, nodeId: node, actions: ['read'] },
      { workspaceId: two, actions: ['read'] },
    ];
    const { key } = await places.key(ann, where);
    await placeAgent(deps(), asker, ann, agent, where);
    return { ann, bob, one, two, agent, key: key.id };
  }
  type Pair = Awaited<ReturnType<typeof pair>>;

  const ENDS: Record<string, (of: Pair) => Promise<unknown>> = {
    'a thing that its API deletes': ({ one }) => tellGone(one),
    'a member who is removed': ({ bob, ann, one }) => removeMember(deps(), asker, bob, one, ann),
    'a member who leaves': ({ ann, one }) => leaveWorkspace(deps(), asker, ann, one),
    'a workspace that is deleted': ({ bob, one }) => deleteWorkspace(deps(), asker, bob, one),
  };
  const OTHERS: Record<string, (of: Pair) => Promise<unknown>> = {
    'the end of the key elsewhere': ({ bob, two, key }) => endKeyInWorkspace(deps(), asker, bob, two, key),
    'the removal of its maker elsewhere': ({ bob, ann, two }) => removeMember(deps(), asker, bob, two, ann),
    'the revocation of the agent': ({ ann, agent }) => revokeOwnedAgent(deps(), asker, ann, agent),
    'the narrowing of the agent': ({ ann, agent }) => narrowAgent(deps(), asker, ann, agent, ['read']),
    'another choice for the agent': ({ ann, agent, two }) =>
      placeAgent(deps(), asker, ann, agent, [{ workspaceId: two, path: 'a/', actions: ['read'] }]),
  };

  for (const [what, end] of Object.entries(ENDS)) {
    test(`${what}, at once with each other end of what works there: none waits in a circle, ${PAIRS} times each`, async (t) => {
      for (const [beside, other] of Object.entries(OTHERS)) {
        const before = deadlocks.found;
        const pairs = await Promise.all(Array.from({ length: PAIRS }, pair));
        await Promise.all(pairs.flatMap((of) => [outcome(end(of)), outcome(other(of))]));
        t.is(deadlocks.found - before, 0, beside);
        for (const { one, key } of pairs) {
          const left = await deps().db.all(
            `SELECT p.id FROM places p WHERE p.holder = ? AND p.ended_at IS NULL AND p.workspace_id = ?`,
            [key, one],
          );
          t.is(left.length, 0, beside);
        }
      }
    });
  }

  test(`keys on things of one’s own, made while the API tells what there is: none waits in a circle, ${PAIRS} times`, async (t) => {
    const before = deadlocks.found;
    const people = await Promise.all(Array.from({ length: PAIRS }, () => places.person()));
    const nodes = await Promise.all(people.map((ann) => places.node(API, ann, 'thing')));
    await Promise.all(
      people.flatMap((ann, at) => [
        ...Array.from({ length: 3 }, () =>
          outcome(places.key(ann, [{ workspaceId: ann, nodeId: nodes[at]!, actions: ['read'] }])),
        ),
        tellGone(ann),
      ]),
    );
    t.is(deadlocks.found - before, 0);
    const live = await deps().db.all(
      `SELECT p.id FROM places p JOIN nodes n ON n.id = p.node_id WHERE p.ended_at IS NULL AND n.ended_at IS NOT NULL`,
    );
    t.is(live.length, 0);
  });

  test('apps that an operator suspends while a workspace in which they work is deleted: none waits in a circle, 8 times', async (t) => {
    const before = deadlocks.found;
    for (let round = 0; round < 8; round += 1) {
      const { clientId } = await registerApp(on);
      const [boss, ...others] = await Promise.all(Array.from({ length: 6 }, () => places.person()));
      const wsp = await places.workspace(
        [boss!, 'owner'],
        ...others.map((who): [string, 'owner'] => [who, 'owner']),
      );
      for (const accountId of [boss!, ...others]) {
        await saveConsent(deps(), asker, {
          accountId,
          clientId,
          redirectUri: REDIRECT,
          resource: API,
          scopes: ['read'],
          openidScopes: [],
          places: [{ workspaceId: wsp, actions: ['read'], resources: [API] }],
        });
      }
      const outcomes = await Promise.all([
        outcome(suspendClient(deps(), asker, clientId, AT_COMMAND_LINE)),
        outcome(deleteWorkspace(deps(), asker, boss!, wsp)),
      ]);
      t.deepEqual(outcomes, ['done', 'done']);
    }
    t.is(deadlocks.found - before, 0);
  });
});
