import { createAuthHome } from '../helpers/auth-home.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { givenBy, newPerson } from '../helpers/permissions.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

test.describe('a deployment with a prefix of its own', (test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    const resources = [{ url: 'https://kv.example.com', name: 'KV', shortName: 'kv' }];
    on = await withConfigFile({ service: { capPrefix: 'tinycloud' }, resources }, (CONFIG) =>
      startTestService('sqlite', { clock: REAL_CLOCK, env: { CONFIG } }),
    );
  });
  test.after(() => on.stop());

  test('its services are asked for by its prefix, which is learned once, and then also without', async (t) => {
    const home = createAuthHome();
    t.teardown(() => home.remove());
    const spec = 'tinycloud.kv:default:documents/:read';
    const sent = await home.json(t, ['request', '--service', on.url, '--cap', spec, '--send', '--no-popup']);
    t.regex(sent.request_id, /^prq_/);
    const again = await home.json(t, ['request', '--cap', 'tinycloud.kv:default:b/:read']);
    t.is(again.permissions[0].service, 'tinycloud.kv');
    const short = await home.json(t, ['request', '--cap', 'kv:default:c/:read']);
    t.is(short.permissions[0].service, 'tinycloud.kv');
    await home.fails(t, ['request', '--cap', 'acme.kv:default:c/:read'], 2, 'UNKNOWN_SERVICE');
    const diff = await home.json(t, ['caps', '--diff', spec]);
    t.false(diff.covered);
  });

  test('a name without a prefix works at once, also in a request that was written without a network', async (t) => {
    const home = createAuthHome();
    t.teardown(() => home.remove());
    const ask = ['request', '--service', on.url, '--cap', 'kv:default:documents/:read'];
    const request = await home.json(t, ask);
    t.is(request.permissions[0].service, 'vouchsafe.kv');
    t.is((await home.json(t, [...ask, '--send', '--no-popup'])).request_id, request.id);
    await givenBy(on, request, (await newPerson(places)).id);
    t.true((await home.json(t, ['retry', request.id])).covered);
    const { granted } = await home.json(t, ['caps']);
    t.is(granted[0].service, 'tinycloud.kv');
    t.like(await home.json(t, ['caps', '--diff', 'kv:default:documents/:read']), { covered: true });
  });

  test('without its service another prefix is not known', async (t) => {
    const home = createAuthHome();
    t.teardown(() => home.remove());
    const args = ['request', '--service', 'http://127.0.0.1:1', '--cap', 'tinycloud.kv:default:c/:read'];
    await home.fails(t, args, 2, 'UNKNOWN_SERVICE');
  });
});
