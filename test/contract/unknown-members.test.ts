import type { ExecutionContext } from 'ava';
import { signIn } from '../helpers/human.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** A member that would bound something and is not understood is refused by name; nothing of it is dropped in silence. */

/** Names under which bounds are asked for, by what they bound. */
const BOUNDS = {
  life: [
    ...['expires_at', 'expiresIn', 'expires-in', 'expires', 'expiry', 'expiration', 'expiration_date', 'exp'],
    ...[
      'ttl',
      'ttl_seconds',
      'lifetime',
      'valid_until',
      'validFor',
      'max_age',
      'not_after',
      'duration',
      'expire_in',
    ],
  ],
  scope: ['scopes', 'Scope', 'permissions', 'permission', 'read_only', 'readonly', 'access_level', 'scop'],
  place: [
    'resource',
    'audience',
    'aud',
    'audiences',
    'resource_url',
    'target',
    'workspace',
    'project_id',
    'resurces',
  ],
};
const MODES = ['mode', 'linked', 'merge', 'claim_mode', 'keep_account', 'lnik'];
const MAILBOXES = ['mail', 'mailbox', 'email_address', 'login_hint', 'emial', 'userEmail'];
/** What could only widen, or bounds nothing. */
const HARMLESS = [
  ...['role', 'user_id', 'userId', 'account_id', 'verified', 'email_verified', 'status', 'admin', 'is_admin'],
  ...['metadata', 'description', 'client_name', 'redirect_uris', 'version', 'x'],
];

onEveryEngine('members that are not known', (engine, test) => {
  let on: TestService;
  let auth: Record<string, string>;
  test.before(async () => {
    on = await startTestService(engine);
    const { credential } = await on.claimed('bounds@example.com');
    auth = { Authorization: `Bearer ${credential}` };
  });
  test.after(() => on.stop());

  function assertRefused(
    t: ExecutionContext,
    { status, body, text }: Reply,
    name: string,
    meant?: string,
  ): void {
    t.is(status, 400, `${name}: ${text}`);
    t.is(body.error.code, 'invalid_request');
    t.is(body.error.field, name);
    const { message } = body.error;
    t.truthy(message.startsWith(`"${name}" is not known here. `), message);
    if (meant !== undefined) t.truthy(message.includes(`Did you mean "${meant}"`), message);
  }

  const keys = async () =>
    (await on.request('GET', '/api/tokens', { headers: auth })).body.data.tokens.length;

  test('a key is not made without the bound that was asked for under another name', async (t) => {
    const body = { name: 'helper', scope: 'read' };
    const before = await keys();
    for (const [meant, names] of [
      ['expires_in', BOUNDS.life],
      ['scope', BOUNDS.scope],
      ['resources', BOUNDS.place],
    ] as const) {
      for (const name of names) {
        assertRefused(t, await on.post('/api/tokens', { ...body, [name]: 'x' }, auth), name, meant);
      }
    }
    const { body: refused } = await on.post('/api/tokens', { ...body, expires_at: 'x' }, auth);
    t.is(refused.error.message, '"expires_at" is not known here. Did you mean "expires_in" (seconds)?');
    t.is(await keys(), before, 'none was made');
  });

  test('a registration and a claim take no scope, end or place, and say so', async (t) => {
    const { claim_token } = await on.register();
    const bodies = {
      '/agent/auth': { type: 'anonymous' },
      '/agent/auth/claim': { claim_token, email: 'who@example.com' },
    };
    for (const [path, body] of Object.entries(bodies)) {
      for (const name of ['scope', ...BOUNDS.scope, ...BOUNDS.life, ...BOUNDS.place].filter(
        (each) => !['scop', 'resurces', 'expire_in'].includes(each),
      )) {
        assertRefused(t, await on.post(path, { ...body, [name]: 'read' }), name);
      }
    }
    t.is(on.mails.filter(({ to }) => to === 'who@example.com').length, 0, 'nothing was mailed');
  });

  test('a claim does not become one of the other mode, or at another mailbox, in silence', async (t) => {
    const { claim_token } = await on.register();
    const body = { claim_token, email: 'mode@example.com' };
    for (const name of MODES)
      assertRefused(t, await on.post('/agent/auth/claim', { ...body, [name]: true }), name, 'link');
    for (const name of MAILBOXES) {
      assertRefused(
        t,
        await on.post('/agent/auth/claim', { ...body, [name]: 'x@example.com' }),
        name,
        'email',
      );
    }
    const asserted = {
      type: 'identity_assertion',
      assertions: [{ type: 'verified_email', email: 'asserted@example.com' }],
    };
    for (const name of MODES)
      assertRefused(t, await on.post('/agent/auth', { ...asserted, [name]: true }), name, 'link');
    const nested = { ...asserted, assertions: [{ ...asserted.assertions[0], expires_at: 'x' }] };
    assertRefused(t, await on.post('/agent/auth', nested), 'expires_at');
  });

  test('a code under another name is no poll', async (t) => {
    const { claim_token } = await on.register();
    for (const name of ['code', 'user_code', 'verification_code', 'pin', 'OTP']) {
      const reply = await on.post('/agent/auth/claim/complete', { claim_token, [name]: '123456' });
      assertRefused(t, reply, name, 'otp');
    }
  });

  test('null is as if it were not there, and what bounds nothing is ignored', async (t) => {
    for (const name of ['scope', 'expires_at', 'resource', 'mode']) {
      t.is((await on.post('/agent/auth', { type: 'anonymous', [name]: null })).status, 200, name);
    }
    for (const name of HARMLESS) {
      const reply = await on.post('/agent/auth', { type: 'anonymous', [name]: 'x' });
      t.is(reply.status, 200, `${name}: ${reply.text}`);
      t.deepEqual(reply.body.data.scopes, ['read']);
      const body = { name: 'helper', scope: 'read', [name]: 'x' };
      t.is((await on.post('/api/tokens', body, auth)).status, 200, name);
    }
  });

  test('what is no plain word is not repeated', async (t) => {
    const { body } = await on.post('/api/tokens', { name: 'a', scope: 'read', '<expires in>': 1 }, auth);
    t.regex(body.error.message, /^One of the members is not known here\. Did you mean "expires_in"/);
    t.is(body.error.code, 'invalid_request');
  });

  test('the protocols whose texts demand it go on ignoring what they do not know', async (t) => {
    const own = await on.post('/agent/auth', {
      type: 'anonymous',
      requested_credential_type: 'api_key',
      expires_at: 'x',
      scope: 'read',
    });
    t.is(own.status, 200, own.text);
    const identity = await on.post('/agent/identity', { type: 'anonymous', scope: 'read', ttl: 5 });
    t.is(identity.status, 200, identity.text);
    const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const assertion = identity.body.identity_assertion;
    const token = await on.form('/oauth2/token', {
      grant_type: grant,
      assertion,
      expires_in: '5',
      mode: 'x',
    });
    t.is(token.status, 200, token.text);
  });

  test('a form of ours that asks for a bound under another name makes no key', async (t) => {
    const browser = await signIn(on, 'form@example.com');
    await browser.get('/keys/new');
    const page = await browser.post('/keys/new', { name: 'mine', preset: 'read-only', expires_in: '60' });
    t.is(page.status, 400, page.text);
    t.regex(page.text, /The field “expires_in” isn’t right\./);
    t.notRegex((await browser.get('/keys')).text, /mine/);
  });
});
