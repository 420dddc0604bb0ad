/** Prints every route: method, path, who may call it, the limit that meets a client's address first. `npm run routes` */
import { createRoutes } from '../src/app.ts';
import { loadConfig } from '../src/config/load.ts';
import { systemClock } from '../src/lib/clock.ts';
import { createLog } from '../src/lib/log.ts';
import { createDevMailbox } from '../src/mail/dev-mailbox.ts';
import type { Db } from '../src/store/engine/db.ts';
import { createDeps } from '../src/with-deps.ts';

const deps = createDeps(loadConfig(process.env), {
  db: {} as Db, // routes are made without asking it
  clock: systemClock,
  log: createLog('warn'),
  wakeOutbox() {},
  noteKeyUse() {},
  noteResourceServer() {},
  noteAgentUse() {},
});
const table = createRoutes(deps, {
  devMailbox: createDevMailbox(systemClock),
  follow: async () => () => {},
});
const rows = table
  .flat()
  .map(({ method, path, dialect, caller, limit = '' }) => [method, path, dialect.name, caller, limit]);
const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
for (const row of rows)
  console.log(
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
