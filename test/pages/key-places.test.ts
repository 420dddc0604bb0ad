import { changeResourceServer, listResourceServers } from '../../src/domain/audiences/resource-servers.ts';
import { asker } from '../helpers/api-keys.ts';
import { heading } from '../helpers/claim-page.ts';
import { credentialIn, fill, history, keyPages, MADE, problemIn } from '../helpers/key-pages.ts';
import { type Home, openHome } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

onEveryEngine('where a key works', (engine, test) => {
  let home: Home;
  const places = openPlaces(() => home.on);
  const { human } = keyPages(() => home);
  test.before(async () => {
    home = await openHome(engine);
    const [server] = await listResourceServers(home.on.service.deps);
    await changeResourceServer(home.on.service.deps, asker, server!.id, { understandsWorkspaces: true });
  });
  test.after(() => home.stop());

  /** A person who owns a workspace with a project and a folder in it. */
  async function owner() {
    const person = await human();
    const wsp = await places.workspace([person.account, 'owner']);
    const node = await places.node(home.api.url, wsp, 'prj_launch');
    const other = await places.node(home.api.url, wsp, 'prj_hiring');
    return { ...person, wsp, node, other };
  }

  test('is not asked while one may give access to no workspace', async (t) => {
    const { browser, account } = await human();
    const boss = await human();
    await places.workspace([boss.account, 'owner'], [account, 'member']);
    const { text } = await browser.get('/keys/new');
    t.false(text.includes('Where it works'));
    const made = await fill(browser, { preset: 'read-only' });
    t.is((await home.api.ask(credentialIn(made))).authorization_details, undefined);
  });

  test('is one’s own things unless something else is chosen: such a key is as ever', async (t) => {
    const { browser, account } = await owner();
    const { text } = await browser.get('/keys/new');
    t.regex(text, /name="place:own" value="on" checked/);
    t.regex(text, /Launch team<\/bdi>.*Owner/);
    t.true(text.includes('prj_launch'));
    const made = await browser.post('/keys/new', { name: 'script', preset: 'read-only', 'place:own': 'on' });
    const told = await home.api.ask(credentialIn(made));
    t.is(told.sub, account);
    t.is(told.authorization_details, undefined);
  });

  test('a preset holds in all chosen places alike, and the list says where', async (t) => {
    const { browser, wsp, node, account } = await owner();
    const made = await fill(browser, {
      name: 'audit bot',
      preset: 'read-only',
      'place:own': 'on',
      [`place:${node}`]: 'on',
    });
    const told = await home.api.ask(credentialIn(made));
    t.deepEqual(
      told.authorization_details.map(({ identifier, node: thing, actions }: Record<string, unknown>) => [
        identifier,
        thing,
        actions,
      ]),
      [
        [account, undefined, ['read']],
        [wsp, 'prj_launch', ['read']],
      ],
    );
    const [row] = await history(browser);
    t.regex(row!.text, /My own things/);
    t.regex(row!.text, /prj_launch<\/bdi> <span class="under"><bdi>Launch team/);
  });

  test('Custom asks for each place first, and then gives what is ticked there', async (t) => {
    const { browser, node, other } = await owner();
    await browser.get('/keys/new');
    const chosen = { name: 'custom', preset: 'choose', [`place:${node}`]: 'on', [`place:${other}`]: 'on' };
    const asked = await browser.post('/keys/new', chosen);
    t.is(asked.status, 400);
    t.is(problemIn(asked), 'Choose what it may do in each place.');
    t.true(asked.text.includes('write in prj_launch'));
    const none = await browser.post('/keys/new', chosen);
    t.is(problemIn(none), 'Choose at least one permission.');
    const made = await browser.post('/keys/new', {
      ...chosen,
      [`may:${node}:read`]: 'on',
      [`may:${other}:read`]: 'on',
      [`may:${other}:write`]: 'on',
    });
    t.is(heading(made), MADE, made.text);
    const told = await home.api.ask(credentialIn(made));
    t.deepEqual(
      told.authorization_details.map(({ node: thing, actions }: Record<string, unknown>) => [thing, actions]),
      [
        ['prj_launch', ['read']],
        ['prj_hiring', ['read', 'write']],
      ],
    );
  });

  test('a workspace includes what is in it, and nobody chooses what is not theirs', async (t) => {
    const { browser, wsp, node } = await owner();
    const stranger = await owner();
    const made = await fill(browser, { [`place:${wsp}`]: 'on', [`place:${node}`]: 'on' });
    const { authorization_details: told } = await home.api.ask(credentialIn(made));
    t.is(
      told.find(({ node: thing }: { node?: string }) => thing !== undefined),
      undefined,
    );
    for (const place of [stranger.wsp, stranger.node, 'wsp_none', 'nod_none', 'x']) {
      const refused = await fill(browser, { [`place:${place}`]: 'on' });
      t.is(refused.status, 400);
      t.is(problemIn(refused), 'One of the places can’t be chosen any more. Choose again.', place);
    }
  });

  test('no place at all is refused, and what was typed stays', async (t) => {
    const { browser } = await owner();
    await browser.get('/keys/new');
    const form: Record<string, string> = {
      ...browser.form('/keys/new'),
      name: 'nowhere',
      preset: 'read-only',
    };
    delete form['place:own'];
    const refused = await browser.send('/keys/new', form);
    t.is(problemIn(refused), 'Choose at least one place.');
    t.regex(refused.text, /value="nowhere"/);
  });

  test('with many things one searches, and what is ticked stays', async (t) => {
    const { browser, wsp, node } = await owner();
    for (let made = 0; made < 200; made += 1) await places.node(home.api.url, wsp, `thing_${made}`);
    const page = await browser.get('/keys/new');
    t.true(page.text.includes('Too many to list.'));
    t.false(page.text.includes('thing_150'));
    const found = await browser.post('/keys/new', {
      name: 'kept',
      [`place:${node}`]: 'on',
      find: 'THING_15',
      search: 'on',
    });
    t.is(found.status, 200);
    t.true(found.text.includes('thing_150'));
    t.false(found.text.includes('thing_16'));
    t.regex(found.text, new RegExp(`name="place:${node}" value="on" checked`));
    t.regex(found.text, /value="kept"/);
  });

  test('a replacement is filled like the key', async (t) => {
    const { browser, node } = await owner();
    const made = await fill(browser, { name: 'old', preset: 'read-only', [`place:${node}`]: 'on' });
    const { client_id } = await home.api.ask(credentialIn(made));
    const like = await browser.get(`/keys/new?like=${client_id}`);
    t.regex(like.text, new RegExp(`name="place:${node}" value="on" checked`));
    t.regex(like.text, /value="read-only" checked/);
  });

  test('a path can be typed, for APIs that tell no tree: the key works below it alone, and its replacement is no wider', async (t) => {
    const { browser, account } = await human();
    const wsp = await places.workspace([account, 'owner']);
    await browser.get('/keys/new');
    const paths = { 'paths:own': 'notes/', [`paths:${wsp}`]: ' drafts/2026/ \r\n\r\nREADME.md' };
    const made = await browser.post('/keys/new', { name: 'paths', preset: 'read-only', ...paths });
    const told = await home.api.ask(credentialIn(made));
    t.deepEqual(
      told.authorization_details.map((each: Record<string, unknown>) => [
        each.identifier,
        each.path,
        each.node,
      ]),
      [
        [account, 'notes/', undefined],
        [wsp, 'drafts/2026/', undefined],
        [wsp, 'README.md', undefined],
      ],
    );
    const { text } = await browser.get('/keys');
    t.true(text.includes('drafts/2026/'));
    const [, key] = /\/keys\/(key_\w+)\/revoke/.exec(text)!;
    const again = (await browser.get(`/keys/new?like=${key}`)).text;
    t.regex(again, /name="paths:own"[^>]*>notes\/<\/textarea>/);
    t.regex(again, new RegExp(`name="paths:${wsp}"[^>]*>drafts/2026/\nREADME\\.md</textarea>`));
    t.notRegex(again, new RegExp(`name="place:(?:${wsp}|own)" value="on" checked`));
  });

  test('paths have rows in the grid, whatever they are named, and a box stays with its path', async (t) => {
    const { browser, account } = await human();
    const wsp = await places.workspace([account, 'owner']);
    await browser.get('/keys/new');
    const typed = 'a b:c/<i>\nzz/';
    const form = { name: 'grid', preset: 'choose', [`paths:${wsp}`]: typed };
    const asked = await browser.post('/keys/new', form);
    t.is(problemIn(asked), 'Choose what it may do in each place.');
    t.true(asked.text.includes('write in a b:c/&lt;i&gt;'), asked.text);
    const [first, second] = [...asked.text.matchAll(/name="(may:wsp_\w+~\w+):write"/g)].map(
      ([, name]) => name!,
    );
    const made = await browser.post('/keys/new', {
      ...form,
      [`paths:${wsp}`]: typed.split('\n').toReversed().join('\n'),
      [`${first}:write`]: 'on',
      [`${second}:read`]: 'on',
    });
    const told = await home.api.ask(credentialIn(made));
    const byPath = told.authorization_details.map((each: Record<string, unknown>) => [
      each.path,
      each.actions,
    ]);
    t.deepEqual(
      new Map(byPath),
      new Map([
        ['zz/', ['read']],
        ['a b:c/<i>', ['write']],
      ]),
    );
  });

  test('a path that is none, and one in a place that is chosen as a whole, is refused with the reason and what was typed', async (t) => {
    const { browser, account } = await human();
    const wsp = await places.workspace([account, 'owner']);
    await browser.get('/keys/new');
    for (const path of [
      '/etc',
      'a/../b',
      'a//b',
      '50%',
      'a\\b',
      '@all',
      './a',
      'x'.repeat(513),
      'a\u202eb',
    ]) {
      const answer = await browser.post('/keys/new', {
        name: 'bad',
        preset: 'read-only',
        [`paths:${wsp}`]: path,
      });
      t.is(answer.status, 400, path);
      t.regex(problemIn(answer) ?? '', /is no path\. Write it like drafts\/2026\//, path);
      if (path === '/etc')
        t.regex(answer.text, /name="paths:wsp_\w+"[^>]*aria-invalid="true">\/etc<\/textarea>/);
    }
    for (const place of [wsp, 'own']) {
      const fields = { [`place:${place}`]: 'on', [`paths:${place}`]: 'a/' };
      const answer = await browser.post('/keys/new', { name: 'both', preset: 'read-only', ...fields });
      t.is(
        problemIn(answer),
        'You chose all of one place, and paths in it, too. Untick the place, or remove its paths.',
      );
    }
    await browser.get('/keys/new');
    const foreign = await places.workspace([(await human()).account, 'owner']);
    const answer = await browser.post('/keys/new', {
      name: 'x',
      preset: 'read-only',
      [`paths:${foreign}`]: 'a/',
    });
    t.is(problemIn(answer), 'Choose at least one place.', answer.text);
    t.is((await history(browser)).length, 0);
  });
});

onEveryEngine('where an agent works', (engine, test) => {
  let home: Home;
  const places = openPlaces(() => home.on);
  const { human } = keyPages(() => home);
  test.before(async () => {
    home = await openHome(engine);
    const [server] = await listResourceServers(home.on.service.deps);
    await changeResourceServer(home.on.service.deps, asker, server!.id, { understandsWorkspaces: true });
  });
  test.after(() => home.stop());

  test('its page says it, and its owner changes it there and takes it away', async (t) => {
    const { browser, mailbox, account } = await human();
    const agent = await home.vouched(mailbox);
    const path = `/agents/${agent.agent_id}`;
    t.false((await browser.get(path)).text.includes('Where it works'), 'nothing without workspaces');
    const wsp = await places.workspace([account, 'owner']);
    const node = await places.node(home.api.url, wsp, 'fld_reports');
    t.true((await browser.get(path)).text.includes('Where it works'));
    t.false((await browser.get(`${path}/where`)).text.includes('My own things'));
    const chosen = { [`place:${node}`]: 'on' };
    const asked = await browser.post(`${path}/where`, chosen);
    t.is(asked.status, 400);
    t.true(asked.text.includes('Choose what it may do in each place.'));
    const saved = await browser.post(`${path}/where`, { ...chosen, [`may:${node}:read`]: 'on' });
    t.true(saved.text.includes('Saved where it works.'));
    t.true(saved.text.includes('fld_reports'));
    const told = await home.api.ask(agent.credential);
    t.is(told.authorization_details.at(-1).node, 'fld_reports');
    const again = await browser.get(`${path}/where`);
    t.regex(again.text, new RegExp(`name="place:${node}" value="on" checked`));
    t.regex(again.text, new RegExp(`name="may:${node}:read" value="on" checked`));
    await browser.post(`${path}/where`, {});
    t.is((await home.api.ask(agent.credential)).authorization_details, undefined);
  });

  test('nobody else’s agent is found there', async (t) => {
    const { browser, account } = await human();
    await places.workspace([account, 'owner']);
    const stranger = await human();
    const agent = await home.vouched(stranger.mailbox);
    t.is((await browser.get(`/agents/${agent.agent_id}/where`)).status, 404);
  });
});
