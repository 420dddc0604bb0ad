import type { ExecutionContext } from 'ava';
import type { Db, Tx } from '../../src/store/engine/db.ts';
import { newKey, openAgentClient } from '../helpers/agent-client.ts';
import { newUser, openAuthMd, says } from '../helpers/auth-md.ts';
import { ceremony, codeOf, countOf, from, tally } from '../helpers/ceremony.ts';
import { noting } from '../helpers/commits.ts';
import { createTestDatabase, startTestService, type TestOptions } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** Holds the first transaction that is about to send a statement like `at`, until it is let go. */
function createHolder(at: RegExp) {
  const [reached, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isArmed = true;
  async function pass(sql: string): Promise<void> {
    if (!isArmed || !at.test(sql)) return;
    isArmed = false;
    reached.resolve();
    await open.promise;
  }
  const gated = (tx: Tx): Tx => ({
    get: (sql, params) => pass(sql).then(() => tx.get(sql, params)),
    all: (sql, params) => pass(sql).then(() => tx.all(sql, params)),
    run: (sql, params) => pass(sql).then(() => tx.run(sql, params)),
  });
  return {
    wrapDb: (db: Db): Db => ({ ...db, tx: (work) => db.tx((tx) => work(gated(tx))) }),
    isHeld: reached.promise,
    letGo: open.resolve,
  };
}

/** Two services on one database, of which one stands still inside a transaction. */
async function openTwo(t: ExecutionContext, at: RegExp, options: TestOptions = {}) {
  const holder = createHolder(at);
  const database = await createTestDatabase('postgres');
  const env = { TRUST_PROXY: '1' };
  const held = await startTestService('postgres', { env, ...options, database, wrapDb: holder.wrapDb });
  const other = await startTestService('postgres', { env, ...options, database, clock: held.clock });
  t.teardown(async () => {
    holder.letGo();
    await Promise.all([held.stop(), other.stop()]);
    await database.drop();
  });
  return { held, other, holder };
}

const usedOf = async (on: Awaited<ReturnType<typeof startTestService>>, name: string): Promise<number> => {
  const rows = await on.service.deps.db.all<{ used: number }>('SELECT used FROM counters WHERE key LIKE ?', [
    `${name}:%`,
  ]);
  return rows.reduce((sum, { used }) => sum + used, 0);
};

test.describe('requests of different agents do not wait for one another (postgres)', (test) => {
  test('registrations end while another stands still in the middle, also from one address and at one service', async (t) => {
    const { held, other, holder } = await openTwo(t, /INSERT INTO claims/);
    const first = ceremony(held).register();
    await holder.isHeld;
    for (const on of [held, other]) {
      t.deepEqual(tally(await Promise.all([1, 2, 3].map(() => ceremony(on).register()))), { '200': 3 });
    }
    holder.letGo();
    t.is((await first).status, 200);
    t.is(await usedOf(held, 'registerPerService'), 7);
  });

  test('registrations with a mailbox end while one without stands still, and the other way round', async (t) => {
    const { held, other, holder } = await openTwo(t, /INSERT INTO claim_attempts/);
    const first = ceremony(held).assert('one@example.com', from('192.0.2.1'));
    await holder.isHeld;
    const replies = [
      await ceremony(held).register(from('192.0.2.1')),
      await ceremony(other).assert('two@example.com', from('192.0.2.2')),
    ];
    t.deepEqual(tally(replies), { '200': 2 });
    holder.letGo();
    t.is((await first).status, 200);
  });

  test('codes are tried while another guess, right or wrong, stands still in the middle', async (t) => {
    const { held, other, holder } = await openTwo(t, /UPDATE claim_attempts SET tries/);
    const [one, two] = await Promise.all(
      ['one@example.com', 'two@example.com'].map(async (email, index) => {
        const { claim_token } = (await ceremony(held).assert(email, from(`192.0.2.${index}`))).body.data;
        return { claim_token, otp: await codeOf(held, claim_token) };
      }),
    );
    const first = ceremony(held).complete(one!.claim_token, one!.otp, from('192.0.2.1'));
    await holder.isHeld;
    const second = await ceremony(other).complete(two!.claim_token, two!.otp, from('192.0.2.2'));
    t.is(second.status, 200, second.text);
    holder.letGo();
    t.is((await first).status, 200);
    t.is(await usedOf(held, 'wrongPerServiceDay'), 0, 'right ones cost nothing');
  });

  test('users of one provider are let in while another one stands still in the middle', async (t) => {
    const holder = createHolder(/INSERT INTO registrations/);
    const world = await openAuthMd('postgres', { wrapDb: holder.wrapDb });
    t.teardown(async () => {
      holder.letGo();
      await Promise.all([world.on.stop(), world.provider.stop(), world.otherProvider.stop()]);
    });
    const first = world.present(world.idJag(newUser()));
    await holder.isHeld;
    t.is(says(await world.present(world.idJag(newUser()))), '200');
    holder.letGo();
    t.is(says(await first), '200');
  });

  test('a claim that a provider’s user attempts is completed behind that user, whose claim token it may be', async (t) => {
    const statements: string[] = [];
    const world = await openAuthMd('postgres', {
      wrapDb: (db) => ({
        ...db,
        tx: (work) => db.tx((tx) => work(noting(tx, (sql) => void statements.push(sql)))),
      }),
    });
    t.teardown(() => Promise.all([world.on.stop(), world.provider.stop(), world.otherProvider.stop()]));
    const user = newUser();
    await world.on.claimed(user.email);
    for (const type of ['ct', 'clm']) {
      const { claim_token } =
        type === 'ct' ? await world.on.register() : (await world.identity({ type: 'anonymous' })).body;
      const assertion = world.idJag(user);
      const attempted = await world.claim({ type: 'identity_assertion', claim_token, assertion });
      t.is(attempted.body.status, 'initiated', attempted.text);
      statements.length = 0;
      await world.on.post('/agent/auth/claim/complete', { claim_token, otp: '000000' });
      const [locked, changed] = [/^UPDATE principals SET issuer/, /^UPDATE claims/].map((pattern) =>
        statements.findIndex((sql) => pattern.test(sql.trim())),
      );
      t.true(locked! >= 0 && (changed === -1 || locked! < changed!), `${type}: ${statements.join(';')}`);
    }
  });

  test('hosts that nobody knows are added while another one stands still in the middle; one that two add at once is one', async (t) => {
    const { held, other, holder } = await openTwo(t, /INSERT INTO hosted_agents/);
    const hosts = ['one', 'two'].map((name) => ({ name, key: newKey() }));
    const ask = { mode: 'autonomous' } as const;
    const first = openAgentClient(held).register(hosts[0]!, newKey(), ask);
    await holder.isHeld;
    // The services are known by one name each, as behind a balancer: what is signed for one is not for the other.
    const second = await openAgentClient(other).register(hosts[1]!, newKey(), ask);
    t.is(second.status, 200, second.text);
    const same = openAgentClient(held).register(hosts[0]!, newKey(), ask);
    holder.letGo();
    const both = await Promise.all([first, same]);
    t.deepEqual(
      both.map(({ status }) => status),
      [200, 200],
      both.map(({ text }) => text).join('\n'),
    );
    t.is(await countOf(held, 'hosts'), 2);
    t.is(await usedOf(held, 'registerPerService'), 2, 'the second agent of a host is no new host');
  });

  test('an agent asks for its state while its host is being written to, and is answered at once', async (t) => {
    const holder = createHolder(/INSERT INTO hosted_agents/);
    const database = await createTestDatabase('postgres');
    const held = await startTestService('postgres', { database, wrapDb: holder.wrapDb });
    t.teardown(async () => {
      holder.letGo();
      await held.stop();
      await database.drop();
    });
    const client = openAgentClient(held);
    const host = { name: 'one', key: newKey() };
    const quiet = await startTestService('postgres', { database, clock: held.clock });
    t.teardown(() => quiet.stop());
    const reader = openAgentClient(quiet);
    const known = await reader.register(host, newKey(), { mode: 'autonomous' });
    t.is(known.status, 200, known.text);
    const second = client.register(host, newKey(), { mode: 'autonomous' });
    await holder.isHeld;
    const status = await reader.get(`/agent/status?agent_id=${known.body.agent_id}`, reader.hostToken(host));
    t.is(status.status, 200, status.text);
    holder.letGo();
    t.is((await second).status, 200);
  });
});

onEveryEngine('what a refused request took is given back', (engine, test) => {
  test('by a registration whose mail may not go out, and by a guess at a dead code', async (t) => {
    const on = await startTestService(engine, { limits: { claimMailPerIp: '2/h' } });
    t.teardown(() => on.stop());
    const replies = [];
    for (let index = 0; index < 5; index += 1) {
      replies.push(await ceremony(on).assert(`human${index}@example.com`));
    }
    t.deepEqual(tally(replies), { '200': 2, '429 rate_limited': 3 });
    t.is(await usedOf(on, 'registerPerService'), 2);
    t.is(await usedOf(on, 'registerPerIp'), 2);
    t.is(await countOf(on, 'registrations'), 2);

    const { claim_token } = replies[0]!.body.data;
    const otp = await codeOf(on, claim_token);
    on.clock.advance(3600);
    t.is((await ceremony(on).complete(claim_token, otp)).status, 410);
    t.is(await usedOf(on, 'wrongPerServiceDay'), 0);
  });

  test('of many at once over two services as many as the limits say get in, and the counters say so', async (t) => {
    const database = await createTestDatabase(engine);
    const limits = { registerPerService: '30/h', registerPerIp: '12/h' };
    const env = { TRUST_PROXY: '1' };
    const two = [await startTestService(engine, { database, limits, env })];
    two.push(await startTestService(engine, { database, limits, env, clock: two[0]!.clock }));
    t.teardown(async () => {
      await Promise.all(two.map((on) => on.stop()));
      await database.drop();
    });
    // Four addresses with twenty each: twelve of one address, thirty in all.
    const replies = await Promise.all(
      Array.from({ length: 80 }, (_, index) =>
        ceremony(two[index % 2]!).register(from(`192.0.2.${index % 4}`)),
      ),
    );
    t.deepEqual(tally(replies), { '200': 30, '429 rate_limited': 50 });
    t.is(await usedOf(two[0]!, 'registerPerService'), 30);
    t.is(await usedOf(two[0]!, 'registerPerIp'), 30);
  });
});
