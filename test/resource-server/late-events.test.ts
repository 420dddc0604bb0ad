import type { ExecutionContext } from 'ava';
import { type Api, addApi } from '../helpers/api.ts';
import { createInterleaver } from '../helpers/interleaved.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('asking for resource events now and then', (engine, test) => {
  const interleaver = createInterleaver();
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine, engine === 'postgres' ? { wrapDb: interleaver.wrapDb } : {});
    api = await addApi(on, 'https://api.example.com');
  });
  test.after(() => on.stop());

  const ask = async (t: ExecutionContext, query = '') => {
    const headers = basic(api.clientId, api.clientSecret);
    const reply = await on.request('GET', `/resource/events${query}`, { headers });
    t.is(reply.status, 200, reply.text);
    return reply.body as { events: { id: string; key_ids: string[] }[]; last: string };
  };
  const idsAfter = async (t: ExecutionContext, last: string) =>
    (await ask(t, `?after=${last}`)).events.map(({ id }) => id);

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

  test('tells of one that commits after others with a later id, and of each once', async (t) => {
    const key = await keyOf(await on.register());
    let { last } = await ask(t);
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
      const page = await ask(t, `?after=${last}`);
      told.push(...page.events.map((event) => event.id));
      last = page.last;
    }
    t.deepEqual(told, [
      'evt_zzzzzzzz5',
      'evt_zzzzzzzz3',
      'evt_zzzzzzzz4',
      'evt_zzzzzzzz1',
      'evt_zzzzzzzz9',
      'evt_zzzzzzzz2',
    ]);
    t.deepEqual(await ask(t, `?after=${last}`), { events: [], last });
    // From any of them on it is the rest, in the same order.
    for (const [index, id] of told.entries()) t.deepEqual(await idsAfter(t, id), told.slice(index + 1));
  });

  test('tells each of many who ask at once of all that many commit', async (t) => {
    const key = await keyOf(await on.register());
    const { last } = await ask(t);
    const ids = Array.from(
      { length: 60 },
      (_, index) => `evt_zzzzzzzzz${String((index * 37) % 60).padStart(2, '0')}`,
    );
    let isOver = false;
    const readers = Array.from({ length: 4 }, async () => {
      const told: string[] = [];
      for (let at = last, asked = 0; asked < 1000; asked += 1) {
        const wasOver = isOver;
        const page = await ask(t, `?after=${at}`);
        told.push(...page.events.map(({ id }) => id));
        at = page.last;
        if (wasOver && page.events.length === 0) return told;
      }
      return told;
    });
    await Promise.all(ids.map((id) => commit(id, key)));
    isOver = true;
    for (const told of await Promise.all(readers)) t.deepEqual(told.toSorted(), ids.toSorted());
  });

  if (engine === 'sqlite') return;
  test('a revocation that waits to commit is told of although others have passed it', async (t) => {
    const [slow, quick] = [await on.register(), await on.register()];
    let { last } = await ask(t);
    const told: string[][] = [];
    await interleaver.meet(
      /INSERT INTO events/,
      () => on.form('/oauth2/revoke', { token: slow.credential }),
      async () => {
        await on.form('/oauth2/revoke', { token: quick.credential });
        const page = await ask(t, `?after=${last}`);
        told.push(page.events.flatMap(({ key_ids }) => key_ids));
        last = page.last;
      },
    );
    const page = await ask(t, `?after=${last}`);
    told.push(page.events.flatMap(({ key_ids }) => key_ids));
    t.deepEqual(told, [[await keyOf(quick)], [await keyOf(slow)]]);
  });
});
