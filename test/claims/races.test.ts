import { randomInt } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { localOrigin } from '../../src/work.ts';
import { ceremony, codeOf, countOf, from, said, tally } from '../helpers/ceremony.ts';
import { atOnce } from '../helpers/common.ts';
import {
  createTestClock,
  createTestDatabase,
  type Reply,
  startTestService,
  type TestDatabase,
  type TestService,
  wrongCode,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('races', (engine, test) => {
  let database: TestDatabase;
  let services: TestService[];
  let on: TestService;
  let calls: ReturnType<typeof ceremony>[];
  test.before(async () => {
    database = await createTestDatabase(engine);
    const clock = createTestClock();
    const options = { database, clock, env: { TRUST_PROXY: '1' } };
    services = [await startTestService(engine, options), await startTestService(engine, options)];
    on = services[0]!;
    calls = services.map(ceremony);
  });
  test.after(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database.drop();
  });

  let made = 0;
  const newMailbox = () => `racer${++made}@example.com`;
  /** One service or the other. */
  const call = (index: number) => calls[index % 2]!;

  async function pending(t: ExecutionContext, mailbox: string, link = false) {
    const agent = await on.register();
    t.is(said(await call(0).claim(agent.claim_token, mailbox, {}, link)), '200');
    return { ...agent, otp: await codeOf(on, agent.claim_token) };
  }

  function assertOnly(
    t: ExecutionContext,
    replies: readonly Reply[],
    ...allowed: string[]
  ): Record<string, number> {
    const counts = tally(replies);
    t.deepEqual(
      Object.keys(counts).filter((answer) => !allowed.includes(answer)),
      [],
      JSON.stringify(counts),
    );
    return counts;
  }

  test.describe('guesses', (test) => {
    for (const [title, replicas] of [
      ['at one service', 1],
      ['at two services on one database', 2],
    ] as const) {
      test(`of 200 guesses at once ${title}, at most five are compared (S-08)`, async (t) => {
        for (const hasRight of [true, false, true]) {
          const agent = await pending(t, newMailbox());
          const place = hasRight ? randomInt(200) : -1;
          const replies = await atOnce(200, (index) => {
            // All different, as a guesser would ask them.
            const guess = String((Number(agent.otp) + 1 + index) % 1_000_000).padStart(6, '0');
            return call(index % replicas).complete(agent.claim_token, index === place ? agent.otp : guess);
          });
          const counts = assertOnly(
            t,
            replies,
            '200',
            '401 otp_invalid',
            '409 already_claimed',
            '410 otp_expired',
          );
          const { '200': right = 0, '401 otp_invalid': wrong = 0 } = counts;
          t.true(wrong + right <= 5, JSON.stringify(counts));
          t.true(hasRight ? right <= 1 : right === 0 && wrong === 5, JSON.stringify(counts));
          const lefts = replies
            .filter(({ status }) => status === 401)
            .map(({ body }) => body.error.attempts_remaining);
          t.is(new Set(lefts).size, lefts.length, 'no two guesses are the same try');
        }
      });
    }

    test('guesses at many claims on one mailbox at once stay within the budget of the mailbox', async (t) => {
      const limited = await startTestService(engine, {
        clock: on.clock,
        database,
        limits: { wrongPerMailboxDay: 10 },
      });
      try {
        const mailbox = newMailbox();
        const agents = await atOnce(8, () => pending(t, mailbox));
        const replies = await atOnce(80, async (index) => {
          const { claim_token, otp } = agents[index % agents.length]!;
          return ceremony(limited).complete(claim_token, wrongCode(otp));
        });
        const counts = assertOnly(t, replies, '401 otp_invalid', '410 otp_expired', '429 rate_limited');
        t.is(counts['401 otp_invalid'], 10);
      } finally {
        await limited.stop();
      }
    });
  });

  test.describe('completions', (test) => {
    test('of 50 right completions at once over two services one wins, and the others learn no secret (S-09)', async (t) => {
      for (const link of [false, true]) {
        const agent = await pending(t, newMailbox(), link);
        const replies = await atOnce(50, (index) => call(index).complete(agent.claim_token, agent.otp));
        const counts = assertOnly(t, replies, '200', '409 already_claimed');
        t.is(counts['200'], 1);
        for (const { text, status } of replies) {
          if (status !== 200) t.notRegex(text, /sk_|ct_/);
        }
        t.is(await countOf(on, 'credentials WHERE agent_id = ?', [agent.agent_id]), 2);
        const claims = `events WHERE kind = 'claim.completed' AND agent_id = ?`;
        t.is(await countOf(on, claims, [agent.agent_id]), 1);
      }
    });

    test('an agent that named its mailbox comes into being once, however often it completes at once', async (t) => {
      const { claim_token } = (await call(0).assert(newMailbox())).body.data;
      const otp = await codeOf(on, claim_token);
      const before = await countOf(on, 'agents');
      const replies = await atOnce(30, (index) => call(index).complete(claim_token, otp));
      t.is(assertOnly(t, replies, '200', '409 already_claimed')['200'], 1);
      t.is(await countOf(on, 'agents'), before + 1);
    });

    test('of ten agents that complete on one mailbox at once one does, in one account', async (t) => {
      for (let round = 0; round < 3; round += 1) {
        const mailbox = newMailbox();
        const agents = await atOnce(10, (index) => pending(t, mailbox, index % 2 === 1));
        const replies = await atOnce(agents.length, (index) => {
          const { claim_token, otp } = agents[index]!;
          return call(index).complete(claim_token, otp);
        });
        t.is(assertOnly(t, replies, '200', '410 claim_superseded')['200'], 1);
        t.is(await countOf(on, 'accounts WHERE mailbox = ?', [mailbox]), 1);
      }
    });

    test('a code that a new claim replaces at the same moment wins before it or not at all (S-11)', async (t) => {
      const agents = await atOnce(40, () => pending(t, newMailbox()));
      const pairs = await atOnce(agents.length, (index) => {
        const { claim_token, otp } = agents[index]!;
        return Promise.all([
          call(index).claim(claim_token, newMailbox()),
          call(index + 1).complete(claim_token, otp),
        ]);
      });
      assertOnly(t, pairs.flat(), '200', '401 otp_invalid', '409 already_claimed', '410 otp_expired');
      for (const [claimed, completed] of pairs) {
        t.not(claimed.status === 200, completed.status === 200);
      }
    });

    test('an agent that is revoked while it completes has no key that works', async (t) => {
      const agents = await atOnce(10, () => pending(t, newMailbox()));
      const answers = await atOnce(agents.length, async (index) => {
        const { agent_id, claim_token, otp } = agents[index]!;
        const [reply] = await Promise.all([
          call(index).complete(claim_token, otp),
          revokeAgent(services[(index + 1) % 2]!.service.deps, localOrigin('test'), agent_id),
        ]);
        return reply;
      });
      assertOnly(t, answers, '200', '410 claim_expired');
      for (const [index, { body }] of answers.entries()) {
        for (const key of [agents[index]!.credential, body.data?.credential ?? 'sk_none']) {
          t.is((await on.get('/api/me', key)).status, 401);
        }
      }
    });
  });

  test('of 50 registrations at once over two services exactly as many are admitted as the limit says', async (t) => {
    const options = {
      clock: on.clock,
      database,
      env: { TRUST_PROXY: '1' },
      limits: { registerPerIp: '10/h' },
    };
    const limited = [await startTestService(engine, options), await startTestService(engine, options)];
    try {
      const before = await countOf(on, 'registrations');
      const replies = await atOnce(50, (index) => ceremony(limited[index % 2]!).register(from('192.0.2.77')));
      t.deepEqual(tally(replies), { '200': 10, '429 rate_limited': 40 });
      t.is(await countOf(on, 'registrations'), before + 10);
    } finally {
      await Promise.all(limited.map((service) => service.stop()));
    }
  });

  test('of many claims of one agent at once one attempt lives, and no more codes go out than it has', async (t) => {
    const limited = await startTestService(engine, {
      clock: on.clock,
      database,
      limits: { codesPerClaim: 3 },
    });
    try {
      const { agent_id, claim_token } = await on.register();
      const replies = await atOnce(20, (index) =>
        ceremony(limited).claim(claim_token, `parallel${index}@example.com`, {}, index % 2 === 1),
      );
      t.deepEqual(tally(replies), { '200': 3, '429 rate_limited': 17 });
      const attempts = `claim_attempts WHERE registration_id = (SELECT registration_id FROM agents WHERE id = ?)`;
      t.is(await countOf(on, attempts, [agent_id]), 3);
      t.is(await countOf(on, `${attempts} AND ended_at IS NULL`, [agent_id]), 1);
    } finally {
      await limited.stop();
    }
  });

  test('many first uses of a new key at once all work, and end the old key once', async (t) => {
    const { agent_id, credential, old } = await on.claimed(newMailbox());
    const replies = await atOnce(40, (index) => services[index % 2]!.get('/api/me', credential));
    t.deepEqual(tally(replies), { '200': 40 });
    t.is((await on.get('/api/me', old)).status, 401);
    t.is(await countOf(on, `events WHERE kind = 'key.retired' AND agent_id = ?`, [agent_id]), 1);
  });

  test('claims, completions, revocations and registrations at once never stand in the way of another', async (t) => {
    const mailboxes = [newMailbox(), newMailbox(), newMailbox()];
    const agents = await atOnce(12, async (index) => pending(t, mailboxes[index % 3]!));
    const replies = await atOnce(240, async (index) => {
      const { claim_token, credential, otp } = agents[randomInt(agents.length)]!;
      const mailbox = mailboxes[randomInt(mailboxes.length)]!;
      switch (randomInt(6)) {
        case 0:
          return call(index).claim(claim_token, mailbox, {}, randomInt(2) === 1);
        case 1:
          return call(index).complete(claim_token, otp);
        case 2:
          return call(index).complete(claim_token, wrongCode(otp));
        case 3:
          return call(index).assert(mailbox);
        case 4:
          return services[index % 2]!.form('/oauth2/revoke', { token: credential });
        default:
          return services[index % 2]!.get('/api/me', credential);
      }
    });
    assertOnly(
      t,
      replies,
      '200',
      '401 invalid_token',
      '401 otp_invalid',
      '409 already_claimed',
      '410 claim_superseded',
      '410 otp_expired',
    );
    const live = await on.service.deps.db.all(
      `SELECT registration_id FROM claim_attempts WHERE ended_at IS NULL GROUP BY registration_id HAVING COUNT(*) > 1`,
    );
    t.deepEqual(live, []);
  });
});
