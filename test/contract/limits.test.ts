import { loadConfig } from '../../src/config/load.ts';
import { ceremony, countOf, from, said, tally } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { assertSpent, DAY, DEFAULTS, HOUR, newAddress, steps } from '../helpers/limit-steps.ts';
import {
  createTestClock,
  createTestDatabase,
  type Reply,
  startTestService,
  TEST_SECRET,
  type TestDatabase,
  type TestService,
} from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

let made = 0;

test('the limits are those that the documentation promises', (t) => {
  const perHour = (max: number) => ({ max, windowSeconds: HOUR });
  t.deepEqual(loadConfig({ SECRET: TEST_SECRET }).limits, {
    registerPerIp: perHour(10),
    registerPerService: perHour(2000),
    clientsPerIp: perHour(60),
    clientsPerService: { max: 20_000, windowSeconds: DAY },
    pushedRequestsPerIp: perHour(6000),
    deviceCodesPerIp: perHour(600),
    documentsPerIp: { max: 10, windowSeconds: 60 },
    documentsPerHost: { max: 60, windowSeconds: 60 },
    claimMailPerIp: perHour(20),
    claimMailPerAgent: { max: 5, windowSeconds: DAY },
    codeTtlSeconds: 600,
    triesPerCode: 5,
    codesPerClaim: 3,
    agentsPerHost: { max: 100, windowSeconds: DAY },
    agentIdleSeconds: HOUR,
    agentLifetimeSeconds: DAY,
    agentAbsoluteSeconds: 30 * DAY,
    codesPerMailboxHour: 5,
    codesPerMailboxDay: 10,
    wrongPerMailboxDay: 10,
    wrongPerIpHour: 20,
    wrongPerServiceDay: 10_000,
    signInMailPerIp: perHour(20),
    signInMailPerMailbox: perHour(30),
    signInMailPerMailboxIp: perHour(5),
    signInWrongPerMailboxDay: 10,
    signInWrongPerIpHour: 20,
    secondFactorWrongPerMailboxDay: 10,
    claimTtlSeconds: DAY,
    unclaimedTtlSeconds: 30 * DAY,
    assertionTtlSeconds: HOUR,
    accessTokenTtlSeconds: HOUR,
    signedTokenTtlSeconds: 300,
    refreshTtlSeconds: 30 * DAY,
    tokensPerAgent: perHour(600),
    tokensPerClient: { max: 60, windowSeconds: 60 },
    keysPerAccount: 100,
    clientsPerAccount: 100,
    assertionsPerIssuer: perHour(1000),
    workspacesPerAccount: { max: 5, windowSeconds: DAY },
    workspacesOwned: 20,
    membersPerWorkspace: 200,
    openInvitations: 50,
    invitesPerWorkspace: { max: 20, windowSeconds: DAY },
    invitesPerAccount: { max: 20, windowSeconds: DAY },
    invitationTtlSeconds: 7 * DAY,
    placedKeysPerWorkspace: 500,
    nodeBatches: { max: 600, windowSeconds: 60 },
    nodesPerWorkspace: 10_000,
    nodesPerResourceServer: 1_000_000,
    treesPerResourceServer: { max: 10_000, windowSeconds: DAY },
    permissionsPerIp: { max: 30, windowSeconds: HOUR },
    permissionSeconds: 90 * DAY,
    openPermissionRequests: 20,
    sessionKeysPerAgent: 3,
  });
});

onEveryEngine('limits', (engine, test) => {
  let on: TestService;
  let at: ReturnType<typeof steps>;
  test.before(async () => {
    on = await startTestService(engine, { env: DEFAULTS });
    at = steps(on);
  });
  test.after(() => on.stop());

  test.describe('registrations', (test) => {
    test('an address registers ten agents an hour, and reads in every answer how many are left', async (t) => {
      const address = newAddress();
      for (let left = 9; left >= 0; left -= 1) {
        const reply = await at.register(from(address));
        t.is(said(reply), '200');
        t.is(reply.headers.get('ratelimit-policy'), '"registerPerIp";q=10;w=3600');
        t.is(reply.headers.get('ratelimit'), `"registerPerIp";r=${left};t=3600`);
      }
      const budget = { max: 10, windowSeconds: HOUR };
      assertSpent(t, await at.register(from(address)), 'registerPerIp', budget);
      assertSpent(t, await at.assert(newMailbox(), from(address)), 'registerPerIp', budget);
      t.is(said(await at.register(from(newAddress()))), '200');

      // What is refused does not lengthen the window.
      on.clock.advance(HOUR - 60);
      assertSpent(t, await at.register(from(address)), 'registerPerIp', { ...budget, resetSeconds: 60 });
      on.clock.advance(60);
      t.is(said(await at.register(from(address))), '200');
    });

    test('all addresses of an IPv6 /64 are one, and ::ffff:a.b.c.d is a.b.c.d', async (t) => {
      for (const [same, other] of [
        [(host: number) => `2001:db8:1:${made}::${host}`, '2001:db8:2::1'],
        [(host: number) => (host % 2 ? '10.200.0.1' : '::ffff:10.200.0.1'), '::ffff:10.200.0.2'],
      ] as const) {
        for (let host = 1; host <= 10; host += 1) {
          t.is(said(await at.register(from(same(host)))), '200');
        }
        t.is(said(await at.register(from(same(11)))), '429 rate_limited');
        t.is(said(await at.register(from(same(12)))), '429 rate_limited');
        t.is(said(await at.register(from(other))), '200');
      }
    });

    test('only what the nearest proxy says of the address counts', async (t) => {
      const address = newAddress();
      for (let count = 0; count < 10; count += 1) {
        t.is(said(await at.register(from(`${newAddress()}, ${address}`))), '200');
      }
      t.is(said(await at.register(from(`${newAddress()}, ${address}`))), '429 rate_limited');
      t.is(said(await at.register(from(`${address}, ${newAddress()}`))), '200');
    });

    test('a request that is malformed costs nothing', async (t) => {
      const address = newAddress();
      for (let count = 0; count < 12; count += 1) {
        t.is(said(await on.post('/agent/auth', { type: 'no' }, from(address))), '400 invalid_request');
        t.is(said(await at.assert('nobody', from(address))), '400 invalid_email');
      }
      const reply = await at.register(from(address));
      t.is(reply.headers.get('ratelimit'), '"registerPerIp";r=9;t=3600');
    });

    test('the service registers 2000 agents an hour, from whatever addresses', async (t) => {
      await at.register(from(newAddress()));
      await at.spendAllButOne('registerPerService:', 2000);
      const address = newAddress();
      t.is(said(await at.register(from(address))), '200');
      const refused = await at.register(from(address));
      t.is(said(refused), '429 rate_limited');
      t.is(refused.headers.get('ratelimit-policy'), '"registerPerService";q=2000;w=3600');
      t.is(await at.used(`registerPerIp:${address}`), 1);
      on.clock.advance(HOUR);
      t.is(said(await at.register(from(address))), '200');
    });

    test('an agent that nobody claims works for thirty days', async (t) => {
      const { credential } = (await at.register(from(newAddress()))).body.data;
      on.clock.advance(30 * DAY - 1);
      t.is(said(await on.get('/api/me', credential)), '200');
      on.clock.advance(1);
      t.is(said(await on.get('/api/me', credential)), '401 invalid_token');
    });
  });

  test.describe('mailed codes', (test) => {
    test('a claim has three codes for its life; another mailbox or mode brings no fourth (S-04)', async (t) => {
      const token = await at.newToken();
      for (const mailbox of [newMailbox(), newMailbox(), newMailbox()]) {
        t.is(said(await at.claimOf(token, mailbox)), '200');
        await at.wrongTimes(5, token);
        t.is(said(await at.right(token)), '410 otp_expired');
      }
      const mails = await countOf(on, 'outbox');
      on.clock.advance(HOUR);
      for (const link of [false, true]) {
        const refused = await at.claim(token, newMailbox(), from(newAddress()), link);
        t.is(said(refused), '429 rate_limited');
        t.is(refused.headers.get('retry-after'), String(DAY - HOUR));
      }
      t.is(await countOf(on, 'outbox'), mails);
    });

    test('a mailbox gets five codes an hour and ten a day, however it is tagged and whoever asks', async (t) => {
      const name = `tagged${++made}`;
      const tagged = () => `${name}+${++made}@example.com`;
      const hour = { max: 5, windowSeconds: HOUR };
      for (let count = 0; count < 4; count += 1) await at.pending(tagged());
      t.is(said(await at.assert(tagged(), from(newAddress()))), '200');

      const token = await at.newToken();
      assertSpent(t, await at.claimOf(token, tagged()), 'codesPerMailboxHour', hour);
      const address = newAddress();
      assertSpent(t, await at.assert(tagged(), from(address)), 'codesPerMailboxHour', hour);
      // The refused ones cost neither a code of the claim nor a registration of the address.
      const left = await at.register(from(address));
      t.is(left.headers.get('ratelimit'), '"registerPerIp";r=9;t=3600');
      for (let count = 0; count < 3; count += 1) {
        t.is(said(await at.claimOf(token, newMailbox())), '200');
      }

      on.clock.advance(HOUR);
      for (let count = 0; count < 5; count += 1) await at.pending(tagged());
      on.clock.advance(HOUR);
      const spent = { max: 10, windowSeconds: DAY, resetSeconds: DAY - 2 * HOUR };
      assertSpent(t, await at.claimOf(await at.newToken(), tagged()), 'codesPerMailboxDay', spent);
      on.clock.advance(DAY - 2 * HOUR);
      await at.pending(tagged());
    });

    test('the dots of a Gmail address do not make another budget, those of other addresses do', async (t) => {
      const name = `g${++made}`;
      for (const mailbox of [`${name}ab@gmail.com`, `${name}a.b@gmail.com`, `${name}.a.b+x@googlemail.com`]) {
        await at.pending(mailbox);
      }
      t.is(await at.used(`codesPerMailboxHour:${name}ab@gmail.com`), 3);
      await at.pending(`${name}.dot@example.com`);
      t.is(await at.used(`codesPerMailboxHour:${name}dot@example.com`), 0);
    });

    test('an address asks for twenty codes an hour, of whatever agents', async (t) => {
      const address = newAddress();
      for (let count = 0; count < 10; count += 1) {
        t.is(said(await at.assert(newMailbox(), from(address))), '200');
      }
      const tokens = await Promise.all(Array.from({ length: 4 }, () => at.newToken()));
      for (let count = 0; count < 10; count += 1) {
        t.is(said(await at.claimOf(tokens[count % 4]!, newMailbox(), address)), '200');
      }
      const budget = { max: 20, windowSeconds: HOUR };
      assertSpent(t, await at.claimOf(tokens[3]!, newMailbox(), address), 'claimMailPerIp', budget);
      t.is(said(await at.claimOf(tokens[3]!, newMailbox())), '200');
      on.clock.advance(HOUR);
      t.is(said(await at.assert(newMailbox(), from(address))), '200');
    });

    test('a claim that is refused by one budget takes nothing from the others', async (t) => {
      const mailbox = newMailbox();
      for (let count = 0; count < 5; count += 1) await at.pending(mailbox);
      const address = newAddress();
      const token = await at.newToken();
      t.is(said(await at.claimOf(token, mailbox, address)), '429 rate_limited');
      t.is(await at.used(`claimMailPerIp:${address}`), 0);
      t.is(await at.used(`codesPerMailboxDay:${mailbox}`), 5);
    });

    test('a request refused by a budget can be repeated with its Idempotency-Key once the window is over', async (t) => {
      const mailbox = newMailbox();
      for (let count = 0; count < 5; count += 1) await at.pending(mailbox);
      const headers = { ...from(newAddress()), 'Idempotency-Key': 'again' };
      t.is(said(await at.assert(mailbox, headers)), '429 rate_limited');
      t.is(said(await at.assert(mailbox, headers)), '429 rate_limited');
      on.clock.advance(HOUR);
      t.is(said(await at.assert(mailbox, headers)), '200');
    });
  });
});

onEveryEngine('limits with more codes for a claim', (engine, test) => {
  test('an agent asks for five codes a day, whatever its claim would allow', async (t) => {
    const on = await startTestService(engine, { env: { ...DEFAULTS, LIMITS: '{"codesPerClaim":100}' } });
    t.teardown(() => on.stop());
    const at = steps(on);
    const token = await at.newToken();
    for (let count = 0; count < 5; count += 1) {
      t.is(said(await at.claimOf(token, newMailbox())), '200');
    }
    const budget = { max: 5, windowSeconds: DAY };
    assertSpent(t, await at.claimOf(token, newMailbox()), 'claimMailPerAgent', budget);
    t.is(said(await at.claimOf(await at.newToken(), newMailbox())), '200');
  });
});

onEveryEngine('limits without a proxy', (engine, test) => {
  test('X-Forwarded-For is not believed unless TRUST_PROXY says so (S-105)', async (t) => {
    const on = await startTestService(engine, { env: { LIMITS: '{}' } });
    t.teardown(() => on.stop());
    const { register } = ceremony(on);
    const replies: Reply[] = [];
    for (let count = 0; count < 12; count += 1) replies.push(await register(from(newAddress())));
    t.deepEqual(tally(replies), { '200': 10, '429 rate_limited': 2 });
  });
});

onEveryEngine('limits over several services', (engine, test) => {
  let database: TestDatabase;
  const clock = createTestClock();
  test.before(async () => {
    database = await createTestDatabase(engine);
  });
  test.after(() => database.drop());

  test('budgets are shared by all services on a database, and outlive them (S-05)', async (t) => {
    const running: TestService[] = [];
    const start = async () => {
      const on = await startTestService(engine, { env: DEFAULTS, database, clock });
      running.push(on);
      return on;
    };
    t.teardown(() => Promise.all(running.map((on) => on.stop())));
    const services = [await start(), await start()];
    const ats = services.map(steps);
    const address = newAddress();
    for (let count = 0; count < 10; count += 1) {
      t.is(said(await ats[count % 2]!.register(from(address))), '200');
    }
    const mailbox = newMailbox();
    const tokens = [await ats[0]!.pending(mailbox), await ats[1]!.pending(mailbox)];
    await ats[1]!.wrongTimes(5, tokens[0]!);
    await ats[0]!.wrongTimes(5, tokens[1]!);
    const token = await ats[0]!.pending(mailbox);

    const spent = async (at: ReturnType<typeof steps>) => {
      t.is(said(await at.register(from(address))), '429 rate_limited');
      t.is(said(await at.right(token)), '429 rate_limited');
      t.is(said(await at.claimOf(tokens[0]!, mailbox)), '200');
    };
    for (const at of ats) await spent(at);
    for (const on of running.splice(0)) await on.stop();

    const restarted = await start();
    const at = steps(restarted);
    t.is(said(await at.register(from(address))), '429 rate_limited');
    t.is(said(await at.right(token)), '429 rate_limited');
    // One code and then two more: the claim has had its three, and the mailbox its five of this hour.
    t.is(said(await at.claimOf(tokens[0]!, newMailbox())), '429 rate_limited');
    t.is(said(await at.claimOf(token, mailbox)), '429 rate_limited');
    clock.advance(DAY);
    t.is(said(await at.register(from(address))), '200');
    t.is(said(await at.right(await at.pending(mailbox))), '200');
  });
});

onEveryEngine('a lost answer', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, { env: DEFAULTS });
  });
  test.after(() => on.stop());

  test('can be asked for again when its address has spent its registrations, and a new one cannot', async (t) => {
    const headers = from('10.200.0.1');
    const keyed = { ...headers, 'Idempotency-Key': 'the-last-one' };
    for (let index = 0; index < 9; index += 1) await on.post('/agent/auth', { type: 'anonymous' }, headers);
    const last = await on.post('/agent/auth', { type: 'anonymous' }, keyed);
    t.is(said(last), '200');
    const again = await on.post('/agent/auth', { type: 'anonymous' }, keyed);
    t.deepEqual(again.body, last.body);
    const other = { ...headers, 'Idempotency-Key': 'one-too-many' };
    assertSpent(t, await on.post('/agent/auth', { type: 'anonymous' }, other), 'registerPerIp', {
      max: 10,
      windowSeconds: HOUR,
    });
    t.is((await on.service.deps.db.all('SELECT 1 FROM idempotency')).length, 1);
  });
});
