import { migrate } from '../../src/store/engine/migrate.ts';
import { plainText, rowsOn } from '../helpers/agent-pages.ts';
import { fine, openAgentWorld } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { createTestClock, createTestDatabase, startTestService } from '../helpers/service.ts';
import { openTestDatabase } from '../helpers/storage.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the last use of agents', (engine, test) => {
  test('is kept with them: of keys and of requests that they signed, and the list is sorted by it', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const clock = createTestClock(Math.floor(Date.now() / 1000) * 1000);
    const mailbox = newMailbox();
    const world = await openAgentWorld(engine, { database, clock });
    const { on } = world;
    const signing = await world.letIn(mailbox);
    const using = await on.claimed(mailbox);
    const idle = await on.claimed(mailbox);
    clock.advance(60);
    t.is((await on.get('/api/me', using.credential)).status, 200);
    clock.advance(60);
    fine(await world.client.execute(signing, 'whoami'));
    await on.stop(); // what is noted in memory is written

    const again = await startTestService(engine, { database, clock });
    t.teardown(() => again.stop());
    clock.advance(60);
    const { text } = await (await signIn(again, mailbox)).get('/agents');
    const rows = rowsOn(text).map((row) => ({
      id: /href="\/agents\/(\w+)"/.exec(row)![1]!,
      cells: [...row.matchAll(/<td[\s\S]*?<\/td>/g)].map(([cell]) => plainText(cell)),
    }));
    t.deepEqual(
      rows.map(({ id, cells }) => [id, cells[3]]),
      [
        [signing.id, '1 minute ago its own environment'],
        [using.agent_id, '2 minutes ago 127.0.x.x'],
        [idle.agent_id, 'Never used'],
      ],
    );
    t.regex(text, /Active <span>2<\/span>/);
    t.regex(text, /Never used <span>1<\/span>/);
  });

  test('that an older version noted with keys and signatures is with the agents that have an owner', async (t) => {
    const database = await createTestDatabase(engine);
    const db = await openTestDatabase(database);
    t.teardown(async () => {
      await db.close();
      await database.drop();
    });
    const before = 13; // the migrations of the older version
    await migrate(db, 0, { upTo: before });
    const agent = (id: string, ownedAt: number | null, seenAt: number | null) => [
      `INSERT INTO agents (id, account_id, registration_id, created_at, owned_at, seen_at, seen_from)
       VALUES ('${id}', 'usr_1', 'reg_1', 1, ${ownedAt}, ${seenAt}, ${seenAt === null ? null : `'a token'`})`,
    ];
    const key = (id: string, agentId: string, usedAt: number | null) =>
      `INSERT INTO credentials (hash, id, agent_id, account_id, scope, prefix, last_four, created_at, last_used_at, last_used_from)
       VALUES (?, '${id}', '${agentId}', 'usr_1', 'read', 'sk_', 'abcd', 1, ${usedAt}, 'by ${id}')`;
    await db.tx(async (tx) => {
      await tx.run(`INSERT INTO accounts (id, kind, created_at) VALUES ('usr_1', 'human', 1)`);
      await tx.run(
        `INSERT INTO registrations (id, kind, created_at, expires_at) VALUES ('reg_1', 'host', 1, 2)`,
      );
      await tx.run(
        `INSERT INTO hosts (id, registration_id, account_id, thumbprint, public_jwk, created_at)
         VALUES ('hst_1', 'reg_1', 'usr_1', 'x', '{}', 1)`,
      );
      const agents = [
        agent('agt_keys', 1, null),
        agent('agt_token', 1, 50),
        agent('agt_idle', 1, null),
        agent('agt_free', null, null),
        agent('agt_signs', 1, 20),
      ];
      for (const [sql] of agents) await tx.run(sql!);
      const keys: [string, string, number | null][] = [
        ['key_1', 'agt_keys', 10],
        ['key_2', 'agt_keys', 30],
        ['key_3', 'agt_keys', null],
        ['key_4', 'agt_token', 40],
        ['key_5', 'agt_idle', null],
        ['key_6', 'agt_free', 10],
      ];
      for (const [id, agentId, usedAt] of keys) await tx.run(key(id, agentId, usedAt), [Buffer.from(id)]);
      await tx.run(
        `INSERT INTO hosted_agents (id, host_id, mode, name, thumbprint, public_jwk, created_at, seen_at)
         VALUES ('agt_signs', 'hst_1', 'delegated', 'x', 'x', '{}', 1, 60)`,
      );
    });
    await migrate(db, 0);
    const rows = await db.all(
      `SELECT id, seen_at AS at, seen_from AS "from" FROM agents ORDER BY seen_at, id`,
    );
    const seen = (rows as { id: string; at: number | null; from: string | null }[]).map(({ id, at, from }) =>
      [id, at, from].join(' '),
    );
    t.deepEqual(
      seen.filter((line) => !line.endsWith('  ')),
      ['agt_keys 30 by key_2', 'agt_token 50 a token', 'agt_signs 60 '],
    );
    t.deepEqual(seen.filter((line) => line.endsWith('  ')).toSorted(), ['agt_free  ', 'agt_idle  ']);
  });
});
