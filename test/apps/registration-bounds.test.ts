import { askFor, REDIRECT } from '../helpers/app-client.ts';
import { startClientHost } from '../helpers/client-host.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('what a client says of itself', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const register = (metadata: Record<string, unknown>) =>
    on.post('/oauth2/register', {
      redirect_uris: [REDIRECT],
      token_endpoint_auth_method: 'none',
      ...metadata,
    });

  test('is 4 KiB at most, with ten redirects at most', async (t) => {
    const redirects = (count: number) => Array.from({ length: count }, (_, index) => `${REDIRECT}/${index}`);
    t.is((await register({ redirect_uris: redirects(10) })).status, 201);
    const many = await register({ redirect_uris: redirects(11) });
    t.deepEqual([many.status, many.body.error], [400, 'invalid_redirect_uri']);
    const long = await register({ redirect_uris: [`${REDIRECT}?${'a'.repeat(4096)}`] });
    t.is(long.status, 400, long.text);
    t.regex(long.body.error, /^invalid_(?:redirect_uri|client_metadata)$/);
  });

  test('makes this service fetch nothing, and turns on nothing that is off', async (t) => {
    const host = await startClientHost();
    t.teardown(() => host.stop());
    host.connect(on);
    const url = host.publish('/anything', { keys: [] });
    for (const more of [
      { sector_identifier_uri: url, subject_type: 'pairwise' },
      { request_uris: [url] },
      { initiate_login_uri: url },
      { backchannel_logout_uri: url, backchannel_logout_session_required: true },
      { logo_uri: url, client_uri: url, policy_uri: url, tos_uri: url },
      { id_token_signed_response_alg: 'none' },
      { userinfo_signed_response_alg: 'HS256' },
      { authorization_details_types: ['payment'] },
    ]) {
      const { status, body } = await register(more);
      const what = JSON.stringify(more);
      t.true([201, 400].includes(status), `${what} ${status}`);
      if (status === 400) continue;
      for (const name of ['sector_identifier_uri', 'backchannel_logout_uri', 'request_uris'])
        t.false(name in body, what);
      t.true([undefined, 'ES256'].includes(body.id_token_signed_response_alg), what);
      const app = { clientId: body.client_id, secret: undefined, registered: body };
      t.is((await on.get(askFor(app, { scope: 'read' }).path)).status, 303, what);
    }
    for (const method of ['client_secret_jwt', 'tls_client_auth', 'anything']) {
      const { status, body } = await register({ token_endpoint_auth_method: method });
      t.deepEqual([status, body.error], [400, 'invalid_client_metadata'], method);
    }
    t.deepEqual(host.asked, []);
  });
});
