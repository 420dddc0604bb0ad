import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What web pages of others may call and read (Fetch, CORS protocol): a browser's MCP client gets and ends its own tokens. */

const GRANT = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer' };

onEveryEngine('web pages of other origins', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const ORIGINS = ['https://app.example', 'null', 'http://localhost:6274'];

  test('may call the token and the revocation endpoint, and read every answer, without credentials of the browser', async (t) => {
    for (const Origin of ORIGINS) {
      for (const path of ['/oauth2/token', '/oauth2/revoke']) {
        const asked = {
          Origin,
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'content-type,authorization,mcp-protocol-version',
        };
        const preflight = await on.request('OPTIONS', path, { headers: asked });
        t.is(preflight.status, 204, path);
        t.is(preflight.headers.get('access-control-allow-origin'), '*');
        t.is(preflight.headers.get('access-control-allow-methods'), 'POST');
        t.regex(preflight.headers.get('access-control-allow-headers')!, /content-type/);

        const answers = [
          await on.form(path, {}, { Origin }),
          await on.form(path, { ...GRANT, assertion: 'x', token: 'x' }, { Origin }),
          await on.post(path, '{', { Origin }),
          await on.request('GET', path, { headers: { Origin } }),
          await on.request('POST', `${path}?token=x`, { headers: { Origin } }),
        ];
        for (const reply of [preflight, ...answers]) {
          const about = `${path} ${reply.status} ${reply.text}`;
          t.is(reply.headers.get('access-control-allow-origin'), '*', about);
          t.is(reply.headers.get('access-control-allow-credentials'), null, about);
          t.is(reply.headers.get('cache-control'), 'no-store', about);
        }
        t.regex(answers[0]!.headers.get('access-control-expose-headers')!, /WWW-Authenticate/);
      }
    }
  });

  test('read an answer that gives a token', async (t) => {
    const { body } = await on.post('/agent/identity', { type: 'anonymous' });
    const reply = await on.form(
      '/oauth2/token',
      { ...GRANT, assertion: body.identity_assertion },
      { Origin: ORIGINS[0]! },
    );
    t.is(reply.status, 200, reply.text);
    t.is(reply.headers.get('access-control-allow-origin'), '*');
    const ended = await on.form(
      '/oauth2/revoke',
      { token: reply.body.access_token },
      { Origin: ORIGINS[0]! },
    );
    t.is(ended.status, 200);
    t.is(ended.headers.get('access-control-allow-origin'), '*');
  });

  test('read no answer of the endpoints of agents, APIs and people', async (t) => {
    for (const Origin of ORIGINS) {
      const answers = [
        await on.post('/agent/auth', { type: 'anonymous' }, { Origin }),
        await on.post('/agent/auth/claim', {}, { Origin }),
        await on.form('/oauth2/introspect', { token: 'x' }, { Origin, ...basic('x', 'y') }),
        await on.post('/agent/event/notify', {}, { Origin }),
        await on.request('GET', '/account', { headers: { Origin } }),
        await on.request('OPTIONS', '/oauth2/introspect', { headers: { Origin } }),
      ];
      for (const { headers, status } of answers) {
        t.is(headers.get('access-control-allow-origin'), null, String(status));
      }
    }
  });
});
