import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

const PATH = '/console/workspaces';

onEveryEngine('workspaces in the console', (engine, test) => {
  let world: Workspaces;
  let operator: Operator;
  test.before(async () => {
    world = await openWorkspaces(engine);
    operator = await newOperator(world.on);
  });
  test.after(() => world.stop());

  const listed = async (query: string) => {
    const { text } = await operator.browser.get(`${PATH}?${query}`);
    return [...text.matchAll(/href="\/console\/workspaces\/(wsp_\w+)"/g)].map(([, id]) => id);
  };

  test('are listed newest first, and found by name, id, member and whether they were deleted', async (t) => {
    const { on, person, workspace } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const older = await workspace(ann, [[bob, 'member']], 'Northwind Research');
    on.clock.advance(1);
    const newer = await workspace(ann, [], 'Über uns');
    t.deepEqual((await listed('')).slice(0, 2), [newer, older]);
    t.deepEqual(await listed('q=northwind'), [older]);
    t.deepEqual(await listed(`q=${encodeURIComponent('über')}`), [newer]);
    t.deepEqual(await listed(`q=${newer}`), [newer]);
    t.deepEqual(await listed(`q=${bob.mailbox}`), [older]);
    t.deepEqual(await listed(`q=${ann.id}`), [newer, older]);
    t.deepEqual(await listed('q=nothing-like-it'), []);
    t.false((await listed('workspaceStatus=ended')).includes(newer));
    const secret = await operator.browser.get(`${PATH}?q=sk_${'a'.repeat(49)}`);
    t.is(secret.status, 400);
    t.notRegex(secret.text, /aaaaaaa/);
  });

  test('of very many, a page searches 10,000, says so and goes on, also where it found none', async (t) => {
    const { on, deps, person, workspace } = world;
    const oldest = await workspace(await person(), [], 'Needle');
    on.clock.advance(60);
    await deps.db.tx((tx) =>
      tx.run(
        `INSERT INTO workspaces (id, name, created_by, created_at, ended_at)
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
         SELECT 'wsp_many' || n, 'Many', 'usr_nobody', CAST(? AS BIGINT) + n, CAST(? AS BIGINT) + n FROM numbers`,
        [on.clock(), on.clock()],
      ),
    );
    const page = await operator.browser.get(`${PATH}?q=needle`);
    t.true(page.text.includes('A page searches only part of the list'), page.text);
    t.false(page.text.includes(oldest));
    const [, next] = /href="([^"]+)" rel="next"/.exec(page.text)!;
    const last = await operator.browser.get(next!.replaceAll('&amp;', '&'));
    t.true(last.text.includes(oldest));
    t.false(last.text.includes('rel="next"'));
    // Without a search, a page reads no more than it shows.
    t.true((await operator.browser.get(PATH)).text.includes('wsp_many10000'));
    await deps.db.tx((tx) => tx.run(`DELETE FROM workspaces WHERE name = 'Many'`));
  });

  test('one shows who is in it, masked, what works there, what APIs told, and what happened', async (t) => {
    const { on, api, person, workspace, invite, placeKey } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'viewer']], 'Atlas <b>');
    await invite(id, ann, { mailbox: newMailbox('carl') });
    await placeKey(id, ann);
    const told = await on.request('PUT', '/resource/nodes', {
      headers: {
        Authorization: `Basic ${Buffer.from(`${api.id}:${api.secret}`).toString('base64')}`,
        'Content-Type': 'application/json',
      },
      body: JSON.stringify({
        workspace: id,
        upsert: [1, 2, 3].map((number) => ({ id: `n${number}`, kind: 'folder', name: 'Folder' })),
      }),
    });
    t.is(told.status, 200, told.text);
    const page = await operator.browser.get(`${PATH}/${id}`);
    t.is(heading(page), 'Atlas &lt;b&gt;');
    for (const shown of ['a***@example.com', 'b***@example.com', 'Viewer', api.url]) {
      t.true(page.text.includes(shown), shown);
    }
    for (const [name, number] of Object.entries({
      Members: 2,
      'Open invitations': 1,
      Keys: 1,
      Agents: 0,
      'Connected apps': 0,
    })) {
      t.regex(page.text, new RegExp(`<dt>${name}</dt><dd>${number}</dd>`), name);
    }
    t.regex(page.text, new RegExp(`<code>${api.url}</code></dt><dd>3</dd>`));
    for (const { mailbox } of [ann, bob]) t.false(page.text.includes(mailbox));
    t.is([...page.text.matchAll(/class="event"/g)].length, 5); // created, two invited, one joined, the tree
    for (const unknown of ['wsp_0', ann.id]) {
      t.is((await operator.browser.get(`${PATH}/${unknown}`)).status, 404, unknown);
    }
    const other = await signIn(on, ann.mailbox, { next: '/workspaces' });
    t.is((await other.get(`${PATH}/${id}`)).status, 404);
  });

  test('one is deleted with a reason that the audit keeps, once', async (t) => {
    const { on, deps, person, workspace, placeKey } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'member']], 'Abusive');
    const { key } = await placeKey(id, ann);
    const path = `${PATH}/${id}`;
    await operator.signInAgain();
    await operator.browser.get(`${path}/delete`);
    const refused = await operator.browser.post(`${path}/delete`);
    t.is(refused.status, 400);
    t.regex(refused.text, /id="reason-error"/);
    const done = await operator.browser.post(`${path}/delete`, { reason: 'abuse' });
    t.is(done.path, path);
    t.regex(done.text, /Workspace deleted\./);
    t.regex(done.text, /Nobody is in it any more\./);
    t.deepEqual(await listed(`q=${id}&workspaceStatus=ended`), [id]);
    const revoked = await deps.db.get<{ at: number | null }>(
      'SELECT revoked_at AS at FROM credentials WHERE id = ?',
      [key],
    );
    t.not(revoked!.at, null);
    const events = await deps.db.all<{ kind: string; accountId: string | null; details: string }>(
      `SELECT kind, account_id AS "accountId", details FROM events
       WHERE kind IN ('workspace.deleted', 'operator.workspace_deleted') AND (workspace_id = ? OR subject = ?) ORDER BY kind`,
      [id, id],
    );
    t.deepEqual(
      events.map(({ kind, accountId, details }) => [kind, accountId, JSON.parse(details)]),
      [
        ['operator.workspace_deleted', operator.accountId, { reason: 'abuse' }],
        // Its members learn neither who nor why.
        ['workspace.deleted', null, { by: 'operator', members: 2 }],
      ],
    );
    t.is((await on.noticeTo(ann.mailbox)).happened.length, 1);
    t.is((await operator.browser.get(`${path}/delete`)).status, 404);
    // The audit log finds what happened in it by its id.
    const log = await operator.browser.get(`/console/audit-log?q=${id}`);
    for (const kind of ['Workspace created', 'Workspace deleted']) t.true(log.text.includes(kind), kind);
    t.regex(log.text, new RegExp(`href="/console/workspaces/${id}"`));
  });
});
