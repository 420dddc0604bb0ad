import { type Api, addApi } from '../helpers/api.ts';
import { type App, getCode, newHuman, redeem, refresh, registerApp } from '../helpers/app-client.ts';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { HOSTILE_NAMES, happenings, shown, strangePosts } from '../helpers/own-pages.ts';
import {
  createTestClock,
  createTestDatabase,
  startTestService,
  type TestService,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the page of connected apps', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const rowsOf = ({ text }: Page) =>
    [...text.matchAll(/<tr role="row">\s*<td[\s\S]*?<\/tr>/g)].map(([row]) => ({
      text: row,
      name: /<span class="name"><bdi>(.*?)<\/bdi>/.exec(row)?.[1],
      id: /href="\/apps\/(\w+)\/revoke"/.exec(row)?.[1],
    }));

  /** Lets an app use the account of a human, and returns its consent and access token. */
  async function connect(browser: Browser, app: App, scope = 'read') {
    const query = { scope, resource: api.resource };
    const boxes = scope.split(' ').map((name) => `scope:${name}`);
    const { body } = await redeem(on, app, await getCode(on, app, { query, boxes, browser }));
    return { token: body.access_token as string, refreshToken: body.refresh_token as string };
  }

  test('says what goes there while there are none', async (t) => {
    const { browser } = await newHuman(on);
    const page = await browser.get('/apps');
    t.is(heading(page), 'Connected apps');
    t.true(page.text.includes('No connected apps'));
    t.regex(page.text, /<a href="\/apps" aria-current="page">Connected apps</);
    t.true(page.text.includes('href="/apps/clients"'));
  });

  test('lists who may do what, since when, and when it was last used, the last used first', async (t) => {
    const { browser } = await newHuman(on);
    const [first, second] = [
      await registerApp(on, { client_name: 'Marlin <Editor>' }),
      await registerApp(on, {
        client_name: null,
        redirect_uris: ['http://127.0.0.1:7777/cb', 'com.example.app:/cb'],
      }),
    ];
    await connect(browser, first, 'read write');
    on.clock.advance(60);
    const asked = { scope: 'read', resource: api.resource, redirect_uri: 'http://127.0.0.1:7777/cb' };
    await getCode(on, second, { query: asked, browser });
    const rows = rowsOf(await browser.get('/apps'));
    t.deepEqual(
      rows.map(({ name }) => name),
      ['Marlin &lt;Editor&gt;', 'App without a name'],
    );
    t.regex(rows[0]!.text, />app\.example</);
    t.regex(rows[0]!.text, />read<\/span>[\s\S]*>write<\/span>/);
    t.regex(rows[0]!.text, /1 minute ago[\s\S]*<span class="under">127\.0\.x\.x</);
    t.regex(rows[1]!.text, />127\.0\.0\.1</);
    t.regex(rows[1]!.text, /Never used/);
    const page = await browser.get(`/apps/${rows[1]!.id}/revoke`);
    t.regex(page.text, /<code>127\.0\.0\.1<\/code>\s*, <code>com\.example\.app:<\/code>/);
  });

  test('an API that is asked about its token counts as a use of the app', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const clock = createTestClock(Math.floor(Date.now() / 1000) * 1000);
    const first = await startTestService(engine, { database, clock });
    const { browser, mailbox } = await newHuman(first);
    const app = await registerApp(first);
    const other = await addApi(first);
    const got = await getCode(first, app, { query: { scope: 'read', resource: other.resource }, browser });
    const { body } = await redeem(first, app, got);
    clock.advance(60);
    t.true(await other.isActive(body.access_token));
    await first.stop(); // what is noted in memory is written
    const again = await startTestService(engine, { database, clock });
    t.teardown(() => again.stop());
    clock.advance(60);
    const [row] = rowsOf(await (await signIn(again, mailbox)).get('/apps'));
    t.regex(row!.text, /1 minute ago<\/time><span class="under">API</);
  });

  test('revoking one asks first, then ends its tokens at once; it asks anew to come back', async (t) => {
    const { browser } = await newHuman(on);
    const app = await registerApp(on);
    const { token, refreshToken } = await connect(browser, app);
    const verifier = api.verifier();
    await verifier.verify(token);
    const [row] = rowsOf(await browser.get('/apps'));
    const path = `/apps/${row!.id}/revoke`;
    const page = await browser.get(path);
    t.is(page.status, 200);
    t.regex(page.text, /<h1>Revoke “<b><bdi>Marlin Editor<\/bdi><\/b>”\?<\/h1>/);
    t.true((await browser.get('/apps')).text.includes(row!.id!), 'the page that asks changes nothing');
    await browser.get(path);
    const fields = browser.form(path);
    const done = await browser.post(path);
    t.is(done.path, '/apps');
    t.regex(done.text, /role="status"[\s\S]*App revoked\. It’s signed out everywhere\./);
    t.true(done.text.includes('No connected apps'));
    await t.throwsAsync(api.verifier().verify(token));
    const again = await refresh(on, app, refreshToken);
    t.deepEqual([again.status, again.body.error], [400, 'invalid_grant']);
    // Sent again it is no failure, and changes nothing; asked for again it is not there.
    for (const { path: at } of await atOnce(5, () => browser.send(path, fields))) t.is(at, '/apps');
    t.is((await browser.get(path)).status, 404);
    await connect(browser, app);
    t.is(rowsOf(await browser.get('/apps')).length, 1);
    const lines = happenings(await browser.get('/account/activity?kind=apps')).map(({ what }) => what);
    t.deepEqual(lines, [
      'You approved the app Marlin Editor',
      'You revoked the app Marlin Editor',
      'You approved the app Marlin Editor',
    ]);
  });

  test("somebody else's is not there, as one that never was", async (t) => {
    const [mine, other] = [await newHuman(on), await newHuman(on)];
    await connect(mine.browser, await registerApp(on));
    const [row] = rowsOf(await mine.browser.get('/apps'));
    for (const id of [row!.id!, 'con_0000000000000000', 'x', '%00']) {
      t.is((await other.browser.get(`/apps/${id}/revoke`)).status, 404, id);
      await other.browser.get('/account');
      const { csrf } = other.browser.form('/sign-out');
      t.is((await other.browser.send(`/apps/${id}/revoke`, { csrf })).status, 404, id);
    }
    t.is(rowsOf(await mine.browser.get('/apps')).length, 1);
  });

  test('a post that no page of ours led to changes nothing, and who is not signed in is asked to', async (t) => {
    const { browser } = await newHuman(on);
    await connect(browser, await registerApp(on));
    const [row] = rowsOf(await browser.get('/apps'));
    const path = `/apps/${row!.id}/revoke`;
    await browser.get(path);
    const { csrf } = browser.form(path);
    for (const { about, csrf: token, headers } of strangePosts({ none: undefined, wrong: 'x' }, csrf!)) {
      const { status } = await browser.send(path, token === undefined ? {} : { csrf: token }, headers);
      t.is(status, 403, about);
    }
    t.is(rowsOf(await browser.get('/apps')).length, 1);
    const stranger = openBrowser(on);
    t.is((await stranger.get('/apps')).path, '/sign-in?next=/apps');
    t.is((await stranger.get(path)).path, `/sign-in?next=${path}`);
  });

  test('names that would rather be something else are text', async (t) => {
    const { browser } = await newHuman(on);
    for (const name of HOSTILE_NAMES.slice(0, 8)) {
      await getCode(on, await registerApp(on, { client_name: name }), { query: { scope: 'read' }, browser });
    }
    const { text } = await browser.get('/apps');
    for (const name of HOSTILE_NAMES.slice(0, 8)) t.true(text.includes(`<bdi>${shown(name)}</bdi>`), name);
  });

  test('a long list has pages, which the database cuts, and finds apps by how their name starts', async (t) => {
    const { browser } = await newHuman(on);
    for (let index = 0; index < 27; index += 1) {
      const client_name = index === 3 ? 'Chart desk' : `Marlin ${String(index).padStart(2, '0')}`;
      await getCode(on, await registerApp(on, { client_name }), { query: { scope: 'read' }, browser });
    }
    const first = await browser.get('/apps');
    t.is(rowsOf(first).length, 25);
    t.regex(first.text, /1–25 of 27/);
    const next = /href="([^"]*)" rel="next"/.exec(first.text)![1]!.replaceAll('&amp;', '&');
    const second = await browser.get(next);
    t.is(rowsOf(second).length, 2);
    t.regex(second.text, /26–27 of 27/);
    t.is(new Set([...rowsOf(first), ...rowsOf(second)].map(({ id }) => id)).size, 27);
    const found = await browser.get('/apps?q=chart');
    t.deepEqual(
      rowsOf(found).map(({ name }) => name),
      ['Chart desk'],
    );
    t.true((await browser.get('/apps?q=nothing')).text.includes('No apps match this filter.'));
  });
});
