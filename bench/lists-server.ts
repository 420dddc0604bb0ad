import { createServer } from 'node:http';
import { loadConfig } from '../src/config/load.ts';
import { createLog } from '../src/lib/log.ts';
import { startService } from '../src/main.ts';
import type { Db, Tx } from '../src/store/engine/db.ts';

/**
 * Serves, and tells on METER_PORT what it has taken of the processor so far, as JSON: `cpuMs` in all, and `sqliteMs` of that in
 * statements of SQLite, which works in this process.
 */
let sqliteMs = 0;

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** SQLite is done when a call returns. */
function metered<Result>(call: () => Result): Result {
  const before = cpuMs();
  const result = call();
  sqliteMs += cpuMs() - before;
  return result;
}

function meter(db: Db): Db {
  if (db.engine !== 'sqlite') return db;
  return {
    ...db,
    get: (...args: Parameters<Tx['get']>) => metered(() => db.get(...args)),
    all: (...args: Parameters<Tx['all']>) => metered(() => db.all(...args)),
  } as Db;
}

await startService(loadConfig(process.env), { wrapDb: meter, log: createLog('fatal') });
createServer((_, response) => {
  response.end(JSON.stringify({ cpuMs: cpuMs(), sqliteMs }));
}).listen(Number(process.env.METER_PORT), '127.0.0.1');
