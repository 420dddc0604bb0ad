import { type Api, addApi } from '../helpers/api.ts';
import { type App, getCode, newHuman, REDIRECT, redeem } from '../helpers/app-client.ts';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { signIn } from '../helpers/human.ts';
import { happenings, strangePosts } from '../helpers/own-pages.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the pages of clients that a human registers', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const NEW = '/apps/clients/new';
  const FORM = { name: 'Reports', redirects: REDIRECT, 'use:people': 'on', 'scope:read': 'on' };
  const secretOn = ({ text }: Page) => /<code id="secret">(cs_\w+)</.exec(text)?.[1];
  const idOn = ({ text }: Page) => /<code id="(?:client-)?id">(cli_\w+)</.exec(text)![1]!;
  const errorOn = ({ text }: Page) => /class="error" id="([\w-]+)-error"/.exec(text)?.[1];

  async function fill(browser: Browser, fields: Record<string, string> = {}): Promise<Page> {
    await browser.get(NEW);
    return browser.post(NEW, { ...FORM, ...fields });
  }

  async function make(browser: Browser, fields: Record<string, string> = {}) {
    const page = await fill(browser, fields);
    return {
      page,
      app: { clientId: idOn(page), secret: secretOn(page), registered: undefined } satisfies App,
    };
  }

  test('a client is created with its id and secret, each to be copied, shown once; it works', async (t) => {
    const { browser } = await newHuman(on);
    t.true((await browser.get('/apps/clients')).text.includes('No OAuth clients yet'));
    await browser.get(NEW);
    const fields = { ...browser.wholeForm(NEW), ...FORM };
    const page = await browser.send(NEW, fields);
    t.is(heading(page), 'Client created');
    const secret = secretOn(page)!;
    for (const id of ['client-id', 'secret']) t.true(page.text.includes(`data-copy="${id}"`), id);
    const again = await browser.send(NEW, fields);
    t.is(again.path, '/apps/clients');
    t.false(again.text.includes(secret));
    t.is(again.text.match(/href="\/apps\/clients\/cli_/g)!.length, 1);
    const app: App = { clientId: idOn(page), secret, registered: undefined };
    const got = await getCode(on, app, { query: { scope: 'read' } });
    t.is((await redeem(on, app, got)).status, 401);
    t.is((await redeem(on, app, got, { client_secret: secret })).status, 200);
    const shown = await browser.get(`/apps/clients/${app.clientId}`);
    for (const fact of ['Reports', 'Confidential', 'In the body', REDIRECT])
      t.true(shown.text.includes(fact), fact);
    t.false(shown.text.includes(secret.slice(3, 20)));
    const lines = happenings(await browser.get('/account/activity?kind=apps')).map(({ what }) => what);
    t.deepEqual(lines, ['You registered the OAuth client Reports']);
  });

  test('a double click creates one client, and both answers show the same secret', async (t) => {
    const { browser } = await newHuman(on);
    await browser.get(NEW);
    const fields = { ...browser.wholeForm(NEW), ...FORM };
    const [one, other] = await Promise.all([browser.send(NEW, fields), browser.send(NEW, fields)]);
    t.is(secretOn(one!), secretOn(other!));
    t.is((await browser.get('/apps/clients')).text.match(/href="\/apps\/clients\/cli_/g)!.length, 1);
  });

  test('how it signs in is the body, the header, its own key or nothing; a public one has no secret', async (t) => {
    const { browser } = await newHuman(on);
    await browser.get(NEW);
    const offered = [...(await browser.get(NEW)).text.matchAll(/name="auth" value="(\w+)"/g)].map(
      ([, name]) => name,
    );
    t.deepEqual(offered, ['client_secret_post', 'client_secret_basic', 'private_key_jwt', 'none']);
    const uses = [...(await browser.get(NEW)).text.matchAll(/name="use:(\w+)"/g)].map(([, name]) => name);
    t.deepEqual(uses, ['people', 'itself', 'devices'], 'no provider is trusted here');
    const itself = await make(browser, {
      auth: 'client_secret_basic',
      'use:people': '',
      redirects: '',
      'use:itself': 'on',
    });
    t.truthy(itself.app.secret);
    const open = await make(browser, { auth: 'none' });
    t.is(open.app.secret, undefined);
    t.true((await browser.get(`/apps/clients/${open.app.clientId}`)).text.includes('Public'));
    t.is((await browser.get(`/apps/clients/${open.app.clientId}/rotate`)).status, 404);
    const key = await fill(browser, { auth: 'private_key_jwt', keys: 'https://app.example/jwks.json' });
    t.is(heading(key), 'Client created');
    t.is(secretOn(key), undefined);
  });

  test('what is wrong is said at its field, with all that was typed, and nothing is created', async (t) => {
    const { browser } = await newHuman(on);
    const cases: [Record<string, string>, string][] = [
      [{ name: ' ' }, 'name'],
      [{ name: 'x'.repeat(81) }, 'name'],
      [{ redirects: '' }, 'redirects'],
      [{ redirects: 'http://app.example/cb' }, 'redirects'],
      [{ redirects: 'javascript:alert(1)' }, 'redirects'],
      [{ redirects: `${REDIRECT}#fragment` }, 'redirects'],
      [
        { redirects: Array.from({ length: 11 }, (_, index) => `${REDIRECT}${index}`).join('\n') },
        'redirects',
      ],
      [{ auth: 'none', 'use:itself': 'on' }, 'auth'],
      [{ auth: 'private_key_jwt' }, 'keys'],
      [{ auth: 'private_key_jwt', keys: '{"keys": [' }, 'keys'],
      [{ auth: 'private_key_jwt', keys: 'http://app.example/keys' }, 'keys'],
      [{ keys: 'https://app.example/keys' }, 'keys'],
    ];
    for (const [fields, field] of cases) {
      const page = await fill(browser, fields);
      const about = JSON.stringify(fields).slice(0, 80);
      t.is(page.status, 400, about);
      t.is(errorOn(page), field, about);
      t.regex(page.text, /<title>Error: /);
      if (field !== 'name') t.true(page.text.includes('value="Reports"'), about);
      t.true(page.text.includes('name="use:people" value="on" checked'), about);
    }
    await browser.get(NEW);
    const { 'use:people': _, ...none } = FORM;
    t.is(
      errorOn(await browser.send(NEW, { ...browser.form(NEW), ...none, 'use:people': undefined })),
      'uses',
    );
    await browser.get(NEW);
    const { csrf } = browser.form(NEW);
    const noScope = await browser.send(NEW, { csrf, name: 'x', redirects: REDIRECT, 'use:people': 'on' });
    t.is(errorOn(noScope), 'permissions');
    t.is((await browser.send(NEW, { csrf, ...FORM, auth: 'other' })).status, 400);
    t.true((await browser.get('/apps/clients')).text.includes('No OAuth clients yet'));
  });

  test('a new secret works at once, and the old one as long as was chosen', async (t) => {
    const { browser, mailbox } = await newHuman(on);
    const { app } = await make(browser, { auth: 'client_secret_basic' });
    const path = `/apps/clients/${app.clientId}/rotate`;
    // A secret that is wrong is a 401; one that works is told that the code is not.
    const works = async (secret: string) => {
      const form = {
        grant_type: 'authorization_code',
        code: 'x',
        redirect_uri: REDIRECT,
        code_verifier: 'x'.repeat(43),
      };
      return (await on.form('/oauth2/token', form, basic(app.clientId, secret))).status === 400;
    };
    t.true(await works(app.secret!));
    await browser.get(path);
    const first = secretOn(await browser.post(path, { overlap: '1h' }))!;
    t.deepEqual([await works(app.secret!), await works(first)], [true, true]);
    on.clock.advance(3601);
    t.deepEqual([await works(app.secret!), await works(first)], [false, true]);
    const other = await signIn(on, mailbox);
    await other.get(path);
    const second = secretOn(await other.post(path, { overlap: 'now' }))!;
    t.deepEqual([await works(first), await works(second)], [false, true]);
    await other.get(path);
    t.is(errorOn(await other.post(path, { overlap: '9y' })), 'overlap');
  });

  test('changed redirects end what people let it do; a new name does not', async (t) => {
    const [{ browser }, person] = [await newHuman(on), await newHuman(on)];
    const { app } = await make(browser, { auth: 'none' });
    const query = { scope: 'read', resource: api.resource };
    const { body } = await redeem(on, app, await getCode(on, app, { query, browser: person.browser }));
    const path = `/apps/clients/${app.clientId}/edit`;
    await browser.get(path);
    const named = await browser.post(path, { name: 'Better reports', 'scope:read': 'on' });
    t.is(named.path, `/apps/clients/${app.clientId}`);
    t.is(heading(named), 'Better reports');
    t.true(await api.isActive(body.access_token));
    t.true((await person.browser.get('/apps')).text.includes('Better reports'));
    await browser.get(path);
    t.is(errorOn(await browser.post(path, { name: 'x', redirects: 'ftp://x' })), 'redirects');
    await browser.get(path);
    await browser.post(path, {
      name: 'x',
      'scope:read': 'on',
      redirects: `${REDIRECT}/other\r\n${REDIRECT}`,
    });
    t.false(await api.isActive(body.access_token));
    t.true((await person.browser.get('/apps')).text.includes('No connected apps'));
  });

  test('deleting one ends it for all who approved it, and they are mailed', async (t) => {
    const [{ browser }, person] = [await newHuman(on), await newHuman(on)];
    const { app } = await make(browser, { auth: 'none' });
    const query = { scope: 'read', resource: api.resource };
    const got = await redeem(on, app, await getCode(on, app, { query, browser: person.browser }));
    const path = `/apps/clients/${app.clientId}/delete`;
    const page = await browser.get(path);
    t.regex(page.text, /<h1>Delete “<b><bdi>Reports<\/bdi><\/b>”\?<\/h1>/);
    const done = await browser.post(path);
    t.is(done.path, '/apps/clients');
    t.true(done.text.includes('Client deleted.'));
    t.false(await api.isActive(got.body.access_token));
    t.is((await browser.get(`/apps/clients/${app.clientId}`)).status, 404);
    const lines = happenings(await person.browser.get('/account/activity?kind=apps')).map(({ what }) => what);
    t.is(lines[0], 'The app Reports was removed by whoever runs it');
    const notices = await on.service.deps.db.all(
      `SELECT e.kind FROM notices n JOIN events e ON e.id = n.event_id JOIN outbox o ON o.id = n.mail_id
       WHERE o.mailbox = ? AND e.kind = 'app.revoked'`,
      [person.mailbox],
    );
    t.is(notices.length, 1);
  });

  test("somebody else's client is not there, and posts that no page of ours led to change nothing", async (t) => {
    const [mine, other] = [await newHuman(on), await newHuman(on)];
    const { app } = await make(mine.browser);
    const base = `/apps/clients/${app.clientId}`;
    for (const path of [
      base,
      `${base}/edit`,
      `${base}/rotate`,
      `${base}/delete`,
      '/apps/clients/cli_0',
      '/apps/clients/%00',
    ]) {
      t.is((await other.browser.get(path)).status, 404, path);
    }
    await other.browser.get('/apps/clients/new');
    const { csrf } = other.browser.form(NEW);
    for (const act of ['edit', 'rotate', 'delete']) {
      const reply = await other.browser.send(`${base}/${act}`, { csrf, ...FORM, overlap: 'now' });
      t.is(reply.status, 404, act);
    }
    await mine.browser.get(`${base}/delete`);
    const own = mine.browser.form(`${base}/delete`).csrf!;
    for (const { about, csrf: token, headers } of strangePosts({ none: undefined, wrong: 'x' }, own)) {
      t.is(
        (await mine.browser.send(`${base}/delete`, token === undefined ? {} : { csrf: token }, headers))
          .status,
        403,
        about,
      );
    }
    t.is((await mine.browser.get(base)).status, 200);
    t.is((await openBrowser(on).get('/apps/clients')).path, '/sign-in?next=/apps/clients');
  });

  test('a session that was not verified lately enters a code first, and comes back', async (t) => {
    const { browser } = await newHuman(on);
    on.clock.advance(16 * 60);
    t.is((await browser.get(NEW)).path, `/sign-in/again?next=${NEW}`);
  });
});
