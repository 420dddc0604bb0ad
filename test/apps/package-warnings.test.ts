import { getCode, redeem, refresh, registerApp } from '../helpers/app-client.ts';
import { startTestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

const said: unknown[] = [];
const { warn, info, error } = console;
test.before(() => {
  const note = (...all: unknown[]) => void said.push(all.join(' '));
  Object.assign(console, { warn: note, info: note, error: note });
  process.on('warning', note);
});
test.after(() => {
  Object.assign(console, { warn, info, error });
});

onEveryEngine('oidc-provider', (engine, test) => {
  test('warns of nothing, neither when it is built nor in a flow', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'openid email read offline_access' } });
    const { body } = await redeem(on, app, got);
    t.is((await refresh(on, app, body.refresh_token)).status, 200);
    t.is((await on.form('/oauth2/par', { client_id: app.clientId })).status, 400);
    t.is((await on.form('/oauth2/device_authorization', { client_id: app.clientId })).status, 400);
    t.deepEqual(said, []);
    const warned = on.logged.filter((line) => JSON.parse(line).level >= 40);
    t.deepEqual(warned, []);
  });
});
