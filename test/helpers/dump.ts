import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestService } from './service.ts';

/** All that a service's database holds, as text: every value of every table, and with SQLite the files themselves. */
export async function dumpOf(on: TestService): Promise<string> {
  const { db } = on.service.deps;
  const tables = await db.all<{ name: string }>(
    db.engine === 'sqlite'
      ? `SELECT name FROM sqlite_master WHERE type = 'table'`
      : `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    for (const row of await db.all<Record<string, unknown>>(`SELECT * FROM ${name}`)) {
      for (const value of Object.values(row)) {
        // Of bytes also what they say when somebody wrote a text in them.
        texts.push(value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value));
      }
    }
  }
  if (db.engine === 'sqlite') {
    const folder = dirname(on.database.url.slice('file:'.length));
    for (const file of readdirSync(folder)) texts.push(readFileSync(join(folder, file), 'latin1'));
  }
  return texts.join('\n');
}
