import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/domain/audit/audit-log.ts';
import { basic, onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

onEveryEngine('the story of an agent', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

  test('an agent registers, works, is claimed by merging, and a resource server sees it all', async () => {
    const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'API',
      scopes: undefined,
    });
    const introspect = async (token: string) =>
      (await on.form('/oauth2/introspect', { token }, basic(server.id, secret))).body;

    const registered = await on.post('/agent/auth', { type: 'anonymous', agent_name: 'Robin' });
    assert.equal(registered.status, 200);
    assert.equal(registered.headers.get('cache-control'), 'no-store');
    const { credential, claim_token, user_id, agent_id } = registered.body.data;
    assert.match(credential, /^sk_[0-9A-Za-z]{49}$/);
    assert.match(claim_token, /^ct_/);
    assert.match(user_id, /^usr_/);
    assert.deepEqual(registered.body.data.scopes, ['read']);
    const { verification_uri } = registered.body.data;
    assert.ok(verification_uri.startsWith(`${on.url}/claim?t=`), verification_uri);
    assert.deepEqual((await on.get('/api/me', credential)).body.data.claim.status, 'unclaimed');
    assert.equal((await introspect(credential)).scope, 'read');

    const asked = await on.post('/agent/auth/claim', { claim_token, email: 'Human@Example.com' });
    const { next, verification, verification_uri: asks, ...answer } = asked.body.data;
    assert.deepEqual(answer, {
      verification_required: true,
      message: 'Verification code sent to human@example.com',
    });
    // Each time an agent asks its link is a new one.
    assert.ok(asks.startsWith(`${on.url}/claim?t=`), asks);
    assert.notEqual(asks, verification_uri);
    assert.deepEqual([verification.method, verification.interval], ['code', 5]);
    assert.ok(next.includes(`${on.url}/agent/auth/claim/complete`), next);
    const otp = await on.codeFor('human@example.com');
    const pending = (await on.get('/api/me', credential)).body.data.claim;
    assert.equal(pending.status, 'pending');
    assert.equal(pending.mailbox, 'h***@example.com');

    const completed = await on.post('/agent/auth/claim/complete', { claim_token, otp });
    assert.equal(completed.status, 200);
    assert.deepEqual(completed.body.data.scopes, ['read', 'write']);
    assert.equal(completed.body.data.mode, 'merge');
    assert.equal(completed.body.data.agent_id, agent_id);
    assert.notEqual(completed.body.data.user_id, user_id);
    const fresh = completed.body.data.credential;
    assert.notEqual(fresh, credential);

    // The key from before reads on, in the account it was made for, until the new one is used.
    assert.deepEqual((await introspect(credential)).scope, 'read');
    assert.equal((await introspect(credential)).sub, user_id);
    const seen = await introspect(fresh);
    assert.equal(seen.active, true);
    assert.equal(seen.sub, completed.body.data.user_id);
    assert.equal(seen.owner, completed.body.data.user_id);
    assert.equal(seen.client_id, agent_id);
    assert.equal(seen.agent_id, agent_id);
    assert.equal(seen.merged_from, user_id);
    assert.equal(seen.aud, 'https://api.example.com');
    assert.equal(seen.iss, on.url);
    assert.equal(seen.token_type, 'Bearer');
    assert.equal(seen.exp, Math.floor(on.clock() / 1000) + 300);
    assert.deepEqual(await introspect(credential), { active: false });
    assert.equal((await on.get('/api/me', credential)).status, 401);

    const me = (await on.get('/api/me', fresh)).body.data;
    assert.equal(me.owner, 'h***@example.com');
    assert.equal(me.claim.status, 'claimed');
    assert.equal(me.agent_name, 'Robin');

    assert.equal((await on.form('/oauth2/revoke', { token: fresh })).status, 200);
    assert.deepEqual(await introspect(fresh), { active: false });
  });

  test('a linked agent keeps its user_id, and its owner is the parent', async () => {
    const agent = await on.register();
    await on.post('/agent/auth/claim', {
      claim_token: agent.claim_token,
      email: 'l@example.com',
      link: true,
    });
    const otp = await on.codeFor('l@example.com');
    const completed = await on.post('/agent/auth/claim/complete', { claim_token: agent.claim_token, otp });
    assert.equal(completed.body.data.user_id, agent.user_id);
    assert.equal(completed.body.data.mode, 'link');
    const me = (await on.get('/api/me', completed.body.data.credential)).body.data;
    assert.equal(me.owner, 'l***@example.com');
    assert.equal(me.merged_from, undefined);
  });

  test('an agent that names a mailbox gets no key before the code, and an agent by it', async () => {
    const registered = await on.post('/agent/auth', {
      type: 'identity_assertion',
      assertions: [{ type: 'verified_email', email: 'ida@example.com' }],
      agent_name: 'Ida',
    });
    assert.equal(registered.status, 200);
    assert.deepEqual(Object.keys(registered.body.data).sort(), [
      'claim_token',
      'claim_token_expires_at',
      'message',
      'next',
      'verification',
      'verification_required',
      'verification_uri',
    ]);
    const { claim_token } = registered.body.data;
    const otp = await on.codeFor('ida@example.com');
    const completed = await on.post('/agent/auth/claim/complete', { claim_token, otp });
    assert.equal(completed.status, 200);
    const me = (await on.get('/api/me', completed.body.data.credential)).body.data;
    assert.equal(me.agent_name, 'Ida');
    assert.equal(me.user_id, completed.body.data.user_id);
  });
});
