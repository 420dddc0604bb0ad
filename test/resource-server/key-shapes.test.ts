import { randomBytes } from 'node:crypto';
import { createVerifier } from '../../src/resource-server/index.ts';
import { addApi } from '../helpers/api.ts';
import { startWith } from '../helpers/configured-service.ts';
import type { TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

/** Keys that begin as the operator chose, behind the kit, which learns their shape from the service. */

test.describe('keys of another shape', (test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startWith({ service: { keys: { prefix: 'tcm_live_', form: 'bytes', previous: ['sk_'] } } });
  });
  test.after(() => on.stop());

  const asked = (route: string) => on.logged.filter((line) => line.includes(`"route":"${route}"`)).length;

  test('are taken, those from before as well, and an invented one of another shape costs no introspection', async (t) => {
    const api = await addApi(on);
    const verifier = createVerifier({
      issuer: on.url,
      resource: api.resource,
      clientId: api.clientId,
      clientSecret: api.clientSecret,
      follow: false,
    });
    const ann = await places.person();
    const { credential } = await places.key(ann, [{ workspaceId: ann, actions: ['read'] }]);
    t.regex(credential, /^tcm_live_[\w-]{43}$/);
    const { credential: anonymous } = await on.register();
    t.true((await verifier.verify(anonymous)).scopes.includes('read'));
    const before = asked('POST /oauth2/introspect');
    const invented = ['tcm_test_', 'abc_'].map((prefix) => prefix + randomBytes(32).toString('base64url'));
    for (const key of [...invented, 'tcm_live_short', `${anonymous}x`]) {
      await t.throwsAsync(verifier.verify(key), { code: 'invalid_token' });
    }
    t.is(asked('POST /oauth2/introspect'), before);
    const unknown = `tcm_live_${randomBytes(32).toString('base64url')}`;
    await t.throwsAsync(verifier.verify(unknown), { code: 'invalid_token' });
    t.is(asked('POST /oauth2/introspect'), before + 1, 'one of the right shape is asked about');
    t.is(asked('GET /resource/policy'), 1);
  });
});
