import { fact } from '../helpers/agent-pages.ts';
import {
  type AuthMd,
  confirm,
  ID_JAG,
  newUser,
  openAuthMd,
  says,
  succeeded,
  type User,
} from '../helpers/auth-md.ts';
import { act } from '../helpers/auth-md-agents.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { createInterleaver } from '../helpers/interleaved.ts';
import { test } from '../helpers/suite.ts';

/*
 * What is given in the very moment in which it should end. On SQLite one transaction waits for the other as a whole; on
 * PostgreSQL a row that one is about to write is not seen by the other, so the two must meet at a row that is there.
 */

test.describe('what is given in the moment in which it ends (postgres)', (test) => {
  const { wrapDb, meet } = createInterleaver();
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd('postgres', { wrapDb });
  });
  test.after(() => world.stop());

  const REFRESH_TOKEN = /^INSERT INTO refresh_tokens/;
  const CREDENTIAL = /^INSERT INTO credentials/;

  /** An anonymous agent whose human has confirmed. */
  async function confirmed() {
    const mailbox = newMailbox();
    const agent = succeeded(await world.identity({ type: 'anonymous' }));
    const { claim_token } = agent;
    const { attempt } = succeeded(
      await world.claim({ type: 'service_auth', claim_token, login_hint: mailbox }),
    );
    const user_code = await confirm(await world.visit(attempt.verification_uri, mailbox));
    return { agent, complete: () => world.complete({ claim_token, user_code }) };
  }
  /** A user whose agent is theirs, and them at their browser. */
  async function owned() {
    const user = newUser();
    const { id, identity_assertion: assertion } = succeeded(await world.present(world.idJag(user)));
    return { user, id, assertion, human: await signIn(world.on, user.email) };
  }
  const askOld = (user: User, requested_credential_type: string) =>
    world.on.post('/agent/auth', {
      type: 'identity_assertion',
      assertion_type: ID_JAG,
      assertion: world.idJag(user),
      requested_credential_type,
    });

  test('a refresh token from before a claim has no successor that works after it (S-26)', async (t) => {
    const { agent, complete } = await confirmed();
    const [renewed, completed] = await meet(
      REFRESH_TOKEN,
      () => world.refresh(agent.identity.refresh_token.value),
      complete,
    );
    t.is(says(completed), '200');
    const { refresh_token } = renewed.body.identity ?? {};
    if (refresh_token === undefined) return; // it came too late, which is as good
    t.is(says(await world.refresh(refresh_token.value)), '400 invalid_refresh_token');
  });

  test('a token from before a claim is dead after it', async (t) => {
    const { agent, complete } = await confirmed();
    const [exchanged, completed] = await meet(
      CREDENTIAL,
      () => world.exchange(agent.identity_assertion),
      complete,
    );
    t.is(says(completed), '200');
    t.is(await world.scopeOf(succeeded(exchanged).access_token), 'dead');
  });

  test('of two providers that name one new mailbox one begins its account, and the other is not let into it (S-37)', async (t) => {
    const email = newMailbox();
    const [late, first] = await meet(
      /^INSERT INTO accounts/,
      () => world.present(world.idJag(newUser(email))),
      () => world.present(world.otherIdJag(newUser(email))),
    );
    t.deepEqual([late, first].map(says), ['401 interaction_required', '200']);
  });

  test.describe('what the human gave on the page', (test) => {
    const COMPLETED = /^UPDATE claims SET claimed_at/;
    const READING = { 'scope:write': undefined };

    /** An agent with the mailbox of its human, who is at the page. */
    async function asked() {
      const mailbox = newMailbox();
      const { claim_token, claim } = succeeded(
        await world.identity({ type: 'service_auth', login_hint: mailbox }),
      );
      const human = await world.visit(claim.verification_uri, mailbox);
      return { mailbox, claim_token, human, toType: claim.user_code as string };
    }

    test('is not given by an approval that the agent takes back meanwhile by asking anew', async (t) => {
      const { mailbox, claim_token, human, toType } = await asked();
      await human.get('/claim?way=typed');
      await human.post('/claim', { code: toType, ...READING });
      const [polled, again] = await meet(
        COMPLETED,
        () => world.poll(claim_token),
        () => world.claim({ claim_token, email: mailbox }),
      );
      t.is(says(again), '200');
      t.is(says(polled), '400 authorization_pending');
      t.is(says(await world.poll(claim_token)), '400 slow_down');
    });

    test('is what the page says, also where they choose anew while the agent brings its code', async (t) => {
      const { claim_token, human, toType } = await asked();
      const user_code = await confirm(human);
      await human.get('/claim?way=typed');
      const [completed, page] = await meet(
        COMPLETED,
        () => world.complete({ claim_token, user_code }),
        () => human.post('/claim', { code: toType, ...READING }),
      );
      t.is(page.status, 400);
      const { assertion } = succeeded(completed).identity;
      const { scope } = succeeded(await world.exchange(assertion));
      t.is(scope, 'read write');
      t.is(fact(page.text, 'Permissions'), scope);
    });
  });

  test.describe('a claim is completed while its provider’s word comes again', (test) => {
    /** A user who must be confirmed, and whose owner has. */
    async function waiting() {
      const user = newUser();
      await signIn(world.on, user.email);
      const { id, claim_token, claim } = (await world.present(world.idJag(user))).body;
      const user_code = await confirm(await world.visit(claim.verification_uri, user.email));
      return {
        id,
        present: () => world.present(world.idJag(user)),
        complete: () => world.complete({ claim_token, user_code }),
      };
    }

    for (const statement of [/^UPDATE claims SET claimed_at/, /^UPDATE registrations SET claimed_at/]) {
      test(`the claim first (${statement.source.split(' ')[1]}): the word finds its agent, or begins anew`, async (t) => {
        const { id, present, complete } = await waiting();
        const [completed, presented] = await meet(statement, complete, present);
        t.regex(says(presented), /^200$|^401 interaction_required$/);
        const isDone = says(completed) === '200';
        if (!isDone) t.regex(says(completed), /^400 invalid_claim$|^409 claim_not_confirmed$/);
        const again = await present();
        t.is(says(again), isDone ? '200' : '401 interaction_required');
        t.is(again.body.id, id);
      });
    }

    test('the word first: the claim token from before is dead, and nobody owns anything', async (t) => {
      const { id, present, complete } = await waiting();
      const [presented, completed] = await meet(/^DELETE FROM claims/, present, complete);
      const isDone = says(completed) === '200';
      if (!isDone) t.regex(says(completed), /^400 invalid_claim$|^409 claim_not_confirmed$/);
      t.is(says(presented), isDone ? '200' : '401 interaction_required');
      t.is(presented.body.id, id);
    });
  });

  for (const [type, name] of [
    ['api_key', 'key'],
    ['access_token', 'token of v0.1'],
    ['exchanged', 'token for its identity'],
  ] as const) {
    const give = (user: User, assertion: string) =>
      type === 'exchanged' ? world.exchange(assertion) : askOld(user, type);

    test(`an agent that is narrowed gets no wider ${name}`, async (t) => {
      const { user, id, assertion, human } = await owned();
      const [given] = await meet(
        CREDENTIAL,
        () => give(user, assertion),
        () => act(world, { id, human }, 'narrow', { 'scope:read': 'on' }),
      );
      const { credential, access_token = credential } = succeeded(given);
      t.is(await world.scopeOf(access_token), 'read');
    });

    test(`an agent whose merge is undone gets no ${name} in the account that it left`, async (t) => {
      const { user, id, assertion, human } = await owned();
      const [given] = await meet(
        CREDENTIAL,
        () => give(user, assertion),
        () => act(world, { id, human }, 'undo'),
      );
      const { credential, access_token = credential } = succeeded(given);
      const { scope, owner } = await world.introspected(access_token);
      t.deepEqual([scope, owner], ['read', undefined]);
    });

    test(`an agent that is revoked, by its owner or its provider, keeps no ${name}`, async (t) => {
      for (const by of ['owner', 'provider']) {
        const { user, id, assertion, human } = await owned();
        const [given] = await meet(
          CREDENTIAL,
          () => give(user, assertion),
          () =>
            by === 'owner'
              ? act(world, { id, human }, 'revoke')
              : world.notify(world.securityEvent(user)).then(() => {}),
        );
        const { credential, access_token = credential } = succeeded(given);
        t.is(await world.scopeOf(access_token), 'dead', by);
      }
    });
  }
});
