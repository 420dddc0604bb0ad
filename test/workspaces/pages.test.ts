import { changeRole } from '../../src/domain/workspaces/members.ts';
import { openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { HOSTILE_NAMES, shown } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, type Person, type Workspaces } from '../helpers/workspaces.ts';

onEveryEngine('the pages of workspaces', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  const enter = (who: { mailbox: string }, next = '/workspaces') => signIn(world.on, who.mailbox, { next });
  const invitationPath = (url: string) => url.slice(world.on.url.length);

  test('a person creates a workspace, invites a colleague by mail, who joins, and is removed again', async (t) => {
    const { on, person, membersOf } = world;
    const ann = await person('ann');
    const bob = { mailbox: newMailbox('bob') };
    const browser = await enter(ann);
    t.regex((await browser.get('/workspaces')).text, /No workspaces yet/);
    await browser.get('/workspaces/new');
    const page = await browser.post('/workspaces/new', { name: 'Northwind Research' });
    t.regex(page.text, /<h1><bdi>Northwind Research<\/bdi>/);
    t.regex(page.text, /Workspace created\./);
    const id = page.path.slice('/workspaces/'.length);

    const sent = await browser.post(`/workspaces/${id}/invite`, { email: bob.mailbox, role: 'member' });
    t.regex(sent.text, /Invited, or in it already\./);
    const mail = await on.invitationFor(bob.mailbox);

    // Bob has no account: the page names nothing, and signing in makes one.
    const other = openBrowser(on);
    const met = await other.get(invitationPath(mail.pageUrl));
    t.is(met.path, '/invitation');
    t.is(heading(met), 'You’re invited to a workspace');
    t.notRegex(met.text, /Northwind/);
    await signIn(on, bob.mailbox, { browser: other, next: '/invitation' });
    const asked = await other.get('/invitation');
    t.is(heading(asked), 'Join “Northwind Research”?');
    t.regex(asked.text, /a\*\*\*@example\.com/);
    t.notRegex(asked.text, new RegExp(ann.mailbox));
    const joined = await other.post('/invitation', { decision: 'join' });
    t.is(joined.path, `/workspaces/${id}`);
    t.regex(joined.text, /You joined the workspace\./);
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`, `${bob.mailbox} member`]);

    const [, member] = /href="\/workspaces\/\w+\/members\/(usr_\w+)"/.exec(
      (await browser.get(`/workspaces/${id}`)).text,
    )!;
    await browser.get(`/workspaces/${id}/members/${member}`);
    const saved = await browser.post(`/workspaces/${id}/members/${member}`, { role: 'viewer' });
    t.regex(saved.text, /Role saved\./);
    t.true((await membersOf(id)).includes(`${bob.mailbox} viewer`));
    await browser.get(`/workspaces/${id}/members/${member}/remove`);
    t.regex((await browser.post(`/workspaces/${id}/members/${member}/remove`, {})).text, /Member removed\./);
    t.is((await other.get(`/workspaces/${id}`)).status, 404);
    const notice = await on.noticeTo(bob.mailbox);
    t.true(notice.happened.length > 0);
  });

  test('who is no member gets 404 at every page and form of a workspace, like one that is not there', async (t) => {
    const { person, workspace, membersOf, invite } = world;
    const [ann, eve] = [await person('ann'), await person('eve')];
    const id = await workspace(ann, [], 'Secret');
    const invitation = await invite(id, ann, { mailbox: newMailbox() });
    const own = await workspace(eve);
    const browser = await enter(eve);
    const before = await membersOf(id);
    for (const workspaceId of [id, 'wsp_0', eve.id]) {
      for (const page of [
        '',
        '/members',
        '/activity',
        '/rename',
        '/leave',
        '/transfer',
        '/delete',
        `/members/${ann.id}`,
        `/members/${ann.id}/remove`,
      ]) {
        const got = await browser.get(`/workspaces/${workspaceId}${page}`);
        t.is(got.status, 404, page);
        t.notRegex(got.text, /Secret/);
      }
      await browser.get(`/workspaces/${own}`);
      const { csrf } = browser.form(`/workspaces/${own}/invite`);
      const posts: Record<string, Record<string, string>> = {
        invite: { email: newMailbox(), role: 'member' },
        withdraw: { invitation },
        rename: { name: 'Mine' },
        leave: {},
        transfer: { member: eve.id },
        delete: { name: 'Secret' },
        [`members/${ann.id}`]: { role: 'viewer' },
        [`members/${ann.id}/remove`]: {},
      };
      for (const [path, fields] of Object.entries(posts)) {
        const refused = await browser.send(`/workspaces/${workspaceId}/${path}`, { ...fields, csrf: csrf! });
        t.is(refused.status, 404, path);
      }
    }
    t.deepEqual(await membersOf(id), before);
  });

  test('a form that is wrong says which field, why, and keeps what was typed', async (t) => {
    const { person, workspace } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const browser = await enter(ann);
    await browser.get('/workspaces/new');
    const nameless = await browser.post('/workspaces/new', { name: '\u200b' });
    t.is(nameless.status, 400);
    t.regex(nameless.text, /Enter a name that can be shown\./);
    await browser.get(`/workspaces/${id}`);
    for (const [fields, text, kept] of [
      [
        { email: 'nobody', role: 'viewer' },
        /Enter an email address, like name@example\.com\./,
        'value="nobody"',
      ],
      [{ email: 'kim@example.com', role: 'king' }, /Choose a role\./, 'value="kim@example.com"'],
    ] as const) {
      const wrong = await browser.post(`/workspaces/${id}/invite`, fields);
      t.is(wrong.status, 400);
      t.regex(wrong.text, text);
      t.regex(wrong.text, /aria-invalid="true"/);
      t.true(wrong.text.includes(kept));
    }
    await browser.get(`/workspaces/${id}/delete`);
    const kept = await browser.post(`/workspaces/${id}/delete`, { name: 'atlas' });
    t.is(kept.status, 400);
    t.regex(kept.text, /Nothing was deleted\./);
    await browser.get(`/workspaces/${id}/transfer`);
    const nobody = await browser.post(`/workspaces/${id}/transfer`, { member: 'usr_0' });
    t.is(nobody.status, 400);
    t.regex(nobody.text, /Choose a member\./);
    await browser.get(`/workspaces/${id}/delete`);
    const deleted = await browser.post(`/workspaces/${id}/delete`, { name: 'Atlas' });
    t.regex(deleted.text, /Workspace deleted\./);
  });

  test('members and viewers see the workspace without what they may not do, and are refused at the form', async (t) => {
    const { person, workspace, membersOf } = world;
    const [ann, bob, eve] = [await person('ann'), await person('bob'), await person('eve')];
    const id = await workspace(ann, [
      [bob, 'member'],
      [eve, 'viewer'],
    ]);
    for (const who of [bob, eve]) {
      const browser = await enter(who);
      const { text } = await browser.get(`/workspaces/${id}`);
      t.notRegex(text, /\/invite"|\/rename"|\/transfer"|\/delete"|>Manage</);
      t.regex(text, /\/leave"/);
      t.false(text.includes(ann.mailbox));
      await browser.get(`/workspaces/${id}/leave`);
      const { csrf } = browser.form(`/workspaces/${id}/leave`);
      const send = (path: string, fields: Record<string, string>) =>
        browser.send(`/workspaces/${id}/${path}`, { ...fields, csrf: csrf! });
      t.is((await send('invite', { email: newMailbox(), role: 'viewer' })).status, 403);
      t.is((await send('rename', { name: 'Mine' })).status, 403);
      t.is((await send(`members/${ann.id}`, { role: 'viewer' })).status, 403);
      t.is((await send(`members/${ann.id}/remove`, {})).status, 403);
      t.is((await send('transfer', { member: who.id })).status, 403);
      t.is((await send('delete', { name: 'Atlas' })).status, 403);
      for (const page of ['rename', 'transfer', 'delete'])
        t.is((await browser.get(`/workspaces/${id}/${page}`)).status, 403);
    }
    t.is((await membersOf(id)).length, 3);
  });

  test('the only owner reads why leaving is no choice', async (t) => {
    const { person, workspace } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'admin']]);
    const browser = await enter(ann);
    t.regex(
      (await browser.get(`/workspaces/${id}`)).text,
      /You’re the only owner\. Make someone else an owner before you leave\./,
    );
    await browser.get(`/workspaces/${id}/leave`);
    const refused = await browser.post(`/workspaces/${id}/leave`, {});
    t.is(refused.status, 400);
    t.regex(refused.text, /You’re the only owner\./);
    await browser.get(`/workspaces/${id}/transfer`);
    t.regex(
      (await browser.post(`/workspaces/${id}/transfer`, { member: bob.id })).text,
      /Ownership transferred\./,
    );
    await browser.get(`/workspaces/${id}/leave`);
    t.regex((await browser.post(`/workspaces/${id}/leave`, {})).text, /You left the workspace\./);
  });

  test('inviting, transferring and deleting take a code that was typed a moment ago (W-17)', async (t) => {
    const { on, person, workspace, membersOf } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'admin']]);
    for (const [page, post, fields] of [
      ['/delete', '/delete', { name: 'Atlas' }],
      ['/transfer', '/transfer', { member: bob.id }],
      ['', '/invite', { email: newMailbox(), role: 'viewer' }],
    ] as const) {
      const browser = await enter(ann);
      await browser.get(`/workspaces/${id}${page}`);
      const form = browser.form(`/workspaces/${id}${post}`);
      on.clock.advance(1200);
      const led = await browser.send(`/workspaces/${id}${post}`, { ...form, ...fields });
      t.regex(led.path, /^\/sign-in\/again/, post);
    }
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`, `${bob.mailbox} admin`]);
    t.is(
      (
        await world.deps.db.all('SELECT id FROM invitations WHERE mailbox <> ? AND workspace_id = ?', [
          bob.mailbox,
          id,
        ])
      ).length,
      0,
    );
  });

  test('the account of the only owner is not deleted while there are other members; alone it takes the workspace along (W-08)', async (t) => {
    const { person, workspace, membersOf, deps } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'member']], 'Shared');
    const alone = await workspace(ann, [], 'Alone');
    const browser = await enter(ann, '/account');
    const page = await browser.get('/account/delete');
    t.regex(page.text, /Shared/);
    t.notRegex(page.text, /Alone/);
    const { csrf } = browser.form('/sign-out');
    const refused = await browser.send('/account/delete', { csrf: csrf!, mailbox: ann.mailbox });
    t.true([400, 409].includes(refused.status), String(refused.status));
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`, `${bob.mailbox} member`]);
    await deps.db.tx((tx) =>
      tx.run(`UPDATE members SET role = 'owner' WHERE workspace_id = ? AND account_id = ?`, [id, bob.id]),
    );
    await browser.get('/account/delete');
    await browser.post('/account/delete', { mailbox: ann.mailbox });
    t.deepEqual(await membersOf(id), [`${bob.mailbox} owner`]);
    t.deepEqual(await membersOf(alone), []);
    const ended = await deps.db.all('SELECT id FROM workspaces WHERE id = ? AND ended_at IS NOT NULL', [
      alone,
    ]);
    t.is(ended.length, 1);
  });

  test('the activity says to whom something happened, and who did it', async (t) => {
    const { deps, origin, person, workspace } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'viewer']]);
    await changeRole(deps, origin, ann.id, id, { memberId: bob.id, role: 'member', endsKeys: false });
    const { text } = await (await enter(bob)).get(`/workspaces/${id}/activity`);
    const events = [...text.matchAll(/<div class="what">(.*?)<\/div>/gs)].map(([, event]) =>
      event!.replaceAll(/<\/p><p[^>]*>/g, ' / ').replaceAll(/<[^>]+>/g, ''),
    );
    t.deepEqual(events, [
      'Role of a member changed: You / By a***@example.com',
      'Member joined: You',
      'Member invited / By a***@example.com',
      'Workspace created / By a***@example.com',
    ]);
  });

  test('a link that was forwarded shows the masked mailbox alone, and joins nobody', async (t) => {
    const { on, person, workspace, invite, membersOf } = world;
    const [ann, bob, eve] = [await person('ann'), await person('bob'), await person('eve')];
    const id = await workspace(ann, [], 'Secret');
    await invite(id, ann, bob);
    const mail = await on.invitationFor(bob.mailbox);
    const browser = await enter(eve);
    const page = await browser.get(invitationPath(mail.pageUrl));
    t.is(page.status, 404);
    t.is(heading(page), 'This invitation is for another account');
    t.regex(page.text, /b\*\*\*@example\.com/);
    t.notRegex(page.text, /Secret|Join|Decline/);
    await browser.get('/account');
    const { csrf } = browser.form('/account/mail');
    for (const decision of ['join', 'decline']) {
      const refused = await browser.send('/invitation', { decision, csrf: csrf! });
      t.is(refused.status, 404, decision);
    }
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`]);
    const forged = mail.pageUrl.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    t.is((await browser.get(invitationPath(forged))).status, 404);
    const scanner = openBrowser(on);
    await scanner.get(invitationPath(mail.pageUrl));
    await scanner.get(invitationPath(mail.declineUrl));
    const own = await enter(bob);
    t.is(
      heading(await own.get(invitationPath(mail.pageUrl))),
      'Join “Secret”?',
      'opening links changes nothing',
    );
  });

  test('the reader of the mail declines without signing in, and stops such mail', async (t) => {
    const { on, person, workspace, invite, deps } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [], 'Secret');
    await invite(id, ann, bob);
    const mail = await on.invitationFor(bob.mailbox);
    const browser = openBrowser(on);
    const asked = await browser.get(invitationPath(mail.declineUrl));
    t.is(heading(asked), 'Decline this invitation?');
    t.notRegex(asked.text, /Secret/);
    const declined = await browser.post('/invitation/decline', { stop_all: 'on' });
    t.is(heading(declined), 'Declined');
    const [row] = await deps.db.all<{ reason: string }>(
      'SELECT end_reason AS reason FROM invitations WHERE workspace_id = ?',
      [id],
    );
    t.is(row!.reason, 'declined');
    const own = await enter(bob, '/account');
    t.regex((await own.get('/account')).text, /Turn on invitations to workspaces/);
    await own.post('/account/invitations', { wanted: 'yes' });
    t.regex((await own.get('/account')).text, /Turn off invitations to workspaces/);
  });

  test('names are shown as text, whatever somebody typed', async (t) => {
    const { person, workspace } = world;
    const ann = await person('ann');
    const browser = await enter(ann);
    for (const name of HOSTILE_NAMES) {
      const id = await workspace(ann, [], name);
      const { text } = await browser.get(`/workspaces/${id}`);
      t.true(text.includes(shown(name)), name);
      t.notRegex(text, /<script>alert/);
    }
  });

  test('nobody sees workspaces where no API understands them; members go on seeing theirs', async (t) => {
    const other = await openWorkspaces(engine);
    const { deps, person, workspace, on } = other;
    const [ann, bob] = [await person('ann'), await person('bob')];
    await workspace(ann);
    await deps.db.tx((tx) => tx.run('UPDATE resource_servers SET workspaces = 0'));
    const [member, stranger] = [await signIn(on, ann.mailbox), await signIn(on, bob.mailbox)];
    t.regex((await member.get('/agents')).text, /href="\/workspaces"/);
    t.is((await member.get('/workspaces')).status, 200);
    t.notRegex((await stranger.get('/agents')).text, /workspaces/i);
    t.is((await stranger.get('/workspaces')).status, 404);
    t.is((await stranger.get('/workspaces/new')).status, 404);
    t.notRegex((await stranger.get('/account')).text, /workspaces/i);
    await other.stop();
  });

  test('a list of members of more than a page has a page of its own', async (t) => {
    const { deps, person, workspace } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const others: Person[] = [];
    for (let count = 0; count < 29; count += 1) others.push(await person('many'));
    await deps.db.tx(async (tx) => {
      for (const { id: other } of others) {
        await tx.run('INSERT INTO members (workspace_id, account_id, role, joined_at) VALUES (?, ?, ?, ?)', [
          id,
          other,
          'viewer',
          world.on.clock() + 1,
        ]);
      }
    });
    const browser = await enter(ann);
    t.regex((await browser.get(`/workspaces/${id}`)).text, /All 30 members/);
    const first = await browser.get(`/workspaces/${id}/members`);
    const [, next] = /href="(\/workspaces\/\w+\/members\?after=[^"]*)"/.exec(first.text)!;
    const second = await browser.get(next!);
    const rows = (text: string) => text.match(/<span class="initial large"/g)!.length;
    t.deepEqual([rows(first.text), rows(second.text)], [25, 5]);
  });
});
