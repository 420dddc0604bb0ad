import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { type App, getCode, newHuman, redeem, refresh, registerApp } from '../helpers/app-client.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import type { Browser, Page } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { happenings } from '../helpers/own-pages.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const FILE = {
  scopes: {
    read: { description: 'Look, list and search' },
    write: { description: 'Create and change' },
    delete: { description: 'Remove documents for good', destructive: true },
  },
};

onEveryEngine('a device whose app the human approved before (O-10)', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await withConfigFile(FILE, (CONFIG) => startTestService(engine, { env: { CONFIG } }));
    api = await addApi(on);
  });
  test.after(() => on.stop());

  /** A human who approved an app in their browser, and the tokens that it got. */
  async function approved(scope: string) {
    const app = await registerApp(on, {
      grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
    });
    const { browser } = await newHuman(on);
    const boxes = scope.split(' ').map((name) => `scope:${name}`);
    const query = { scope, resource: api.resource };
    const { body } = await redeem(on, app, await getCode(on, app, { query, boxes, browser }));
    return { app, browser, token: body.access_token as string, refreshToken: body.refresh_token as string };
  }

  /** A device of the app asks, and the human opens the page by its code. */
  async function ask(app: App, browser: Browser, scope: string) {
    const form = { client_id: app.clientId, scope, resource: api.resource };
    const { body } = await on.form('/oauth2/device_authorization', form);
    await browser.get('/connect');
    const page = await browser.post('/connect', { code: body.user_code });
    return { page, deviceCode: body.device_code as string, userCode: body.user_code as string };
  }

  const decide = (browser: Browser, decision: string, ...ticked: string[]) =>
    browser.post('/connect/device', {
      ...browser.form('/connect/device'),
      ...Object.fromEntries(ticked.map((name) => [name, 'on'])),
      decision,
    });

  const poll = async (app: App, device_code: string) => {
    on.clock.advance(6);
    return on.form('/oauth2/token', { grant_type: DEVICE_GRANT, device_code, client_id: app.clientId });
  };

  const consentOf = (app: App) =>
    on.service.deps.db.get<{ scope: string; openidScope: string }>(
      'SELECT scope, openid_scope AS "openidScope" FROM oauth_grants WHERE client_id = ? AND revoked_at IS NULL',
      [app.clientId],
    );

  /** The line of a scope on the page. */
  const lineOf = ({ text }: Page, scope: string) =>
    text.split('\n').find((line) => line.includes(`<span class="chip">${scope}</span>`)) ?? '';

  test('shows what the app has, ticked, and leaves it to the app; the device gets what it asked for', async (t) => {
    const { app, browser, token } = await approved('read write');
    const { page, deviceCode } = await ask(app, browser, 'read');
    t.is(heading(page), 'Connect a device?', page.text);
    for (const scope of ['read', 'write']) t.regex(lineOf(page, scope), / checked>.*Has now/);
    t.true(page.text.includes('If you untick something it has now'));
    t.is(heading(await decide(browser, 'approve', 'scope:read', 'scope:write')), 'The device is connected');
    const { body } = await poll(app, deviceCode);
    t.is(body.scope, 'read');
    t.true(await api.isActive(token));
    t.is((await consentOf(app))!.scope, 'read write');
    t.is(
      await countOf(on, `events WHERE kind = 'app.narrowed' AND details LIKE ?`, [`%${app.clientId}%`]),
      0,
    );
  });

  test('ends the tokens of the app only where the human takes something away', async (t) => {
    const { app, browser, token, refreshToken } = await approved('read write');
    const { deviceCode } = await ask(app, browser, 'read');
    await decide(browser, 'approve', 'scope:read');
    t.false(await api.isActive(token));
    t.is((await consentOf(app))!.scope, 'read');
    t.is((await poll(app, deviceCode)).body.scope, 'read');
    const { status, body } = await refresh(on, app, refreshToken);
    t.deepEqual([status, body.scope], [200, 'read'], 'it goes on with the rest');
    t.is(
      await countOf(on, `events WHERE kind = 'app.narrowed' AND details LIKE ?`, [`%${app.clientId}%`]),
      1,
    );
  });

  test('leaves what cannot be undone as it is: the app keeps it, and the device does not get it', async (t) => {
    const { app, browser, token } = await approved('read delete');
    const { page, deviceCode } = await ask(app, browser, 'read delete');
    t.notRegex(lineOf(page, 'delete'), /<input/);
    t.regex(lineOf(page, 'delete'), /Has now.*It keeps this elsewhere/);
    await decide(browser, 'approve', 'scope:read');
    t.true(await api.isActive(token));
    t.is((await poll(app, deviceCode)).body.scope, 'read');
    t.is((await consentOf(app))!.scope, 'read delete');
  });

  test('what the app has and the device did not ask for is no answer to the device', async (t) => {
    const { app, browser, token } = await approved('read write');
    await ask(app, browser, 'read');
    const page = await decide(browser, 'approve', 'scope:write');
    t.is(page.status, 400);
    t.true(page.text.includes('Nothing is selected.'));
    t.true(await api.isActive(token));
  });

  test('keeps offline_access that a device asked for, also where a later one does not', async (t) => {
    const app = await registerApp(on, {
      grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
    });
    const { browser } = await newHuman(on);
    const { page, deviceCode } = await ask(app, browser, 'openid offline_access read');
    t.true(page.text.includes('Stay connected until you revoke it'));
    await decide(browser, 'approve', 'scope:read');
    const { body } = await poll(app, deviceCode);
    t.deepEqual((await consentOf(app))!.openidScope.split(' ').sort(), ['offline_access', 'openid']);
    t.is((await refresh(on, app, body.refresh_token)).status, 200);
    await ask(app, browser, 'read');
    await decide(browser, 'approve', 'scope:read');
    t.deepEqual((await consentOf(app))!.openidScope.split(' ').sort(), ['offline_access', 'openid']);
  });

  test('declining one is in the activity of who declined first, and changes nothing', async (t) => {
    const { app, browser, token } = await approved('read');
    const { userCode } = await ask(app, browser, 'read');
    const { browser: other } = await newHuman(on);
    await other.get('/connect');
    await other.post('/connect', { code: userCode });
    await decide(browser, 'deny');
    t.is((await decide(other, 'deny')).status, 410);
    t.true(await api.isActive(token));
    const linesOf = async (each: Browser) =>
      happenings(await each.get('/account/activity?kind=apps')).map(({ what }) => what);
    t.deepEqual(await linesOf(browser), [
      'You declined the app Marlin Editor',
      'You approved the app Marlin Editor',
    ]);
    t.deepEqual(await linesOf(other), []);
  });
});
