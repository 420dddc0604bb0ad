import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { changeRole } from '../../src/domain/workspaces/members.ts';
import { getCode, listConsents, registerApp } from '../helpers/app-client.ts';
import { signIn } from '../helpers/human.ts';
import { HOSTILE_NAMES, shown } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { insertPlaceFor, openWorkspaces, type Person, type Workspaces } from '../helpers/workspaces.ts';

/** The agents and apps that work in a workspace, on its page. */

onEveryEngine('agents and apps of a workspace', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  const enter = (who: Person) => signIn(world.on, who.mailbox, { next: '/workspaces' });
  /** The rows of a list on the page of a workspace. */
  const rowsOf = (text: string, list: 'agents' | 'connectedApps') => {
    const [, section = ''] =
      new RegExp(`<section class="card" id="${list}"([\\s\\S]*?)</section>`).exec(text) ?? [];
    return [...section.matchAll(/<tr role="row">\s*<td[\s\S]*?<\/tr>/g)].map(([row]) => row);
  };

  /** An agent of a person that works in a workspace. */
  async function agentIn(owner: Person, workspaceId: string): Promise<string> {
    const { agent_id } = await world.on.claimed(owner.mailbox, true);
    await placeAgent(world.deps, world.origin, owner.id, agent_id, [{ workspaceId, actions: ['read'] }]);
    return agent_id;
  }

  test('owners and admins see all, with who let each in; its owner is led to its page', async (t) => {
    const { deps, person, workspace } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'admin']]);
    const agent = await agentIn(bob, id);
    for (const [reader, by, isLed] of [
      [ann, 'b\\*\\*\\*@example\\.com', false],
      [bob, 'You', true],
    ] as const) {
      const browser = await enter(reader);
      const { text } = await browser.get(`/workspaces/${id}`);
      const [row, ...others] = rowsOf(text, 'agents');
      t.is(others.length, 0);
      t.regex(row!, new RegExp(by));
      t.regex(row!, /Whole workspace/);
      t.regex(row!, />read</);
      t.is(row!.includes(`href="/agents/${agent}"`), isLed);
      t.deepEqual(rowsOf(text, 'connectedApps'), []);
      t.true(text.includes('No apps work here.'));
      t.is((await browser.get(`/workspaces/${id}/agents`)).status, 200);
    }
    await revokeAgent(deps, world.origin, agent);
    const after = await (await enter(ann)).get(`/workspaces/${id}`);
    t.deepEqual(rowsOf(after.text, 'agents'), []);
    t.true(after.text.includes('No agents work here.'));
  });

  test('members see what they let in themselves, and nobody else’s; strangers see nothing', async (t) => {
    const { deps, origin, person, workspace } = world;
    const [ann, bob, carl, eve] = [
      await person('ann'),
      await person('bob'),
      await person('carl'),
      await person('eve'),
    ];
    const id = await workspace(ann, [
      [bob, 'admin'],
      [carl, 'viewer'],
    ]);
    await agentIn(ann, id);
    await agentIn(bob, id);
    await changeRole(deps, origin, ann.id, id, { memberId: bob.id, role: 'member', endsKeys: false });
    t.is(rowsOf((await (await enter(bob)).get(`/workspaces/${id}`)).text, 'agents').length, 1);
    t.is(rowsOf((await (await enter(ann)).get(`/workspaces/${id}`)).text, 'agents').length, 2);
    const viewer = await (await enter(carl)).get(`/workspaces/${id}`);
    t.notRegex(viewer.text, /id="agents"|id="connectedApps"/);
    const stranger = await enter(eve);
    for (const list of ['agents', 'connected-apps']) {
      t.is((await stranger.get(`/workspaces/${id}/${list}`)).status, 404, list);
    }
  });

  test('apps stand there by what they call themselves, as text', async (t) => {
    const { on, deps, person, workspace } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const browser = await enter(ann);
    const name = HOSTILE_NAMES.find((each) => each.includes('<'))!;
    const app = await registerApp(on, { client_name: name });
    await getCode(on, app, { query: { scope: 'read' }, browser });
    const [consent] = await listConsents(deps, ann.id);
    await insertPlaceFor(on, { holder: consent!.id, workspaceId: id, grantedBy: ann.id, path: 'drafts/' });
    const [row, ...others] = rowsOf((await browser.get(`/workspaces/${id}`)).text, 'connectedApps');
    t.is(others.length, 0);
    t.true(row!.includes(shown(name)), row);
    t.regex(row!, /<bdi>drafts\/<\/bdi>/);
    await deps.db.tx((tx) => tx.run('DELETE FROM places WHERE workspace_id = ?', [id]));
  });

  test('of more than a page the rest has a page of its own', async (t) => {
    const { on, deps, person, workspace } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    for (let number = 100; number < 130; number += 1) {
      await insertPlaceFor(on, { holder: `agt_${number}`, workspaceId: id, grantedBy: ann.id });
    }
    const browser = await enter(ann);
    const { text } = await browser.get(`/workspaces/${id}`);
    t.is(rowsOf(text, 'agents').length, 25);
    t.true(text.includes(`href="/workspaces/${id}/agents"`));
    const first = await browser.get(`/workspaces/${id}/agents`);
    const [, next] = /href="([^"]+)" rel="next"/.exec(first.text)!;
    const last = await browser.get(next!.replaceAll('&amp;', '&'));
    t.is([...last.text.matchAll(/Unnamed agent/g)].length, 5);
    await deps.db.tx((tx) => tx.run('DELETE FROM places WHERE workspace_id = ?', [id]));
  });
});
