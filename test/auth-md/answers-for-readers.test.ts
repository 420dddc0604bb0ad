import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { addApi } from '../helpers/api.ts';
import { basic, startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Answers of the tinysend profile tell a language model with curl what is in the mail, when keys end, and what to do next. */

const COMPLETE = '/agent/auth/claim/complete';

onEveryEngine('answers for readers', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const me = async (key: string) => (await on.get('/api/me', key)).body.data;
  const claim = (claim_token: string, email: string) => on.post('/agent/auth/claim', { claim_token, email });

  /** The calls that a sentence names, each of which must be one that this service has. */
  async function assertLeadsOn(t: ExecutionContext, next: string): Promise<void> {
    const calls = [...next.matchAll(/(GET|POST) (http:\/\/[^\s,;"]+?)(?=[.,;]?(?:\s|$))/g)];
    t.true(calls.length > 0, `names no call: ${next}`);
    for (const [, method, url] of calls) {
      t.true(url!.startsWith(on.url), next);
      const reply = await on.request(method!, url!.slice(on.url.length));
      t.true([400, 401, 415].includes(reply.status), `${method} ${url} answers ${reply.status}`);
    }
  }

  test('what is in the mail, until when it can be used, and how often to ask, is said where mail is asked for', async (t) => {
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
      t.deepEqual(verification, {
        method: 'code',
        expires_at: new Date(on.clock() + 600_000).toISOString(),
        interval: 5,
      });
      t.regex(next, /six digits/);
      await assertLeadsOn(t, next);
    }
    const mail = await on.mailTo('said@example.com');
    t.is(mail.proof.kind, 'code');
    t.is(new Date(mail.codeExpiresAt).toISOString(), new Date(on.clock() + 600_000).toISOString());
  });

  test('where too many codes were guessed at, the answer says that the mail holds a link, and to poll', async (t) => {
    const strict = await startTestService(engine, { limits: { wrongPerMailboxDay: 1 } });
    try {
      const { claim_token } = await strict.register();
      await strict.post('/agent/auth/claim', { claim_token, email: 'guessed@example.com' });
      const otp = wrongCode(await strict.codeFor('guessed@example.com'));
      t.is((await strict.post(COMPLETE, { claim_token, otp })).body.error.code, 'otp_invalid');
      const again = await strict.post('/agent/auth/claim', { claim_token, email: 'guessed@example.com' });
      const { verification, next } = again.body.data;
      t.is(verification.method, 'link');
      t.regex(next, /open the link in their mail\. Poll: /);
      t.is((await strict.mailTo('guessed@example.com', 1)).proof.kind, 'link');
    } finally {
      await strict.stop();
    }
  });

  test('when a key ends is always said, and null where it does not', async (t) => {
    const registered = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
    const ends = new Date(on.clock() + 2_592_000_000).toISOString();
    t.is(registered.expires_at, ends);
    t.is((await me(registered.credential)).key.expires_at, ends);

    const claimed = await on.claimed('ends@example.com');
    const told = claimed as unknown as { expires_at: string | null };
    t.is(told.expires_at, null);
    t.is((await me(claimed.credential)).key.expires_at, null);

    const auth = { Authorization: `Bearer ${claimed.credential}` };
    const body = { name: 'helper', scope: 'read', expires_in: 60 };
    const helper = (await on.post('/api/tokens', body, auth)).body.data;
    t.is(helper.expires_at, new Date(on.clock() + 60_000).toISOString());
    const { tokens } = (await on.get('/api/tokens', claimed.credential)).body.data;
    t.truthy(tokens.every((key: object) => 'expires_at' in key));
  });

  test('a repeated registration or completion gives the same members again', async (t) => {
    const headers = { 'Idempotency-Key': 'again' };
    const ask = () => on.post('/agent/auth', { type: 'anonymous' }, headers);
    const first = (await ask()).body.data;
    t.deepEqual((await ask()).body.data, first);
    await claim(first.claim_token, 'again@example.com');
    const otp = await on.codeFor('again@example.com');
    const complete = () => on.post(COMPLETE, { claim_token: first.claim_token, otp }, headers);
    const completed = (await complete()).body.data;
    t.is(completed.expires_at, null);
    t.deepEqual((await complete()).body.data, completed);
  });

  test('/api/me says what to do next, in every state of the claim, with calls that exist', async (t) => {
    const { credential, claim_token } = await on.register();
    const unclaimed = (await me(credential)).next;
    t.regex(unclaimed, /^Use the key\. For write: POST /);
    await assertLeadsOn(t, unclaimed);

    await claim(claim_token, 'next@example.com');
    const pending = (await me(credential)).next;
    t.regex(pending, /^Your human has mail, or gets it soon\. /);
    await assertLeadsOn(t, pending);

    const otp = await on.codeFor('next@example.com');
    const completed = (await on.post(COMPLETE, { claim_token, otp })).body.data;
    await assertLeadsOn(t, completed.next);
    t.regex((await me(credential)).next, /^Use the key that the claim gave: /);
    const claimed = (await me(completed.credential)).next;
    t.regex(claimed, /^Use the key\. For helpers /);
    await assertLeadsOn(t, claimed);

    const over = await on.register();
    on.clock.advance(86_401);
    const expired = (await me(over.credential)).next;
    t.regex(expired, /register again\.$/);
  });

  test('/api/me says what an agent with an identity does next, at the endpoints of its own version', async (t) => {
    const { identity_assertion: assertion, claim_token } = (
      await on.post('/agent/identity', { type: 'anonymous' })
    ).body;
    const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const { access_token } = (await on.form('/oauth2/token', { grant_type: grant, assertion })).body;
    const unclaimed = (await me(access_token)).next;
    t.truthy(unclaimed.includes(`${on.url}/agent/identity/claim {`), unclaimed);
    await assertLeadsOn(t, unclaimed);
    const body = { type: 'service_auth', claim_token, login_hint: 'identity@example.com' };
    t.is((await on.post('/agent/identity/claim', body)).status, 200);
    const { next } = await me(access_token);
    t.truthy(!next.includes(on.url) || next.includes('/agent/identity/claim'), next);
  });

  test('/api/me says at which APIs the key works: all, or those it is narrowed to', async (t) => {
    const { resource } = await addApi(on, 'https://works.example.com');
    const { credential } = await on.claimed('works@example.com');
    t.deepEqual((await me(credential)).resources, [on.url, resource]);
    const auth = { Authorization: `Bearer ${credential}` };
    const body = { name: 'one', scope: 'read', resources: [resource] };
    const narrow = (await on.post('/api/tokens', body, auth)).body.data;
    t.deepEqual((await me(narrow.credential)).resources, [resource]);
  });

  test('who has no claim is told so, and not that a scope is missing', async (t) => {
    const { credential } = await on.register();
    const auth = { Authorization: `Bearer ${credential}` };
    const refused = await on.post('/api/tokens', { name: 'helper', scope: 'read' }, auth);
    t.is(refused.status, 403);
    t.regex(refused.body.error.message, /^Nobody has claimed you, .+: POST \/agent\/auth\/claim /);
    const claimed = await on.claimed('before@example.com');
    const early = await on.get('/api/tokens', claimed.old);
    t.regex(
      early.body.error.message,
      /^This key was issued before the claim .+ Use the key that the claim issued\.$/,
    );
  });

  test('a refusal by a limit says for how many seconds, since curl shows no headers', async (t) => {
    const narrow = await startTestService(engine, { limits: { registerPerIp: '1/h' } });
    try {
      await narrow.register();
      const { headers, body } = await narrow.post('/agent/auth', { type: 'anonymous' });
      const seconds = headers.get('retry-after');
      t.is(body.error.message, `Too many registrations from this address. Try again in ${seconds} seconds.`);
    } finally {
      await narrow.stop();
    }
  });

  test('the description of the API says which calls want the credential of a resource server, and by which way', async (t) => {
    const { paths } = (await on.get('/openapi.json')).body;
    t.deepEqual(paths['/resource/policy'].get.security, [{ resourceServer: [] }]);
    t.deepEqual(paths['/resource/events'].get.security, [{ resourceServer: [] }]);
    // In a form, client_id and client_secret can stand in the body.
    t.deepEqual(paths['/oauth2/introspect'].post.security, [{ resourceServer: [] }, {}]);
    const { clientId, clientSecret } = await addApi(on, 'https://described.example.com');
    for (const path of ['/resource/policy', '/resource/events']) {
      t.is((await on.get(path)).status, 401, path);
      const headers = basic(clientId, clientSecret);
      t.is((await on.request('GET', path, { headers })).status, 200, path);
    }
  });

  test('auth.md begins with the key that one has already, and is no longer than before it said so', async (t) => {
    const { text } = await on.get('/auth.md');
    const [first] = text.split('\n## ');
    t.regex(first!, /Have you a key \(`sk_…`\) already\? Use it/);
    const template = readFileSync(new URL('../../auth.md', import.meta.url));
    t.true(template.length <= 12_054, `${template.length} bytes`);
  });
});
