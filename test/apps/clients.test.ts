import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { askFor, newHuman, registerApp } from '../helpers/app-client.ts';
import { bearer } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('clients that register themselves', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const register = (metadata: Record<string, unknown>) => on.post('/oauth2/register', metadata);

  test('what known clients send is taken: nulls, unknown grants, loopback, schemes of their own', async (t) => {
    const clients: Record<string, Record<string, unknown>> = {
      Claude: {
        redirect_uris: ['https://claude.ai/api/mcp/auth_callback'],
        client_uri: null,
        logo_uri: '',
        contacts: [],
        scope: 'read anything',
      },
      'VS Code': {
        redirect_uris: ['https://vscode.dev/redirect', 'http://127.0.0.1/', 'http://127.0.0.1:33418/'],
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code', 'token'],
        application_type: 'web',
      },
      Cursor: { redirect_uris: ['cursor://anysphere.cursor-retrieval/oauth/callback'] },
      Inspector: { redirect_uris: ['http://localhost:6274/oauth/callback', 'http://[::1]:1/cb'] },
    };
    for (const [name, metadata] of Object.entries(clients)) {
      const reply = await register({ client_name: name, token_endpoint_auth_method: 'none', ...metadata });
      t.is(reply.status, 201, `${name}: ${reply.text}`);
      t.deepEqual(reply.body.redirect_uris, metadata.redirect_uris);
      t.true(Number.isInteger(reply.body.client_id_issued_at));
      t.false(Object.values(reply.body).includes(null));
      t.is(reply.headers.get('access-control-allow-origin'), '*');
    }
  });

  test('a program on this computer is answered at any port, and at its path alone', async (t) => {
    const app = await registerApp(on, { redirect_uris: ['http://127.0.0.1:1/cb', 'http://localhost/cb'] });
    const { browser } = await newHuman(on);
    for (const redirect_uri of ['http://127.0.0.1:4711/cb', 'http://localhost:4711/cb']) {
      const page = await browser.get(askFor(app, { redirect_uri, scope: 'read' }).path);
      t.regex(page.text, /a program on this computer/);
      t.true(
        page.headers
          .get('content-security-policy')!
          .includes(`form-action 'self' ${new URL(redirect_uri).origin};`) ||
          page.headers
            .get('content-security-policy')!
            .endsWith(`form-action 'self' ${new URL(redirect_uri).origin}`),
      );
    }
    for (const redirect_uri of ['http://127.0.0.1:4711/other', 'http://127.0.0.2/cb', 'https://127.0.0.1/cb'])
      t.is((await browser.get(askFor(app, { redirect_uri, scope: 'read' }).path)).status, 400, redirect_uri);
  });

  test('redirects that lead astray are refused', async (t) => {
    const wrong = [
      'http://evil.example/cb',
      'javascript:alert(1)',
      'JavaScript:alert(1)',
      'data:text/html,x',
      'file:///etc/passwd',
      'https://app.example/cb#x',
      'https://user@app.example/cb',
      'https://app.example/a/../cb',
      'https://app.example/%2e%2e/cb',
      'https://app.example\\@evil.example/',
      '/cb',
      '',
    ];
    for (const uri of wrong) {
      const reply = await register({ redirect_uris: [uri], token_endpoint_auth_method: 'none' });
      t.deepEqual([reply.status, reply.body.error], [400, 'invalid_redirect_uri'], uri);
    }
    for (const redirect_uris of [
      [],
      undefined,
      'https://app.example/cb',
      Array(11).fill('https://app.example/cb'),
    ])
      t.is((await register({ redirect_uris })).body.error, 'invalid_redirect_uri');
  });

  test('no client gives itself a grant without a human', async (t) => {
    for (const token_endpoint_auth_method of ['none', 'client_secret_basic', 'client_secret_post']) {
      const reply = await register({
        redirect_uris: ['https://app.example/cb'],
        token_endpoint_auth_method,
        grant_types: ['client_credentials', 'urn:ietf:params:oauth:grant-type:jwt-bearer', 'implicit'],
      });
      t.deepEqual(reply.body.grant_types, ['authorization_code']);
      const asked = await on.form('/oauth2/token', {
        grant_type: 'client_credentials',
        client_id: reply.body.client_id,
        ...(reply.body.client_secret && { client_secret: reply.body.client_secret }),
      });
      t.deepEqual([asked.status, asked.body.error], [400, 'unauthorized_client']);
      const ours = await on.form('/oauth2/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: 'x',
        client_id: reply.body.client_id,
      });
      const isPublic = token_endpoint_auth_method === 'none';
      t.is(ours.body.error, isPublic ? 'invalid_grant' : 'invalid_client');
    }
    const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
    t.is((await on.form('/oauth2/token', { grant_type: exchange })).body.error, 'unsupported_grant_type');
  });

  test('a client manages its own registration, and no other', async (t) => {
    const [one, two] = [await registerApp(on), await registerApp(on)];
    const path = `/oauth2/register/${one.clientId}`;
    const own = { headers: bearer(one.registered.registration_access_token) };
    const foreign = { headers: bearer(two.registered.registration_access_token) };
    t.is((await on.request('GET', path, own)).body.client_id, one.clientId);
    t.is((await on.request('GET', path, foreign)).status, 401);
    t.is((await on.request('GET', path)).status, 401);
    const body = JSON.stringify({
      client_id: one.clientId,
      redirect_uris: ['https://app.example/other'],
      token_endpoint_auth_method: 'none',
    });
    const put = await on.request('PUT', path, {
      headers: { ...own.headers, 'Content-Type': 'application/json' },
      body,
    });
    t.is(put.status, 200, put.text);
    t.deepEqual(put.body.redirect_uris, ['https://app.example/other']);
    t.is((await on.request('DELETE', path, own)).status, 204);
    t.is((await on.request('GET', path, own)).status, 401);
  });

  test('those that never got a code are swept after a day', async (t) => {
    const app = await registerApp(on);
    on.clock.advance(86_400 + 60);
    t.true((await deleteExpiredRows(on.service.deps)).unusedClients! > 0);
    const { browser } = await newHuman(on);
    t.is((await browser.get(askFor(app, { scope: 'read' }).path)).status, 400);
  });
});
