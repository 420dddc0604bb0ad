import type { ExecutionContext } from 'ava';
import {
  type AuthMd,
  assertRefusal,
  confirm,
  ID_JAG,
  newUser,
  openAuthMd,
  says,
  succeeded,
  typeCode,
  type User,
} from '../helpers/auth-md.ts';
import { agentOf, vouchFor } from '../helpers/auth-md-agents.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { isIn, signIn } from '../helpers/human.ts';
import { REVOKED_EVENT } from '../helpers/issuer.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What a provider's security event does (S-98; RFC 8935): everything that rests on its word for a user ends, at once, and nothing else. */

onEveryEngine('a provider that takes its word back', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  const present = (user: User) => world.present(world.idJag(user));
  const revoke = (user: User, claims: Record<string, unknown> = {}) =>
    world.notify(world.securityEvent(user, claims));
  /** A user who is in, with what their agent holds. */
  async function delegated() {
    const user = newUser();
    const { id, identity_assertion: assertion } = succeeded(await present(user));
    return { ...user, id, assertion, token: await world.tokenFor(assertion) };
  }
  async function assertAlive(t: ExecutionContext, of: { assertion: string; token: string }): Promise<void> {
    t.is(await world.scopeOf(of.token), 'read write');
    t.is(says(await world.exchange(of.assertion)), '200');
  }
  async function assertDead(t: ExecutionContext, of: { assertion: string; token: string }): Promise<void> {
    t.is(await world.scopeOf(of.token), 'dead');
    t.is(says(await world.exchange(of.assertion)), '400 invalid_grant');
  }
  function assertTaken(t: ExecutionContext, reply: Reply): void {
    t.is(reply.status, 202, reply.text);
    t.is(reply.text, '');
  }

  test.describe('ends at once', (test) => {
    test('assertions, tokens and keys of every version, and the next word of it is not enough', async (t) => {
      const { on, idJag, scopeOf } = world;
      const user = await delegated();
      const credentials = [];
      for (const requested_credential_type of ['api_key', 'access_token']) {
        const body = { type: 'identity_assertion', assertion_type: ID_JAG, requested_credential_type };
        const reply = await on.post('/agent/auth', { ...body, assertion: idJag(user) });
        credentials.push(succeeded(reply).credential);
      }
      assertTaken(t, await revoke(user));
      await assertDead(t, user);
      for (const credential of credentials) t.is(await scopeOf(credential), 'dead');
      const again = await present(user);
      t.is(says(again), '401 interaction_required');
      t.not(again.body.id, user.id);
    });

    test('what a step-up led to: its refresh tokens, too', async (t) => {
      const { visit, complete, refresh, tokenFor } = world;
      const user = newUser();
      await signIn(world.on, user.email);
      const { claim, claim_token } = (await present(user)).body;
      const user_code = await confirm(await visit(claim.verification_uri, user.email));
      const { identity } = succeeded(await complete({ claim_token, user_code }));
      const renewed = succeeded(await refresh(identity.refresh_token.value)).identity;
      const token = await tokenFor(renewed.assertion);
      assertTaken(t, await revoke(user));
      await assertDead(t, { assertion: renewed.assertion, token });
      t.is(says(await refresh(renewed.refresh_token.value)), '400 invalid_refresh_token');
    });

    test('a step-up that waits: its claim token, its codes, its page', async (t) => {
      const { visit, claim, complete, poll } = world;
      const user = newUser();
      await signIn(world.on, user.email);
      const asked = (await present(user)).body;
      const { claim_token } = asked;
      const human = await visit(asked.claim.verification_uri, user.email);
      const user_code = await confirm(human);
      await human.get('/claim?way=typed');
      assertTaken(t, await revoke(user));
      await typeCode(human, asked.claim.user_code).catch(() => {}); // there is no form any more
      t.is(says(await poll(claim_token)), '400 expired_token');
      t.is(says(await complete({ claim_token, user_code })), '410 claim_revoked');
      const old = await claim({ claim_token, email: user.email });
      t.is(says(old), '410 claim_expired/claim_revoked');
      t.is(await countOf(world.on, 'agents WHERE registration_id = ?', [asked.id]), 0);
      const again = await present(user);
      t.is(says(again), '401 interaction_required');
      t.not(again.body.id, asked.id);
    });

    test('an anonymous agent that was claimed by its word', async (t) => {
      const { identity, claim, idJag, tokenFor } = world;
      const user = newUser();
      const { claim_token } = succeeded(await identity({ type: 'anonymous' }));
      const type = 'identity_assertion';
      const done = succeeded(await claim({ type, claim_token, assertion: idJag(user) }));
      const held = { assertion: done.identity_assertion, token: await tokenFor(done.identity_assertion) };
      await assertAlive(t, held);
      const second = succeeded(await present(user));
      assertTaken(t, await revoke(user));
      await assertDead(t, held);
      t.is(says(await world.exchange(second.identity_assertion)), '400 invalid_grant');
    });

    test('a claim of an anonymous agent that its word had begun, and leaves the agent as it was', async (t) => {
      const { identity, claim, idJag, exchange, poll, visit } = world;
      const user = newUser();
      await signIn(world.on, user.email);
      const agent = succeeded(await identity({ type: 'anonymous' }));
      const { claim_token } = agent;
      const type = 'identity_assertion';
      const asked = succeeded(await claim({ type, claim_token, assertion: idJag(user) }));
      const human = await visit(asked.attempt.verification_uri, user.email);
      assertTaken(t, await revoke(user));
      await typeCode(human, asked.claim_attempt.user_code).catch(() => {});
      t.not(says(await poll(claim_token)), '200');
      t.is(succeeded(await exchange(agent.identity_assertion)).scope, 'read');
      t.is(says(await present(user)), '401 interaction_required');
    });
  });

  test.describe('leaves alone', (test) => {
    test('everybody else: other users, other tenants, and the same name at another provider', async (t) => {
      const { otherIdJag, otherSecurityEvent, tokenFor } = world;
      const [user, neighbour] = [await delegated(), await delegated()];
      const namesake = { sub: user.sub, email: newMailbox() };
      const elsewhere = succeeded(await world.present(otherIdJag(namesake)));
      const held = {
        assertion: elsewhere.identity_assertion,
        token: await tokenFor(elsewhere.identity_assertion),
      };
      const person = await vouchFor(world, 'reveal', { mailbox: newMailbox() });
      assertTaken(t, await revoke(user, { tenant: 'another' }));
      await assertAlive(t, user);
      assertTaken(t, await world.notify(otherSecurityEvent(neighbour)));
      await assertAlive(t, neighbour);
      assertTaken(t, await revoke(user));
      await assertDead(t, user);
      for (const each of [neighbour, held, person]) await assertAlive(t, each);
    });

    test('the owner, who stays signed in, with their other agents', async (t) => {
      const user = await delegated();
      const human = await signIn(world.on, user.email);
      const own = await vouchFor(world, 'typed', { mailbox: user.email });
      assertTaken(t, await revoke(user));
      await assertDead(t, user);
      await assertAlive(t, own);
      t.true(await isIn(human));
      const { id } = await agentOf(world, user.id);
      t.regex((await human.get(`/agents/${id}`)).text, /revoked|ended/i);
    });

    test('everything, where the event is of another kind', async (t) => {
      const user = await delegated();
      const events = { 'https://schemas.example.com/events/session-ended': {} };
      assertTaken(t, await revoke(user, { events }));
      await assertAlive(t, user);
      assertTaken(t, await revoke(user, { events: { ...events, [REVOKED_EVENT]: {} } }));
      await assertDead(t, user);
    });

    test('what came after it, when it is delivered again', async (t) => {
      const { visit, poll, securityEvent, notify } = world;
      const user = await delegated();
      const token = securityEvent(user);
      assertTaken(t, await notify(token));
      const { claim, claim_token, id } = (await present(user)).body;
      await typeCode(await visit(claim.verification_uri, user.email), claim.user_code);
      const { access_token, identity_assertion } = succeeded(await poll(claim_token));
      assertTaken(t, await notify(token));
      await assertAlive(t, { assertion: identity_assertion, token: access_token });
      t.is(succeeded(await present(user)).id, id);
    });
  });

  test('an event that is none is refused with its reason, and nothing ends', async (t) => {
    const { on, securityEvent, otherSecurityEvent, notify, idJag, logout } = world;
    const user = await delegated();
    const seconds = Math.floor(world.clock() / 1000);
    const table: [err: string, token: string, type?: string][] = [
      ['invalid_request', securityEvent(user), 'application/jwt'],
      ['invalid_request', securityEvent(user), 'application/json'],
      ['invalid_request', securityEvent(user), 'application/logout+jwt'],
      ['invalid_request', 'rubbish'],
      ['invalid_request', ''],
      ['invalid_request', idJag(user)],
      ['invalid_request', logout(user)],
      ['invalid_request', securityEvent(user, { jti: undefined })],
      ['invalid_request', securityEvent(user, { events: {} })],
      ['invalid_issuer', securityEvent(user, { iss: 'https://stranger.example' })],
      ['invalid_key', otherSecurityEvent(user, { iss: world.provider.url })],
      ['invalid_audience', securityEvent(user, { aud: 'https://other.example' })],
      ['authentication_failed', `${securityEvent(user).slice(0, -8)}AAAAAAAA`],
      ['authentication_failed', securityEvent(user, { iat: seconds - 86_401 })],
    ];
    for (const [err, token, type] of table) {
      const reply = await notify(token, type);
      t.is(says(reply), `400 ${err}`, token);
      t.deepEqual(Object.keys(reply.body), ['err', 'description']);
    }
    const big = await on.request('POST', '/agent/event/notify', {
      body: 'x'.repeat(20_000),
      headers: { 'Content-Type': 'application/secevent+jwt' },
    });
    t.is(says(big), '400 invalid_request');
    await assertAlive(t, user);
  });

  test.describe('in v0.1', (test) => {
    test('the answer counts the keys and tokens that ended; the second time there are none', async (t) => {
      const { logout, logOut } = world;
      const user = await delegated();
      await world.tokenFor(user.assertion);
      const token = logout(user);
      t.deepEqual(succeeded(await logOut(token)), { revoked: 2 });
      await assertDead(t, user);
      t.deepEqual(succeeded(await logOut(token)), { revoked: 0 });
      t.deepEqual(succeeded(await logOut(logout(user))), { revoked: 0 });
      t.deepEqual(succeeded(await logOut(logout(newUser()))), { revoked: 0 });
      t.is(says(await present(user)), '401 interaction_required');
    });

    test('no event need be named, and what is wrong is said by the names of that version', async (t) => {
      const { logout, logOut, securityEvent } = world;
      const user = await delegated();
      const table: [expected: string, token: string, type?: string][] = [
        ['415 unsupported_media_type', logout(user), 'application/secevent+jwt'],
        ['400 invalid_request', securityEvent(user)],
        ['400 invalid_request', 'rubbish'],
        ['400 invalid_issuer', logout(user, { iss: 'https://stranger.example' })],
        ['400 invalid_audience', logout(user, { aud: 'https://other.example' })],
        ['400 invalid_signature', `${logout(user).slice(0, -8)}AAAAAAAA`],
      ];
      for (const [expected, token, type] of table) assertRefusal(t, await logOut(token, type), expected);
      await assertAlive(t, user);
      t.deepEqual(succeeded(await logOut(logout(user, { events: undefined }))), { revoked: 2 });
      await assertDead(t, user);
    });
  });
});
