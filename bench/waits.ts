import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import pg from 'pg';

/**
 * Reads or writes a row again and again, and prints for each line of its input how long it waited at most since the last one, ms.
 * Arguments: URL of the database, `read` or `write`.
 */
const [url, what] = process.argv.slice(2) as [string, 'read' | 'write'];
const FIRST = 'SELECT id FROM agents ORDER BY id LIMIT 1';
const SQL = {
  read: `SELECT c.id, a.revoked_at FROM credentials c JOIN agents a ON a.id = c.agent_id
    WHERE c.agent_id = $1 AND EXISTS (SELECT 1 FROM accounts w WHERE w.id = a.account_id)`,
  write: 'UPDATE agents SET name = name WHERE id = $1',
}[what];
const PAUSE_MS = 10;

async function open(): Promise<() => Promise<unknown>> {
  if (!url.startsWith('file:')) {
    const client = new pg.Client(url);
    await client.connect();
    const { rows } = await client.query(FIRST);
    return () => client.query(SQL, [rows[0].id]);
  }
  const db = new Database(url.slice('file:'.length), { timeout: 3_600_000 });
  const { id } = db.prepare(FIRST).get() as { id: string };
  const statement = db.prepare(SQL.replace('$1', '?'));
  return async () => (what === 'read' ? statement.get(id) : statement.run(id));
}

const ask = await open();
let asked = 0;
createInterface(process.stdin)
  .on('line', () => {
    asked += 1;
  })
  .on('close', () => process.exit(0));
for (let longestMs = 0; ; ) {
  const begunAt = performance.now();
  await ask();
  longestMs = Math.max(longestMs, performance.now() - begunAt);
  for (; asked > 0; asked -= 1) {
    console.log(Math.round(longestMs));
    longestMs = 0;
  }
  await sleep(PAUSE_MS);
}
