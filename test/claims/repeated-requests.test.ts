import type { ExecutionContext } from 'ava';
import { ceremony, countOf, from, said, tally } from '../helpers/ceremony.ts';
import { claimSteps } from '../helpers/claim-steps.ts';
import { type Reply, startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('claims: requests that are repeated', (engine, test) => {
  let on: TestService;
  let call: ReturnType<typeof ceremony>;
  test.before(async () => {
    on = await startTestService(engine, { env: { TRUST_PROXY: '1' } });
    call = ceremony(on);
  });
  test.after(() => on.stop());

  let made = 0;
  const newMailbox = (name = 'human') => `${name}${++made}@example.com`;
  const newKey = () => `key-${++made}`;

  const { pending } = claimSteps(() => ({ on, call }));

  test.describe('requests that are repeated', (test) => {
    const idempotent = (key: string, address = '198.51.100.1') => ({
      'Idempotency-Key': key,
      ...from(address),
    });
    const registrations = () => countOf(on, 'registrations');

    test('a registration repeated with its Idempotency-Key is the same one, letter for letter', async (t) => {
      const key = newKey();
      const before = await registrations();
      const first = await call.register(idempotent(key));
      const again = await call.register(idempotent(key));
      t.is(again.status, 200);
      t.is(again.text, first.text);
      t.is(await registrations(), before + 1);
    });

    test('a registration with a mailbox, repeated, mails one code', async (t) => {
      const key = newKey();
      const mailbox = newMailbox();
      const first = await call.assert(mailbox, idempotent(key));
      const again = await call.assert(mailbox, idempotent(key));
      t.is(again.text, first.text);
      t.is(await countOf(on, 'outbox WHERE mailbox = ?', [mailbox]), 1);
    });

    test('the same Idempotency-Key with another body is refused, and changes nothing', async (t) => {
      const key = newKey();
      const first = await call.register(idempotent(key));
      const before = await registrations();
      const other = await on.post('/agent/auth', { type: 'anonymous', agent_name: 'Other' }, idempotent(key));
      t.is(said(other), '422 idempotency_mismatch');
      t.is(await registrations(), before);
      t.is((await call.register(idempotent(key))).text, first.text);
    });

    test('the same Idempotency-Key from another address is another request; one /64 is one address', async (t) => {
      const key = newKey();
      const first = await call.register(idempotent(key, '2001:db8:7:7::1'));
      const near = await call.register(idempotent(key, '2001:db8:7:7:ffff::2'));
      const far = await call.register(idempotent(key, '2001:db8:7:8::1'));
      t.is(near.text, first.text);
      t.is(far.status, 200);
      t.not(far.body.data.agent_id, first.body.data.agent_id);
    });

    test('the answer to a registration can be asked for again for 24 hours', async (t) => {
      const key = newKey();
      const first = await call.register(idempotent(key));
      on.clock.advance(86_399);
      t.is((await call.register(idempotent(key))).text, first.text);
      on.clock.advance(1);
      const anew = await call.register(idempotent(key));
      t.is(anew.status, 200);
      t.not(anew.body.data.agent_id, first.body.data.agent_id);
    });

    test('a completion repeated with its Idempotency-Key gives the same key again, for ten minutes', async (t) => {
      const agent = await pending(newMailbox());
      const key = newKey();
      const complete = () => call.complete(agent.claim_token, agent.otp, idempotent(key));
      const first = await complete();
      t.is(first.status, 200);
      t.is((await complete()).text, first.text);
      on.clock.advance(599);
      t.is((await complete()).text, first.text);
      on.clock.advance(1);
      const late = await complete();
      t.is(said(late), '409 already_claimed');
      t.notRegex(late.text, /sk_/);
    });

    test('a completion repeated without the header, or under another one, is refused and tells no secret', async (t) => {
      const agent = await pending(newMailbox());
      const first = await call.complete(agent.claim_token, agent.otp, idempotent(newKey()));
      for (const headers of [{}, idempotent(newKey())]) {
        const again = await call.complete(agent.claim_token, agent.otp, headers);
        t.is(said(again), '409 already_claimed');
        t.false(again.text.includes(first.body.data.credential));
        t.notRegex(again.text, /sk_|ct_/);
      }
    });

    test('the Idempotency-Key of a completion belongs to its claim token', async (t) => {
      const key = newKey();
      const [mine, other] = [await pending(newMailbox()), await pending(newMailbox())];
      const first = await call.complete(mine.claim_token, mine.otp, idempotent(key));
      const second = await call.complete(other.claim_token, other.otp, idempotent(key));
      t.is(second.status, 200);
      t.is(second.body.data.agent_id, other.agent_id);
      t.not(second.body.data.credential, first.body.data.credential);
    });

    test('a completion that failed can be repeated under its Idempotency-Key, with another code', async (t) => {
      const agent = await pending(newMailbox());
      const headers = idempotent(newKey());
      const wrong = wrongCode(agent.otp);
      t.is(said(await call.complete(agent.claim_token, wrong, headers)), '401 otp_invalid');
      t.is(said(await call.complete(agent.claim_token, wrong, headers)), '401 otp_invalid');
      t.is(said(await call.complete(agent.claim_token, agent.otp, headers)), '200');
      const mismatch = await call.complete(agent.claim_token, wrong, headers);
      t.is(said(mismatch), '422 idempotency_mismatch');
    });

    test('of one request sent twenty times at once, one is done and none gets another answer', async (t) => {
      const headers = idempotent(newKey());
      const before = await registrations();
      const replies = await Promise.all(Array.from({ length: 20 }, () => call.register(headers)));
      assertOneAnswer(t, replies);
      t.is(await registrations(), before + 1);

      const agent = await pending(newMailbox());
      const completions = await Promise.all(
        Array.from({ length: 20 }, () => call.complete(agent.claim_token, agent.otp, headers)),
      );
      assertOneAnswer(t, completions);
      t.is(await countOf(on, 'credentials WHERE agent_id = ?', [agent.agent_id]), 2);
    });

    function assertOneAnswer(t: ExecutionContext, replies: readonly Reply[]): void {
      const { '200': given = 0, '409 in_progress': waiting = 0, ...others } = tally(replies);
      t.deepEqual(others, {});
      t.true(given >= 1);
      t.is(given + waiting, replies.length);
      t.is(new Set(replies.filter(({ status }) => status === 200).map(({ text }) => text)).size, 1);
      for (const { headers } of replies.filter(({ status }) => status === 409)) {
        t.is(headers.get('retry-after'), '1');
      }
    }

    test('what is kept for a repetition cannot be read in the database', async (t) => {
      const key = newKey();
      const { credential, claim_token } = (await call.register(idempotent(key))).body.data;
      const rows = await on.service.deps.db.all<{ sealed: Uint8Array | null }>(
        'SELECT sealed FROM idempotency',
      );
      const all = rows.map(({ sealed }) => Buffer.from(sealed ?? []).toString('latin1')).join('\n');
      t.true(all.length > 0);
      for (const secret of [credential, claim_token, key]) t.false(all.includes(secret));
    });

    test('an Idempotency-Key that is none is refused', async (t) => {
      for (const key of ['x'.repeat(256), 'with space', 'umlaut-\u00e4']) {
        t.is(said(await call.register({ 'Idempotency-Key': key })), '400 invalid_request');
      }
    });
  });
});
