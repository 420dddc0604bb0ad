import { type Api, addApi } from '../helpers/api.ts';
import { type App, errorOf, getCode, redeem, refresh, registerApp } from '../helpers/app-client.ts';
import type { Browser } from '../helpers/browser.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const DAY = 86_400;

onEveryEngine('what an app was given', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  async function connect(): Promise<{ app: App; browser: Browser; token: string }> {
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'read', resource: api.resource } });
    const { body } = await redeem(on, app, got);
    return { app, browser: got.browser, token: body.refresh_token };
  }

  test('stays with it when its human signs out, also without offline_access', async (t) => {
    const { app, browser, token } = await connect();
    await browser.get('/account');
    await browser.post('/sign-out');
    t.true((await browser.get('/account')).path.startsWith('/sign-in'));
    const { status, body } = await refresh(on, app, token);
    t.is(status, 200);
    t.true(await api.isActive(body.access_token));
  });

  test('ends 30 days after its last use, and 90 days after the consent in any case', async (t) => {
    const used = await connect();
    const left = await connect();
    const early = await refresh(on, left.app, left.token);
    t.is(early.status, 200);
    let { token } = used;
    for (let day = 29; day < 90; day += 29) {
      on.clock.advance(29 * DAY);
      const { status, body, text } = await refresh(on, used.app, token);
      t.is(status, 200, `day ${day}: ${text}`);
      token = body.refresh_token;
      if (day > 29) t.is(errorOf(await refresh(on, left.app, early.body.refresh_token)), '400 invalid_grant');
    }
    on.clock.advance(4 * DAY);
    t.is(errorOf(await refresh(on, used.app, token)), '400 invalid_grant');
  });
});
