import {
  type AuthMd,
  confirm,
  ID_JAG,
  newUser,
  openAuthMd,
  says,
  succeeded,
  tally,
  typeCode,
  type User,
} from '../helpers/auth-md.ts';
import { act, vouchFor } from '../helpers/auth-md-agents.ts';
import { countOf } from '../helpers/ceremony.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { createTestClock, createTestDatabase, type Reply, type TestDatabase } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Many at once, at two services on one database: of what can happen once, one happens, and nothing that ended comes back. */

onEveryEngine('auth.md’s own versions under a crowd', (engine, test) => {
  let database: TestDatabase;
  let worlds: AuthMd[];
  let world: AuthMd;
  const clock = createTestClock();
  test.before(async () => {
    database = await createTestDatabase(engine);
    world = await openAuthMd(engine, { database, clock });
    worlds = [world, await another()];
  });
  test.after(async () => {
    await worlds[1]!.stop();
    await worlds[0]!.stop();
    await database.drop();
  });

  /** Another service for the same issuer, and the same providers. */
  function another(): Promise<AuthMd> {
    const trustedIssuers = [world.provider.entry(), world.otherProvider.entry({ displayName: 'Other' })];
    return openAuthMd(engine, {
      database,
      clock,
      postbox: world.on,
      env: { PUBLIC_URL: world.on.url },
      file: { trustedIssuers },
    });
  }
  /** One service or the other. */
  const at = (index: number) => worlds[index % 2]!;
  const idJag = (user: User) => world.idJag(user);
  const agentsAt = (mailbox: string) =>
    countOf(world.on, 'agents g JOIN accounts a ON a.id = g.account_id WHERE a.mailbox = ?', [mailbox]);
  const ownershipsOf = (id: string) =>
    countOf(world.on, `events WHERE kind = 'claim.completed' AND subject = ?`, [id]);
  const idsOf = (replies: readonly Reply[]) => [...new Set(replies.map(({ body }) => body.id))];

  test.describe('refresh tokens', (test) => {
    test('of 32 that spend one at once all get the same successor, and it works', async (t) => {
      const { refresh } = await vouchFor(world, 'reveal');
      const replies = await atOnce(32, (index) => at(index).refresh(refresh));
      t.deepEqual(tally(replies), { '200': 32 });
      const successors = new Set(replies.map(({ body }) => body.identity.refresh_token.value));
      t.is(successors.size, 1);
      t.is(says(await world.refresh([...successors][0]!)), '200');
    });

    test('of 32 that use an old one at once all are refused, and the newest is dead with it', async (t) => {
      const { refresh } = await vouchFor(world, 'reveal');
      const newest = succeeded(await world.refresh(refresh)).identity.refresh_token.value;
      clock.advance(11);
      // Its rightful holder renews in the same moment.
      const replies = await atOnce(32, (index) => at(index).refresh(index === 16 ? newest : refresh));
      const last = replies[16]!.body.identity?.refresh_token.value ?? newest;
      replies.splice(16, 1);
      t.deepEqual(tally(replies), { '400 invalid_refresh_token': 31 });
      for (const token of [newest, last]) {
        t.is(says(await world.refresh(token)), '400 invalid_refresh_token');
      }
    });
  });

  test.describe('words of a provider', (test) => {
    test('of 50 presentations of one token one is taken, and none after a restart (S-94)', async (t) => {
      for (const user of [newUser(), newUser()]) {
        const assertion = idJag(user);
        const replies = await atOnce(50, (index) => at(index).present(assertion));
        t.deepEqual(tally(replies), { '200': 1, '400 replay_detected': 49 });
        t.is(await agentsAt(user.email), 1);
        const reborn = await another();
        t.is(says(await reborn.present(assertion)), '400 replay_detected');
        await reborn.stop();
      }
    });

    test('of 16 users who name one new mailbox one begins its account, and nobody else is let into it (S-37)', async (t) => {
      const email = newMailbox();
      const replies = await atOnce(16, (index) => {
        const { idJag: sign } = index % 4 < 2 ? world : { idJag: world.otherIdJag };
        return at(index).present(sign(newUser(email)));
      });
      t.deepEqual(tally(replies), { '200': 1, '401 interaction_required': 15 });
      t.is(idsOf(replies).length, 16);
      t.is(await countOf(world.on, 'accounts WHERE mailbox = ?', [email]), 1);
      t.is(await agentsAt(email), 1);
    });

    test('16 words for one new user lead to one agent', async (t) => {
      const user = newUser();
      const replies = await atOnce(16, (index) => at(index).present(idJag(user)));
      t.deepEqual(tally(replies), { '200': 16 });
      t.is(idsOf(replies).length, 1);
      t.is(await agentsAt(user.email), 1);
    });

    test('16 words for a user who must be confirmed lead to one registration, and one claim token of them works', async (t) => {
      const user = newUser();
      await signIn(world.on, user.email);
      const replies = await atOnce(16, (index) => at(index).present(idJag(user)));
      t.deepEqual(tally(replies), { '401 interaction_required': 16 });
      t.is(idsOf(replies).length, 1);
      const polled = await atOnce(16, (index) => at(index).poll(replies[index]!.body.claim_token));
      t.deepEqual(tally(polled), { '400 authorization_pending': 1, '400 expired_token': 15 });
    });

    test('of 8 anonymous agents claimed by words for one new mailbox one is its own, and the others are asked for', async (t) => {
      const email = newMailbox();
      const agents = await atOnce(8, async (index) =>
        succeeded(await at(index).identity({ type: 'anonymous' })),
      );
      const replies = await atOnce(8, (index) => {
        const { claim_token } = agents[index];
        return at(index).claim({ type: 'identity_assertion', claim_token, assertion: idJag(newUser(email)) });
      });
      const states = replies.map((reply) => succeeded(reply).status).sort();
      t.deepEqual(states, ['claimed', ...Array(7).fill('initiated')]);
      t.is(await agentsAt(email), 1);
    });
  });

  test.describe('claims', (test) => {
    /** An agent whose human has confirmed and looks at the page. */
    async function confirmed() {
      const mailbox = newMailbox();
      const { id, claim_token, claim } = succeeded(
        await world.identity({ type: 'service_auth', login_hint: mailbox }),
      );
      const human = await world.visit(claim.verification_uri, mailbox);
      const user_code = await confirm(human);
      await human.get('/account');
      return { id, claim_token, mailbox, human, user_code, toType: claim.user_code as string };
    }

    test('of 32 that bring the right code one gets the identity', async (t) => {
      const { id, claim_token, user_code } = await confirmed();
      const replies = await atOnce(32, (index) => at(index).complete({ claim_token, user_code }));
      t.deepEqual(tally(replies), { '200': 1, '409 already_claimed': 31 });
      t.is(await ownershipsOf(id), 1);
    });

    test('of 32 wrong codes and the right one at once at most five are compared', async (t) => {
      const { id, claim_token, user_code } = await confirmed();
      const replies = await atOnce(33, (index) => {
        const wrong = `${'BCDFGHJKLMNPQRSTVWXZ'[index % 20]}ZZZ-ZZZ${'BCDFGHJKLMNPQRSTVWXZ'[(index * 7) % 20]}`;
        return at(index).complete({ claim_token, user_code: index === 20 ? user_code : wrong });
      });
      const { '200': right = 0, '401 invalid_user_code': wrong = 0, ...others } = tally(replies);
      t.true(right <= 1 && right + wrong <= 5, JSON.stringify(tally(replies)));
      for (const name of Object.keys(others)) {
        t.regex(name, /^410 user_code_expired$|^409 already_claimed$/);
      }
      t.is(await ownershipsOf(id), right);
    });

    test('typed, brought and read out at once, it is one ownership', async (t) => {
      for (let round = 0; round < 4; round += 1) {
        const agent = await confirmed();
        const { id, claim_token, user_code, human, toType } = agent;
        const replies = await Promise.all([
          ...(await atOnceStarted(6, (index) => at(index).complete({ claim_token, user_code }))),
          ...(await atOnceStarted(6, (index) => at(index).complete({ claim_token, otp: user_code }))),
          ...(await atOnceStarted(6, (index) => at(index).poll(claim_token))),
          typeCode(human, toType).catch(() => undefined),
        ]);
        const said = replies.filter((reply) => reply !== undefined && 'body' in reply) as Reply[];
        const brought = said.slice(0, 12).filter(({ status }) => status === 200);
        const polled = said.slice(12).filter(({ status }) => status === 200);
        t.true(brought.length <= 1, JSON.stringify(tally(said)));
        t.true(brought.length === 0 || polled.length === 0, JSON.stringify(tally(said)));
        if (brought.length + polled.length === 0) succeeded(await world.poll(claim_token));
        t.is(await ownershipsOf(id), 1);
        t.is(await countOf(world.on, 'agents WHERE registration_id = ?', [id]), 1);
      }
    });

    test('of 16 polls after the human typed the code one claims it, and all can go on', async (t) => {
      const { id, claim_token, human, toType } = await confirmed();
      await typeCode(human, toType);
      const replies = await atOnce(16, (index) => at(index).poll(claim_token));
      t.deepEqual(tally(replies), { '200': 16 });
      t.is(await ownershipsOf(id), 1);
      for (const { body } of replies) {
        t.is(await world.scopeOf(body.access_token), 'read write');
        t.is(says(await world.exchange(body.identity_assertion)), '200');
      }
    });

    test('of polls at one moment before that one is noted, and the others are too many', async (t) => {
      const { claim_token } = succeeded(
        await world.identity({ type: 'service_auth', login_hint: newMailbox() }),
      );
      const replies = await atOnce(16, (index) => at(index).poll(claim_token));
      t.deepEqual(tally(replies), { '400 authorization_pending': 1, '400 slow_down': 15 });
    });
  });

  test.describe('what ends while it is being used', (test) => {
    test('nothing that was got from before a claim works after it, however hard it is tried in that moment (S-26)', async (t) => {
      for (let round = 0; round < 6; round += 1) {
        const mailbox = newMailbox();
        const agent = succeeded(await world.identity({ type: 'anonymous' }));
        const { claim_token } = agent;
        const { attempt } = succeeded(
          await world.claim({ type: 'service_auth', claim_token, login_hint: mailbox }),
        );
        const user_code = await confirm(await world.visit(attempt.verification_uri, mailbox));
        const got: { assertion: string; refresh?: string; token?: string }[] = [];
        const chain = async (index: number) => {
          let refresh = agent.identity.refresh_token.value;
          for (let turn = 0; turn < 6; turn += 1) {
            const reply = await at(index).refresh(refresh);
            if (reply.status !== 200) return;
            const { assertion, refresh_token } = reply.body.identity;
            refresh = refresh_token.value;
            const exchanged = await at(index).exchange(assertion);
            got.push({ assertion, refresh, token: exchanged.body.access_token });
          }
        };
        const [completed] = await Promise.all([
          world.complete({ claim_token, user_code }),
          chain(0),
          chain(1),
        ]);
        t.is(says(completed), '200');
        for (const { assertion, refresh, token } of got) {
          t.is(says(await world.exchange(assertion)), '400 invalid_grant');
          if (token !== undefined) t.is(await world.scopeOf(token), 'dead');
          t.is(says(await world.refresh(refresh!)), '400 invalid_refresh_token');
        }
      }
    });

    test('a word that is taken back leaves nothing of what is got in that moment', async (t) => {
      for (let round = 0; round < 4; round += 1) {
        const user = newUser();
        const { identity_assertion } = succeeded(await world.present(idJag(user)));
        const event = world.securityEvent(user);
        const [ended, ...replies] = await Promise.all([
          world.notify(event),
          ...(await atOnceStarted(6, (index) => at(index).exchange(identity_assertion))),
          ...(await atOnceStarted(6, (index) => at(index).present(idJag(user)))),
        ]);
        t.is(ended!.status, 202);
        const tokens = replies.map(
          ({ body }) => body.access_token ?? (body.error ? undefined : body.identity_assertion),
        );
        for (const token of tokens.filter((each) => each !== undefined)) {
          t.is(await world.scopeOf(token), 'dead');
          t.is(says(await world.exchange(token)), '400 invalid_grant');
        }
        t.is(says(await world.present(idJag(user))), '401 interaction_required');
      }
    });

    test('an agent that is narrowed has nothing wider left, also of what its provider gets it in that moment', async (t) => {
      for (let round = 0; round < 4; round += 1) {
        const user = newUser();
        const { id } = succeeded(await world.present(idJag(user)));
        const human = await signIn(world.on, user.email);
        const ask = (index: number) =>
          at(index).on.post('/agent/auth', {
            type: 'identity_assertion',
            assertion_type: ID_JAG,
            assertion: idJag(user),
            requested_credential_type: index % 3 === 0 ? 'access_token' : 'api_key',
          });
        const [, ...replies] = await Promise.all([
          act(world, { id, human }, 'narrow', { 'scope:read': 'on' }),
          ...(await atOnceStarted(12, ask)),
        ]);
        for (const reply of replies) {
          t.is(await world.scopeOf(succeeded(reply as Reply).credential), 'read', `round ${round}`);
        }
      }
    });
  });
});

/** Begins all at once, and gives the promises of their answers. */
async function atOnceStarted<Item>(
  count: number,
  ask: (index: number) => Promise<Item>,
): Promise<Promise<Item>[]> {
  return Array.from({ length: count }, (_, index) => ask(index));
}
