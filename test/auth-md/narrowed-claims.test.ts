import type { ExecutionContext } from 'ava';
import { boxesOn } from '../helpers/agent-world.ts';
import {
  API,
  type AuthMd,
  confirm,
  newUser,
  openAuthMd,
  says,
  shownCode,
  succeeded,
  typeCode,
} from '../helpers/auth-md.ts';
import type { Browser } from '../helpers/browser.ts';
import { APPROVED, heading } from '../helpers/claim-page.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What the human unticks on the claim page is in no token, key or assertion of the agent, in any version of auth.md. */

const WITHOUT_WRITE = { 'scope:write': undefined };

onEveryEngine('a claim that its human narrowed', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  /** An agent with the mailbox of its human, who is signed in at the page. */
  async function hinted(mailbox = newMailbox()) {
    const { claim_token, claim } = succeeded(
      await world.identity({ type: 'service_auth', login_hint: mailbox }),
    );
    const human = await world.visit(claim.verification_uri, mailbox);
    return { claim_token, user_code: claim.user_code as string, human, mailbox };
  }

  /** Confirms without the scope to write; the code that the page shows. */
  async function confirmReading(human: Browser): Promise<string> {
    await human.get('/claim?way=reveal');
    return shownCode(await human.post('/claim', { way: 'reveal', ...WITHOUT_WRITE }))!;
  }

  async function approveTyped(human: Browser, code: string) {
    await human.get('/claim?way=typed');
    return human.post('/claim', { code, ...WITHOUT_WRITE });
  }

  interface Identity {
    assertion: string;
    refresh_token: { value: string };
  }

  /** Whatever an identity is exchanged for, now and renewed, only reads. */
  async function assertOnlyReads(t: ExecutionContext, identity: Identity): Promise<void> {
    const answer = succeeded(await world.exchange(identity.assertion));
    t.is(answer.scope, 'read');
    t.is(await world.scopeOf(answer.access_token), 'read');
    const wider = await world.exchange(identity.assertion, { scope: 'read write' });
    t.is(says(wider), '400 invalid_scope');
    const renewed = succeeded(await world.refresh(identity.refresh_token.value)).identity;
    t.is(succeeded(await world.exchange(renewed.assertion)).scope, 'read');
  }

  test('by the code that the agent showed (0.4 to 0.6): the grant says what was given', async (t) => {
    const { claim_token, user_code, human } = await hinted();
    t.is(heading(await approveTyped(human, user_code)), APPROVED);
    const answer = succeeded(await world.poll(claim_token));
    t.is(answer.scope, 'read');
    t.is(await world.scopeOf(answer.access_token), 'read');
    await assertOnlyReads(t, answer.identity);
  });

  test('by the code that the page showed (production)', async (t) => {
    const { claim_token, human } = await hinted();
    const user_code = await confirmReading(human);
    await assertOnlyReads(t, succeeded(await world.complete({ claim_token, user_code })).identity);
  });

  test('of an agent that was anonymous, whose assertion from before stays (0.2, 0.3)', async (t) => {
    const { claim_token, identity } = succeeded(await world.identity({ type: 'anonymous' }));
    const mailbox = newMailbox();
    await world.claim({ claim_token, email: mailbox });
    const human = await world.visit(await world.mailedPage(mailbox));
    const otp = await confirmReading(human);
    await assertOnlyReads(t, succeeded(await world.complete({ claim_token, otp })).identity);
    t.is(succeeded(await world.exchange(identity.assertion)).scope, 'read');
  });

  for (const credential of ['api_key', 'access_token'] as const) {
    test(`that gives an ${credential} (0.1)`, async (t) => {
      const mailbox = newMailbox();
      const { claim_token } = succeeded(
        await world.on.post('/agent/auth', {
          type: 'identity_assertion',
          assertion_type: 'verified_email',
          assertion: mailbox,
          requested_credential_type: credential,
        }),
      );
      const human = await world.visit(await world.mailedPage(mailbox));
      const otp = await confirmReading(human);
      const given = succeeded(await world.on.post('/agent/auth/claim/complete', { claim_token, otp }));
      t.deepEqual(given.scopes, ['read']);
      t.is(await world.scopeOf(given.credential), 'read');
    });
  }

  test('of an anonymous agent that keeps its key (0.1): the key gets no more than was given', async (t) => {
    for (const [unticked, scope] of [
      ['scope:write', 'read'],
      ['scope:read', 'write'],
    ] as const) {
      const mailbox = newMailbox();
      const { claim_token, credential } = succeeded(
        await world.on.post('/agent/auth', { type: 'anonymous', requested_credential_type: 'api_key' }),
      );
      succeeded(await world.on.post('/agent/auth/claim', { claim_token, email: mailbox }));
      const human = await world.visit(await world.mailedPage(mailbox));
      const page = await human.post('/claim', { way: 'reveal', [unticked]: undefined });
      succeeded(await world.on.post('/agent/auth/claim/complete', { claim_token, otp: shownCode(page) }));
      t.is(await world.scopeOf(credential), scope);
    }
  });

  test('by the word of a provider that its owner had to confirm: its later assertions give no more', async (t) => {
    const user = newUser();
    const owner = await signIn(world.on, user.email);
    const asked = await world.present(await world.idJag(user));
    t.is(asked.status, 401);
    await owner.get(asked.body.claim.attempt.verification_uri);
    const user_code = await confirmReading(owner);
    const { claim_token } = asked.body;
    await assertOnlyReads(t, succeeded(await world.complete({ claim_token, user_code })).identity);
    const again = succeeded(await world.present(await world.idJag(user)));
    t.deepEqual(again.scopes, ['read']);
    t.is(await world.scopeOf(await world.tokenFor(again.identity.assertion)), 'read');
  });

  test('what was confirmed stands beside the code, and another choice with the typed code takes its place', async (t) => {
    const { claim_token, user_code, human } = await hinted();
    await confirmReading(human);
    const shown = await human.get('/claim');
    t.deepEqual(boxesOn(shown), {});
    t.regex(shown.text, /<span class="chip">read</);
    t.notRegex(shown.text, /<span class="chip">write</);
    t.deepEqual(boxesOn(await human.get('/claim?way=typed')), { 'scope:read': true, 'scope:write': false });
    await human.post('/claim', { code: user_code, 'scope:write': 'on' });
    t.is(succeeded(await world.poll(claim_token)).scope, 'read write');
  });

  test('the way to the other code keeps what was ticked, and approves nothing', async (t) => {
    const { claim_token, user_code, human } = await hinted();
    const page = await human.post('/claim', { other_way: 'typed', ...WITHOUT_WRITE });
    t.is(page.path, '/claim?way=typed');
    t.deepEqual(boxesOn(page), { 'scope:read': true, 'scope:write': false });
    const back = await human.post('/claim', { other_way: 'reveal' });
    t.deepEqual(boxesOn(back), { 'scope:read': true, 'scope:write': false });
    t.is(says(await world.poll(claim_token)), '400 authorization_pending');
    await human.get('/claim?way=typed');
    await typeCode(human, user_code);
  });

  test('of two confirmations at once with other boxes one holds', async (t) => {
    for (let round = 0; round < 6; round += 1) {
      const { claim_token, human } = await hinted();
      await human.get('/claim?way=reveal');
      const form = { ...human.form('/claim'), way: 'reveal' };
      const unticked = ['scope:read', 'scope:write'] as const;
      const pages = await atOnce(4, (index) =>
        human.send('/claim', { ...form, [unticked[index % 2]!]: undefined }),
      );
      const [shown, ...others] = new Set(
        pages.map(({ text }) => /<span class="chip">([^<]*)</.exec(text)![1]),
      );
      t.deepEqual(others, []);
      const given = succeeded(await world.complete({ claim_token, user_code: shownCode(pages[0]!) }));
      t.is(succeeded(await world.exchange(given.identity.assertion, { resource: API })).scope, shown);
    }
  });

  test('who leaves everything ticked gives what there was when they decided', async (t) => {
    const { claim_token, human } = await hinted();
    const user_code = await confirm(human);
    const { identity } = succeeded(await world.complete({ claim_token, user_code }));
    t.is(succeeded(await world.exchange(identity.assertion)).scope, 'read write');
  });
});
