import { startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

import { FORM_TYPE, JSON_TYPE, mailbox, unknownKey, unknownOwnClaimToken } from '../helpers/valid-bodies.ts';
import { assertFailureShape, assertRefused, type DialectName, send } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: the order of checks', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  test('checks come in one order: 421, 404, 405, 415, 400, 401 or 403', async (t) => {
    const wrongHost = ['Host', 'evil.example'] as const;
    const text = ['Content-Type', 'text/plain'] as const;
    const json = ['Content-Type', JSON_TYPE] as const;
    const form = ['Content-Type', FORM_TYPE] as const;
    const badKey = ['Authorization', `Bearer ${unknownKey}`] as const;
    const steps: [
      DialectName,
      number,
      string,
      string,
      readonly (readonly [string, string])[],
      string | undefined,
    ][] = [
      ['tinysend', 421, 'PUT', '/nothing', [wrongHost, text, badKey], '{'],
      ['tinysend', 404, 'PUT', '/nothing', [text, badKey], '{'],
      ['tinysend', 405, 'PUT', '/api/tokens', [text, badKey], '{'],
      ['tinysend', 415, 'POST', '/api/tokens', [text, badKey], '{'],
      ['tinysend', 400, 'POST', '/api/tokens', [json, badKey], '{'],
      ['tinysend', 400, 'POST', '/api/tokens', [json, badKey], '{}'],
      ['tinysend', 401, 'POST', '/api/tokens', [json, badKey], '{"name":"x","scope":"read"}'],
      ['auth.md', 421, 'PUT', '/agent/identity/nothing', [wrongHost, text, badKey], '{'],
      ['auth.md', 404, 'PUT', '/agent/identity/nothing', [text, badKey], '{'],
      ['auth.md', 405, 'PUT', '/agent/identity', [text, badKey], '{'],
      ['auth.md', 415, 'POST', '/agent/identity', [text, badKey], '{'],
      ['auth.md', 400, 'POST', '/agent/identity', [json, badKey], '{'],
      [
        'auth.md',
        400,
        'POST',
        '/agent/auth/claim',
        [json, badKey],
        JSON.stringify({ claim_token: unknownOwnClaimToken }),
      ],
      [
        'auth.md',
        401,
        'POST',
        '/agent/auth/claim',
        [json, badKey],
        JSON.stringify({ claim_token: unknownOwnClaimToken, email: mailbox }),
      ],
      ['auth.md production', 400, 'POST', '/agent/identity/claim', [json], '{"type":"service_auth"}'],
      [
        'auth.md production',
        401,
        'POST',
        '/agent/identity/claim',
        [json],
        JSON.stringify({ type: 'x', claim_token: 'x', login_hint: mailbox }),
      ],
      ['security events', 405, 'PUT', '/agent/event/notify', [text], '{'],
      ['security events', 400, 'POST', '/agent/event/notify', [text], '{'],
      ['oauth', 405, 'PUT', '/oauth2/token', [text], '{'],
      ['oauth', 415, 'POST', '/oauth2/token', [form, ['Content-Encoding', 'gzip']], 'x='],
      ['oauth', 400, 'POST', '/oauth2/token', [text], 'x='],
      ['oauth', 421, 'PUT', '/oauth2/nothing', [wrongHost, text, badKey], '{'],
      ['oauth', 404, 'PUT', '/oauth2/nothing', [text, badKey], '{'],
      ['oauth', 405, 'PUT', '/oauth2/introspect', [text, badKey], '{'],
      ['oauth', 415, 'POST', '/oauth2/introspect', [form, ['Content-Encoding', 'gzip'], badKey], 'x='],
      ['oauth', 400, 'POST', '/oauth2/introspect', [text, badKey], 'x='],
      ['oauth', 400, 'POST', '/oauth2/introspect', [form, badKey], 'x='],
      ['oauth', 401, 'POST', '/oauth2/introspect', [form, badKey], 'token=x'],
      ['page', 405, 'PUT', '/claim', [text, badKey], 'x='],
      ['page', 415, 'POST', '/claim', [text, badKey], 'x='],
      ['page', 400, 'POST', '/claim', [form, badKey], 'x='],
      ['page', 403, 'POST', '/claim', [form, badKey], 'csrf=x&attempt=cla_0'],
    ];
    for (const [dialect, status, method, path, headers, body] of steps) {
      const reply = await send(on, method, path, headers, body);
      t.is(reply.status, status, `${method} ${path}: ${reply.text}`);
      assertFailureShape(t, on, reply, dialect, `${method} ${path}`);
    }
  });
});

test('an address that has used up its budget is 429 before its body is looked at', async (t) => {
  const on = await startTestService('sqlite', { limits: { registerPerIp: '1/h' } });
  try {
    await on.register();
    const reply = await on.post('/agent/auth', '{', { 'Content-Type': 'text/plain' });
    assertRefused(t, on, reply, 'tinysend', 429, 'rate_limited', 'the second registration');
    t.true(reply.body.error.retryable);
  } finally {
    await on.stop();
  }
});

test("an address that has used up its budget is 429 before its body is looked at in auth.md's own versions, too", async (t) => {
  const limits = { claimMailPerIp: '1/h', wrongPerIpHour: 1, registerPerIp: '2/h' };
  const on = await startTestService('sqlite', { limits });
  try {
    const agent = (await on.post('/agent/identity', { type: 'anonymous' })).body;
    const { claim_token } = agent;
    t.is((await on.post('/agent/identity/claim', { claim_token, email: mailbox })).status, 200);
    const spent = 'rate_limited/rate_limit_exceeded';
    const ask = (path: string) => on.post(path, '{', { 'Content-Type': 'text/plain' });
    const again = await ask('/agent/identity/claim');
    assertRefused(t, on, again, 'auth.md', 429, spent, 'the second claim');
    t.is(again.body.retry_after, 3600);
    // A path that is spoken in two ways says so in that of its row.
    assertRefused(
      t,
      on,
      await ask('/agent/auth/claim'),
      'tinysend',
      429,
      'rate_limited',
      'the second claim by 0.1',
    );

    await on.post('/agent/auth', { type: 'anonymous', requested_credential_type: 'api_key' });
    // What is asked decides which budget it is: a renewal spends none of registrations.
    const third = await on.post('/agent/identity', { type: 'anonymous' });
    assertRefused(t, on, third, 'auth.md', 429, spent, 'the third registration');
    const renewal = { type: 'refresh', refresh_token: agent.identity.refresh_token.value };
    t.is((await on.post('/agent/identity', renewal)).status, 200);
  } finally {
    await on.stop();
  }
});

test('an address that has guessed too often is 429 on the page too, before its form is looked at', async (t) => {
  const on = await startTestService('sqlite', { limits: { wrongPerIpHour: 1 } });
  try {
    const { claim_token } = await on.register();
    await on.post('/agent/auth/claim', { claim_token, email: 'human@example.com' });
    const otp = wrongCode(await on.codeFor('human@example.com'));
    t.is((await on.post('/agent/auth/claim/complete', { claim_token, otp })).status, 401);
    const reply = await on.request('POST', '/claim', {
      body: '{',
      headers: { 'Content-Type': 'text/plain' },
    });
    assertRefused(t, on, reply, 'page', 429, '', 'the second guess');
  } finally {
    await on.stop();
  }
});
