import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { addApi } from '../helpers/api.ts';
import { basic, onEveryEngine, startTestService, type TestService, wrongCode } from '../helpers/service.ts';

/** Answers of the tinysend profile tell a language model with curl what is in the mail, when keys end, and what to do next. */

const COMPLETE = '/agent/auth/claim/complete';

onEveryEngine('answers for readers', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

  const me = async (key: string) => (await on.get('/api/me', key)).body.data;
  const claim = (claim_token: string, email: string) => on.post('/agent/auth/claim', { claim_token, email });

  /** The calls that a sentence names, each of which must be one that this service has. */
  async function assertLeadsOn(next: string): Promise<void> {
    const calls = [...next.matchAll(/(GET|POST) (http:\/\/[^\s,;"]+?)(?=[.,;]?(?:\s|$))/g)];
    assert.ok(calls.length > 0, `names no call: ${next}`);
    for (const [, method, url] of calls) {
      assert.ok(url!.startsWith(on.url), next);
      const reply = await on.request(method!, url!.slice(on.url.length));
      assert.ok([400, 401, 415].includes(reply.status), `${method} ${url} answers ${reply.status}`);
    }
  }

  test('what is in the mail, until when it can be used, and how often to ask, is said where mail is asked for', async () => {
    const { claim_token } = await on.register();
    const asserted = {
      type: 'identity_assertion',
      assertions: [{ type: 'verified_email', email: 'asserted@example.com' }],
    };
    for (const reply of [
      await claim(claim_token, 'said@example.com'),
      await on.post('/agent/auth', asserted),
    ]) {
      const { verification, next } = reply.body.data;
      assert.deepEqual(verification, {
        method: 'code',
        expires_at: new Date(on.clock() + 600_000).toISOString(),
        interval: 5,
      });
      assert.match(next, /six digits/);
      await assertLeadsOn(next);
    }
    const mail = await on.mailTo('said@example.com');
    assert.equal(mail.proof.kind, 'code');
    assert.equal(new Date(mail.codeExpiresAt).toISOString(), new Date(on.clock() + 600_000).toISOString());
  });

  test('where too many codes were guessed at, the answer says that the mail holds a link, and to poll', async () => {
    const strict = await startTestService(engine, { limits: { wrongPerMailboxDay: 1 } });
    try {
      const { claim_token } = await strict.register();
      await strict.post('/agent/auth/claim', { claim_token, email: 'guessed@example.com' });
      const otp = wrongCode(await strict.codeFor('guessed@example.com'));
      assert.equal((await strict.post(COMPLETE, { claim_token, otp })).body.error.code, 'otp_invalid');
      const again = await strict.post('/agent/auth/claim', { claim_token, email: 'guessed@example.com' });
      const { verification, next } = again.body.data;
      assert.equal(verification.method, 'link');
      assert.match(next, /open the link in their mail\. Poll: /);
      assert.equal((await strict.mailTo('guessed@example.com', 1)).proof.kind, 'link');
    } finally {
      await strict.stop();
    }
  });

  test('when a key ends is always said, and null where it does not', async () => {
    const registered = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
    const ends = new Date(on.clock() + 2_592_000_000).toISOString();
    assert.equal(registered.expires_at, ends);
    assert.equal((await me(registered.credential)).key.expires_at, ends);

    const claimed = await on.claimed('ends@example.com');
    const told = claimed as unknown as { expires_at: string | null };
    assert.equal(told.expires_at, null);
    assert.equal((await me(claimed.credential)).key.expires_at, null);

    const auth = { Authorization: `Bearer ${claimed.credential}` };
    const body = { name: 'helper', scope: 'read', expires_in: 60 };
    const helper = (await on.post('/api/tokens', body, auth)).body.data;
    assert.equal(helper.expires_at, new Date(on.clock() + 60_000).toISOString());
    const { tokens } = (await on.get('/api/tokens', claimed.credential)).body.data;
    assert.ok(tokens.every((key: object) => 'expires_at' in key));
  });

  test('a repeated registration or completion gives the same members again', async () => {
    const headers = { 'Idempotency-Key': 'again' };
    const ask = () => on.post('/agent/auth', { type: 'anonymous' }, headers);
    const first = (await ask()).body.data;
    assert.deepEqual((await ask()).body.data, first);
    await claim(first.claim_token, 'again@example.com');
    const otp = await on.codeFor('again@example.com');
    const complete = () => on.post(COMPLETE, { claim_token: first.claim_token, otp }, headers);
    const completed = (await complete()).body.data;
    assert.equal(completed.expires_at, null);
    assert.deepEqual((await complete()).body.data, completed);
  });

  test('/api/me says what to do next, in every state of the claim, with calls that exist', async () => {
    const { credential, claim_token } = await on.register();
    const unclaimed = (await me(credential)).next;
    assert.match(unclaimed, /^Use the key\. For write: POST /);
    await assertLeadsOn(unclaimed);

    await claim(claim_token, 'next@example.com');
    const pending = (await me(credential)).next;
    assert.match(pending, /^Your human has mail, or gets it soon\. /);
    await assertLeadsOn(pending);

    const otp = await on.codeFor('next@example.com');
    const completed = (await on.post(COMPLETE, { claim_token, otp })).body.data;
    await assertLeadsOn(completed.next);
    assert.match((await me(credential)).next, /^Use the key that the claim gave: /);
    const claimed = (await me(completed.credential)).next;
    assert.match(claimed, /^Use the key\. For helpers /);
    await assertLeadsOn(claimed);

    const over = await on.register();
    on.clock.advance(86_401);
    const expired = (await me(over.credential)).next;
    assert.match(expired, /register again\.$/);
  });

  test('/api/me says what an agent with an identity does next, at the endpoints of its own version', async () => {
    const { identity_assertion: assertion, claim_token } = (
      await on.post('/agent/identity', { type: 'anonymous' })
    ).body;
    const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const { access_token } = (await on.form('/oauth2/token', { grant_type: grant, assertion })).body;
    const unclaimed = (await me(access_token)).next;
    assert.ok(unclaimed.includes(`${on.url}/agent/identity/claim {`), unclaimed);
    await assertLeadsOn(unclaimed);
    const body = { type: 'service_auth', claim_token, login_hint: 'identity@example.com' };
    assert.equal((await on.post('/agent/identity/claim', body)).status, 200);
    const { next } = await me(access_token);
    assert.ok(!next.includes(on.url) || next.includes('/agent/identity/claim'), next);
  });

  test('/api/me says at which APIs the key works: all, or those it is narrowed to', async () => {
    const { resource } = await addApi(on, 'https://works.example.com');
    const { credential } = await on.claimed('works@example.com');
    assert.deepEqual((await me(credential)).resources, [on.url, resource]);
    const auth = { Authorization: `Bearer ${credential}` };
    const body = { name: 'one', scope: 'read', resources: [resource] };
    const narrow = (await on.post('/api/tokens', body, auth)).body.data;
    assert.deepEqual((await me(narrow.credential)).resources, [resource]);
  });

  test('who has no claim is told so, and not that a scope is missing', async () => {
    const { credential } = await on.register();
    const auth = { Authorization: `Bearer ${credential}` };
    const refused = await on.post('/api/tokens', { name: 'helper', scope: 'read' }, auth);
    assert.equal(refused.status, 403);
    assert.match(refused.body.error.message, /^Nobody has claimed you, .+: POST \/agent\/auth\/claim /);
    const claimed = await on.claimed('before@example.com');
    const early = await on.get('/api/tokens', claimed.old);
    assert.match(
      early.body.error.message,
      /^This key is from before the claim, .+ Use the key that the claim gave you\.$/,
    );
  });

  test('a refusal by a limit says for how many seconds, since curl shows no headers', async () => {
    const narrow = await startTestService(engine, { limits: { registerPerIp: '1/h' } });
    try {
      await narrow.register();
      const { headers, body } = await narrow.post('/agent/auth', { type: 'anonymous' });
      const seconds = headers.get('retry-after');
      assert.equal(
        body.error.message,
        `Too many registrations from this address. Try again in ${seconds} seconds.`,
      );
    } finally {
      await narrow.stop();
    }
  });

  test('the description of the API says which calls want the credential of a resource server, and by which way', async () => {
    const { paths } = (await on.get('/openapi.json')).body;
    assert.deepEqual(paths['/resource/policy'].get.security, [{ resourceServer: [] }]);
    assert.deepEqual(paths['/resource/events'].get.security, [{ resourceServer: [] }]);
    // In a form, client_id and client_secret can stand in the body.
    assert.deepEqual(paths['/oauth2/introspect'].post.security, [{ resourceServer: [] }, {}]);
    const { clientId, clientSecret } = await addApi(on, 'https://described.example.com');
    for (const path of ['/resource/policy', '/resource/events']) {
      assert.equal((await on.get(path)).status, 401, path);
      const headers = basic(clientId, clientSecret);
      assert.equal((await on.request('GET', path, { headers })).status, 200, path);
    }
  });

  test('auth.md begins with the key that one has already, and is no longer than before it said so', async () => {
    const { text } = await on.get('/auth.md');
    const [first] = text.split('\n## ');
    assert.match(first!, /Have you a key \(`sk_…`\) already\? Use it/);
    const template = readFileSync(new URL('../../auth.md', import.meta.url));
    assert.ok(template.length <= 12_054, `${template.length} bytes`);
  });
});
