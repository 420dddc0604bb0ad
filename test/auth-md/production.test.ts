import type { ExecutionContext } from 'ava';
import { decodeJwt } from 'jose';
import {
  type AuthMd,
  assertRefusal,
  assertShape,
  confirm,
  LOOKS,
  openAuthMd,
  says,
  succeeded,
} from '../helpers/auth-md.ts';
import { attempt, completed, inFlight, initiated, nested } from '../helpers/auth-md-shapes.ts';
import { codeOf, countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What WorkOS AuthKit runs in production (docs/dialects/production.md): the page reveals the code, and the agent brings it. */

const UNKNOWN = `clm_${'0'.repeat(49)}`;
const SOME_CODE = 'BCDF-GHJK';

onEveryEngine('auth.md in production', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  const anonymous = async () => succeeded(await world.identity({ type: 'anonymous' }));
  const byMailbox = async (login_hint: string) =>
    succeeded(await world.identity({ type: 'service_auth', login_hint }));
  const claim = (claim_token: string, login_hint: string, type = 'service_auth') =>
    world.claim({ type, claim_token, login_hint });
  const complete = (claim_token: string, user_code: string, headers?: Record<string, string>) =>
    world.complete({ claim_token, user_code }, headers);

  /** An agent whose human has confirmed, and the code that they read. */
  async function confirmed(mailbox = newMailbox()) {
    const agent = await byMailbox(mailbox);
    const human = await world.visit(agent.claim.attempt.verification_uri, mailbox);
    return { ...agent, mailbox, human, user_code: await confirm(human) };
  }
  /** An agent that somebody vouched for. */
  async function claimed() {
    const agent = await confirmed();
    return { ...agent, ...succeeded(await complete(agent.claim_token, agent.user_code)) };
  }

  test.describe('the ceremony', (test) => {
    test('service_auth: the human confirms, reads the code, and the agent gets its identity for it', async (t) => {
      const { scopeOf, tokenFor } = world;
      const mailbox = newMailbox();
      const agent = await byMailbox(mailbox);
      assertShape(t, agent, inFlight(world, 'service_auth'));
      const user_code = await confirm(await world.visit(agent.claim.attempt.verification_uri, mailbox));
      t.regex(user_code, LOOKS.letters);
      const done = succeeded(await complete(agent.claim.token, user_code));
      assertShape(t, done, completed(world, agent.id));
      t.is(await scopeOf(await tokenFor(done.identity.assertion)), 'read write');
      const { sub, email, email_verified } = decodeJwt(done.identity.assertion);
      t.deepEqual({ sub, email, email_verified }, { sub: agent.id, email: mailbox, email_verified: true });
    });

    test('an anonymous agent that asks for its claim is given no code, whatever it calls the way', async (t) => {
      for (const type of ['service_auth', 'anonymous', 'email']) {
        const mailbox = newMailbox();
        const agent = await anonymous();
        const asked = succeeded(await claim(agent.claim_token, mailbox, type));
        assertShape(t, asked, {
          ...initiated(world, agent.id),
          type: 'service_auth',
          attempt: attempt(world),
        });
        t.notRegex(JSON.stringify(asked), /user_code|interval/);
        const human = await world.visit(asked.attempt.verification_uri, mailbox);
        // Nor is there anything to type for its human.
        t.notRegex((await human.get('/claim?way=typed')).text, /name="other_way"|<input class="code"/);
        assertShape(
          t,
          succeeded(await complete(agent.claim_token, await confirm(human))),
          completed(world, agent.id),
        );
      }
    });

    test('what an anonymous agent had before its claim is dead at once: assertion, refresh token, access token', async (t) => {
      const { tokenFor, scopeOf, exchange, refresh, visit, on } = world;
      const mailbox = newMailbox();
      const agent = await anonymous();
      const before = await tokenFor(agent.identity.assertion);
      const renewed = succeeded(await refresh(agent.identity.refresh_token.value));
      const asked = succeeded(await claim(agent.claim_token, mailbox));
      const user_code = await confirm(await visit(asked.attempt.verification_uri, mailbox));
      t.is(await scopeOf(before), 'read');
      const { identity } = succeeded(await complete(agent.claim_token, user_code));
      t.is(await scopeOf(before), 'dead');
      for (const { assertion, refresh_token } of [agent.identity, renewed.identity]) {
        t.is(says(await exchange(assertion)), '400 invalid_grant');
        t.is(says(await refresh(refresh_token.value)), '400 invalid_refresh_token');
      }
      t.is(succeeded(await exchange(identity.assertion)).scope, 'read write');
      t.is(await countOf(on, 'credentials WHERE scope <> ? AND revoked_at IS NULL', ['read write']), 0);
    });

    test('the code is the same however it is written down', async (t) => {
      for (const write of [
        (code: string) => code.toLowerCase(),
        (code: string) => code.replace('-', ''),
        (code: string) => ` ${code.replace('-', ' ')} `,
      ]) {
        const agent = await confirmed();
        t.is(says(await complete(agent.claim_token, write(agent.user_code))), '200');
      }
    });

    test('the identity is given once; whoever lost the answer repeats the very request, and gets it again', async (t) => {
      const agent = await confirmed();
      const headers = { 'Idempotency-Key': agent.id };
      const first = succeeded(await complete(agent.claim_token, agent.user_code, headers));
      const again = succeeded(await complete(agent.claim_token, agent.user_code, headers));
      t.deepEqual(again.identity.refresh_token, first.identity.refresh_token);
      t.is(decodeJwt(again.identity.assertion).jti, decodeJwt(first.identity.assertion).jti);
      assertRefusal(t, await complete(agent.claim_token, agent.user_code), '409 already_claimed');
      t.is(await countOf(world.on, 'refresh_tokens WHERE registration_id = ?', [agent.id]), 1);
    });

    test('a new attempt ends the one before it, with its page and its code', async (t) => {
      const agent = await confirmed();
      const asked = succeeded(await claim(agent.claim_token, agent.mailbox));
      assertRefusal(t, await complete(agent.claim_token, agent.user_code), '409 claim_not_confirmed', {
        retry_after: 5,
      });
      const second = await confirm(await world.visit(asked.attempt.verification_uri, agent.mailbox));
      assertRefusal(t, await complete(agent.claim_token, agent.user_code), '401 invalid_user_code', {
        attempts_remaining: 4,
      });
      t.is(says(await complete(agent.claim_token, second)), '200');
    });
  });

  test.describe('what completing says, in its order (2c.3)', (test) => {
    test('an unknown claim token', async (t) => {
      for (const claim_token of [UNKNOWN, 'rubbish']) {
        assertRefusal(t, await complete(claim_token, SOME_CODE), '400 invalid_claim');
      }
    });

    test('claimed goes before expired, and expired before everything else', async (t) => {
      const done = await claimed();
      const unasked = await anonymous();
      const late = await confirmed();
      world.on.clock.advance(86_400);
      assertRefusal(t, await complete(done.claim_token, SOME_CODE), '409 already_claimed');
      assertRefusal(t, await complete(unasked.claim_token, SOME_CODE), '410 claim_expired');
      assertRefusal(t, await complete(late.claim_token, late.user_code), '410 claim_expired');
    });

    test('no attempt, and then no confirmation, go before the code: also the right one says nothing before it', async (t) => {
      const { on } = world;
      const mailbox = newMailbox();
      const agent = await anonymous();
      assertRefusal(t, await complete(agent.claim_token, SOME_CODE), '409 claim_not_confirmed');
      const { attempt: asked } = succeeded(await claim(agent.claim_token, mailbox));
      const right = await codeOf(on, agent.claim_token);
      for (const code of [right, SOME_CODE]) {
        assertRefusal(t, await complete(agent.claim_token, code), '409 claim_not_confirmed', {
          retry_after: 5,
        });
      }
      // None of it has cost a try.
      t.is(await confirm(await world.visit(asked.verification_uri, mailbox)), right);
      assertRefusal(t, await complete(agent.claim_token, SOME_CODE), '401 invalid_user_code', {
        attempts_remaining: 4,
      });
      t.is(says(await complete(agent.claim_token, right)), '200');
    });

    test('no confirmation goes before a code that is over', async (t) => {
      const agent = await byMailbox(newMailbox());
      world.on.clock.advance(600);
      assertRefusal(t, await complete(agent.claim_token, SOME_CODE), '409 claim_not_confirmed', {
        retry_after: 5,
      });
    });

    test('a code that is over goes before a wrong one', async (t) => {
      const agent = await confirmed();
      world.on.clock.advance(600);
      for (const code of [SOME_CODE, agent.user_code]) {
        assertRefusal(t, await complete(agent.claim_token, code), '410 user_code_expired');
      }
    });

    test('five wrong codes end it, and a new attempt leads on', async (t) => {
      const agent = await confirmed();
      for (const attempts_remaining of [4, 3, 2, 1, 0]) {
        assertRefusal(t, await complete(agent.claim_token, SOME_CODE), '401 invalid_user_code', {
          attempts_remaining,
        });
      }
      assertRefusal(t, await complete(agent.claim_token, agent.user_code), '410 user_code_expired');
      const asked = succeeded(await claim(agent.claim_token, agent.mailbox));
      const second = await confirm(await world.visit(asked.attempt.verification_uri, agent.mailbox));
      t.is(says(await complete(agent.claim_token, second)), '200');
    });

    test('a human who said no', async (t) => {
      const agent = await confirmed();
      await agent.human.get('/claim/deny');
      await agent.human.post('/claim/deny');
      assertRefusal(t, await complete(agent.claim_token, agent.user_code), '403 claim_denied');
      assertRefusal(t, await claim(agent.claim_token, agent.mailbox), '403 claim_denied');
    });

    test('what cannot be a code', async (t) => {
      const { claim_token } = await anonymous();
      for (const user_code of [7, '', '12345', 'BCDF-GHJ', '1'.repeat(33), ['BCDF-GHJK']]) {
        const reply = await world.complete({ claim_token, user_code });
        assertRefusal(t, reply, '400 invalid_request', { field: 'user_code' });
      }
    });
  });

  test.describe('what claiming says (2c.2)', (test) => {
    test('each by its status and its name, which stands in both places', async (t) => {
      const mailbox = newMailbox();
      assertRefusal(t, await claim(UNKNOWN, mailbox), '401 invalid_claim_token');
      const agent = await anonymous();
      const hint = { field: 'login_hint' };
      assertRefusal(t, await claim(agent.claim_token, 'nobody'), '400 invalid_login_hint', hint);
      const bare = await world.claim({ type: 'service_auth', claim_token: agent.claim_token });
      assertRefusal(t, bare, '400 invalid_request', hint);
      const done = await claimed();
      assertRefusal(t, await claim(done.claim_token, mailbox), '409 already_claimed');
      world.on.clock.advance(86_400);
      assertRefusal(t, await claim(agent.claim_token, mailbox), '410 claim_expired');
    });

    test('a claim that ended since its mailbox vouched for another agent', async (t) => {
      const mailbox = newMailbox();
      const [first, second] = [await confirmed(mailbox), await confirmed(mailbox)];
      succeeded(await complete(second.claim_token, second.user_code));
      assertRefusal(t, await complete(first.claim_token, first.user_code), '410 claim_revoked');
      assertRefusal(t, await claim(first.claim_token, mailbox), '410 claim_revoked');
      const older = await world.claim({ claim_token: first.claim_token, email: mailbox });
      assertRefusal(t, older, '410 claim_expired/claim_revoked');
    });
  });

  test.describe('refresh', (test) => {
    test('a refresh token renews the identity, and is spent for the next', async (t) => {
      const { on, refresh, scopeOf, tokenFor } = world;
      const agent = await claimed();
      on.clock.advance(3700);
      t.is(says(await world.exchange(agent.identity.assertion)), '400 invalid_grant');
      const renewed = succeeded(await refresh(agent.identity.refresh_token.value));
      assertShape(t, renewed, { id: agent.id, type: 'refresh', identity: nested(world) });
      t.not(renewed.identity.refresh_token.value, agent.identity.refresh_token.value);
      t.is(await scopeOf(await tokenFor(renewed.identity.assertion)), 'read write');
    });

    test('an anonymous agent renews its identity, too, but no longer than its registration lives', async (t) => {
      const { on, refresh } = world;
      const agent = await anonymous();
      const ends = agent.identity.refresh_token.expires_at;
      on.clock.advance(29 * 86_400 + 86_100);
      const renewed = succeeded(await refresh(agent.identity.refresh_token.value));
      t.is(renewed.identity.refresh_token.expires_at, ends);
      t.is(renewed.identity.expires_at, ends);
      on.clock.advance(300);
      assertRefusal(t, await refresh(renewed.identity.refresh_token.value), '400 invalid_refresh_token');
    });

    test('used again within ten seconds it gives the same successor; later its whole family ends', async (t) => {
      const { on, refresh } = world;
      const { identity } = await claimed();
      const first = identity.refresh_token.value;
      const second = succeeded(await refresh(first)).identity.refresh_token.value;
      on.clock.advance(10);
      t.is(succeeded(await refresh(first)).identity.refresh_token.value, second);
      const third = succeeded(await refresh(second)).identity.refresh_token.value;
      on.clock.advance(1);
      assertRefusal(t, await refresh(first), '400 invalid_refresh_token');
      for (const token of [second, third]) {
        assertRefusal(t, await refresh(token), '400 invalid_refresh_token');
      }
    });

    test('the family of one agent is not that of another, nor that of another ceremony', async (t) => {
      const { on, refresh } = world;
      const [thief, neighbour] = [await claimed(), await claimed()];
      const spent = thief.identity.refresh_token.value;
      succeeded(await refresh(spent));
      on.clock.advance(11);
      assertRefusal(t, await refresh(spent), '400 invalid_refresh_token');
      t.is(says(await refresh(neighbour.identity.refresh_token.value)), '200');
    });

    test('what is no refresh token of ours, or is over, gives nothing, whatever it is', async (t) => {
      const { on, refresh, identity } = world;
      const agent = await claimed();
      const rubbish = [
        `art_${'0'.repeat(49)}`,
        'rubbish',
        agent.claim_token,
        agent.identity.assertion.slice(0, 128),
      ];
      for (const token of rubbish) assertRefusal(t, await refresh(token), '400 invalid_refresh_token');
      assertRefusal(t, await identity({ type: 'refresh' }), '400 invalid_request', {
        field: 'refresh_token',
      });
      on.clock.advance(2_592_000);
      assertRefusal(t, await refresh(agent.identity.refresh_token.value), '400 invalid_refresh_token');
    });
  });
});

onEveryEngine('a budget that is spent', (engine, test) => {
  const opened = async (t: ExecutionContext, limits: Record<string, string | number>) => {
    const world = await openAuthMd(engine, { limits });
    t.teardown(world.stop);
    return world;
  };

  test('is said by the names of both, with the seconds to wait', async (t) => {
    const { identity } = await opened(t, { registerPerIp: '1/h' });
    succeeded(await identity({ type: 'anonymous' }));
    const reply = await identity({ type: 'anonymous' });
    assertRefusal(t, reply, '429 rate_limited/rate_limit_exceeded', { retry_after: 3600 });
    t.is(reply.headers.get('retry-after'), '3600');
  });

  for (const [name, limit] of [
    ['codesPerClaim', 2],
    ['claimMailPerAgent', '2/d'],
  ] as const) {
    test(`is named for itself where it is the attempts at one claim (${name})`, async (t) => {
      const { identity, claim } = await opened(t, { [name]: limit });
      const { claim_token } = succeeded(await identity({ type: 'anonymous' }));
      const ask = () => claim({ type: 'service_auth', claim_token, login_hint: newMailbox() });
      for (const _ of [1, 2]) succeeded(await ask());
      const many = await ask();
      assertRefusal(t, many, '429 too_many_attempts', { retry_after: 86_400 });
      t.is(many.headers.get('retry-after'), '86400');
    });
  }
});
