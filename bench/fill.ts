import { writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { newId } from '../src/lib/ids.ts';
import { systemRandom } from '../src/lib/random.ts';
import { hashSecret, hints, newSecret } from '../src/lib/secrets.ts';

/**
 * Puts registered agents straight into a SQLite file that a service has migrated, as many rows each as a registration
 * makes, and writes a sample of their keys. Arguments: database, how many, file for the sample.
 */
const [file, count, sampleFile] = process.argv.slice(2) as [string, string, string];
const SAMPLE = 250;

const db = new Database(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = OFF');
db.pragma('cache_size = -1000000');
const into = (table: string, columns: string) =>
  db.prepare(`INSERT INTO ${table} (${columns}) VALUES (${columns.replace(/\w+/g, '?')})`);
const account = into('accounts', 'id, kind, created_at');
const registration = into('registrations', 'id, kind, agent_id, created_at, expires_at');
const agent = into('agents', 'id, account_id, registration_id, created_at');
const claim = into('claims', 'token_hash, registration_id, created_at, expires_at');
const credential = into(
  'credentials',
  'hash, id, agent_id, account_id, scope, prefix, last_four, created_at, expires_at',
);
const event = into('events', 'id, at, kind, account_id, agent_id, subject, address, request_id, details');

const total = Number(count);
const sample: string[] = [];
const now = Date.now() - total;
for (let start = 0; start < total; start += 50_000) {
  db.transaction(() => {
    for (let index = start; index < Math.min(start + 50_000, total); index += 1) {
      const at = now + index;
      const id = (prefix: Parameters<typeof newId>[0]) => newId(prefix, at, systemRandom);
      const [usr, reg, agt] = [id('usr'), id('reg'), id('agt')];
      const key = newSecret('sk', systemRandom);
      const { prefix, lastFour } = hints(key);
      const end = at + 2_592_000_000;
      account.run(usr, 'agent', at);
      registration.run(reg, 'anonymous', agt, at, end);
      agent.run(agt, usr, reg, at);
      claim.run(systemRandom(32), reg, at, at + 86_400_000);
      credential.run(hashSecret(key), id('key'), agt, usr, 'read', prefix, lastFour, at, end);
      event.run(
        id('evt'),
        at,
        'registration.created',
        usr,
        agt,
        reg,
        '127.0.0.1',
        id('req'),
        '{"type":"anonymous"}',
      );
      if (index % Math.ceil(total / SAMPLE) === 0) sample.push(key);
    }
  })();
}
// As a running service leaves it: the log folded into the file.
db.pragma('wal_checkpoint(TRUNCATE)');
db.close();
// In no order, as keys come.
writeFileSync(sampleFile, sample.sort((a, b) => a.localeCompare(b)).join('\n'));
