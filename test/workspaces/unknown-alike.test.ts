import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { viewInvitation } from '../../src/domain/workspaces/invitations.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import type { Tx } from '../../src/store/engine/db.ts';
import { askFor, registerApp } from '../helpers/app-client.ts';
import { openBrowser } from '../helpers/browser.ts';
import { noting } from '../helpers/commits.ts';
import { signIn } from '../helpers/human.ts';
import { detailsOf, placeBoxes } from '../helpers/placed-apps.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import {
  addTreeApi,
  makePlacedKey,
  openWorkspaces,
  outcome,
  type Person,
  type TreeApi,
  type Workspaces,
} from '../helpers/workspaces.ts';

/** Unknown, ended and foreign workspaces are alike to who asks: the same answer, by the same statements, so in the same time (P-11). */

onEveryEngine('workspaces that are unknown, ended or somebody else’s', (engine, test) => {
  let world: Workspaces;
  let few: TreeApi;
  let eve: Person;
  /** By what they are. */
  let shared: Record<'unknown' | 'ended' | 'foreign', string>;
  let personal: Record<'unknown' | 'ended' | 'foreign', string>;
  let asked: string[] = [];
  const note = (sql: string) => void asked.push(sql);
  test.before(async () => {
    world = await openWorkspaces(engine, {
      wrapDb: (db) => ({
        ...db,
        ...noting({ ...db, run: () => Promise.reject(new Error('a write needs a transaction')) }, note),
        tx: (work, length) => db.tx((tx) => work(noting(tx, note)), length),
        read: (work) => db.read((tx) => work(noting(tx as Tx, note))),
      }),
    });
    const { deps, origin, on, person, workspace } = world;
    few = await addTreeApi(on, 'https://few.example.com', { name: 'Few', hasAllWorkspaces: false });
    const ann = await person('ann');
    eve = await person('eve');
    await workspace(eve, [], 'Of Eve');
    const ended = await workspace(ann);
    await deleteWorkspace(deps, origin, ann.id, ended);
    shared = { unknown: `wsp_${'0'.repeat(ended.length - 4)}`, ended, foreign: await workspace(ann) };
    await world.api.send({
      workspace: shared.foreign,
      upsert: [{ id: 'prj_secret', kind: 'project', name: 'Secret' }],
    });
    const gone = await person('gone');
    await deleteAccount(deps, origin, gone.id);
    personal = { unknown: `usr_${'0'.repeat(gone.id.length - 4)}`, ended: gone.id, foreign: ann.id };
  });
  test.after(() => world.stop());

  /** What a request runs: the fewest statements of five times, since jobs run theirs meanwhile. */
  async function statementsOf(ask: () => Promise<unknown>): Promise<string[]> {
    const rounds: string[][] = [];
    for (let round = 0; round < 5; round += 1) {
      asked = [];
      await ask();
      rounds.push(asked);
    }
    return rounds.toSorted((one, other) => one.length - other.length)[0]!;
  }

  test('to an API that is not told of all: nothing tells them apart, and none is locked', async (t) => {
    for (const kinds of [shared, personal]) {
      for (const [what, ask] of [
        ['GET', (workspace: string) => few.get(`/resource/nodes?workspace=${workspace}`)],
        ['PUT', (workspace: string) => few.send({ workspace, upsert: [] })],
      ] as const) {
        const [unknown, ...others] = await Promise.all(Object.values(kinds).map((id) => ask(id)));
        t.is(unknown!.status, 404);
        for (const { status, body } of others) t.deepEqual([status, body], [404, unknown!.body]);
        const [first, ...rest] = [
          await statementsOf(() => ask(kinds.unknown)),
          await statementsOf(() => ask(kinds.ended)),
          await statementsOf(() => ask(kinds.foreign)),
        ];
        for (const statements of rest) t.deepEqual(statements, first, what);
        t.false(
          first.some((sql) => /UPDATE (?:workspaces|accounts)/.test(sql)),
          what,
        );
      }
    }
  });

  test('to an API that is told of all: those that ended are like those that never were', async (t) => {
    const ask = (id: string) => world.api.get(`/resource/nodes?workspace=${id}`);
    t.deepEqual((await ask(shared.ended)).body, (await ask(shared.unknown)).body);
    t.deepEqual(await statementsOf(() => ask(shared.ended)), await statementsOf(() => ask(shared.unknown)));
    t.is((await ask(shared.foreign)).status, 200, 'it is told of this one');
  });

  test('on pages and at their forms', async (t) => {
    const browser = await signIn(world.on, eve.mailbox, { next: '/workspaces' });
    const [, own] = /href="\/workspaces\/(wsp_\w+)"/.exec((await browser.get('/workspaces')).text)!;
    await browser.get(`/workspaces/${own}`);
    const { csrf } = browser.form(`/workspaces/${own}/invite`);
    const withoutIds = (text: string) => text.replaceAll(/(?:wsp|usr|req)_\w+/g, 'ID');
    for (const [what, ask] of [
      ['GET', (id: string) => browser.get(`/workspaces/${id}`)],
      ['GET keys', (id: string) => browser.get(`/workspaces/${id}/keys`)],
      ['rename', (id: string) => browser.send(`/workspaces/${id}/rename`, { csrf: csrf!, name: 'Mine' })],
      ['leave', (id: string) => browser.send(`/workspaces/${id}/leave`, { csrf: csrf! })],
    ] as const) {
      const unknown = await ask(shared.unknown);
      const first = await statementsOf(() => ask(shared.unknown));
      for (const id of [shared.ended, shared.foreign, personal.foreign]) {
        const page = await ask(id);
        t.is(page.status, 404, what);
        t.is(withoutIds(page.text), withoutIds(unknown.text), what);
        t.deepEqual(await statementsOf(() => ask(id)), first, what);
      }
    }
  });

  test('to who would give a key a place there', async (t) => {
    const give = (workspaceId: string) =>
      outcome(makePlacedKey(world.on, eve.id, [{ workspaceId, actions: ['read'] }]));
    const first = await statementsOf(() => give(shared.unknown));
    for (const id of Object.values(shared)) {
      t.is(await give(id), 'notFound');
      t.deepEqual(await statementsOf(() => give(id)), first);
    }
  });

  test('to who has a link to an invitation of somebody else', async (t) => {
    const { on, deps, origin, person, workspace, invite } = world;
    const [carl, bob] = [await person('carl'), await person('bob')];
    const [live, ending] = [await workspace(carl, [], 'Secret'), await workspace(carl, [], 'Secret')];
    const links: string[] = [];
    const ids: string[] = [];
    for (const [at, id] of [live, ending].entries()) {
      ids.push(await invite(id, carl, bob));
      links.push((await on.invitationFor(bob.mailbox, at + 1)).pageUrl.slice(on.url.length));
    }
    await deleteWorkspace(deps, origin, carl.id, ending);
    const pages = [];
    for (const link of links) {
      const browser = await signIn(on, eve.mailbox, { browser: openBrowser(on), next: '/workspaces' });
      const page = await browser.get(link);
      t.is(page.status, 404);
      t.notRegex(page.text, /Secret/);
      pages.push(page.text.replace(/name="csrf" value="[^"]+"/, ''));
    }
    t.is(pages[0], pages[1]);
    const [first, second] = [
      await statementsOf(() => viewInvitation(deps, ids[0]!, eve.mailbox)),
      await statementsOf(() => viewInvitation(deps, ids[1]!, eve.mailbox)),
    ];
    t.deepEqual(first, second);
    // Those of another workspace can't be withdrawn from one's own, whether or not they are there.
    const browser = await signIn(on, eve.mailbox, { next: '/workspaces' });
    const [, own] = /href="\/workspaces\/(wsp_\w+)"/.exec((await browser.get('/workspaces')).text)!;
    await browser.get(`/workspaces/${own}`);
    const { csrf } = browser.form(`/workspaces/${own}/invite`);
    const withdraw = (invitation: string) =>
      browser.send(`/workspaces/${own}/withdraw`, { csrf: csrf!, invitation });
    const none = await statementsOf(() => withdraw('inv_0'));
    for (const invitation of ids) {
      t.is((await withdraw(invitation)).status, 404);
      t.deepEqual(await statementsOf(() => withdraw(invitation)), none);
    }
  });

  test('to an app that names them, and to the human who looks at its request', async (t) => {
    const { on, api } = world;
    const app = await registerApp(on);
    const browser = await signIn(on, eve.mailbox);
    for (const more of [{}, { node: 'prj_secret' }, { path: 'drafts/' }]) {
      const ask = (identifier: string) =>
        browser.get(
          askFor(app, {
            scope: 'read',
            resource: api.url,
            prompt: 'consent',
            authorization_details: detailsOf({ identifier, ...more }),
          }).path,
        );
      const first = await statementsOf(() => ask(shared.unknown));
      for (const id of [...Object.values(shared), personal.foreign, personal.ended]) {
        const page = await ask(id);
        t.is(page.status, 200, page.text);
        t.deepEqual(placeBoxes(page), [], id);
        t.deepEqual(await statementsOf(() => ask(id)), first, `${id} ${JSON.stringify(more)}`);
      }
    }
  });
});
