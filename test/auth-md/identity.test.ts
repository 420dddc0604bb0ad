import { decodeJwt, decodeProtectedHeader } from 'jose';
import {
  type AuthMd,
  assertRefusal,
  assertShape,
  confirm,
  LOOKS,
  openAuthMd,
  says,
  succeeded,
  typeCode,
} from '../helpers/auth-md.ts';
import {
  completed,
  flat,
  inFlight,
  initiated,
  named,
  nested,
  openClaim,
  TYPED,
} from '../helpers/auth-md-shapes.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** auth.md v0.2 to v0.6, and the drafts of v0.7 (auth.md v0.2 to v0.6): identities, and codes that go either way. */

onEveryEngine('auth.md v0.2 to v0.7 at /agent/identity', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  const anonymous = async () => succeeded(await world.identity({ type: 'anonymous' }));
  const byMailbox = async (login_hint: string) =>
    succeeded(await world.identity({ type: 'service_auth', login_hint }));
  const verifiedEmail = (assertion: string) =>
    world.identity({ type: 'identity_assertion', assertion_type: 'verified_email', assertion });

  test.describe('registration', (test) => {
    test('an anonymous agent gets an identity, its claim and its scopes, by the names of all versions', async (t) => {
      const body = await anonymous();
      assertShape(t, body, {
        ...named('anonymous'),
        identity: nested(world),
        ...flat(world),
        pre_claim_scopes: ['read'],
        post_claim_scopes: ['read', 'write'],
        scopes: { pre_claim: ['read'], post_claim: ['read', 'write'] },
        ...openClaim(world),
      });
      t.is(body.id, body.registration_id);
      t.is(body.identity.assertion, body.identity_assertion);
      t.is(body.claim.token, body.claim_token);
    });

    test('service_auth gets no identity yet, but a code to show and a page to send its human to; nothing is mailed', async (t) => {
      const mailbox = newMailbox();
      const reply = await world.identity({ type: 'service_auth', login_hint: ` ${mailbox.toUpperCase()} ` });
      assertShape(t, succeeded(reply), inFlight(world, 'service_auth'));
      t.is(reply.headers.get('cache-control'), 'no-store');
      t.is(await countOf(world.on, 'outbox WHERE mailbox = ?', [mailbox]), 0);
    });

    test('verified_email gets the same, and the link is mailed, too', async (t) => {
      const mailbox = newMailbox();
      assertShape(t, succeeded(await verifiedEmail(mailbox)), inFlight(world, 'email-verification'));
      t.true((await world.mailedPage(mailbox)).startsWith(`${world.on.url}/claim?t=`));
    });

    test('null is as good as nothing, email as good as login_hint, and what is unknown is ignored', async (t) => {
      const { identity } = world;
      const more = { requested_scopes: ['admin'], claimed: true, agent_name: null };
      t.is(says(await identity({ type: 'anonymous', login_hint: null, ...more })), '200');
      const email = newMailbox();
      const body = succeeded(await identity({ type: 'service_auth', login_hint: null, email, ...more }));
      t.is(body.type, 'service_auth');
    });

    test('the identity is a JWT of our own kind, and says neither more nor less than who the agent is', async (t) => {
      const { on, clock } = world;
      const { identity_assertion, registration_id } = await anonymous();
      const { kid, ...header } = decodeProtectedHeader(identity_assertion);
      t.deepEqual(header, { alg: 'ES256', typ: 'agent-identity+jwt' });
      t.truthy(kid);
      const seconds = Math.floor(clock() / 1000);
      const { jti, ...claims } = decodeJwt(identity_assertion);
      t.regex(jti!, /^jti_/);
      t.deepEqual(claims, {
        iss: on.url,
        aud: on.url,
        sub: registration_id,
        iat: seconds,
        exp: seconds + 3600,
        generation: 0,
      });
    });

    test('a registration that is repeated with its Idempotency-Key is one, and gives the same again', async (t) => {
      const { identity, on } = world;
      const bodies = [{ type: 'anonymous' }, { type: 'service_auth', login_hint: newMailbox() }];
      for (const [index, body] of bodies.entries()) {
        const headers = { 'Idempotency-Key': `register-${engine}-${index}` };
        const [first, again] = [await identity(body, headers), await identity(body, headers)].map(succeeded);
        t.is(again.id, first.id);
        t.is(again.claim_token, first.claim_token);
        t.is(again.claim.user_code, first.claim.user_code);
        t.is(again.identity?.refresh_token.value, first.identity?.refresh_token.value);
        t.is(await countOf(on, 'registrations WHERE id = ?', [first.id]), 1);
      }
    });

    test('what is wrong with a registration is said by the names of both', async (t) => {
      const { identity } = world;
      const field = (name: string) => ({ field: name });
      const assertion_type = 'verified_phone';
      assertRefusal(t, await identity({}), '400 invalid_request', field('type'));
      assertRefusal(t, await identity({ type: 'agent' }), '400 invalid_request', field('type'));
      assertRefusal(
        t,
        await identity({ type: 'identity_assertion', assertion_type, assertion: '+1' }),
        '400 invalid_request',
        field('assertion_type'),
      );
      for (const login_hint of [undefined, null]) {
        const reply = await identity({ type: 'service_auth', login_hint });
        assertRefusal(t, reply, '400 invalid_request', field('login_hint'));
      }
      for (const login_hint of ['', 'nobody', 'a b@example.com', 'nobody@localhost', 'a@b@c.com']) {
        const reply = await identity({ type: 'service_auth', login_hint });
        assertRefusal(t, reply, '400 invalid_login_hint', field('login_hint'));
      }
      assertRefusal(t, await world.on.post('/agent/identity', '{"type":'), '400 invalid_request');
    });
  });

  test.describe('v0.2 and v0.3: the code is read back to the agent', (test) => {
    /** The code on the page that the mail leads to; nobody is signed in. */
    async function codeFromMail(mailbox: string): Promise<string> {
      const human = openBrowser(world.on);
      await human.get(await world.mailedPage(mailbox));
      return confirm(human);
    }

    test('an anonymous agent keeps its assertion, which gets the wider scopes; tokens from before get nothing', async (t) => {
      const { claim, complete, scopeOf, tokenFor, exchange } = world;
      const mailbox = newMailbox();
      const agent = await anonymous();
      const before = await tokenFor(agent.identity_assertion);
      const asked = succeeded(await claim({ claim_token: agent.claim_token, email: mailbox }));
      assertShape(t, asked, { ...initiated(world, agent.id), claim_attempt: TYPED });
      const otp = await codeFromMail(mailbox);
      t.regex(otp, LOOKS.digits);
      const done = succeeded(await complete({ claim_token: agent.claim_token, otp }));
      assertShape(t, done, {
        ...completed(world, agent.id),
        ...flat(world),
      });
      t.is(succeeded(await exchange(agent.identity_assertion)).scope, 'read write');
      t.is(succeeded(await exchange(done.identity_assertion)).scope, 'read write');
      t.is(await scopeOf(before), 'read');
      const { email, email_verified } = decodeJwt(done.identity_assertion);
      t.deepEqual([email, email_verified], [mailbox, true]);
    });

    test('an agent that named its mailbox gets its identity by the code', async (t) => {
      const mailbox = newMailbox();
      const { claim_token, id } = succeeded(await verifiedEmail(mailbox));
      const otp = await codeFromMail(mailbox);
      const done = succeeded(await world.complete({ claim_token, otp }));
      t.is(done.id, id);
      t.is(await world.scopeOf(await world.tokenFor(done.identity_assertion)), 'read write');
    });

    test('refusals have the names of v0.1', async (t) => {
      const { complete, claim } = world;
      const unknown = `clm_${'0'.repeat(49)}`;
      assertRefusal(t, await complete({ claim_token: unknown, otp: '123456' }), '401 invalid_claim_token');
      const { claim_token } = await anonymous();
      assertRefusal(t, await complete({ claim_token }), '400 invalid_request', { field: 'otp' });
      const pending = '400 otp_not_generated/claim_not_confirmed';
      assertRefusal(t, await complete({ claim_token, otp: '123456' }), pending);
      const mailbox = newMailbox();
      await claim({ claim_token, email: mailbox });
      const otp = await codeFromMail(mailbox);
      assertRefusal(
        t,
        await complete({ claim_token, otp: wrongCode(otp) }),
        '401 otp_invalid/invalid_user_code',
        { attempts_remaining: 4 },
      );
      succeeded(await complete({ claim_token, otp }));
      assertRefusal(t, await complete({ claim_token, otp }), '409 previously_claimed/already_claimed');
    });
  });

  test.describe('v0.4 to v0.6: the human types the code that the agent shows', (test) => {
    test('the agent polls, and gets a token and its identity when the code was typed', async (t) => {
      const { poll, visit, on, scopeOf, tokenFor } = world;
      const mailbox = newMailbox();
      const { claim, claim_token, id } = await byMailbox(mailbox);
      const pending = await poll(claim_token);
      t.is(says(pending), '400 authorization_pending');
      t.deepEqual(Object.keys(pending.body), ['error', 'error_description']);
      const human = await visit(claim.verification_uri, mailbox);
      on.clock.advance(5);
      t.is(says(await poll(claim_token)), '400 authorization_pending');
      await typeCode(human, claim.user_code);

      const reply = await poll(claim_token);
      assertShape(t, succeeded(reply), {
        access_token: LOOKS.token,
        token_type: 'Bearer',
        expires_in: 3600,
        scope: 'read write',
        identity: nested(world),
        ...flat(world),
      });
      t.is(reply.headers.get('cache-control'), 'no-store');
      t.is(reply.headers.get('pragma'), 'no-cache');
      t.is(await scopeOf(reply.body.access_token), 'read write');
      t.is(await scopeOf(await tokenFor(reply.body.identity_assertion)), 'read write');
      t.is(decodeJwt(reply.body.identity_assertion).sub, id);
    });

    test('an anonymous agent asks for its claim later, by email or login_hint, and what it had before is dead', async (t) => {
      for (const [name, more] of [
        ['email', {}],
        ['login_hint', {}],
        ['login_hint', { type: 'login_hint' }],
      ] as const) {
        const { claim, poll, visit, exchange, scopeOf, tokenFor } = world;
        const mailbox = newMailbox();
        const agent = await anonymous();
        const before = await tokenFor(agent.identity_assertion);
        const asked = succeeded(await claim({ claim_token: agent.claim_token, [name]: mailbox, ...more }));
        assertShape(t, asked, {
          ...initiated(world, agent.id),
          claim_attempt: TYPED,
          ...('type' in more && { type: 'service_auth' }),
        });
        await typeCode(
          await visit(asked.claim_attempt.verification_uri, mailbox),
          asked.claim_attempt.user_code,
        );
        const { identity_assertion } = succeeded(await poll(agent.claim_token));
        t.is(says(await exchange(agent.identity_assertion)), '400 invalid_grant');
        t.is(await scopeOf(before), 'dead');
        t.is(says(await world.refresh(agent.identity.refresh_token.value)), '400 invalid_refresh_token');
        t.is(succeeded(await exchange(identity_assertion)).scope, 'read write');
      }
    });

    test('the interval is kept, and a poll too soon counts for nothing', async (t) => {
      const { poll, on } = world;
      const { claim_token } = await byMailbox(newMailbox());
      t.is(says(await poll(claim_token)), '400 authorization_pending');
      for (const _ of [1, 2, 3]) {
        const reply = await poll(claim_token);
        t.is(says(reply), '400 slow_down');
        t.is(reply.headers.get('retry-after'), '10');
      }
      on.clock.advance(5);
      t.is(says(await poll(claim_token)), '400 authorization_pending');
      t.is(says(await poll(claim_token)), '400 slow_down');
    });

    test('a lost answer can be asked for again for ten minutes, and then the claim token is dead (docs/dialects.md)', async (t) => {
      const { poll, visit, on, exchange } = world;
      const mailbox = newMailbox();
      const { claim, claim_token } = await byMailbox(mailbox);
      await typeCode(await visit(claim.verification_uri, mailbox), claim.user_code);
      const first = succeeded(await poll(claim_token));
      on.clock.advance(600);
      const again = succeeded(await poll(claim_token));
      t.is(says(await exchange(again.identity_assertion)), '200');
      t.is(says(await exchange(first.identity_assertion)), '200');
      on.clock.advance(1);
      t.is(says(await poll(claim_token)), '400 expired_token');
    });

    test('when the code is over the agent asks for another, and the old one and its page lead nowhere', async (t) => {
      const { poll, claim, visit, on } = world;
      const mailbox = newMailbox();
      const first = await byMailbox(mailbox);
      const human = await visit(first.claim.verification_uri, mailbox);
      on.clock.advance(600);
      t.is(says(await poll(first.claim_token)), '400 expired_token');
      const stale = await human.send('/claim', { ...human.form('/claim'), code: first.claim.user_code });
      t.is(stale.status, 400);

      const again = succeeded(await claim({ claim_token: first.claim_token, email: mailbox }));
      assertShape(t, again, { ...initiated(world, first.id), claim_attempt: TYPED });
      t.not(again.claim_attempt.user_code, first.claim.user_code);
      t.is(says(await poll(first.claim_token)), '400 authorization_pending');
      await typeCode(
        await visit(again.claim_attempt.verification_uri, mailbox),
        again.claim_attempt.user_code,
      );
      t.is(says(await poll(first.claim_token)), '200');
    });

    test('of two hints the last one rules', async (t) => {
      const { claim, visit, poll, on } = world;
      const [typo, right] = [newMailbox(), newMailbox()];
      const agent = await byMailbox(typo);
      const asked = succeeded(await claim({ claim_token: agent.claim_token, login_hint: right }));
      const stranger = await visit(asked.claim_attempt.verification_uri, typo);
      t.is((await stranger.get('/claim')).status, 403);
      const human = await visit(asked.claim_attempt.verification_uri, right);
      await typeCode(human, agent.claim.user_code);
      t.is(says(await poll(agent.claim_token)), '400 authorization_pending');
      await typeCode(human, asked.claim_attempt.user_code);
      t.is(says(await poll(agent.claim_token)), '200');
      t.is(
        await countOf(on, `agents g JOIN accounts a ON a.id = g.account_id WHERE a.mailbox = ?`, [typo]),
        0,
      );
    });

    test('an unknown claim token and one that is over look the same at the token endpoint', async (t) => {
      const { poll, on, claim, visit, complete } = world;
      const read = (reply: Awaited<ReturnType<typeof poll>>) => [reply.status, reply.body];
      const unknown = read(await poll(`clm_${'0'.repeat(49)}`));
      t.is(unknown[0], 400);
      t.is((unknown[1] as { error: string }).error, 'expired_token');
      t.deepEqual(read(await poll('rubbish')), unknown);

      const mailbox = newMailbox();
      const [expired, completed] = [await anonymous(), await anonymous()];
      const { attempt } = succeeded(
        await claim({ type: 'service_auth', claim_token: completed.claim_token, login_hint: mailbox }),
      );
      const user_code = await confirm(await visit(attempt.verification_uri, mailbox));
      succeeded(await complete({ claim_token: completed.claim_token, user_code }));
      t.deepEqual(read(await poll(completed.claim_token)), unknown);
      on.clock.advance(86_400);
      t.deepEqual(read(await poll(expired.claim_token)), unknown);
    });
  });

  test('refusals of a claim: each by its status and its two names', async (t) => {
    const { claim, poll, visit, on } = world;
    const mailbox = newMailbox();
    const unknown = `clm_${'0'.repeat(49)}`;
    assertRefusal(t, await claim({ claim_token: unknown, email: mailbox }), '401 invalid_claim_token');
    const agent = await byMailbox(mailbox);
    const { claim_token } = agent;
    assertRefusal(t, await claim({ email: mailbox }), '400 invalid_request', { field: 'claim_token' });
    assertRefusal(t, await claim({ claim_token }), '400 invalid_request', { field: 'login_hint' });
    const bad = await claim({ claim_token, email: 'nobody' });
    assertRefusal(t, bad, '400 invalid_login_hint', { field: 'login_hint' });
    await typeCode(await visit(agent.claim.verification_uri, mailbox), agent.claim.user_code);
    t.is(says(await poll(claim_token)), '200');
    assertRefusal(
      t,
      await claim({ claim_token, email: mailbox }),
      '409 claimed_or_in_flight/already_claimed',
    );
    const late = await anonymous();
    on.clock.advance(86_400);
    assertRefusal(t, await claim({ claim_token: late.claim_token, email: mailbox }), '410 claim_expired');
  });
});
