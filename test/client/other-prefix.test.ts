import { createAuthHome } from '../helpers/auth-home.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

test.describe('a deployment with a prefix of its own', (test) => {
  let on: TestService;
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

  test('without its service another prefix is not known', async (t) => {
    const home = createAuthHome();
    t.teardown(() => home.remove());
    const args = ['request', '--service', 'http://127.0.0.1:1', '--cap', 'tinycloud.kv:default:c/:read'];
    await home.fails(t, args, 2, 'UNKNOWN_SERVICE');
  });
});
