import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { revokeAgent } from '../src/domain/agents/end-agent.ts';
import { addResourceServer } from '../src/domain/audiences/resource-servers.ts';
import { localAsker } from '../src/domain/audit/audit-log.ts';
import { ceremony, codeOf, countOf, from, said, tally } from './helpers/ceremony.ts';
import {
  basic,
  onEveryEngine,
  type Reply,
  startTestService,
  type TestService,
  wrongCode,
} from './helpers/service.ts';

onEveryEngine('claims', (engine) => {
  let on: TestService;
  let call: ReturnType<typeof ceremony>;
  before(async () => {
    on = await startTestService(engine, { env: { TRUST_PROXY: '1' } });
    call = ceremony(on);
  });
  after(() => on.stop());

  let made = 0;
  const newMailbox = (name = 'human') => `${name}${++made}@example.com`;
  const newKey = () => `key-${++made}`;

  /** An agent whose human has a code. */
  async function pending(mailbox: string, link = false) {
    const agent = await on.register();
    const seen = on.mails.filter((mail) => mail.to === mailbox).length;
    assert.equal(said(await call.claim(agent.claim_token, mailbox, {}, link)), '200');
    return { ...agent, otp: await on.codeFor(mailbox, seen) };
  }

  /** The scopes of a key that works, without the key noticing. */
  async function scopesOf(key: string): Promise<string[] | 'dead'> {
    const me = await on.get('/api/me', key);
    return me.status === 401 ? 'dead' : me.body.data.scopes;
  }

  const account = (id: string) =>
    on.service.deps.db.get<Record<string, unknown>>(
      `SELECT kind, mailbox, parent_id AS "parentId", merged_into AS "mergedInto", ended_at AS "endedAt"
       FROM accounts WHERE id = ?`,
      [id],
    );
  const humansAt = (mailbox: string) => countOf(on, 'accounts WHERE mailbox = ?', [mailbox]);

  describe('what a claim does to accounts', () => {
    test("merging moves the agent into the owner's account; its own account ends and points there", async () => {
      const mailbox = newMailbox();
      const agent = await pending(mailbox);
      const { data } = (await call.complete(agent.claim_token, agent.otp)).body;
      assert.equal(data.mode, 'merge');
      assert.equal(data.agent_id, agent.agent_id);
      assert.notEqual(data.user_id, agent.user_id);
      assert.deepEqual(await account(data.user_id), {
        kind: 'human',
        mailbox,
        parentId: null,
        mergedInto: null,
        endedAt: null,
      });
      assert.deepEqual(await account(agent.user_id), {
        kind: 'agent',
        mailbox: null,
        parentId: null,
        mergedInto: data.user_id,
        endedAt: on.clock(),
      });
      const me = (await on.get('/api/me', data.credential)).body.data;
      assert.equal(me.user_id, data.user_id);
      assert.equal(me.merged_from, agent.user_id);
    });

    test('all agents merged by one mailbox, however it is written, work in one account', async () => {
      const mailbox = newMailbox();
      const first = await on.claimed(mailbox);
      const second = await on.register();
      const seen = on.mails.length;
      await call.claim(second.claim_token, mailbox.toUpperCase());
      const otp = await on.codeFor(mailbox, on.mails.slice(0, seen).filter((m) => m.to === mailbox).length);
      const { data } = (await call.complete(second.claim_token, otp)).body;
      assert.equal(data.user_id, first.user_id);
      assert.notEqual(data.agent_id, first.agent_id);
      assert.equal(await humansAt(mailbox), 1);
    });

    test("linking keeps the agent's account and puts it below the owner's", async () => {
      const mailbox = newMailbox();
      const merged = await on.claimed(mailbox);
      const agent = await pending(mailbox, true);
      const { data } = (await call.complete(agent.claim_token, agent.otp)).body;
      assert.equal(data.mode, 'link');
      assert.equal(data.user_id, agent.user_id);
      assert.deepEqual(await account(agent.user_id), {
        kind: 'agent',
        mailbox: null,
        parentId: merged.user_id,
        mergedInto: null,
        endedAt: null,
      });
      const me = (await on.get('/api/me', data.credential)).body.data;
      assert.equal(me.merged_from, undefined);
      assert.match(me.owner, /\*\*\*@example\.com$/);
    });

    test('an agent that named its mailbox starts in the account of its owner, or linked in one of its own', async () => {
      const mailbox = newMailbox();
      const users = [];
      for (const link of [false, true]) {
        const { claim_token } = (await call.assert(mailbox, {}, { link })).body.data;
        const otp = await codeOf(on, claim_token);
        users.push((await call.complete(claim_token, otp)).body.data.user_id);
      }
      const owner = await on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM accounts WHERE mailbox = ?',
        [mailbox],
      );
      assert.equal(users[0], owner!.id);
      assert.equal((await account(users[1]))!.parentId, owner!.id);
    });

    test('a claim that is not finished creates nothing and gives nothing (S-34)', async () => {
      const mailbox = newMailbox('victim');
      const agent = await on.register();
      const before = await Promise.all(
        ['accounts', 'agents', 'credentials'].map((name) => countOf(on, name)),
      );
      await call.claim(agent.claim_token, mailbox);
      await call.claim(agent.claim_token, mailbox, {}, true);
      const asserted = (await call.assert(mailbox)).body.data;
      const right = await codeOf(on, asserted.claim_token);
      assert.equal(said(await call.complete(asserted.claim_token, wrongCode(right))), '401 otp_invalid');
      const after = await Promise.all(['accounts', 'agents', 'credentials'].map((name) => countOf(on, name)));
      assert.deepEqual(after, before);
      assert.deepEqual(await scopesOf(agent.credential), ['read']);

      // Later the owner of the mailbox comes: nothing of the stranger's is there.
      const owner = await on.claimed(mailbox);
      assert.equal(await countOf(on, 'agents WHERE account_id = ?', [owner.user_id]), 1);
      assert.equal((await account(agent.user_id))!.parentId, null);
    });

    test('whoever completes a claim on a mailbox ends all others that wait there (S-35)', async () => {
      const mailbox = newMailbox();
      const strangers = [await pending(mailbox), await pending(mailbox, true)];
      const asserted = (await call.assert(mailbox)).body.data.claim_token;
      const elsewhere = await pending(newMailbox());
      const owner = await pending(mailbox);
      assert.equal(said(await call.complete(owner.claim_token, owner.otp)), '200');
      for (const { claim_token, otp } of strangers) {
        assert.equal(said(await call.complete(claim_token, otp)), '410 claim_superseded');
        assert.equal(said(await call.claim(claim_token, newMailbox())), '410 claim_superseded');
      }
      assert.equal(said(await call.complete(asserted, '000000')), '410 claim_superseded');
      assert.equal(said(await call.complete(elsewhere.claim_token, elsewhere.otp)), '200');
    });
  });

  describe('keys around a claim', () => {
    test('the new key writes; the old one never does, and ends at the first use of the new one', async () => {
      const { old, credential } = await on.claimed(newMailbox());
      assert.deepEqual(await scopesOf(old), ['read']);
      assert.deepEqual(await scopesOf(credential), ['read', 'write']);
      assert.equal(await scopesOf(old), 'dead');
    });

    test('the old key ends ten minutes after the claim, also when the new one is never used', async () => {
      const { old, credential } = await on.claimed(newMailbox());
      on.clock.advance(599);
      assert.deepEqual(await scopesOf(old), ['read']);
      on.clock.advance(1);
      assert.equal(await scopesOf(old), 'dead');
      assert.deepEqual(await scopesOf(credential), ['read', 'write']);
    });

    test('the key from before a claim manages no keys after it, so it cannot outlive itself (S-26, S-27)', async () => {
      for (const link of [false, true]) {
        const { old } = await on.claimed(newMailbox(), link);
        const headers = { Authorization: `Bearer ${old}` };
        const created = await on.post('/api/tokens', { name: 'heir', scope: 'read' }, headers);
        assert.equal(said(created), '403 insufficient_scope', `link: ${link}`);
        assert.equal(said(await on.get('/api/tokens', old)), '403 insufficient_scope', `link: ${link}`);
      }
    });

    test('an agent that is revoked loses its keys and its claim', async () => {
      const { deps } = on.service;
      const agent = await pending(newMailbox());
      assert.equal(await revokeAgent(deps, localAsker('test'), agent.agent_id), true);
      assert.equal(await scopesOf(agent.credential), 'dead');
      assert.equal(said(await call.complete(agent.claim_token, agent.otp)), '410 claim_expired');
      assert.equal(said(await call.claim(agent.claim_token, newMailbox())), '410 claim_expired');

      const claimed = await on.claimed(newMailbox());
      await revokeAgent(deps, localAsker('test'), claimed.agent_id);
      assert.equal(await scopesOf(claimed.credential), 'dead');
      assert.equal(await scopesOf(claimed.old), 'dead');
    });
  });

  describe('requests that are repeated', () => {
    const idempotent = (key: string, address = '198.51.100.1') => ({
      'Idempotency-Key': key,
      ...from(address),
    });
    const registrations = () => countOf(on, 'registrations');

    test('a registration repeated with its Idempotency-Key is the same one, letter for letter', async () => {
      const key = newKey();
      const before = await registrations();
      const first = await call.register(idempotent(key));
      const again = await call.register(idempotent(key));
      assert.equal(again.status, 200);
      assert.equal(again.text, first.text);
      assert.equal(await registrations(), before + 1);
    });

    test('a registration with a mailbox, repeated, mails one code', async () => {
      const key = newKey();
      const mailbox = newMailbox();
      const first = await call.assert(mailbox, idempotent(key));
      const again = await call.assert(mailbox, idempotent(key));
      assert.equal(again.text, first.text);
      assert.equal(await countOf(on, 'outbox WHERE mailbox = ?', [mailbox]), 1);
    });

    test('the same Idempotency-Key with another body is refused, and changes nothing', async () => {
      const key = newKey();
      const first = await call.register(idempotent(key));
      const before = await registrations();
      const other = await on.post('/agent/auth', { type: 'anonymous', agent_name: 'Other' }, idempotent(key));
      assert.equal(said(other), '422 idempotency_mismatch');
      assert.equal(await registrations(), before);
      assert.equal((await call.register(idempotent(key))).text, first.text);
    });

    test('the same Idempotency-Key from another address is another request; one /64 is one address', async () => {
      const key = newKey();
      const first = await call.register(idempotent(key, '2001:db8:7:7::1'));
      const near = await call.register(idempotent(key, '2001:db8:7:7:ffff::2'));
      const far = await call.register(idempotent(key, '2001:db8:7:8::1'));
      assert.equal(near.text, first.text);
      assert.equal(far.status, 200);
      assert.notEqual(far.body.data.agent_id, first.body.data.agent_id);
    });

    test('the answer to a registration can be asked for again for 24 hours', async () => {
      const key = newKey();
      const first = await call.register(idempotent(key));
      on.clock.advance(86_399);
      assert.equal((await call.register(idempotent(key))).text, first.text);
      on.clock.advance(1);
      const anew = await call.register(idempotent(key));
      assert.equal(anew.status, 200);
      assert.notEqual(anew.body.data.agent_id, first.body.data.agent_id);
    });

    test('a completion repeated with its Idempotency-Key gives the same key again, for ten minutes', async () => {
      const agent = await pending(newMailbox());
      const key = newKey();
      const complete = () => call.complete(agent.claim_token, agent.otp, idempotent(key));
      const first = await complete();
      assert.equal(first.status, 200);
      assert.equal((await complete()).text, first.text);
      on.clock.advance(599);
      assert.equal((await complete()).text, first.text);
      on.clock.advance(1);
      const late = await complete();
      assert.equal(said(late), '409 already_claimed');
      assert.doesNotMatch(late.text, /sk_/);
    });

    test('a completion repeated without the header, or under another one, is refused and tells no secret', async () => {
      const agent = await pending(newMailbox());
      const first = await call.complete(agent.claim_token, agent.otp, idempotent(newKey()));
      for (const headers of [{}, idempotent(newKey())]) {
        const again = await call.complete(agent.claim_token, agent.otp, headers);
        assert.equal(said(again), '409 already_claimed');
        assert.ok(!again.text.includes(first.body.data.credential));
        assert.doesNotMatch(again.text, /sk_|ct_/);
      }
    });

    test('the Idempotency-Key of a completion belongs to its claim token', async () => {
      const key = newKey();
      const [mine, other] = [await pending(newMailbox()), await pending(newMailbox())];
      const first = await call.complete(mine.claim_token, mine.otp, idempotent(key));
      const second = await call.complete(other.claim_token, other.otp, idempotent(key));
      assert.equal(second.status, 200);
      assert.equal(second.body.data.agent_id, other.agent_id);
      assert.notEqual(second.body.data.credential, first.body.data.credential);
    });

    test('a completion that failed can be repeated under its Idempotency-Key, with another code', async () => {
      const agent = await pending(newMailbox());
      const headers = idempotent(newKey());
      const wrong = wrongCode(agent.otp);
      assert.equal(said(await call.complete(agent.claim_token, wrong, headers)), '401 otp_invalid');
      assert.equal(said(await call.complete(agent.claim_token, wrong, headers)), '401 otp_invalid');
      assert.equal(said(await call.complete(agent.claim_token, agent.otp, headers)), '200');
      const mismatch = await call.complete(agent.claim_token, wrong, headers);
      assert.equal(said(mismatch), '422 idempotency_mismatch');
    });

    test('of one request sent twenty times at once, one is done and none gets another answer', async () => {
      const headers = idempotent(newKey());
      const before = await registrations();
      const replies = await Promise.all(Array.from({ length: 20 }, () => call.register(headers)));
      assertOneAnswer(replies);
      assert.equal(await registrations(), before + 1);

      const agent = await pending(newMailbox());
      const completions = await Promise.all(
        Array.from({ length: 20 }, () => call.complete(agent.claim_token, agent.otp, headers)),
      );
      assertOneAnswer(completions);
      assert.equal(await countOf(on, 'credentials WHERE agent_id = ?', [agent.agent_id]), 2);
    });

    function assertOneAnswer(replies: readonly Reply[]): void {
      const { '200': given = 0, '409 in_progress': waiting = 0, ...others } = tally(replies);
      assert.deepEqual(others, {});
      assert.ok(given >= 1);
      assert.equal(given + waiting, replies.length);
      assert.equal(new Set(replies.filter(({ status }) => status === 200).map(({ text }) => text)).size, 1);
      for (const { headers } of replies.filter(({ status }) => status === 409)) {
        assert.equal(headers.get('retry-after'), '1');
      }
    }

    test('what is kept for a repetition cannot be read in the database', async () => {
      const key = newKey();
      const { credential, claim_token } = (await call.register(idempotent(key))).body.data;
      const rows = await on.service.deps.db.all<{ sealed: Uint8Array | null }>(
        'SELECT sealed FROM idempotency',
      );
      const all = rows.map(({ sealed }) => Buffer.from(sealed ?? []).toString('latin1')).join('\n');
      assert.ok(all.length > 0);
      for (const secret of [credential, claim_token, key]) assert.ok(!all.includes(secret));
    });

    test('an Idempotency-Key that is none is refused', async () => {
      for (const key of ['x'.repeat(256), 'with space', 'umlaut-\u00e4']) {
        assert.equal(said(await call.register({ 'Idempotency-Key': key })), '400 invalid_request');
      }
    });
  });

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
      const { server, secret } = await addResourceServer(on.service.deps, localAsker('test'), {
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

  describe('mailboxes', () => {
    test('what is not a plain address gets no mail (S-42)', async () => {
      const { claim_token } = await on.register();
      const mails = await countOf(on, 'outbox');
      for (const email of [...HOSTILE, ...WITH_CONTROLS]) {
        const refusal = HOSTILE.includes(email) ? '400 invalid_email' : '400 invalid_request';
        for (const reply of [await call.claim(claim_token, email), await call.assert(email)]) {
          assert.equal(said(reply), refusal, JSON.stringify(email));
        }
      }
      assert.ok(HOSTILE.length >= 30);
      assert.equal(await countOf(on, 'outbox'), mails);
    });

    test('a letter that only looks or folds like another does not stand for it (S-40)', async () => {
      const victim = await on.claimed('admin@admin.example');
      const lookalikes = ['adm\u0131n@admin.example', 'admin@adm\u0131n.example', 'ADM\u0130N@admin.example'];
      for (const email of lookalikes) {
        const agent = await on.register();
        const reply = await call.claim(agent.claim_token, email);
        if (reply.status !== 200) {
          assert.equal(said(reply), '400 invalid_email');
          continue;
        }
        const otp = await codeOf(on, agent.claim_token);
        const { data } = (await call.complete(agent.claim_token, otp)).body;
        assert.notEqual(data.user_id, victim.user_id);
      }
      assert.equal(on.mails.filter((mail) => mail.to === 'admin@admin.example').length, 1);
    });

    test('mailboxes with different +tags or dots are different owners (S-41)', async () => {
      const users = new Set<string>();
      for (const mailbox of [
        'v@tags.example',
        'v+1@tags.example',
        'v+2@tags.example',
        'a.b@gmail.com',
        'ab@gmail.com',
      ]) {
        users.add((await on.claimed(mailbox)).user_id);
      }
      assert.equal(users.size, 5);
    });
  });

  test('the answers to a claim do not tell what the mailbox is (S-44)', async () => {
    const known = newMailbox('k');
    const linked = newMailbox('k');
    const waiting = newMailbox('k');
    const unknown = newMailbox('k');
    await on.claimed(known);
    await on.claimed(linked, true);
    await pending(waiting);
    assert.equal(new Set([known, linked, waiting, unknown].map(({ length }) => length)).size, 1);

    const seen = { claim: new Set<string>(), assert: new Set<string>() };
    let host = 0;
    for (const mailbox of [known, linked, waiting, unknown]) {
      const { claim_token } = await on.register();
      const address = from(`203.0.113.${++host}`);
      seen.claim.add(withoutIds(await call.claim(claim_token, mailbox, address), mailbox));
      seen.assert.add(withoutIds(await call.assert(mailbox, address), mailbox));
    }
    assert.equal(seen.claim.size, 1, [...seen.claim].join('\n'));
    assert.equal(seen.assert.size, 1, [...seen.assert].join('\n'));

    function withoutIds(reply: Reply, mailbox: string): string {
      const { 'x-request-id': _id, date: _date, ...headers } = Object.fromEntries(reply.headers);
      const text = reply.text
        .replaceAll(mailbox, 'MAILBOX')
        .replace(/ct_[0-9A-Za-z]+/, 'CT')
        .replace(/\/claim\?t=v\.reg_[0-9a-z]+(\.\w+)?\.[\w-]+"/i, '/claim?t=LINK"');
      return JSON.stringify([reply.status, headers, reply.text.length, text]);
    }
  });
});

onEveryEngine('claims where merging into an account needs its owner', (engine) => {
  let on: TestService;
  let call: ReturnType<typeof ceremony>;
  before(async () => {
    on = await startTestService(engine, { env: { CLAIM_EXISTING_ACCOUNT: 'confirm' } });
    call = ceremony(on);
  });
  after(() => on.stop());

  test('a code alone opens new accounts and links, but does not merge into an existing one (S-16)', async () => {
    const mailbox = 'owner@example.com';
    const first = await on.claimed(mailbox);
    assert.match(first.credential, /^sk_/);
    const linked = await on.claimed(mailbox, true);
    assert.match(linked.credential, /^sk_/);

    const agent = await on.register();
    assert.equal(said(await call.claim(agent.claim_token, mailbox)), '200');
    const otp = await codeOf(on, agent.claim_token);
    const refused = await call.complete(agent.claim_token, otp);
    assert.equal(said(refused), '401 interaction_required');
    assert.match(refused.headers.get('www-authenticate') ?? '', /AgentAuth error="interaction_required"/);
    assert.equal(await countOf(on, 'agents WHERE account_id = ?', [first.user_id]), 1);
    assert.deepEqual((await on.get('/api/me', agent.credential)).body.data.scopes, ['read']);

    assert.equal(said(await call.claim(agent.claim_token, mailbox, {}, true)), '200');
    assert.equal(said(await call.complete(agent.claim_token, await codeOf(on, agent.claim_token))), '200');
  });

  test('the same holds for an agent that named the mailbox itself', async () => {
    const mailbox = 'other@example.com';
    const fresh = (await call.assert(mailbox)).body.data.claim_token;
    assert.equal(said(await call.complete(fresh, await codeOf(on, fresh))), '200');
    const second = await call.assert(mailbox);
    assert.equal(said(second), '200');
    const { claim_token } = second.body.data;
    assert.equal(
      said(await call.complete(claim_token, await codeOf(on, claim_token))),
      '401 interaction_required',
    );
  });
});

const HOSTILE = [
  '',
  'human',
  '@example.com',
  'human@',
  'human@localhost',
  'a@b@example.com',
  'a@example.com,b@example.com',
  'a@example.com;b@example.com',
  'a@example.com b@example.com',
  'Human <a@example.com>',
  '<a@example.com>',
  '"a b"@example.com',
  '"a@evil.example"@example.com',
  'a(comment)@example.com',
  'a@example.com (comment)',
  'group:a@example.com;',
  'a@[192.0.2.1]',
  'a@[IPv6:2001:db8::1]',
  'a@192.0.2.1',
  'a@0x7f.1',
  '.a@example.com',
  'a.@example.com',
  'a..b@example.com',
  'a@.example.com',
  'a@example..com',
  'a@-example.com',
  'a@exa_mple.com',
  'a@example.com?cc=b@example.com',
  'a@exam%70le.com',
  'mailto:a@example.com/',
  'adm\u0131n@example.com',
  '\uff41@example.com',
  'a@\uff45xample.com',
  'a@\u212aelvin.com',
  'a\u202e@example.com',
  'a@exa\u200bmple.com',
  `${'a'.repeat(65)}@example.com`,
  `a@${'b'.repeat(64)}.com`,
];

/** Control characters are refused in every text of a body, before it is known to be an address. */
const WITH_CONTROLS = [
  'a@example.com\r\nBcc: b@example.com',
  'a\r\nTo: b@example.com',
  'a@example.com\u0000',
  'a\u0000@example.com',
  'a@exam\nple.com',
];
