import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  API,
  type AuthMd,
  assertRefusal,
  assertShape,
  confirm,
  ID_JAG,
  LOOKS,
  openAuthMd,
  says,
  shownCode,
  succeeded,
} from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine, wrongCode } from '../helpers/service.ts';

/** auth.md v0.1 (auth.md v0.1): the credential comes at once, and the code of the page is read back to the agent. */

onEveryEngine('auth.md v0.1', (engine) => {
  let world: AuthMd;
  before(async () => {
    world = await openAuthMd(engine);
  });
  after(() => world.stop());

  const register = (body: object) => world.on.post('/agent/auth', body);
  const claim = (claim_token: string, email: string) =>
    world.on.post('/agent/auth/claim', { claim_token, email });
  const complete = (claim_token: string, otp: string) =>
    world.on.post('/agent/auth/claim/complete', { claim_token, otp });
  const anonymous = async () =>
    succeeded(await register({ type: 'anonymous', requested_credential_type: 'api_key' }));
  const byMail = (assertion: string, requested_credential_type = 'api_key') =>
    register({
      type: 'identity_assertion',
      assertion_type: 'verified_email',
      assertion,
      requested_credential_type,
    });

  /** The code that the human reads, who comes by the mailed link and is not signed in. */
  async function codeFromMail(mailbox: string, beyond = 0): Promise<string> {
    const human = openBrowser(world.on);
    await human.get(await world.mailedPage(mailbox, beyond));
    return confirm(human);
  }

  describe('registration', () => {
    test('an anonymous agent gets its key and its claim in one answer', async () => {
      const { on, iso } = world;
      const body = await anonymous();
      assertShape(body, {
        registration_id: LOOKS.registration,
        registration_type: 'anonymous',
        credential_type: 'api_key',
        credential: LOOKS.key,
        credential_expires: null,
        scopes: ['read'],
        claim_url: `${on.url}/agent/auth/claim`,
        claim_token: LOOKS.claimToken,
        claim_token_expires: iso(86_400),
        post_claim_scopes: ['read', 'write'],
      });
      assert.equal(await world.scopeOf(body.credential), 'read');
    });

    for (const type of ['api_key', 'access_token']) {
      test(`an agent that names a mailbox and wants an ${type} gets no credential yet, and a link is mailed`, async () => {
        const { on, iso } = world;
        const mailbox = newMailbox();
        const reply = await byMail(mailbox, type);
        assertShape(succeeded(reply), {
          registration_id: LOOKS.registration,
          registration_type: 'email-verification',
          claim_url: `${on.url}/agent/auth/claim`,
          claim_token: LOOKS.claimToken,
          claim_token_expires: iso(86_400),
          post_claim_scopes: ['read', 'write'],
        });
        await world.mailedPage(mailbox);
      });
    }

    test('a body that is none of this version is refused in its way', async () => {
      const { idJag } = world;
      const bodies: object[] = [
        { type: 'anonymous', requested_credential_type: 'access_token' },
        { type: 'identity_assertion', assertion_type: 'verified_email', assertion: newMailbox() },
        {
          type: 'identity_assertion',
          assertion_type: 'verified_email',
          requested_credential_type: 'api_key',
        },
        {
          type: 'identity_assertion',
          assertion_type: 'verified_phone',
          assertion: '+1',
          requested_credential_type: 'api_key',
        },
        {
          type: 'identity_assertion',
          assertion_type: ID_JAG,
          assertion: idJag({ sub: 'anybody', email: newMailbox() }),
          requested_credential_type: 'password',
        },
        { type: 'service_auth', login_hint: newMailbox(), requested_credential_type: 'api_key' },
      ];
      for (const body of bodies) {
        const reply = await register(body);
        assert.equal(says(reply), '400 invalid_request', JSON.stringify(body));
        assert.deepEqual(Object.keys(reply.body).slice(0, 2), ['error', 'code']);
      }
      assert.equal(says(await byMail('nobody')), '400 invalid_request/invalid_login_hint');
      const { claim_token } = await anonymous();
      assert.equal(says(await claim(claim_token, 'nobody')), '400 invalid_request/invalid_login_hint');
    });

    test('without requested_credential_type it is the tinysend profile that answers', async () => {
      for (const more of [{}, { requested_credential_type: null }]) {
        const reply = await register({ type: 'anonymous', ...more });
        assert.deepEqual(Object.keys(succeeded(reply)), ['ok', 'data']);
        assert.match(reply.body.data.claim_token, /^ct_/);
      }
    });
  });

  describe('a claim', () => {
    test('an anonymous agent keeps its very key, which may more from then on', async () => {
      const { on, iso, scopeOf } = world;
      const mailbox = newMailbox();
      const agent = await anonymous();
      const asked = succeeded(await claim(agent.claim_token, mailbox));
      assertShape(asked, {
        registration_id: agent.registration_id,
        claim_attempt_id: LOOKS.attempt,
        status: 'initiated',
        expires_at: iso(600),
      });
      const otp = await codeFromMail(mailbox);
      assert.match(otp, LOOKS.digits);
      assert.equal(await scopeOf(agent.credential), 'read');
      const done = await complete(agent.claim_token, otp);
      assert.deepEqual(succeeded(done), { registration_id: agent.registration_id, status: 'claimed' });
      assert.equal(await scopeOf(agent.credential), 'read write');
      on.clock.advance(31 * 86_400);
      assert.equal(await scopeOf(agent.credential), 'read write');
    });

    test('the mail holds no code, and the code needs no sign-in: whoever has the mail has shown who they are', async () => {
      const mailbox = newMailbox();
      const agent = await anonymous();
      await claim(agent.claim_token, mailbox);
      const human = openBrowser(world.on);
      const page = await human.get(await world.mailedPage(mailbox));
      assert.equal(page.status, 200);
      assert.equal(shownCode(page), undefined);
      assert.doesNotMatch(page.text, /\b[0-9]{6}\b/);
      assert.equal(
        says(await complete(agent.claim_token, '000000')),
        '400 otp_not_generated/claim_not_confirmed',
      );
      const otp = await confirm(human);
      assert.equal(shownCode(await human.get('/claim')), otp);
      assert.equal(says(await complete(agent.claim_token, otp)), '200');
    });

    test('an agent that named a mailbox gets the credential that it wanted', async () => {
      const { iso, scopeOf } = world;
      for (const type of ['api_key', 'access_token']) {
        const mailbox = newMailbox();
        const { claim_token, registration_id } = succeeded(await byMail(mailbox, type));
        const done = succeeded(await complete(claim_token, await codeFromMail(mailbox)));
        assertShape(done, {
          registration_id,
          status: 'claimed',
          credential_type: type,
          credential: type === 'api_key' ? LOOKS.key : LOOKS.token,
          credential_expires: type === 'api_key' ? null : iso(3600),
          scopes: ['read', 'write'],
        });
        assert.equal(await scopeOf(done.credential), 'read write');
      }
    });

    test('asking the same mailbox again within its time says the same and mails nothing', async () => {
      const { on } = world;
      const mailbox = newMailbox();
      const agent = await anonymous();
      const first = succeeded(await claim(agent.claim_token, mailbox));
      await world.mailedPage(mailbox); // a mail that leaves late carries a fresh code
      on.clock.advance(599);
      assert.deepEqual(succeeded(await claim(agent.claim_token, mailbox.toUpperCase())), first);
      assert.equal(await countOf(on, 'outbox WHERE mailbox = ?', [mailbox]), 1);
      on.clock.advance(1);
      const second = succeeded(await claim(agent.claim_token, mailbox));
      assert.notEqual(second.claim_attempt_id, first.claim_attempt_id);
      assert.equal(await countOf(on, 'outbox WHERE mailbox = ?', [mailbox]), 2);
    });

    test('asking another mailbox ends what the first one was asked', async () => {
      const [first, second] = [newMailbox(), newMailbox()];
      const agent = await anonymous();
      await claim(agent.claim_token, first);
      const otp = await codeFromMail(first);
      await claim(agent.claim_token, second);
      const otherOtp = await codeFromMail(second);
      assert.equal(says(await complete(agent.claim_token, otp)), '401 otp_invalid/invalid_user_code');
      assert.equal(says(await complete(agent.claim_token, otherOtp)), '200');
      assert.equal(await countOf(world.on, 'accounts WHERE mailbox = ?', [first]), 0);
    });
  });

  describe('whichever version an agent came by, it can be claimed by another', () => {
    const claimOf = async (claim_token: string, mailbox: string) => {
      const { attempt } = succeeded(
        await world.claim({ type: 'service_auth', claim_token, login_hint: mailbox }),
      );
      const user_code = await confirm(await world.visit(attempt.verification_uri, mailbox));
      return succeeded(await world.complete({ claim_token, user_code }));
    };

    test('one of the tinysend profile in production: it gets an identity, and its key ends in ten minutes', async () => {
      const { on, scopeOf, tokenFor } = world;
      const { claim_token, credential } = (await register({ type: 'anonymous' })).body.data;
      const { identity } = await claimOf(claim_token, newMailbox());
      assert.equal(await scopeOf(await tokenFor(identity.assertion)), 'read write');
      assert.equal(await scopeOf(credential), 'read');
      on.clock.advance(600);
      assert.equal(await scopeOf(credential), 'dead');
    });

    test('one of this version in production: its key gets no wider by that', async () => {
      const { on, scopeOf, tokenFor } = world;
      const { claim_token, credential } = await anonymous();
      const { identity } = await claimOf(claim_token, newMailbox());
      assert.equal(await scopeOf(await tokenFor(identity.assertion)), 'read write');
      assert.equal(await scopeOf(credential), 'read');
      on.clock.advance(600);
      assert.equal(await scopeOf(credential), 'dead');
    });

    test('one that has an identity by this version: it gets a key, and its identity is dead', async () => {
      const { scopeOf, exchange } = world;
      const mailbox = newMailbox();
      const agent = succeeded(await world.identity({ type: 'anonymous' }));
      assert.equal(says(await claim(agent.claim_token, mailbox)), '200');
      const done = succeeded(await complete(agent.claim_token, await codeFromMail(mailbox)));
      assertShape(done, {
        registration_id: agent.id,
        status: 'claimed',
        credential_type: 'api_key',
        credential: LOOKS.key,
        credential_expires: null,
        scopes: ['read', 'write'],
      });
      assert.equal(await scopeOf(done.credential), 'read write');
      assert.equal(says(await exchange(agent.identity_assertion)), '400 invalid_grant');
    });

    test('one of the tinysend profile on these paths stays in its own tongue', async () => {
      const { on } = world;
      const mailbox = newMailbox();
      const { claim_token } = (await register({ type: 'anonymous' })).body.data;
      assert.equal((await claim(claim_token, mailbox)).body.ok, true);
      const done = await complete(claim_token, await on.codeFor(mailbox));
      assert.equal(done.body.data.mode, 'merge');
    });
  });

  describe('refusals', () => {
    test('of a claim: each by its status and its two names', async () => {
      const { on } = world;
      const unknown = `clm_${'0'.repeat(49)}`;
      assertRefusal(await claim(unknown, newMailbox()), '401 invalid_claim_token');

      const mailbox = newMailbox();
      const agent = await anonymous();
      const { claim_token } = agent;
      assertRefusal(await on.post('/agent/auth/claim', { claim_token }), '400 invalid_request', {
        field: 'email',
      });
      await claim(claim_token, mailbox);
      await complete(claim_token, await codeFromMail(mailbox));
      assertRefusal(await claim(claim_token, mailbox), '409 claimed_or_in_flight/already_claimed');

      const late = await anonymous();
      on.clock.advance(86_400);
      assertRefusal(await claim(late.claim_token, mailbox), '410 claim_expired');
    });

    test('of a claim of an agent that named its mailbox: it is in flight from the beginning', async () => {
      const mailbox = newMailbox();
      const { claim_token } = succeeded(await byMail(mailbox));
      for (const email of [mailbox, newMailbox()]) {
        assertRefusal(await claim(claim_token, email), '409 claimed_or_in_flight/already_claimed');
      }
      assert.equal(says(await complete(claim_token, await codeFromMail(mailbox))), '200');
    });

    test('of a completion: each by its status and its two names', async () => {
      const { on } = world;
      const unknown = `clm_${'0'.repeat(49)}`;
      assertRefusal(await complete(unknown, '123456'), '401 invalid_claim_token');

      const mailbox = newMailbox();
      const { claim_token } = await anonymous();
      assertRefusal(await on.post('/agent/auth/claim/complete', { claim_token }), '400 invalid_request', {
        field: 'otp',
      });
      const pending = '400 otp_not_generated/claim_not_confirmed';
      assertRefusal(await complete(claim_token, '123456'), pending);
      await claim(claim_token, mailbox);
      assertRefusal(await complete(claim_token, '123456'), pending, { retry_after: 5 });
      const otp = await codeFromMail(mailbox);
      for (const attempts_remaining of [4, 3, 2, 1, 0]) {
        assertRefusal(await complete(claim_token, wrongCode(otp)), '401 otp_invalid/invalid_user_code', {
          attempts_remaining,
        });
      }
      assertRefusal(await complete(claim_token, otp), '410 otp_expired/user_code_expired');

      await claim(claim_token, mailbox);
      const second = await codeFromMail(mailbox, 1);
      on.clock.advance(600);
      assertRefusal(await complete(claim_token, second), '410 otp_expired/user_code_expired');

      await claim(claim_token, mailbox);
      const third = await codeFromMail(mailbox, 2);
      assert.equal(says(await complete(claim_token, third)), '200');
      assertRefusal(await complete(claim_token, third), '409 previously_claimed/already_claimed');

      const late = await anonymous();
      on.clock.advance(86_400);
      assertRefusal(await complete(late.claim_token, third), '410 claim_expired');
    });

    test('a human who says no is the end of it', async () => {
      const mailbox = newMailbox();
      const agent = await anonymous();
      await claim(agent.claim_token, mailbox);
      const human = openBrowser(world.on);
      await human.get(await world.mailedPage(mailbox));
      const otp = await confirm(human);
      await human.get('/claim/deny');
      await human.post('/claim/deny');
      assertRefusal(await complete(agent.claim_token, otp), '403 access_denied/claim_denied');
      assertRefusal(await claim(agent.claim_token, mailbox), '403 access_denied/claim_denied');
      assert.equal(await world.scopeOf(agent.credential), 'read');
    });
  });

  test('a key widened in place is widened for its own agent alone, and not where it was revoked', async () => {
    const { on, scopeOf } = world;
    const mailbox = newMailbox();
    const [agent, neighbour, revoked] = [await anonymous(), await anonymous(), await anonymous()];
    await on.form('/oauth2/revoke', { token: revoked.credential });
    for (const [index, { claim_token }] of [agent, revoked].entries()) {
      await claim(claim_token, mailbox);
      assert.equal(says(await complete(claim_token, await codeFromMail(mailbox, index))), '200');
    }
    assert.equal(await scopeOf(agent.credential, API), 'read write');
    assert.equal(await scopeOf(neighbour.credential), 'read');
    assert.equal(await scopeOf(revoked.credential), 'dead');
  });
});
