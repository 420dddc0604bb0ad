import { decodeJwt } from 'jose';
import { revokeUntrustedIssuers } from '../../src/domain/jobs/revoke-untrusted-issuers.ts';
import {
  type AuthMd,
  assertRefusal,
  assertShape,
  confirm,
  ID_JAG,
  newUser,
  openAuthMd,
  says,
  shownCode,
  succeeded,
  typeCode,
  type User,
} from '../helpers/auth-md.ts';
import { act, agentOf } from '../helpers/auth-md-agents.ts';
import { flat, inFlight, named, nested } from '../helpers/auth-md-shapes.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { newSigningKey } from '../helpers/issuer.ts';
import { createTestClock, createTestDatabase } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Agents that come on the word of a provider, at /agent/identity (draft-ietf-oauth-identity-assertion-authz-grant): who gets in, and whose owner is asked first. */

onEveryEngine('identity assertions of providers', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  const present = (user: User, claims: Record<string, unknown> = {}) =>
    world.present(world.idJag(user, claims));
  const accountsAt = (mailbox: string) => countOf(world.on, 'accounts WHERE mailbox = ?', [mailbox]);
  const agentsAt = (mailbox: string) =>
    countOf(world.on, 'agents g JOIN accounts a ON a.id = g.account_id WHERE a.mailbox = ?', [mailbox]);

  /** A user whose mailbox has an account here already. */
  async function known(): Promise<User> {
    const user = newUser();
    await signIn(world.on, user.email);
    return user;
  }
  /** A user whose owner has let them act. */
  async function delegated(): Promise<User & { id: string }> {
    const user = newUser();
    const { id } = succeeded(await present(user));
    return { ...user, id };
  }

  test('while the keys of its provider cannot be had, an assertion is not refused but asked for again', async (t) => {
    const own = await openAuthMd(engine);
    t.teardown(() => own.stop());
    own.provider.answerWith('failure');
    const assertion = own.idJag(newUser());
    const later = await own.present(assertion);
    t.is(says(later), '503 temporarily_unavailable');
    t.regex(later.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
    own.provider.answerWith('keys');
    own.on.clock.advance(61);
    succeeded(await own.present(assertion));
  });

  test.describe('a user whom nobody knows', (test) => {
    test('gets an account, an agent and an identity at once', async (t) => {
      const { scopeOf, tokenFor } = world;
      const user = newUser();
      const reply = await present(user);
      assertShape(t, succeeded(reply), {
        ...named('identity_assertion'),
        identity: nested(world, { refresh: false }),
        ...flat(world),
        scopes: ['read', 'write'],
      });
      t.is(await scopeOf(await tokenFor(reply.body.identity_assertion)), 'read write');
      const { email, email_verified } = decodeJwt(reply.body.identity_assertion);
      t.deepEqual([email, email_verified], [user.email, true]);
      t.deepEqual([await accountsAt(user.email), await agentsAt(user.email)], [1, 1]);
    });

    test('comes back as the same agent, as often as their provider says so', async (t) => {
      const { exchange } = world;
      const user = newUser();
      const first = succeeded(await present(user));
      const second = succeeded(await present(user));
      t.is(second.id, first.id);
      for (const { identity_assertion } of [first, second]) {
        t.is(says(await exchange(identity_assertion)), '200');
      }
      t.is(await agentsAt(user.email), 1);
    });

    test('is who their provider says, by issuer, tenant and subject together, and not by mailbox', async (t) => {
      const { otherIdJag } = world;
      const user = newUser();
      const { id } = succeeded(await present(user));
      const strangers = [
        await present({ ...user, sub: newUser().sub }),
        await present(user, { tenant: 'another' }),
        await world.present(otherIdJag(user)),
      ];
      for (const reply of strangers) {
        t.is(says(reply), '401 interaction_required');
        t.not(reply.body.id, id);
      }
      t.is(await agentsAt(user.email), 1);
    });

    test('stays who they are when their provider names another mailbox, and gets into nobody else’s account by it', async (t) => {
      const victim = await known();
      const user = await delegated();
      const reply = await present({ sub: user.sub, email: victim.email });
      t.is(succeeded(reply).id, user.id);
      t.is(decodeJwt(reply.body.identity_assertion).email, user.email);
      t.is(await agentsAt(victim.email), 0);
    });
  });

  test.describe('a user whose mailbox has an account', (test) => {
    test('is not let in: the answer is a step-up with a claim, and nothing is there yet (S-37, S-95)', async (t) => {
      const { on, poll, complete } = world;
      const user = await known();
      const reply = await present({ ...user, email: user.email.toUpperCase() });
      t.is(reply.status, 401);
      const { error, code, error_description, message, ...rest } = reply.body;
      t.deepEqual([error, code], ['interaction_required', 'interaction_required']);
      t.true(message.length > 20);
      t.is(error_description, message);
      assertShape(t, rest, inFlight(world, 'identity_assertion'));
      t.is(
        reply.headers.get('www-authenticate'),
        `AgentAuth error="interaction_required", error_description="${message}"`,
      );
      t.is(reply.headers.get('cache-control'), 'no-store');
      t.is(await agentsAt(user.email), 0);
      t.is(await countOf(on, 'outbox WHERE mailbox = ? AND kind = ?', [user.email, 'claim_code']), 0);
      t.is(says(await poll(reply.body.claim_token)), '400 authorization_pending');
      const early = await complete({ claim_token: reply.body.claim_token, user_code: 'BCDF-GHJK' });
      t.is(says(early), '409 claim_not_confirmed');
    });

    for (const way of ['typed', 'reveal'] as const) {
      test(`is let in once its owner has agreed, and from then on at once (${way})`, async (t) => {
        const { complete, poll, visit } = world;
        const user = await known();
        const { id, claim_token, claim } = (await present(user)).body;
        const human = await visit(claim.verification_uri, user.email);
        let given: { identity: { assertion: string } };
        if (way === 'typed') {
          await typeCode(human, claim.user_code);
          given = succeeded(await poll(claim_token));
        } else {
          given = succeeded(await complete({ claim_token, user_code: await confirm(human) }));
        }
        t.is(succeeded(await world.exchange(given.identity.assertion)).scope, 'read write');
        const again = succeeded(await present(user));
        t.is(again.id, id);
        t.is(await agentsAt(user.email), 1);
      });
    }

    test('that presents again gets a new claim for the same registration, and the old one is dead', async (t) => {
      const { claim, complete, poll, visit } = world;
      const user = await known();
      const first = (await present(user)).body;
      const human = await visit(first.claim.verification_uri, user.email);
      const firstCode = await confirm(human);
      const second = (await present(user)).body;
      t.is(second.id, first.id);
      t.not(second.claim_token, first.claim_token);
      const { claim_token } = first;
      t.is(says(await poll(claim_token)), '400 expired_token');
      t.is(says(await claim({ claim_token, email: user.email })), '401 invalid_claim_token');
      t.is(says(await complete({ claim_token, user_code: firstCode })), '400 invalid_claim');
      const early = await complete({ claim_token: second.claim_token, user_code: firstCode });
      t.is(says(early), '409 claim_not_confirmed');
      t.is(shownCode(await human.get('/claim')), undefined);
      await human.get(second.claim.verification_uri);
      await typeCode(human, second.claim.user_code);
      t.is(says(await poll(second.claim_token)), '200');
    });

    test('that comes again a day later begins anew, in a registration of its own', async (t) => {
      const user = await known();
      const first = (await present(user)).body;
      world.on.clock.advance(86_401);
      const second = await present(user);
      t.is(says(second), '401 interaction_required');
      t.not(second.body.id, first.id);
    });

    test('is confirmed by its owner alone: another account sees neither page nor mailbox', async (t) => {
      const user = await known();
      const { claim, claim_token } = (await present(user)).body;
      const stranger = await world.visit(claim.verification_uri, newMailbox('stranger'));
      const page = await stranger.get('/claim');
      t.is(page.status, 403);
      t.false(page.text.includes(user.email));
      t.is(says(await world.poll(claim_token)), '400 authorization_pending');
    });

    test('is not let in after its owner said no, and may ask again', async (t) => {
      const user = await known();
      const { claim, claim_token } = (await present(user)).body;
      const human = await world.visit(claim.verification_uri, user.email);
      await human.get('/claim/deny');
      await human.post('/claim/deny');
      t.is(says(await world.poll(claim_token)), '400 access_denied');
      t.is(says(await present(user)), '401 interaction_required');
      t.is(await agentsAt(user.email), 0);
    });
  });

  test('its owner is told which provider it is that they let speak for them, by the operator’s name for it, once', async (t) => {
    const { visit, poll, idJag, otherIdJag } = world;
    const advice = /You haven’t approved an agent of <b><bdi>([^<]*)<\/bdi><\/b> before/;
    const seen = async (user: User, assertion: string) => {
      const { claim, claim_token } = (await world.present(assertion)).body;
      const human = await visit(claim.verification_uri, user.email);
      const { text } = await human.get('/claim');
      t.notRegex(text, /Vouchsafe Inc/);
      await typeCode(human, claim.user_code);
      succeeded(await poll(claim_token));
      return advice.exec(text)?.[1];
    };
    const user = await known();
    const claims = { name: 'Vouchsafe Inc', iss_name: 'Vouchsafe Inc', agent_platform: 'Vouchsafe Inc' };
    t.is(await seen(user, idJag(user, claims)), 'Fake Provider');
    const sameProvider = { ...user, sub: newUser().sub };
    t.is(await seen(sameProvider, idJag(sameProvider)), undefined);
    t.is(await seen(user, otherIdJag(user)), 'Other Provider');
  });

  test.describe('a login at the provider', (test) => {
    test('that is too old, in the future or not said must be made again, also by who is known', async (t) => {
      const user = await delegated();
      const seconds = Math.floor(world.clock() / 1000);
      for (const auth_time of [seconds - 3661, seconds + 61, undefined]) {
        for (const each of [user, newUser(), await known()]) {
          const reply = await present(each, { auth_time });
          assertRefusal(t, reply, '401 login_required', { max_age: 3600 });
          const { message } = reply.body;
          const challenge = `AgentAuth error="login_required", max_age="3600", error_description="`;
          t.true(reply.headers.get('www-authenticate')!.startsWith(challenge + message.slice(0, 20)));
        }
      }
      t.is(says(await present(user, { auth_time: seconds - 3659 })), '200');
    });

    test('that is refused does not spend the token', async (t) => {
      const { on, idJag } = world;
      const seconds = Math.floor(world.clock() / 1000);
      const token = idJag(newUser(), { auth_time: seconds + 120 });
      t.is(says(await world.present(token)), '401 login_required');
      on.clock.advance(70);
      t.is(says(await world.present(token)), '200');
    });
  });

  test('a word that names scopes gives these and no others, and one that names none of ours gives nothing', async (t) => {
    const { exchange, idJag, on, scopeOf } = world;
    const user = newUser();
    const bound = succeeded(await present(user, { scope: 'read elsewhere.write' }));
    t.deepEqual(bound.scopes, ['read']);
    t.is(succeeded(await exchange(bound.identity_assertion)).scope, 'read');
    t.is(says(await exchange(bound.identity_assertion, { scope: 'write' })), '400 invalid_scope');
    const old = { type: 'identity_assertion', assertion_type: ID_JAG, requested_credential_type: 'api_key' };
    const key = succeeded(
      await on.post('/agent/auth', { ...old, assertion: idJag(user, { scope: 'read' }) }),
    );
    t.deepEqual(key.scopes, ['read']);
    t.is(await scopeOf(key.credential), 'read');
    for (const scope of ['elsewhere.write', '', 7]) {
      for (const each of [user, newUser()]) {
        assertRefusal(t, await present(each, { scope }), '400 invalid_request');
        t.is(await accountsAt(each.email), each === user ? 1 : 0);
      }
    }
    const free = succeeded(await present(user));
    t.is(succeeded(await exchange(free.identity_assertion)).scope, 'read write');
  });

  test('a token is taken once, wherever it is presented the second time', async (t) => {
    const { idJag, identity, claim, on } = world;
    for (const user of [newUser(), await known()]) {
      const assertion = idJag(user);
      await world.present(assertion);
      const { claim_token } = succeeded(await identity({ type: 'anonymous' }));
      const type = 'identity_assertion';
      const old = {
        type,
        assertion_type: ID_JAG,
        requested_credential_type: 'api_key',
      };
      assertRefusal(t, await world.present(assertion), '400 replay_detected');
      assertRefusal(t, await claim({ type, claim_token, assertion }), '400 replay_detected');
      assertRefusal(t, await on.post('/agent/auth', { ...old, assertion }), '400 replay_detected');
    }
  });

  test('what is wrong with a token is said by the names of auth.md, and nothing comes of it', async (t) => {
    const { idJag, on } = world;
    const seconds = Math.floor(world.clock() / 1000);
    const user = newUser();
    const stranger = newSigningKey('ES256');
    const table: [name: string, token: string][] = [
      ['invalid_issuer', idJag(user, { iss: 'https://stranger.example' })],
      ['invalid_issuer', idJag(user, { iss: on.url })],
      ['invalid_signature', idJag(user, {}, { key: stranger })],
      ['invalid_signature', idJag(user, {}, { key: { ...stranger, kid: world.provider.keys[0]!.kid } })],
      ['invalid_signature', idJag(user, {}, { header: { alg: 'none' } })],
      ['invalid_audience', idJag(user, { aud: 'https://other.example' })],
      ['expired', idJag(user, { iat: seconds - 400, exp: seconds - 100 })],
      ['expired', idJag(user, { iat: seconds + 100, exp: seconds + 200 })],
      ['invalid_client_id', idJag(user, { client_id: 'https://other.example' })],
      ['missing_verified_email', idJag(user, { email_verified: undefined })],
      ['missing_verified_email', idJag(user, { email_verified: 'true' })],
      ['missing_verified_email', idJag(user, { email_verified: 1 })],
      [
        'missing_verified_email',
        idJag(user, { email: undefined, phone_number: '+1', phone_number_verified: true }),
      ],
      ['invalid_request', idJag(user, { exp: seconds + 601 })],
      ['invalid_request', idJag(user, { jti: undefined })],
      ['invalid_request', idJag(user, { sub: '' })],
      ['invalid_request', world.securityEvent(user)],
      ['invalid_request', 'rubbish'],
    ];
    for (const [name, token] of table) {
      assertRefusal(t, await world.present(token), `400 ${name}`);
    }
    t.is(await accountsAt(user.email), 0);
    t.is(says(await present(user, { exp: seconds + 600 })), '200');
  });

  test('an agent that its owner revokes or lets go ends the delegation: its provider’s word is not enough any more', async (t) => {
    for (const action of ['revoke', 'undo'] as const) {
      const user = await delegated();
      const human = await signIn(world.on, user.email);
      await act(world, { id: user.id, human }, action);
      const reply = await present(user);
      t.is(says(reply), '401 interaction_required', action);
      t.not(reply.body.id, user.id);
    }
  });

  test('a provider that is not trusted any more speaks for nobody, and what rests on its word ends (S-95)', async (t) => {
    const [database, clock] = [await createTestDatabase(engine), createTestClock()];
    const env = { PUBLIC_URL: 'http://localhost:4000' };
    const trusting = await openAuthMd(engine, { database, clock, env });
    const user = newUser();
    const aud = env.PUBLIC_URL;
    const { identity_assertion, id } = succeeded(await trusting.present(trusting.idJag(user, { aud })));
    const token = await trusting.tokenFor(identity_assertion);
    t.is(await trusting.scopeOf(token), 'read write');
    await trusting.stop();

    const wary = await openAuthMd(engine, { database, clock, env, file: { trustedIssuers: [] } });
    t.is(says(await wary.exchange(identity_assertion)), '400 invalid_grant');
    t.is(says(await wary.present(trusting.idJag(user, { aud }))), '400 invalid_issuer');
    await revokeUntrustedIssuers(wary.on.service.deps, () => true); // as every minute
    t.is(await wary.scopeOf(token), 'dead');
    t.is((await agentOf(wary, id)).id.slice(0, 4), 'agt_');
    await wary.stop();
    await database.drop();
  });
});
