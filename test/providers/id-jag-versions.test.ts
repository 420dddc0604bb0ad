import { decodeJwt } from 'jose';
import {
  type AuthMd,
  assertRefusal,
  assertShape,
  confirm,
  ID_JAG,
  LOOKS,
  newUser,
  openAuthMd,
  says,
  succeeded,
  typeCode,
  type User,
} from '../helpers/auth-md.ts';
import { agentOf, vouchFor } from '../helpers/auth-md-agents.ts';
import { flat, initiated, named, nested, TYPED } from '../helpers/auth-md-shapes.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { setUpApp, signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The word of a provider elsewhere than at /agent/identity: in v0.1, and for an anonymous agent that is to be claimed by it. */

onEveryEngine('identity assertions of providers in other versions', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  const agentsAt = (mailbox: string) =>
    countOf(world.on, 'agents g JOIN accounts a ON a.id = g.account_id WHERE a.mailbox = ?', [mailbox]);
  async function known(): Promise<User> {
    const user = newUser();
    await signIn(world.on, user.email);
    return user;
  }

  test.describe('v0.1', (test) => {
    const presentOld = (user: User, type: string, claims: Record<string, unknown> = {}) =>
      world.on.post('/agent/auth', {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: world.idJag(user, claims),
        requested_credential_type: type,
      });
    const complete = (claim_token: string, otp: string) =>
      world.on.post('/agent/auth/claim/complete', { claim_token, otp });
    /** The code on the page of the newest mail, which needs no sign-in. */
    async function codeFromMail(mailbox: string, beyond = 0): Promise<string> {
      const reader = openBrowser(world.on);
      await reader.get(await world.mailedPage(mailbox, beyond));
      return confirm(reader);
    }
    const credentialOf = (type: string) => ({
      credential_type: type,
      credential: type === 'api_key' ? LOOKS.key : LOOKS.token,
      credential_expires: type === 'api_key' ? null : world.iso(3600),
      scopes: ['read', 'write'],
    });

    for (const type of ['api_key', 'access_token']) {
      test(`a user whom nobody knows gets an ${type} at once, and another at the same agent the next time`, async (t) => {
        const { scopeOf } = world;
        const user = newUser();
        const first = succeeded(await presentOld(user, type));
        assertShape(t, first, {
          registration_id: LOOKS.registration,
          registration_type: 'agent-provider',
          ...credentialOf(type),
        });
        const second = succeeded(await presentOld(user, type));
        t.is(second.registration_id, first.registration_id);
        t.not(second.credential, first.credential);
        for (const { credential } of [first, second]) t.is(await scopeOf(credential), 'read write');
        t.is(await agentsAt(user.email), 1);
      });

      test(`a user whose mailbox has an account must be confirmed: the link is mailed, and the code gives the ${type}`, async (t) => {
        const { on, iso, scopeOf } = world;
        const user = await known();
        const reply = await presentOld(user, type);
        t.is(reply.status, 401);
        const { error, code, error_description, message, ...rest } = reply.body;
        t.deepEqual([error, code], ['interaction_required', 'interaction_required']);
        t.is(error_description, message);
        assertShape(t, rest, {
          registration_id: LOOKS.registration,
          registration_type: 'agent-provider',
          claim_url: `${on.url}/agent/auth/claim`,
          claim_token: LOOKS.claimToken,
          claim_token_expires: iso(86_400),
          post_claim_scopes: ['read', 'write'],
        });
        t.regex(reply.headers.get('www-authenticate')!, /^AgentAuth error="interaction_required", /);
        t.is(await agentsAt(user.email), 0);

        const { claim_token, registration_id } = reply.body;
        const early = await complete(claim_token, '123456');
        t.is(says(early), '400 otp_not_generated/claim_not_confirmed');
        const done = succeeded(await complete(claim_token, await codeFromMail(user.email)));
        assertShape(t, done, { registration_id, status: 'claimed', ...credentialOf(type) });
        t.is(await scopeOf(done.credential), 'read write');
        t.is(succeeded(await presentOld(user, type)).registration_id, registration_id);
        t.is(succeeded(await world.present(world.idJag(user))).id, registration_id);
      });
    }

    test('who asks again for something else gets what they asked for last', async (t) => {
      const user = await known();
      await presentOld(user, 'api_key');
      await codeFromMail(user.email);
      const { claim_token } = (await presentOld(user, 'access_token')).body;
      const done = succeeded(await complete(claim_token, await codeFromMail(user.email, 1)));
      t.is(done.credential_type, 'access_token');
    });

    test('a login that is too old must be made again', async (t) => {
      const auth_time = Math.floor(world.clock() / 1000) - 3661;
      const reply = await presentOld(newUser(), 'api_key', { auth_time });
      assertRefusal(t, reply, '401 login_required', { max_age: 3600 });
    });

    test('the mail is not enough where the owner has an app for a second factor', async (t) => {
      const user = newUser();
      await setUpApp(world.on, await signIn(world.on, user.email));
      const { claim_token } = (await presentOld(user, 'api_key')).body;
      const reader = openBrowser(world.on);
      await reader.get(await world.mailedPage(user.email));
      const page = await reader.post('/claim', { way: 'reveal' });
      t.is(page.status, 401);
      t.is(says(await complete(claim_token, '123456')), '400 otp_not_generated/claim_not_confirmed');
      t.is(await agentsAt(user.email), 0);
    });
  });

  test.describe('an anonymous agent that is claimed by a provider’s word', (test) => {
    const claimBy = (claim_token: string, assertion: string) =>
      world.claim({ type: 'identity_assertion', claim_token, assertion });
    const anonymous = async () => succeeded(await world.identity({ type: 'anonymous' }));

    test('belongs at once to a user whom nobody knew, and what it had before is dead', async (t) => {
      const { idJag, exchange, scopeOf, tokenFor, refresh } = world;
      const user = newUser();
      const agent = await anonymous();
      const before = await tokenFor(agent.identity_assertion);
      const done = succeeded(await claimBy(agent.claim_token, idJag(user)));
      assertShape(t, done, {
        ...named('identity_assertion', agent.id),
        status: 'claimed',
        identity: nested(world),
        ...flat(world),
      });
      t.is(await scopeOf(await tokenFor(done.identity_assertion)), 'read write');
      t.is(await scopeOf(before), 'dead');
      t.is(says(await exchange(agent.identity_assertion)), '400 invalid_grant');
      t.is(says(await refresh(agent.identity.refresh_token.value)), '400 invalid_refresh_token');
      t.is(await agentsAt(user.email), 1);
    });

    test('gets no more by it than the provider bounds its agent to', async (t) => {
      const { claim_token } = await anonymous();
      const assertion = world.idJag(newUser(), { scope: 'read' });
      const done = succeeded(await claimBy(claim_token, assertion));
      t.is(await world.scopeOf(await world.tokenFor(done.identity_assertion)), 'read');
      t.is(done.identity.refresh_token, undefined, 'only another word of the provider renews it');
    });

    test('belongs at once to an owner who let this user act before, whatever mailbox the provider names now', async (t) => {
      const { idJag, present } = world;
      const user = newUser();
      const { id } = succeeded(await present(idJag(user)));
      const victim = await known();
      const agent = await anonymous();
      const done = succeeded(await claimBy(agent.claim_token, idJag({ sub: user.sub, email: victim.email })));
      t.is(done.status, 'claimed');
      t.is(decodeJwt(done.identity_assertion).email, user.email);
      const accounts = await Promise.all(
        [id, agent.id].map(async (each) => (await agentOf(world, each)).accountId),
      );
      t.is(accounts[0], accounts[1]);
      t.is(await agentsAt(victim.email), 0);
    });

    test('must be confirmed where the mailbox has an account, and may then act for its owner', async (t) => {
      const { idJag, visit, poll, present, exchange } = world;
      const user = await known();
      const agent = await anonymous();
      const asked = await claimBy(agent.claim_token, idJag(user));
      assertShape(t, succeeded(asked), {
        ...initiated(world, agent.id),
        type: 'identity_assertion',
        registration_type: 'identity_assertion',
        claim_attempt: TYPED,
      });
      t.is(await agentsAt(user.email), 0);
      t.is(succeeded(await exchange(agent.identity_assertion)).scope, 'read');
      t.is(says(await present(idJag(user))), '401 interaction_required');

      const human = await visit(asked.body.attempt.verification_uri, user.email);
      t.regex((await human.get('/claim')).text, /<b>Fake Provider<\/b>/);
      await typeCode(human, asked.body.claim_attempt.user_code);
      succeeded(await poll(agent.claim_token));
      t.is(await agentsAt(user.email), 1);
      t.is(says(await present(idJag(user))), '200');
    });

    test('must be confirmed also by an owner with an app who let this user act before', async (t) => {
      const { idJag, present } = world;
      const user = newUser();
      succeeded(await present(idJag(user)));
      await setUpApp(world.on, await signIn(world.on, user.email));
      const asked = succeeded(await claimBy((await anonymous()).claim_token, idJag(user)));
      t.is(asked.status, 'initiated');
      t.is(await agentsAt(user.email), 1);
    });

    test('is none of this where it is not anonymous, or its claim is over, and the word is not spent by it', async (t) => {
      const { idJag, identity, on } = world;
      const user = newUser();
      const refused: [claimToken: string, expected: string][] = [
        [`clm_${'0'.repeat(49)}`, '401 invalid_claim_token'],
        [(await vouchFor(world, 'reveal')).claim_token, '409 claimed_or_in_flight/already_claimed'],
        [
          succeeded(await identity({ type: 'service_auth', login_hint: newMailbox() })).claim_token,
          '409 claimed_or_in_flight/already_claimed',
        ],
      ];
      const word = idJag(user);
      for (const [claim_token, expected] of refused) {
        assertRefusal(t, await claimBy(claim_token, word), expected);
      }
      t.is(await countOf(on, 'accounts WHERE mailbox = ?', [user.email]), 0);
      const stale = idJag(user, { auth_time: Math.floor(world.clock() / 1000) - 3661 });
      const agent = await anonymous();
      assertRefusal(t, await claimBy(agent.claim_token, stale), '401 login_required', { max_age: 3600 });
      t.is(says(await claimBy(agent.claim_token, word)), '200');
      assertRefusal(t, await claimBy((await anonymous()).claim_token, word), '400 replay_detected');
      const late = await anonymous();
      on.clock.advance(86_400);
      assertRefusal(t, await claimBy(late.claim_token, idJag(user)), '410 claim_expired');
    });
  });
});
