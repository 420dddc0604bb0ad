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
import { wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** auth.md v0.1 (auth.md v0.1): the credential comes at once, and the code of the page is read back to the agent. */

onEveryEngine('auth.md v0.1', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

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

  test.describe('registration', (test) => {
    test('an anonymous agent gets its key and its claim in one answer', async (t) => {
      const { on, iso } = world;
      const body = await anonymous();
      assertShape(t, body, {
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
      t.is(await world.scopeOf(body.credential), 'read');
    });

    for (const type of ['api_key', 'access_token']) {
      test(`an agent that names a mailbox and wants an ${type} gets no credential yet, and a link is mailed`, async (t) => {
        const { on, iso } = world;
        const mailbox = newMailbox();
        const reply = await byMail(mailbox, type);
        assertShape(t, succeeded(reply), {
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

    test('a body that is none of this version is refused in its way', async (t) => {
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
        t.is(says(reply), '400 invalid_request', JSON.stringify(body));
        t.deepEqual(Object.keys(reply.body).slice(0, 2), ['error', 'code']);
      }
      t.is(says(await byMail('nobody')), '400 invalid_request/invalid_login_hint');
      const { claim_token } = await anonymous();
      t.is(says(await claim(claim_token, 'nobody')), '400 invalid_request/invalid_login_hint');
    });

    test('without requested_credential_type it is the tinysend profile that answers', async (t) => {
      for (const more of [{}, { requested_credential_type: null }]) {
        const reply = await register({ type: 'anonymous', ...more });
        t.deepEqual(Object.keys(succeeded(reply)), ['ok', 'data']);
        t.regex(reply.body.data.claim_token, /^ct_/);
      }
    });
  });

  test.describe('a claim', (test) => {
    test('an anonymous agent keeps its very key, which may more from then on', async (t) => {
      const { on, iso, scopeOf } = world;
      const mailbox = newMailbox();
      const agent = await anonymous();
      const asked = succeeded(await claim(agent.claim_token, mailbox));
      assertShape(t, asked, {
        registration_id: agent.registration_id,
        claim_attempt_id: LOOKS.attempt,
        status: 'initiated',
        expires_at: iso(600),
      });
      const otp = await codeFromMail(mailbox);
      t.regex(otp, LOOKS.digits);
      t.is(await scopeOf(agent.credential), 'read');
      const done = await complete(agent.claim_token, otp);
      t.deepEqual(succeeded(done), { registration_id: agent.registration_id, status: 'claimed' });
      t.is(await scopeOf(agent.credential), 'read write');
      on.clock.advance(31 * 86_400);
      t.is(await scopeOf(agent.credential), 'read write');
    });

    test('the mail holds no code, and the code needs no sign-in: whoever has the mail has shown who they are', async (t) => {
      const mailbox = newMailbox();
      const agent = await anonymous();
      await claim(agent.claim_token, mailbox);
      const human = openBrowser(world.on);
      const page = await human.get(await world.mailedPage(mailbox));
      t.is(page.status, 200);
      t.is(shownCode(page), undefined);
      t.notRegex(page.text, /\b[0-9]{6}\b/);
      t.is(says(await complete(agent.claim_token, '000000')), '400 otp_not_generated/claim_not_confirmed');
      const otp = await confirm(human);
      t.is(shownCode(await human.get('/claim')), otp);
      t.is(says(await complete(agent.claim_token, otp)), '200');
    });

    test('an agent that named a mailbox gets the credential that it wanted', async (t) => {
      const { iso, scopeOf } = world;
      for (const type of ['api_key', 'access_token']) {
        const mailbox = newMailbox();
        const { claim_token, registration_id } = succeeded(await byMail(mailbox, type));
        const done = succeeded(await complete(claim_token, await codeFromMail(mailbox)));
        assertShape(t, done, {
          registration_id,
          status: 'claimed',
          credential_type: type,
          credential: type === 'api_key' ? LOOKS.key : LOOKS.token,
          credential_expires: type === 'api_key' ? null : iso(3600),
          scopes: ['read', 'write'],
        });
        t.is(await scopeOf(done.credential), 'read write');
      }
    });

    test('asking the same mailbox again within its time says the same and mails nothing', async (t) => {
      const { on } = world;
      const mailbox = newMailbox();
      const agent = await anonymous();
      const first = succeeded(await claim(agent.claim_token, mailbox));
      await world.mailedPage(mailbox); // a mail that leaves late carries a fresh code
      on.clock.advance(599);
      t.deepEqual(succeeded(await claim(agent.claim_token, mailbox.toUpperCase())), first);
      t.is(await countOf(on, 'outbox WHERE mailbox = ?', [mailbox]), 1);
      on.clock.advance(1);
      const second = succeeded(await claim(agent.claim_token, mailbox));
      t.not(second.claim_attempt_id, first.claim_attempt_id);
      t.is(await countOf(on, 'outbox WHERE mailbox = ?', [mailbox]), 2);
    });

    test('asking another mailbox ends what the first one was asked', async (t) => {
      const [first, second] = [newMailbox(), newMailbox()];
      const agent = await anonymous();
      await claim(agent.claim_token, first);
      const otp = await codeFromMail(first);
      await claim(agent.claim_token, second);
      const otherOtp = await codeFromMail(second);
      t.is(says(await complete(agent.claim_token, otp)), '401 otp_invalid/invalid_user_code');
      t.is(says(await complete(agent.claim_token, otherOtp)), '200');
      t.is(await countOf(world.on, 'accounts WHERE mailbox = ?', [first]), 0);
    });
  });

  test.describe('whichever version an agent came by, it can be claimed by another', (test) => {
    const claimOf = async (claim_token: string, mailbox: string) => {
      const { attempt } = succeeded(
        await world.claim({ type: 'service_auth', claim_token, login_hint: mailbox }),
      );
      const user_code = await confirm(await world.visit(attempt.verification_uri, mailbox));
      return succeeded(await world.complete({ claim_token, user_code }));
    };

    test('one of the tinysend profile in production: it gets an identity, and its key ends in ten minutes', async (t) => {
      const { on, scopeOf, tokenFor } = world;
      const { claim_token, credential } = (await register({ type: 'anonymous' })).body.data;
      const { identity } = await claimOf(claim_token, newMailbox());
      t.is(await scopeOf(await tokenFor(identity.assertion)), 'read write');
      t.is(await scopeOf(credential), 'read');
      on.clock.advance(600);
      t.is(await scopeOf(credential), 'dead');
    });

    test('one of this version in production: its key gets no wider by that', async (t) => {
      const { on, scopeOf, tokenFor } = world;
      const { claim_token, credential } = await anonymous();
      const { identity } = await claimOf(claim_token, newMailbox());
      t.is(await scopeOf(await tokenFor(identity.assertion)), 'read write');
      t.is(await scopeOf(credential), 'read');
      on.clock.advance(600);
      t.is(await scopeOf(credential), 'dead');
    });

    test('one that has an identity by this version: it gets a key, and its identity is dead', async (t) => {
      const { scopeOf, exchange } = world;
      const mailbox = newMailbox();
      const agent = succeeded(await world.identity({ type: 'anonymous' }));
      t.is(says(await claim(agent.claim_token, mailbox)), '200');
      const done = succeeded(await complete(agent.claim_token, await codeFromMail(mailbox)));
      assertShape(t, done, {
        registration_id: agent.id,
        status: 'claimed',
        credential_type: 'api_key',
        credential: LOOKS.key,
        credential_expires: null,
        scopes: ['read', 'write'],
      });
      t.is(await scopeOf(done.credential), 'read write');
      t.is(says(await exchange(agent.identity_assertion)), '400 invalid_grant');
    });

    test('one of the tinysend profile on these paths stays in its own tongue', async (t) => {
      const { on } = world;
      const mailbox = newMailbox();
      const { claim_token } = (await register({ type: 'anonymous' })).body.data;
      t.true((await claim(claim_token, mailbox)).body.ok);
      const done = await complete(claim_token, await on.codeFor(mailbox));
      t.is(done.body.data.mode, 'merge');
    });
  });

  test.describe('refusals', (test) => {
    test('of a claim: each by its status and its two names', async (t) => {
      const { on } = world;
      const unknown = `clm_${'0'.repeat(49)}`;
      assertRefusal(t, await claim(unknown, newMailbox()), '401 invalid_claim_token');

      const mailbox = newMailbox();
      const agent = await anonymous();
      const { claim_token } = agent;
      assertRefusal(t, await on.post('/agent/auth/claim', { claim_token }), '400 invalid_request', {
        field: 'email',
      });
      await claim(claim_token, mailbox);
      await complete(claim_token, await codeFromMail(mailbox));
      assertRefusal(t, await claim(claim_token, mailbox), '409 claimed_or_in_flight/already_claimed');

      const late = await anonymous();
      on.clock.advance(86_400);
      assertRefusal(t, await claim(late.claim_token, mailbox), '410 claim_expired');
    });

    test('of a claim of an agent that named its mailbox: it is in flight from the beginning', async (t) => {
      const mailbox = newMailbox();
      const { claim_token } = succeeded(await byMail(mailbox));
      for (const email of [mailbox, newMailbox()]) {
        assertRefusal(t, await claim(claim_token, email), '409 claimed_or_in_flight/already_claimed');
      }
      t.is(says(await complete(claim_token, await codeFromMail(mailbox))), '200');
    });

    test('of a completion: each by its status and its two names', async (t) => {
      const { on } = world;
      const unknown = `clm_${'0'.repeat(49)}`;
      assertRefusal(t, await complete(unknown, '123456'), '401 invalid_claim_token');

      const mailbox = newMailbox();
      const { claim_token } = await anonymous();
      assertRefusal(t, await on.post('/agent/auth/claim/complete', { claim_token }), '400 invalid_request', {
        field: 'otp',
      });
      const pending = '400 otp_not_generated/claim_not_confirmed';
      assertRefusal(t, await complete(claim_token, '123456'), pending);
      await claim(claim_token, mailbox);
      assertRefusal(t, await complete(claim_token, '123456'), pending, { retry_after: 5 });
      const otp = await codeFromMail(mailbox);
      for (const attempts_remaining of [4, 3, 2, 1, 0]) {
        assertRefusal(t, await complete(claim_token, wrongCode(otp)), '401 otp_invalid/invalid_user_code', {
          attempts_remaining,
        });
      }
      assertRefusal(t, await complete(claim_token, otp), '410 otp_expired/user_code_expired');

      await claim(claim_token, mailbox);
      const second = await codeFromMail(mailbox, 1);
      on.clock.advance(600);
      assertRefusal(t, await complete(claim_token, second), '410 otp_expired/user_code_expired');

      await claim(claim_token, mailbox);
      const third = await codeFromMail(mailbox, 2);
      t.is(says(await complete(claim_token, third)), '200');
      assertRefusal(t, await complete(claim_token, third), '409 previously_claimed/already_claimed');

      const late = await anonymous();
      on.clock.advance(86_400);
      assertRefusal(t, await complete(late.claim_token, third), '410 claim_expired');
    });

    test('a human who says no is the end of it', async (t) => {
      const mailbox = newMailbox();
      const agent = await anonymous();
      await claim(agent.claim_token, mailbox);
      const human = openBrowser(world.on);
      await human.get(await world.mailedPage(mailbox));
      const otp = await confirm(human);
      await human.get('/claim/deny');
      await human.post('/claim/deny');
      assertRefusal(t, await complete(agent.claim_token, otp), '403 access_denied/claim_denied');
      assertRefusal(t, await claim(agent.claim_token, mailbox), '403 access_denied/claim_denied');
      t.is(await world.scopeOf(agent.credential), 'read');
    });
  });

  test('a key widened in place is widened for its own agent alone, and not where it was revoked', async (t) => {
    const { on, scopeOf } = world;
    const mailbox = newMailbox();
    const [agent, neighbour, revoked] = [await anonymous(), await anonymous(), await anonymous()];
    await on.form('/oauth2/revoke', { token: revoked.credential });
    for (const [index, { claim_token }] of [agent, revoked].entries()) {
      await claim(claim_token, mailbox);
      t.is(says(await complete(claim_token, await codeFromMail(mailbox, index))), '200');
    }
    t.is(await scopeOf(agent.credential, API), 'read write');
    t.is(await scopeOf(neighbour.credential), 'read');
    t.is(await scopeOf(revoked.credential), 'dead');
  });
});
