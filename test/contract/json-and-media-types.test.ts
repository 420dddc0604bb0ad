import { newMailbox } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What is said of bodies that are nearly right. */

onEveryEngine('bodies that are nearly right', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const send = (body: NonNullable<RequestInit['body']>, type = 'application/json', path = '/agent/auth') =>
    on.request('POST', path, { body, headers: { 'Content-Type': type } });
  const ANONYMOUS = '{"type":"anonymous"}';

  test('UTF-8 may be named in every way that is legal, and nothing else', async (t) => {
    for (const parameters of [
      ...[';charset=utf-8', '; charset=UTF-8', ';charset="utf-8"', '; Charset="UTF-8"', ' ; charset=utf-8'],
      ...[
        ';charset=utf8',
        '; charset=UTF8',
        ';charset="utf-8";x=y',
        ';x="a;charset=latin1";charset=utf-8',
        ';',
      ],
      ...['; profile="https://example.com/a b"', ';charset=utf-8 ', ';;charset=utf-8', ';version=1'],
    ]) {
      const { status, text } = await send(ANONYMOUS, `application/json${parameters}`);
      t.is(status, 200, `${parameters}: ${text}`);
    }
    for (const charset of ['latin1', 'iso-8859-1', 'utf-16', '"utf-16le"', 'utf-7', 'nonsense', "'utf-8'"]) {
      const { status, body } = await send(ANONYMOUS, `application/json; charset=${charset}`);
      t.deepEqual([status, body.error.code], [415, 'unsupported_media_type'], charset);
      t.is(body.error.message, 'Send the body as UTF-8.');
    }
    for (const type of [
      'application/jsonx',
      'text/json',
      'multipart/form-data; boundary=x',
      'application/ld+json',
    ]) {
      t.is((await send(ANONYMOUS, type)).status, 415, type);
    }
  });

  test('a byte order mark and UTF-16 are named', async (t) => {
    const { status, body } = await send(`\ufeff${ANONYMOUS}`);
    t.deepEqual([status, body.error.code], [400, 'invalid_json']);
    t.regex(body.error.message, /byte order mark\. Send it without/);
    for (const bytes of [
      Buffer.from(`\ufeff${ANONYMOUS}`, 'utf16le'),
      Buffer.from(`\ufeff${ANONYMOUS}`, 'utf16le').swap16(),
    ]) {
      const reply = await send(bytes);
      t.is(reply.status, 400);
      t.regex(reply.body.error.message, /The body is UTF-16\. Send it as UTF-8/);
    }
  });

  test('a wrong type is called one, and what is missing is called required', async (t) => {
    const { claim_token } = await on.register();
    const { credential } = await on.claimed(newMailbox());
    const auth = { Authorization: `Bearer ${credential}` };
    for (const [path, body, field, message] of [
      ['/agent/auth', { type: 'anonymous', agent_name: 5 }, 'agent_name', /it must be a string/],
      ['/agent/auth/claim', { claim_token: 5, email: 'a@example.com' }, 'claim_token', /it must be a string/],
      ['/agent/auth/claim', { claim_token, email: ['a@example.com'] }, 'email', /it must be a string/],
      [
        '/agent/auth/claim',
        { claim_token, email: 'a@example.com', link: 'yes' },
        'link',
        /it must be a boolean/,
      ],
      ['/agent/auth/claim', { claim_token }, 'email', /it is required/],
      ['/agent/auth/claim', { claim_token, email: null }, 'email', /it must be a string/],
      ['/agent/auth/claim/complete', { claim_token, otp: 123456 }, 'otp', /it must be a string/],
      ['/api/tokens', { name: 'a', scope: 'read', expires_in: '60' }, 'expires_in', /it must be/],
      [
        '/api/tokens',
        { name: 'a', scope: 'read', resources: 'https://a.example' },
        'resources',
        /it must be an array/,
      ],
      ['/api/tokens', { scope: 'read' }, 'name', /it is required/],
    ] as const) {
      const reply = await on.post(path, body, auth);
      t.deepEqual([reply.status, reply.body.error.field], [400, field], reply.text);
      t.regex(reply.body.error.message, message);
    }
    const flat = await on.post('/agent/identity', { type: 'service_auth', login_hint: 5 });
    t.regex(flat.body.message, /it must be a string/);
  });

  test('a claim that says "link" is linked, whatever version its token is of', async (t) => {
    const body = { type: 'anonymous', requested_credential_type: 'api_key' };
    for (const link of [true, false]) {
      const { claim_token } = (await on.post('/agent/auth', body)).body;
      const email = newMailbox();
      const { status, text, body: answer } = await on.post('/agent/auth/claim', { claim_token, email, link });
      t.is(status, 200, text);
      t.is(answer.data.verification.method, 'code');
      const mail = await on.mailTo(email);
      t.deepEqual([mail.mode, mail.proof.kind], [link ? 'link' : 'merge', 'code']);
      const otp = await on.codeFor(email);
      t.is((await on.post('/agent/auth/claim/complete', { claim_token, otp })).status, 200);
    }
    const { claim_token } = (await on.post('/agent/auth', body)).body;
    const own = await on.post('/agent/auth/claim', { claim_token, email: newMailbox() });
    t.is(own.body.status, 'initiated', 'without it the version of the token answers');
  });
});
