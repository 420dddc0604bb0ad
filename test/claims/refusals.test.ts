import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/work.ts';
import { ceremony, countOf, said, tally } from '../helpers/ceremony.ts';
import { claimSteps } from '../helpers/claim-steps.ts';
import { basic, startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('claims: what is refused', (engine, test) => {
  let on: TestService;
  let call: ReturnType<typeof ceremony>;
  test.before(async () => {
    on = await startTestService(engine, { env: { TRUST_PROXY: '1' } });
    call = ceremony(on);
  });
  test.after(() => on.stop());

  let made = 0;
  const newMailbox = (name = 'human') => `${name}${++made}@example.com`;

  const { pending, scopesOf, humansAt } = claimSteps(() => ({ on, call }));

  test.describe('what is refused, and how', (test) => {
    test('a claim token that is unknown, mistyped or malformed gets one answer', async (t) => {
      const { claim_token } = await on.register();
      const other = claim_token.slice(0, -1) + (claim_token.endsWith('a') ? 'b' : 'a');
      const foreign = 'ct_01234567890123456789012345678901234567890120000000';
      const messages = new Set<string>();
      for (const token of [other, foreign, 'ct_', 'x', claim_token.slice(3), ` ${claim_token}`]) {
        for (const reply of [await call.claim(token, newMailbox()), await call.complete(token, '000000')]) {
          t.is(said(reply), '401 invalid_claim_token');
          t.regex(reply.headers.get('www-authenticate') ?? '', /AgentAuth error="invalid_claim_token"/);
          messages.add(reply.body.error.message);
        }
      }
      t.is(messages.size, 1);
    });

    test('a completion before any code was asked for is told so', async (t) => {
      const { claim_token } = await on.register();
      t.is(said(await call.complete(claim_token, '000000')), '400 otp_not_generated');
    });

    test('a claim is over after 24 hours, its code after ten minutes', async (t) => {
      const agent = await pending(newMailbox());
      on.clock.advance(600);
      t.is(said(await call.complete(agent.claim_token, agent.otp)), '410 otp_expired');
      t.is(said(await call.complete(agent.claim_token, wrongCode(agent.otp))), '410 otp_expired');

      const mailbox = newMailbox();
      t.is(said(await call.claim(agent.claim_token, mailbox)), '200');
      const otp = await on.codeFor(mailbox);
      on.clock.advance(599);
      t.is(said(await call.complete(agent.claim_token, wrongCode(otp))), '401 otp_invalid');
      on.clock.advance(86_400 - 600 - 599);
      t.is(said(await call.claim(agent.claim_token, mailbox)), '410 claim_expired');
      t.is(said(await call.complete(agent.claim_token, otp)), '410 claim_expired');
    });

    test('five wrong guesses kill a code, counted down in the answers; the right one comes too late', async (t) => {
      const agent = await pending(newMailbox());
      for (const remaining of [4, 3, 2, 1, 0]) {
        const reply = await call.complete(agent.claim_token, wrongCode(agent.otp));
        t.is(said(reply), '401 otp_invalid');
        t.is(reply.body.error.attempts_remaining, remaining);
      }
      t.is(said(await call.complete(agent.claim_token, agent.otp)), '410 otp_expired');
      t.deepEqual(await scopesOf(agent.credential), ['read']);
    });

    test('a code that is not six digits in a string is refused without costing a try', async (t) => {
      const agent = await pending(newMailbox());
      const path = '/agent/auth/claim/complete';
      const { claim_token } = agent;
      const otps = [
        Number(agent.otp),
        '12345',
        '1234567',
        `${agent.otp}.`,
        '12345a',
        '',
        null,
        [agent.otp],
        '１２３４５',
      ];
      for (const otp of otps) {
        const reply = await on.post(path, { claim_token, otp });
        t.is(said(reply), '400 invalid_request');
        t.is(reply.body.error.field, 'otp');
      }
      const wrong = await call.complete(claim_token, wrongCode(agent.otp));
      t.is(wrong.body.error.attempts_remaining, 4);
    });

    test('a claimed agent is claimed once', async (t) => {
      const { claim_token } = await on.claimed(newMailbox());
      const mails = await countOf(on, 'outbox');
      for (const reply of [
        await call.claim(claim_token, newMailbox()),
        await call.complete(claim_token, '000000'),
      ]) {
        t.is(said(reply), '409 already_claimed');
        t.notRegex(reply.text, /sk_|ct_/);
      }
      t.is(await countOf(on, 'outbox'), mails);
    });

    test('a key that comes along with a claim token must be of the same agent (S-25)', async (t) => {
      const [mine, thief] = [await pending(newMailbox()), await on.register()];
      const stolen = { Authorization: `Bearer ${thief.credential}` };
      t.is(said(await call.claim(mine.claim_token, newMailbox(), stolen)), '401 invalid_claim_token');
      t.is(said(await call.complete(mine.claim_token, mine.otp, stolen)), '401 invalid_claim_token');
      const dead = { Authorization: 'Bearer sk_no' };
      t.is(said(await call.complete(mine.claim_token, mine.otp, dead)), '401 invalid_token');

      const asserted = (await call.assert(newMailbox())).body.data.claim_token;
      t.is(said(await call.claim(asserted, newMailbox(), stolen)), '401 invalid_claim_token');

      const own = { Authorization: `Bearer ${mine.credential}` };
      t.is(said(await call.complete(mine.claim_token, mine.otp, own)), '200');
    });
  });

  test.describe('codes', (test) => {
    test('a code proves the mailbox it was sent to and no other (S-10)', async (t) => {
      const [own, victim] = [newMailbox('own'), newMailbox('victim')];
      const agent = await pending(own);
      await call.claim(agent.claim_token, victim);
      t.is(said(await call.complete(agent.claim_token, agent.otp)), '401 otp_invalid');
      t.is(await humansAt(victim), 0);
    });

    test('a code is good for its own claim only (S-10)', async (t) => {
      const mailbox = newMailbox();
      const [one, other] = [await pending(mailbox), await pending(mailbox)];
      t.is(said(await call.complete(other.claim_token, one.otp)), '401 otp_invalid');
      t.is(said(await call.complete(one.claim_token, other.otp)), '401 otp_invalid');
    });

    test('a code for linking does not merge, nor the other way round (S-10)', async (t) => {
      for (const link of [false, true]) {
        const mailbox = newMailbox();
        const agent = await pending(mailbox, link);
        await call.claim(agent.claim_token, mailbox, {}, !link);
        t.is(said(await call.complete(agent.claim_token, agent.otp)), '401 otp_invalid');
      }
    });

    test('a new code ends the one before it, and guessing with that one costs a try (S-11)', async (t) => {
      const mailbox = newMailbox();
      const agent = await pending(mailbox);
      await call.claim(agent.claim_token, mailbox);
      const reply = await call.complete(agent.claim_token, agent.otp);
      t.is(said(reply), '401 otp_invalid');
      t.is(reply.body.error.attempts_remaining, 4);
      t.is(said(await call.complete(agent.claim_token, await on.codeFor(mailbox, 1))), '200');
    });

    test('codes are six digits without a pattern (S-01)', async (t) => {
      const mailboxes = Array.from({ length: 300 }, () => newMailbox('digits'));
      for (let start = 0; start < mailboxes.length; start += 20) {
        const replies = await Promise.all(mailboxes.slice(start, start + 20).map((to) => call.assert(to)));
        t.deepEqual(tally(replies), { 200: 20 });
      }
      const codes = await Promise.all(mailboxes.map((mailbox) => on.codeFor(mailbox)));
      for (const code of codes) t.regex(code, /^[0-9]{6}$/);
      t.true(codes.some((code) => code.startsWith('0')));
      t.true(new Set(codes).size > 295);
      const digits = codes.join('');
      let chiSquare = 0;
      for (let digit = 0; digit <= 9; digit += 1) {
        const expected = digits.length / 10;
        chiSquare += (digits.split(String(digit)).length - 1 - expected) ** 2 / expected;
      }
      // 9 degrees of freedom: beyond 45 with a probability of one in a million.
      t.true(chiSquare < 45, `chi-square ${chiSquare}`);
    });
  });

  test.describe('nothing passes for what it is not', (test) => {
    test('a secret is refused where another kind belongs, and is not used up by it (S-23)', async (t) => {
      const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
        url: 'https://api.example.com',
        name: 'API',
        scopes: undefined,
      });
      const agent = await pending(newMailbox());
      const { credential, claim_token, otp } = agent;
      for (const bearer of [claim_token, otp, secret, claim_token.replace('ct_', 'sk_')]) {
        t.is(said(await on.get('/api/me', bearer)), '401 invalid_token');
        const asked = await on.form('/oauth2/introspect', { token: bearer }, basic(server.id, secret));
        t.deepEqual(asked.body, { active: false });
        t.is((await on.form('/oauth2/revoke', { token: bearer })).status, 200);
      }
      for (const token of [credential, otp, secret, credential.replace('sk_', 'ct_')]) {
        t.is(said(await call.claim(token, newMailbox())), '401 invalid_claim_token');
        t.is(said(await call.complete(token, otp)), '401 invalid_claim_token');
      }
      for (const wrong of [credential, claim_token, otp]) {
        const asked = await on.form('/oauth2/introspect', { token: credential }, basic(server.id, wrong));
        t.is(asked.status, 401);
      }
      t.deepEqual(await scopesOf(credential), ['read']);
      t.is(said(await call.complete(claim_token, otp)), '200');
    });

    test('members that would set privilege have no effect anywhere (S-28)', async (t) => {
      const victim = await on.claimed(newMailbox('victim'));
      const privilege = {
        user_id: victim.user_id,
        userId: victim.user_id,
        account_id: victim.user_id,
        agent_id: victim.agent_id,
        owner: victim.user_id,
        parent_id: victim.user_id,
        verified: true,
        email_verified: true,
        claimed: true,
        role: 'admin',
        status: 'claimed',
      };
      const registered = await on.post('/agent/auth', { type: 'anonymous', ...privilege });
      t.is(registered.status, 200);
      const { credential, claim_token, user_id, agent_id, scopes } = registered.body.data;
      t.deepEqual(scopes, ['read']);
      t.not(user_id, victim.user_id);
      t.not(agent_id, victim.agent_id);
      const unclaimed = (await on.get('/api/me', credential)).body.data;
      t.deepEqual(unclaimed.scopes, ['read']);
      t.is(unclaimed.claim.status, 'unclaimed');
      t.is(unclaimed.owner, undefined);

      const mailbox = newMailbox();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox, link: true, ...privilege });
      t.deepEqual((await on.get('/api/me', credential)).body.data.scopes, ['read']);
      const otp = await on.codeFor(mailbox);
      const body = { claim_token, otp, ...privilege };
      const completed = (await on.post('/agent/auth/claim/complete', body)).body.data;
      t.deepEqual(completed.scopes, ['read', 'write']);
      t.is(completed.mode, 'link');
      t.is(completed.user_id, user_id);
    });
  });
});
