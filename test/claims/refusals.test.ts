import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/domain/audit/audit-log.ts';
import { ceremony, countOf, said, tally } from '../helpers/ceremony.ts';
import { claimSteps } from '../helpers/claim-steps.ts';
import { basic, onEveryEngine, startTestService, type TestService, wrongCode } from '../helpers/service.ts';

onEveryEngine('claims: what is refused', (engine) => {
  let on: TestService;
  let call: ReturnType<typeof ceremony>;
  before(async () => {
    on = await startTestService(engine, { env: { TRUST_PROXY: '1' } });
    call = ceremony(on);
  });
  after(() => on.stop());

  let made = 0;
  const newMailbox = (name = 'human') => `${name}${++made}@example.com`;

  const { pending, scopesOf, humansAt } = claimSteps(() => ({ on, call }));

  describe('what is refused, and how', () => {
    test('a claim token that is unknown, mistyped or malformed gets one answer', async () => {
      const { claim_token } = await on.register();
      const other = claim_token.slice(0, -1) + (claim_token.endsWith('a') ? 'b' : 'a');
      const foreign = 'ct_01234567890123456789012345678901234567890120000000';
      const messages = new Set<string>();
      for (const token of [other, foreign, 'ct_', 'x', claim_token.slice(3), ` ${claim_token}`]) {
        for (const reply of [await call.claim(token, newMailbox()), await call.complete(token, '000000')]) {
          assert.equal(said(reply), '401 invalid_claim_token');
          assert.match(reply.headers.get('www-authenticate') ?? '', /AgentAuth error="invalid_claim_token"/);
          messages.add(reply.body.error.message);
        }
      }
      assert.equal(messages.size, 1);
    });

    test('a completion before any code was asked for is told so', async () => {
      const { claim_token } = await on.register();
      assert.equal(said(await call.complete(claim_token, '000000')), '400 otp_not_generated');
    });

    test('a claim is over after 24 hours, its code after ten minutes', async () => {
      const agent = await pending(newMailbox());
      on.clock.advance(600);
      assert.equal(said(await call.complete(agent.claim_token, agent.otp)), '410 otp_expired');
      assert.equal(said(await call.complete(agent.claim_token, wrongCode(agent.otp))), '410 otp_expired');

      const mailbox = newMailbox();
      assert.equal(said(await call.claim(agent.claim_token, mailbox)), '200');
      const otp = await on.codeFor(mailbox);
      on.clock.advance(599);
      assert.equal(said(await call.complete(agent.claim_token, wrongCode(otp))), '401 otp_invalid');
      on.clock.advance(86_400 - 600 - 599);
      assert.equal(said(await call.claim(agent.claim_token, mailbox)), '410 claim_expired');
      assert.equal(said(await call.complete(agent.claim_token, otp)), '410 claim_expired');
    });

    test('five wrong guesses kill a code, counted down in the answers; the right one comes too late', async () => {
      const agent = await pending(newMailbox());
      for (const remaining of [4, 3, 2, 1, 0]) {
        const reply = await call.complete(agent.claim_token, wrongCode(agent.otp));
        assert.equal(said(reply), '401 otp_invalid');
        assert.equal(reply.body.error.attempts_remaining, remaining);
      }
      assert.equal(said(await call.complete(agent.claim_token, agent.otp)), '410 otp_expired');
      assert.deepEqual(await scopesOf(agent.credential), ['read']);
    });

    test('a code that is not six digits in a string is refused without costing a try', async () => {
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
        assert.equal(said(reply), '400 invalid_request');
        assert.equal(reply.body.error.field, 'otp');
      }
      const wrong = await call.complete(claim_token, wrongCode(agent.otp));
      assert.equal(wrong.body.error.attempts_remaining, 4);
    });

    test('a claimed agent is claimed once', async () => {
      const { claim_token } = await on.claimed(newMailbox());
      const mails = await countOf(on, 'outbox');
      for (const reply of [
        await call.claim(claim_token, newMailbox()),
        await call.complete(claim_token, '000000'),
      ]) {
        assert.equal(said(reply), '409 already_claimed');
        assert.doesNotMatch(reply.text, /sk_|ct_/);
      }
      assert.equal(await countOf(on, 'outbox'), mails);
    });

    test('a key that comes along with a claim token must be of the same agent (S-25)', async () => {
      const [mine, thief] = [await pending(newMailbox()), await on.register()];
      const stolen = { Authorization: `Bearer ${thief.credential}` };
      assert.equal(said(await call.claim(mine.claim_token, newMailbox(), stolen)), '401 invalid_claim_token');
      assert.equal(said(await call.complete(mine.claim_token, mine.otp, stolen)), '401 invalid_claim_token');
      const dead = { Authorization: 'Bearer sk_no' };
      assert.equal(said(await call.complete(mine.claim_token, mine.otp, dead)), '401 invalid_token');

      const asserted = (await call.assert(newMailbox())).body.data.claim_token;
      assert.equal(said(await call.claim(asserted, newMailbox(), stolen)), '401 invalid_claim_token');

      const own = { Authorization: `Bearer ${mine.credential}` };
      assert.equal(said(await call.complete(mine.claim_token, mine.otp, own)), '200');
    });
  });

  describe('codes', () => {
    test('a code proves the mailbox it was sent to and no other (S-10)', async () => {
      const [own, victim] = [newMailbox('own'), newMailbox('victim')];
      const agent = await pending(own);
      await call.claim(agent.claim_token, victim);
      assert.equal(said(await call.complete(agent.claim_token, agent.otp)), '401 otp_invalid');
      assert.equal(await humansAt(victim), 0);
    });

    test('a code is good for its own claim only (S-10)', async () => {
      const mailbox = newMailbox();
      const [one, other] = [await pending(mailbox), await pending(mailbox)];
      assert.equal(said(await call.complete(other.claim_token, one.otp)), '401 otp_invalid');
      assert.equal(said(await call.complete(one.claim_token, other.otp)), '401 otp_invalid');
    });

    test('a code for linking does not merge, nor the other way round (S-10)', async () => {
      for (const link of [false, true]) {
        const mailbox = newMailbox();
        const agent = await pending(mailbox, link);
        await call.claim(agent.claim_token, mailbox, {}, !link);
        assert.equal(said(await call.complete(agent.claim_token, agent.otp)), '401 otp_invalid');
      }
    });

    test('a new code ends the one before it, and guessing with that one costs a try (S-11)', async () => {
      const mailbox = newMailbox();
      const agent = await pending(mailbox);
      await call.claim(agent.claim_token, mailbox);
      const reply = await call.complete(agent.claim_token, agent.otp);
      assert.equal(said(reply), '401 otp_invalid');
      assert.equal(reply.body.error.attempts_remaining, 4);
      assert.equal(said(await call.complete(agent.claim_token, await on.codeFor(mailbox, 1))), '200');
    });

    test('codes are six digits without a pattern (S-01)', async () => {
      const mailboxes = Array.from({ length: 300 }, () => newMailbox('digits'));
      for (let start = 0; start < mailboxes.length; start += 20) {
        const replies = await Promise.all(mailboxes.slice(start, start + 20).map((to) => call.assert(to)));
        assert.deepEqual(tally(replies), { 200: 20 });
      }
      const codes = await Promise.all(mailboxes.map((mailbox) => on.codeFor(mailbox)));
      for (const code of codes) assert.match(code, /^[0-9]{6}$/);
      assert.ok(codes.some((code) => code.startsWith('0')));
      assert.ok(new Set(codes).size > 295);
      const digits = codes.join('');
      let chiSquare = 0;
      for (let digit = 0; digit <= 9; digit += 1) {
        const expected = digits.length / 10;
        chiSquare += (digits.split(String(digit)).length - 1 - expected) ** 2 / expected;
      }
      // 9 degrees of freedom: beyond 45 with a probability of one in a million.
      assert.ok(chiSquare < 45, `chi-square ${chiSquare}`);
    });
  });

  describe('nothing passes for what it is not', () => {
    test('a secret is refused where another kind belongs, and is not used up by it (S-23)', async () => {
      const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
        url: 'https://api.example.com',
        name: 'API',
        scopes: undefined,
      });
      const agent = await pending(newMailbox());
      const { credential, claim_token, otp } = agent;
      for (const bearer of [claim_token, otp, secret, claim_token.replace('ct_', 'sk_')]) {
        assert.equal(said(await on.get('/api/me', bearer)), '401 invalid_token');
        const asked = await on.form('/oauth2/introspect', { token: bearer }, basic(server.id, secret));
        assert.deepEqual(asked.body, { active: false });
        assert.equal((await on.form('/oauth2/revoke', { token: bearer })).status, 200);
      }
      for (const token of [credential, otp, secret, credential.replace('sk_', 'ct_')]) {
        assert.equal(said(await call.claim(token, newMailbox())), '401 invalid_claim_token');
        assert.equal(said(await call.complete(token, otp)), '401 invalid_claim_token');
      }
      for (const wrong of [credential, claim_token, otp]) {
        const asked = await on.form('/oauth2/introspect', { token: credential }, basic(server.id, wrong));
        assert.equal(asked.status, 401);
      }
      assert.deepEqual(await scopesOf(credential), ['read']);
      assert.equal(said(await call.complete(claim_token, otp)), '200');
    });

    test('members that would set privilege have no effect anywhere (S-28)', async () => {
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
      assert.equal(registered.status, 200);
      const { credential, claim_token, user_id, agent_id, scopes } = registered.body.data;
      assert.deepEqual(scopes, ['read']);
      assert.notEqual(user_id, victim.user_id);
      assert.notEqual(agent_id, victim.agent_id);
      const unclaimed = (await on.get('/api/me', credential)).body.data;
      assert.deepEqual(unclaimed.scopes, ['read']);
      assert.equal(unclaimed.claim.status, 'unclaimed');
      assert.equal(unclaimed.owner, undefined);

      const mailbox = newMailbox();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox, link: true, ...privilege });
      assert.deepEqual((await on.get('/api/me', credential)).body.data.scopes, ['read']);
      const otp = await on.codeFor(mailbox);
      const body = { claim_token, otp, ...privilege };
      const completed = (await on.post('/agent/auth/claim/complete', body)).body.data;
      assert.deepEqual(completed.scopes, ['read', 'write']);
      assert.equal(completed.mode, 'link');
      assert.equal(completed.user_id, user_id);
    });
  });
});
