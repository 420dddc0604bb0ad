import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ceremony, countOf, from, said, tally } from '../helpers/ceremony.ts';
import { claimSteps } from '../helpers/claim-steps.ts';
import {
  onEveryEngine,
  type Reply,
  startTestService,
  type TestService,
  wrongCode,
} from '../helpers/service.ts';

onEveryEngine('claims: requests that are repeated', (engine) => {
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

  const { pending } = claimSteps(() => ({ on, call }));

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
});
