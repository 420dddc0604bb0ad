import { setImmediate as turn } from 'node:timers/promises';
import type { Db } from '../../src/store/engine/db.ts';
import { migrate } from '../../src/store/engine/migrate.ts';
import { createTestDatabase } from '../helpers/service.ts';
import { INSERT_NOTE, notebook, openTestDatabase } from '../helpers/storage.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const noted = async (db: Db) =>
  (await db.all<{ id: number }>('SELECT id FROM notes ORDER BY id')).map(({ id }) => id);

onEveryEngine('transactions', (engine, test) => {
  test('of many at once, those that fail leave nothing and those that succeed are all there', async (t) => {
    const { db } = await notebook(t, engine);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 300 }, (_, id) =>
        db.tx(async (tx) => {
          await tx.run(INSERT_NOTE, [id]);
          if (id % 2 === 0) await turn();
          if (id % 3 === 0) throw new Error(`number ${id} changed its mind`);
          if (id % 7 === 0) await tx.run(INSERT_NOTE, [id]); // breaks the primary key
          return id;
        }),
      ),
    );
    const kept = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    t.deepEqual(
      kept,
      Array.from({ length: 300 }, (_, id) => id).filter((id) => id % 3 !== 0 && id % 7 !== 0),
    );
    t.deepEqual(await noted(db), kept);
    const [first] = outcomes;
    if (first?.status !== 'rejected') return t.fail('number 0 is refused');
    t.is(first.reason.message, 'number 0 changed its mind', 'the error is the one that was thrown');
  });

  test('what one request writes neither shows in another before its commit, nor is lost with another’s rollback', async (t) => {
    const { db } = await notebook(t, engine);
    let written: (() => void) | undefined;
    const isWritten = new Promise<void>((resolve) => {
      written = resolve;
    });
    const failing = db.tx(async (tx) => {
      await tx.run(INSERT_NOTE, [1]);
      written!();
      for (let count = 0; count < 20; count += 1) await turn();
      throw new Error('taken back');
    });
    const refused = t.throwsAsync(failing, { message: /taken back/ });
    await isWritten;
    const other = db.tx((tx) => tx.run(INSERT_NOTE, [2]));
    t.false((await noted(db)).includes(1), 'not yet committed');
    await refused;
    await other;
    t.deepEqual(await noted(db), [2]);
  });

  test('who was told of a commit reads it at once', async (t) => {
    const { db } = await notebook(t, engine);
    for (let id = 0; id < 50; id += 1) {
      await db.get('SELECT COUNT(*) FROM notes'); // a look before, which must not be what is seen after
      await db.tx((tx) => tx.run(INSERT_NOTE, [id]));
      t.is((await noted(db)).length, id + 1);
    }
  });

  test('a row that points to nothing is refused', async (t) => {
    const database = await createTestDatabase(engine);
    const db = await openTestDatabase(database);
    t.teardown(async () => {
      await db.close();
      await database.drop();
    });
    await migrate(db, 0);
    const orphan = `INSERT INTO agents (id, account_id, registration_id, created_at) VALUES ('a', 'nobody', 'r', 0)`;
    await t.throwsAsync(
      db.tx((tx) => tx.run(orphan)),
      { message: /foreign key/i },
    );
  });
});
