import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Api, addApi } from '../helpers/api.ts';
import { createInterleaver } from '../helpers/interleaved.ts';
import { basic, onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

onEveryEngine('asking for resource events now and then', (engine) => {
  const interleaver = createInterleaver();
  let on: TestService;
  let api: Api;
  before(async () => {
    on = await startTestService(engine, engine === 'postgres' ? { wrapDb: interleaver.wrapDb } : {});
    api = await addApi(on, 'https://api.example.com');
  });
  after(() => on.stop());

  const ask = async (query = '') => {
    const headers = basic(api.clientId, api.clientSecret);
    const reply = await on.request('GET', `/resource/events${query}`, { headers });
    assert.equal(reply.status, 200, reply.text);
    return reply.body as { events: { id: string; key_ids: string[] }[]; last: string };
  };
  const idsAfter = async (last: string) => (await ask(`?after=${last}`)).events.map(({ id }) => id);

  /** An audit line as another process commits it. */
  const commit = (id: string, key: string) =>
    on.service.deps.db.tx((tx) =>
      tx.run(`INSERT INTO events (id, at, kind, subject) VALUES (?, 1, 'key.revoked', ?)`, [id, key]),
    );
  const keyOf = async (agent: { agent_id: string }) => {
    const row = await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM credentials WHERE agent_id = ?',
      [agent.agent_id],
    );
    return row!.id;
  };

  test('tells of one that commits after others with a later id, and of each once', async () => {
    const key = await keyOf(await on.register());
    let { last } = await ask();
    const told: string[] = [];
    for (const id of [
      'evt_zzzzzzzz5',
      'evt_zzzzzzzz3',
      'evt_zzzzzzzz4',
      'evt_zzzzzzzz1',
      'evt_zzzzzzzz9',
      'evt_zzzzzzzz2',
    ]) {
      await commit(id, key);
      const page = await ask(`?after=${last}`);
      told.push(...page.events.map((event) => event.id));
      last = page.last;
    }
    assert.deepEqual(told, [
      'evt_zzzzzzzz5',
      'evt_zzzzzzzz3',
      'evt_zzzzzzzz4',
      'evt_zzzzzzzz1',
      'evt_zzzzzzzz9',
      'evt_zzzzzzzz2',
    ]);
    assert.deepEqual(await ask(`?after=${last}`), { events: [], last });
    // From any of them on it is the rest, in the same order.
    for (const [index, id] of told.entries()) assert.deepEqual(await idsAfter(id), told.slice(index + 1));
  });

  test('tells each of many who ask at once of all that many commit', async () => {
    const key = await keyOf(await on.register());
    const { last } = await ask();
    const ids = Array.from(
      { length: 60 },
      (_, index) => `evt_zzzzzzzzz${String((index * 37) % 60).padStart(2, '0')}`,
    );
    let isOver = false;
    const readers = Array.from({ length: 4 }, async () => {
      const told: string[] = [];
      for (let at = last, asked = 0; asked < 1000; asked += 1) {
        const wasOver = isOver;
        const page = await ask(`?after=${at}`);
        told.push(...page.events.map(({ id }) => id));
        at = page.last;
        if (wasOver && page.events.length === 0) return told;
      }
      return told;
    });
    await Promise.all(ids.map((id) => commit(id, key)));
    isOver = true;
    for (const told of await Promise.all(readers)) assert.deepEqual(told.toSorted(), ids.toSorted());
  });

  if (engine === 'sqlite') return;
  test('a revocation that waits to commit is told of although others have passed it', async () => {
    const [slow, quick] = [await on.register(), await on.register()];
    let { last } = await ask();
    const told: string[][] = [];
    await interleaver.meet(
      /INSERT INTO events/,
      () => on.form('/oauth2/revoke', { token: slow.credential }),
      async () => {
        await on.form('/oauth2/revoke', { token: quick.credential });
        const page = await ask(`?after=${last}`);
        told.push(page.events.flatMap(({ key_ids }) => key_ids));
        last = page.last;
      },
    );
    const page = await ask(`?after=${last}`);
    told.push(page.events.flatMap(({ key_ids }) => key_ids));
    assert.deepEqual(told, [[await keyOf(quick)], [await keyOf(slow)]]);
  });
});
