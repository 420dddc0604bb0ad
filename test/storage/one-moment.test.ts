import type { ExecutionContext } from 'ava';
import { Failure } from '../../src/errors.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { openDatabase } from '../../src/store/engine/open.ts';
import { configFor } from '../helpers/crashing.ts';
import { createTestDatabase, type Engine } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** A database with a table to write on. */
async function notebook(t: ExecutionContext, engine: Engine): Promise<Db> {
  const database = await createTestDatabase(engine);
  const db = await openDatabase(configFor(database.url).database, () => {});
  t.teardown(async () => {
    await db.close();
    await database.drop();
  });
  await db.migrate(async (tx) => {
    await tx.script('CREATE TABLE notes (id BIGINT PRIMARY KEY)');
    return false;
  });
  return db;
}
const INSERT = 'INSERT INTO notes (id) VALUES (?)';
const COUNT = 'SELECT COUNT(*) AS n FROM notes';

onEveryEngine('one moment', (engine, test) => {
  test('reads that belong together show one moment, whatever is written between them, and the next ones the newest', async (t) => {
    const db = await notebook(t, engine);
    const seen = await db.read(async (tx) => {
      const before = await tx.get<{ n: number }>(COUNT);
      await db.tx((writing) => writing.run(INSERT, [1]));
      const after = await tx.get<{ n: number }>(COUNT);
      return [before!.n, after!.n];
    });
    t.deepEqual(seen, [0, 0]);
    const views = await Promise.all([1, 2, 3].map(() => db.read((tx) => tx.get<{ n: number }>(COUNT))));
    t.deepEqual(
      views.map((row) => row!.n),
      [1, 1, 1],
    );
    await t.throwsAsync(
      db.read((tx) => tx.get('SELECT nothing FROM notes')),
      { message: /nothing/ },
    );
    t.is((await db.read((tx) => tx.get<{ n: number }>(COUNT)))!.n, 1, 'and one that fails spoils none');
  });

  test('statements that a transaction asks at once are done in their order, and all undone where one fails', async (t) => {
    const db = await notebook(t, engine);
    const rows = await db.tx(async (tx) => {
      const [, first, , second] = await Promise.all([
        tx.run(INSERT, [1]),
        tx.get<{ n: number }>(COUNT),
        tx.run(INSERT, [2]),
        tx.get<{ n: number }>(COUNT),
      ]);
      return [first!.n, second!.n];
    });
    t.deepEqual(rows, [1, 2]);
    const failing = db.tx((tx) => Promise.all([3, 1, 4].map((id) => tx.run(INSERT, [id]))));
    await t.throwsAsync(failing, { message: /unique|duplicate/i });
    t.is((await db.get<{ n: number }>(COUNT))!.n, 2);
  });
});

test('what a transaction asks after SQLite has undone it by itself is refused, and not written alone', async (t) => {
  const db = await notebook(t, 'sqlite');
  // As on a full disk, where SQLite rolls back in a statement that fails.
  const undoing = INSERT.replace('INSERT', 'INSERT OR ROLLBACK');
  const undone = db.tx(async (tx) => {
    const asked = [tx.run(INSERT, [1]), tx.run(undoing, [1]), tx.run(INSERT, [2])];
    const [, failed] = await Promise.allSettled(asked);
    t.is(failed!.status, 'rejected');
    await asked[2];
  });
  const refused = await t.throwsAsync(undone, { instanceOf: Failure });
  t.is(refused.kind, 'unavailable');
  t.is((await db.get<{ n: number }>(COUNT))!.n, 0);
  await db.tx((tx) => tx.run(INSERT, [3]));
  t.is((await db.get<{ n: number }>(COUNT))!.n, 1, 'and the next one is written');
});
