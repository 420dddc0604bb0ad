import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { PATHS } from '../../src/http/server/paths.ts';
import { type App, askFor, newHuman, REDIRECT, registerApp } from '../helpers/app-client.ts';
import { assertProperty } from '../helpers/property.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertPage } from '../helpers/wire.ts';

/** Authorization requests with one parameter left out, repeated, or changed into whatever. */

const NAMES = [
  ...['response_type', 'client_id', 'redirect_uri', 'scope', 'state', 'nonce', 'code_challenge', 'prompt'],
  ...['code_challenge_method', 'max_age', 'acr_values', 'login_hint', 'id_token_hint', 'resource'],
  ...['response_mode', 'request', 'request_uri', 'claims', 'ui_locales', 'authorization_details', 'dpop_jkt'],
  ...['display', 'registration', 'step_up_max_age', 'constructor', '__proto__'],
];
const NEAR = [
  ...[
    '',
    ' ',
    '0',
    '-1',
    '1e99',
    '99999999999999999999',
    'null',
    '[]',
    '{}',
    '[{"type":"workspace"}]',
    '[1]',
  ],
  ...['none', 'login', 'none login', 'consent select_account', 'openid', 'openid email', 'token', 'code'],
  ...[
    'x.y.z',
    'e30.e30.',
    'urn:ietf:params:oauth:request_uri:x',
    'https://api.example.com/',
    'https://[',
    '#',
  ],
  ...['https://evil.example/', `${REDIRECT}#x`, 'javascript:alert(1)', '\u0000', '%00', '\r\nLocation: x'],
];

onEveryEngine('whatever an app asks for', (engine, test) => {
  let on: TestService;
  let app: App;
  let cookie: string;
  test.before(async () => {
    on = await startTestService(engine);
    app = await registerApp(on, { post_logout_redirect_uris: [REDIRECT] });
    const { browser } = await newHuman(on);
    cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
  });
  test.after(() => on.stop());

  const value = fc.oneof(
    fc.constantFrom(...NEAR),
    fc.string({ unit: 'binary', maxLength: 300 }).map((text) => text.toWellFormed()),
  );
  const change = fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom('set', 'append', 'delete'), value);
  const changes = fc.array(change, { minLength: 1, maxLength: 3 });

  function requestWith(all: readonly [string, string, string][]): URLSearchParams {
    const { searchParams } = new URL(askFor(app, { scope: 'read' }).path, on.url);
    for (const [name, how, to] of all) {
      if (how === 'set') searchParams.set(name, to);
      else if (how === 'append') searchParams.append(name, to);
      else searchParams.delete(name);
    }
    return searchParams;
  }

  /** It leads to our page or back to the app with `iss`, or is a page: nowhere else, and never our fault. */
  function assertOrderly(t: ExecutionContext, { status, headers, ...reply }: Reply): void {
    const location = headers.get('location');
    if (status !== 303 || location === null) {
      t.true(status >= 400 && status < 500, `${status} ${reply.text}`);
      assertPage(t, { status, headers, ...reply }, 'authorize');
      return;
    }
    const to = new URL(location, on.url);
    if (to.origin === on.url) {
      t.regex(to.pathname, /^\/authorize\/[\w-]+$/);
      return;
    }
    t.is(to.origin + to.pathname, REDIRECT);
    const answer = new URLSearchParams(to.hash.slice(1) || to.search);
    t.is(answer.get('iss'), on.url);
    t.truthy(answer.get('error'));
    t.is(answer.get('code'), null, 'nobody was asked');
  }

  test('it leads to our page, to the registered redirect with iss, or nowhere', async (t) => {
    for (const headers of [{}, { Cookie: cookie }]) {
      await assertProperty(
        t,
        [changes],
        async (t, all) =>
          assertOrderly(t, await on.request('GET', `${PATHS.authorize}?${requestWith(all)}`, { headers })),
        { numRuns: 300 },
      );
    }
  });

  test('pushed, it is taken or refused with an error of OAuth', async (t) => {
    await assertProperty(
      t,
      [changes],
      async (t, all) => {
        const reply = await on.request('POST', PATHS.pushRequest, { body: requestWith(all) });
        t.true([201, 400, 401].includes(reply.status), `${reply.status} ${reply.text}`);
        t.is(typeof (reply.status === 201 ? reply.body.request_uri : reply.body.error), 'string', reply.text);
      },
      { numRuns: 300 },
    );
  });

  test('a request to sign out leads to our page, or nowhere', async (t) => {
    const names = ['client_id', 'id_token_hint', 'post_logout_redirect_uri', 'state', 'logout_hint', 't'];
    await assertProperty(
      t,
      [fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 4 })],
      async (t, pairs) => {
        const sent = new URLSearchParams([['client_id', app.clientId], ...pairs]);
        for (const headers of [{}, { Cookie: cookie }]) {
          const reply = await on.request('GET', `${PATHS.endSession}?${sent}`, { headers });
          t.true([200, 303, 400].includes(reply.status), `${reply.status} ${reply.text}`);
          const location = reply.headers.get('location');
          t.true(location === null || new URL(location, on.url).origin === on.url, `${location}`);
        }
      },
      { numRuns: 150 },
    );
  });

  test('nothing of all this was our fault', (t) => {
    t.deepEqual(
      on.logged.filter((line) => JSON.parse(line).level >= 50),
      [],
    );
  });
});
