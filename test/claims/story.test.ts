import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/work.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the story of an agent', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  test('an agent registers, works, is claimed by merging, and a resource server sees it all', async (t) => {
    const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'API',
      scopes: undefined,
    });
    const introspect = async (token: string) =>
      (await on.form('/oauth2/introspect', { token }, basic(server.id, secret))).body;

    const registered = await on.post('/agent/auth', { type: 'anonymous', agent_name: 'Robin' });
    t.is(registered.status, 200);
    t.is(registered.headers.get('cache-control'), 'no-store');
    const { credential, claim_token, user_id, agent_id } = registered.body.data;
    t.regex(credential, /^sk_[0-9A-Za-z]{49}$/);
    t.regex(claim_token, /^ct_/);
    t.regex(user_id, /^usr_/);
    t.deepEqual(registered.body.data.scopes, ['read']);
    const { verification_uri } = registered.body.data;
    t.truthy(verification_uri.startsWith(`${on.url}/claim?t=`), verification_uri);
    t.deepEqual((await on.get('/api/me', credential)).body.data.claim.status, 'unclaimed');
    t.is((await introspect(credential)).scope, 'read');

    const asked = await on.post('/agent/auth/claim', { claim_token, email: 'Human@Example.com' });
    const { next, verification, verification_uri: asks, ...answer } = asked.body.data;
    t.deepEqual(answer, {
      verification_required: true,
      message: 'Verification code sent to human@example.com',
    });
    // Each time an agent asks its link is a new one.
    t.truthy(asks.startsWith(`${on.url}/claim?t=`), asks);
    t.not(asks, verification_uri);
    t.deepEqual([verification.method, verification.interval], ['code', 5]);
    t.truthy(next.includes(`${on.url}/agent/auth/claim/complete`), next);
    const otp = await on.codeFor('human@example.com');
    const pending = (await on.get('/api/me', credential)).body.data.claim;
    t.is(pending.status, 'pending');
    t.is(pending.mailbox, 'h***@example.com');

    const completed = await on.post('/agent/auth/claim/complete', { claim_token, otp });
    t.is(completed.status, 200);
    t.deepEqual(completed.body.data.scopes, ['read', 'write']);
    t.is(completed.body.data.mode, 'merge');
    t.is(completed.body.data.agent_id, agent_id);
    t.not(completed.body.data.user_id, user_id);
    const fresh = completed.body.data.credential;
    t.not(fresh, credential);

    // The key from before reads on, in the account it was made for, until the new one is used.
    t.deepEqual((await introspect(credential)).scope, 'read');
    t.is((await introspect(credential)).sub, user_id);
    const seen = await introspect(fresh);
    t.true(seen.active);
    t.is(seen.sub, completed.body.data.user_id);
    t.is(seen.owner, completed.body.data.user_id);
    t.is(seen.client_id, agent_id);
    t.is(seen.agent_id, agent_id);
    t.is(seen.merged_from, user_id);
    t.is(seen.aud, 'https://api.example.com');
    t.is(seen.iss, on.url);
    t.is(seen.token_type, 'Bearer');
    t.is(seen.exp, Math.floor(on.clock() / 1000) + 300);
    t.deepEqual(await introspect(credential), { active: false });
    t.is((await on.get('/api/me', credential)).status, 401);

    const me = (await on.get('/api/me', fresh)).body.data;
    t.is(me.owner, 'h***@example.com');
    t.is(me.claim.status, 'claimed');
    t.is(me.agent_name, 'Robin');

    t.is((await on.form('/oauth2/revoke', { token: fresh })).status, 200);
    t.deepEqual(await introspect(fresh), { active: false });
  });

  test('a linked agent keeps its user_id, and its owner is the parent', async (t) => {
    const agent = await on.register();
    await on.post('/agent/auth/claim', {
      claim_token: agent.claim_token,
      email: 'l@example.com',
      link: true,
    });
    const otp = await on.codeFor('l@example.com');
    const completed = await on.post('/agent/auth/claim/complete', { claim_token: agent.claim_token, otp });
    t.is(completed.body.data.user_id, agent.user_id);
    t.is(completed.body.data.mode, 'link');
    const me = (await on.get('/api/me', completed.body.data.credential)).body.data;
    t.is(me.owner, 'l***@example.com');
    t.is(me.merged_from, undefined);
  });

  test('an agent that names a mailbox gets no key before the code, and an agent by it', async (t) => {
    const registered = await on.post('/agent/auth', {
      type: 'identity_assertion',
      assertions: [{ type: 'verified_email', email: 'ida@example.com' }],
      agent_name: 'Ida',
    });
    t.is(registered.status, 200);
    t.deepEqual(Object.keys(registered.body.data).sort(), [
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
    t.is(completed.status, 200);
    const me = (await on.get('/api/me', completed.body.data.credential)).body.data;
    t.is(me.agent_name, 'Ida');
    t.is(me.user_id, completed.body.data.user_id);
  });
});
