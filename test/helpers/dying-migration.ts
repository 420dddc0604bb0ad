/**
 * Migrates the database named on the command line, and stops dead before the n-th step of it (a script, a statement, the
 * commit), having said "stopped"; its parent then kills it. Without so many steps it says "done".
 */
import { loadConfig } from '../../src/config/load.ts';
import { migrate } from '../../src/store/engine/migrate.ts';
import { openDatabase } from '../../src/store/engine/open.ts';

const [url, step] = process.argv.slice(2);
let left = Number(step);

async function next(): Promise<void> {
  left -= 1;
  if (left > 0) return;
  console.log('stopped');
  setInterval(() => {}, 1000); // stays alive until it is killed
  await new Promise<never>(() => {});
}

const db = await openDatabase(loadConfig({ DATABASE_URL: url! }).database, () => {});
await migrate(
  {
    ...db,
    migrate: (work) =>
      db.migrate(async (tx) => {
        const result = await work({
          ...tx,
          async script(sql) {
            await next();
            await tx.script(sql);
          },
          async run(sql, params) {
            await next();
            return tx.run(sql, params);
          },
        });
        await next();
        return result;
      }),
  },
  0,
);
console.log('done');
await db.close();
