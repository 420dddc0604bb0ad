import { listAgents, showAgent } from '../../src/domain/agents/agent-view.ts';
import { BATCH_MS, createBatches, nextRows } from '../../src/domain/jobs/batches.ts';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { deleteExpiredRegistrations } from '../../src/store/retention.ts';
import { noting } from '../helpers/commits.ts';
import { startTestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

test.describe('batches of background jobs', (test) => {
  /** A database on which each row costs so many milliseconds, by a stopwatch of its own. */
  function slowDatabase() {
    const at = { now: 0, rowMs: 1, transactions: [] as number[] };
    const batches = createBatches(
      (act) => act(undefined),
      () => at.now,
    );
    const next = (left = Number.POSITIVE_INFINITY) =>
      batches.next(async (_, rows) => {
        const done = Math.min(rows, left);
        at.now += done * at.rowMs;
        at.transactions.push(done * at.rowMs);
        return done;
      });
    return { at, next };
  }

  test('take as many rows as fit into 20 ms of the writer, however much a row costs', async (t) => {
    for (const rowMs of [0.01, 0.1, 1]) {
      const { at, next } = slowDatabase();
      at.rowMs = rowMs;
      for (let count = 0; count < 12; count += 1) await next();
      t.true(Math.max(...at.transactions) <= BATCH_MS, `${rowMs}: ${at.transactions}`);
      const settled = at.transactions.slice(-3);
      t.true(Math.min(...settled) >= BATCH_MS / 5 || rowMs * 1024 < BATCH_MS, `${rowMs}: ${settled}`);
    }
  });

  test('shrink as soon as rows become dear, down to one, and grow again when they are cheap', async (t) => {
    const { at, next } = slowDatabase();
    at.rowMs = 0.1;
    for (let count = 0; count < 8; count += 1) await next();
    at.rowMs = 15;
    at.transactions.length = 0;
    for (let count = 0; count < 8; count += 1) await next();
    t.is(at.transactions.at(-1), 15, 'one row');
    at.rowMs = 0.1;
    for (let count = 0; count < 12; count += 1) await next();
    t.true(at.transactions.at(-1)! >= BATCH_MS / 5);
  });

  test('halve above half of what they may take, double below a fifth, and end with the one that is not full', async (t) => {
    t.deepEqual(
      [nextRows(64, 10.1), nextRows(64, 10), nextRows(64, 4), nextRows(64, 3.9), nextRows(1, 900)],
      [32, 64, 64, 128, 1],
    );
    t.is(nextRows(1024, 0), 1024, 'a thousand are the most');
    const { next } = slowDatabase();
    t.deepEqual(await next(), { count: 16, isLast: false });
    t.deepEqual(await next(3), { count: 3, isLast: true });
  });
});

onEveryEngine('with much to do', (engine, test) => {
  test('retention gets to every kind in turn: a backlog of one holds up no other', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const { deps } = on.service;
    const now = deps.clock();
    const kinds = Object.keys(await deleteExpiredRows(deps)).length;
    await deps.db.tx(async (tx) => {
      for (let index = 0; index < 3000; index += 1) {
        await tx.run('INSERT INTO counters (key, used, ends_at) VALUES (?, 1, ?)', [`old:${index}`, now - 1]);
      }
      await tx.run('INSERT INTO spent_tokens (issuer, jti, ends_at) VALUES (?, ?, ?)', [
        'it',
        'one',
        now - 1,
      ]);
    });
    let turns = 0;
    const removed = await deleteExpiredRows(deps, () => {
      turns += 1;
      return turns <= kinds; // one batch of each
    });
    t.is(removed.spentTokens, 1);
    t.true(removed.counters! < 3000, 'and the rest is left for later');
    t.is((await deleteExpiredRows(deps)).counters, 3000 - removed.counters!);
  });

  test('a host with very many agents goes a part at a time', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const { db } = on.service.deps;
    await db.tx(async (tx) => {
      await tx.run(`INSERT INTO accounts (id, kind, created_at) VALUES ('usr_h', 'agent', 1)`);
      await tx.run(
        `INSERT INTO registrations (id, kind, created_at, expires_at) VALUES ('reg_h', 'host', 1, 1)`,
      );
      await tx.run(
        `INSERT INTO hosts (id, registration_id, account_id, thumbprint, public_jwk, created_at)
         VALUES ('hst_h', 'reg_h', 'usr_h', 'h', '{}', 1)`,
      );
      for (let index = 0; index < 25; index += 1) {
        const id = `agt_${index}`;
        await tx.run(
          `INSERT INTO agents (id, account_id, registration_id, created_at) VALUES (?, 'usr_h', 'reg_h', 1)`,
          [id],
        );
        await tx.run(
          `INSERT INTO hosted_agents (id, host_id, mode, name, thumbprint, public_jwk, created_at, activated_at)
           VALUES (?, 'hst_h', 'autonomous', 'one', ?, '{}', 1, 1)`,
          [id, id],
        );
      }
    });
    const gone = [];
    for (let count = 0; count < 5; count += 1) {
      gone.push(await db.tx((tx) => deleteExpiredRegistrations(tx, 2, 10)));
    }
    t.deepEqual(gone, [10, 10, 6, 0, 0], 'ten, ten, five with their host, and nothing');
    for (const table of ['agents', 'hosted_agents', 'hosts', 'registrations', 'accounts']) {
      t.is((await db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`))!.n, 0, table);
    }
  });

  test('agents are listed by one statement a page, each as it is shown alone', async (t) => {
    const asked: string[] = [];
    const wrapDb = (db: Db): Db => ({
      ...db,
      ...noting({ ...db, run: async () => 0 }, (sql) => asked.push(sql)),
      tx: db.tx,
    });
    const on = await startTestService(engine, { wrapDb });
    t.teardown(() => on.stop());
    const { deps } = on.service;
    await on.claimed('merged@example.com');
    await on.claimed('linked@example.com', true);
    const pending = await on.register();
    await on.post('/agent/auth/claim', { claim_token: pending.claim_token, email: 'pending@example.com' });
    await on.codeFor('pending@example.com');
    for (let left = 250 - 3; left > 0; left -= 50) {
      await Promise.all(Array.from({ length: Math.min(50, left) }, () => on.register()));
    }
    const about = (sql: string) => /FROM agents/.test(sql);
    asked.length = 0;
    const list = await listAgents(deps, '', 1000);
    t.is(list.length, 250);
    t.is(asked.filter(about).length, 3, 'pages of a hundred');
    t.deepEqual(
      list.map(({ claim }) => claim.kind).filter((kind) => kind !== 'unclaimed'),
      ['claimed', 'claimed', 'pending'],
    );
    for (const agent of list.slice(0, 5)) t.deepEqual(await showAgent(deps, agent.id), agent);
    t.deepEqual(await listAgents(deps, list[119]!.id, 7), list.slice(120, 127));
  });
});
