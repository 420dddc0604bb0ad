import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { changeRole } from '../../src/domain/workspaces/members.ts';
import { countOf } from '../helpers/ceremony.ts';
import { signIn } from '../helpers/human.ts';
import { HOSTILE_NAMES, shown } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, type Person, type Workspaces } from '../helpers/workspaces.ts';

/** What people want to be called, and who sees it. */

onEveryEngine('the name of a person', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  const enter = (who: Person) => signIn(world.on, who.mailbox, { next: '/workspaces' });

  async function call(who: Person, name: string) {
    const browser = await enter(who);
    await browser.get('/account');
    return browser.post('/account/name', { name });
  }

  test('stands in workspaces in the place of the masked address, which is beneath it', async (t) => {
    const { deps, origin, person, workspace } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'member']]);
    t.regex((await call(bob, '  Bob Lind ')).text, /Name saved\./);
    await changeRole(deps, origin, ann.id, id, { memberId: bob.id, role: 'admin', endsKeys: false });
    await world.placeKey(id, bob);
    const { text } = await (await enter(ann)).get(`/workspaces/${id}`);
    const [members = '', keys = '', activity = ''] = ['members', 'keys', 'activity'].map(
      (section) => text.split(`id="${section}"`)[1]?.split('</section>')[0],
    );
    t.regex(members, /<bdi>Bob Lind<\/bdi>[\s\S]*?b\*\*\*@example\.com/);
    t.regex(keys, /Bob Lind/);
    t.regex(activity, /Bob Lind/);
    t.notRegex(keys + activity, /b\*\*\*@/);
    t.regex((await (await enter(bob)).get('/account')).text, /value="Bob Lind"/);

    t.regex((await call(bob, '')).text, /Name saved\./);
    const after = (await (await enter(ann)).get(`/workspaces/${id}`)).text;
    t.notRegex(after, /Bob Lind/);
    t.regex(after, /b\*\*\*@example\.com/);
  });

  test('is no address, or it would pass for the address of another one', async (t) => {
    const bob = await world.person('bob');
    await world.workspace(bob);
    const page = await call(bob, 'a***@example.com');
    t.is(page.status, 400);
    t.regex(page.text, /Enter a name without @/);
    t.true(page.text.includes('value="a***@example.com"'));
    t.is(await countOf(world.on, 'accounts WHERE name IS NOT NULL AND id = ?', [bob.id]), 0);
  });

  test('is a text of a stranger to those who read it', async (t) => {
    const { person, workspace } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'member']]);
    for (const name of HOSTILE_NAMES.filter((each) => !each.includes('@') && each.length <= 64)) {
      const said = await call(bob, name);
      t.true([200, 400].includes(said.status), name);
      if (said.status === 400) continue;
      const { text } = await (await enter(ann)).get(`/workspaces/${id}/members`);
      t.true(text.includes(shown(name)) || text.includes('b***@example.com'), name);
      t.false(text.includes('<script>'), name);
    }
  });

  test('is in the export, in no audit line, and gone with the account', async (t) => {
    const { deps, on, origin, person, workspace } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'member']]);
    await call(bob, 'Bob Lind');
    const exported = JSON.parse((await (await enter(bob)).get('/account/export')).text);
    t.is(exported.account.name, 'Bob Lind');
    const events = `events WHERE account_id = ? AND kind = 'account.name_changed'`;
    t.is(await countOf(on, events, [bob.id]), 1);
    t.is(await countOf(on, `${events} AND details LIKE '%Lind%'`, [bob.id]), 0);
    await call(bob, 'Bob Lind');
    t.is(await countOf(on, events, [bob.id]), 1, 'the same again changes nothing');
    await deleteAccount(deps, origin, bob.id);
    t.is(await countOf(on, 'accounts WHERE name IS NOT NULL AND id = ?', [bob.id]), 0);
    t.notRegex((await (await enter(ann)).get(`/workspaces/${id}`)).text, /Bob Lind/);
  });

  test('is of no workspaces where there are none, and of apps everywhere', async (t) => {
    const { on } = world;
    await on.service.deps.db.tx((tx) => tx.run('UPDATE resource_servers SET workspaces = 0'));
    const eve = await world.person('eve');
    const browser = await signIn(world.on, eve.mailbox, { next: '/account' });
    const { text } = await browser.get('/account');
    t.regex(text, /Your name[\s\S]*Apps see it if you let them\./);
    t.notRegex(text, /Members of your workspaces/);
    await on.service.deps.db.tx((tx) => tx.run('UPDATE resource_servers SET workspaces = 1'));
  });
});
