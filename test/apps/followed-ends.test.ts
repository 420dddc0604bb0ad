import { createClient } from '../../src/domain/apps/create-client.ts';
import { removeClient, suspendClient } from '../../src/domain/apps/manage-clients.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import {
  type App,
  askFor,
  decide,
  getCode,
  newHuman,
  PUBLIC_CLIENT,
  redeem,
  refresh,
  registerApp,
} from '../helpers/app-client.ts';
import type { Browser } from '../helpers/browser.ts';
import { bearer } from '../helpers/common.ts';
import { untilFollowing, untilRefused } from '../helpers/following.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const OPERATOR = { accountId: undefined, reason: 'abuse' };

interface Connected {
  app: App;
  browser: Browser;
  mailbox: string;
  token: string;
  refreshToken: string;
}

onEveryEngine('APIs that follow what happens', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const origin = localOrigin('test');
  const query = (scope = 'read') => ({ scope, resource: api.resource });

  async function connect(app: App, boxes = ['scope:read']): Promise<Connected> {
    const human = await newHuman(on);
    const got = await getCode(on, app, { query: query('read write'), boxes, browser: human.browser });
    const { body } = await redeem(on, app, got);
    return { ...human, app, token: body.access_token, refreshToken: body.refresh_token };
  }

  async function ofOperator(): Promise<Connected> {
    const { client } = await createClient(on.service.deps, origin, PUBLIC_CLIENT);
    return connect({ clientId: client.id, secret: undefined, registered: undefined });
  }
  const registered = async () => connect(await registerApp(on));

  /** What ends an app, by what it is: first the app, then what happens to it. */
  const ENDS: Record<string, [() => Promise<Connected>, (connected: Connected) => Promise<unknown>]> = {
    'its human revokes it on the page': [
      registered,
      async ({ browser }) => {
        const [, id] = /\/apps\/(con_\w+)\/revoke/.exec((await browser.get('/apps')).text)!;
        await browser.get(`/apps/${id}/revoke`);
        await browser.post(`/apps/${id}/revoke`);
      },
    ],
    'its human gives less': [
      async () => connect(await registerApp(on), ['scope:read', 'scope:write']),
      async ({ app, browser }) => {
        const page = await browser.get(askFor(app, { ...query('read write'), prompt: 'consent' }).path);
        await decide(browser, page, 'approve', ['scope:write']);
      },
    ],
    'the app revokes its refresh token': [
      registered,
      ({ refreshToken }) => on.form('/oauth2/revoke', { token: refreshToken }),
    ],
    'a used refresh token comes again': [
      async () => {
        const connected = await registered();
        await refresh(on, connected.app, connected.refreshToken);
        on.clock.advance(11);
        return connected;
      },
      ({ app, refreshToken }) => refresh(on, app, refreshToken),
    ],
    'its registration is deleted': [
      registered,
      ({ app }) =>
        on.request('DELETE', `/oauth2/register/${app.clientId}`, {
          headers: bearer(app.registered.registration_access_token),
        }),
    ],
    'the operator removes the client': [
      ofOperator,
      ({ app }) => removeClient(on.service.deps, origin, app.clientId, { operator: OPERATOR }),
    ],
    'the operator suspends the client': [
      ofOperator,
      ({ app }) => suspendClient(on.service.deps, origin, app.clientId, OPERATOR),
    ],
    'its human deletes the account': [
      registered,
      async ({ browser, mailbox }) => {
        await browser.get('/account/delete');
        await browser.post('/account/delete', { mailbox });
      },
    ],
  };

  for (const [what, [make, end]] of Object.entries(ENDS)) {
    test(`refuse the token of an app within a second when ${what}`, async (t) => {
      const connected = await make();
      const verifier = api.verifier({ follow: true });
      t.teardown(() => verifier.close());
      t.is((await verifier.verify(connected.token)).clientId, connected.app.clientId);
      await untilFollowing(on, verifier);
      await end(connected);
      const began = performance.now();
      await untilRefused(verifier, connected.token);
      const took = performance.now() - began;
      t.true(took < 1000, `${took} ms`);
    });
  }
});
