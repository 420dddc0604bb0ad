/**
 * Measures how long each migration takes with very many agents that have owners, and how long others wait meanwhile: who reads as
 * introspection does, and who writes to an agent.
 *
 *   npm run bench:migrations                                   # 1,000,000 agents, on both engines
 *   npm run bench:migrations -- --agents 100000 --engine sqlite --from 18
 */
import { parseArgs } from 'node:util';
import { loadConfig } from '../src/config/load.ts';
import { fillOwners } from '../src/domain/jobs/owner-fill.ts';
import { migrate } from '../src/store/engine/migrate.ts';
import { openDatabase } from '../src/store/engine/open.ts';
import { type Bench, commitOf, here, SECRET, withBench } from './bench.ts';
import { openFiller } from './filler.ts';
import { idAt, type Put, putAgent } from './rows.ts';

const { values: options } = parseArgs({
  options: {
    agents: { type: 'string', default: '1000000' },
    engine: { type: 'string', default: 'sqlite,postgres' },
    /** The first migration that meets the rows. */
    from: { type: 'string', default: '18' },
  },
});
const total = Number(options.agents);

await withBench(async (bench) => {
  for (const engine of options.engine.split(',')) {
    await measure(
      bench,
      engine,
      engine === 'sqlite' ? `file:${bench.folder}/growth.db` : await bench.postgres(),
    );
  }
});

async function measure(bench: Bench, engine: string, url: string): Promise<void> {
  const db = await openDatabase(loadConfig({ DATABASE_URL: url, SECRET }).database, () => {});
  await migrate(db, Date.now(), { upTo: Number(options.from) - 1 });
  await fill(url);
  const watchers = [
    bench.converse([here('waits.ts'), url, 'read']),
    bench.converse([here('waits.ts'), url, 'write']),
  ];
  const longest = () => Promise.all(watchers.map((watcher) => watcher.ask('longest')));
  await longest();

  console.log(
    `\n${engine}, ${total.toLocaleString('en')} agents with owners, commit ${commitOf(here('..'))}\n`,
  );
  console.log('| what | took s | a read waited at most ms | a write waited at most ms |');
  console.log('| --- | --- | --- | --- |');
  const note = async (what: string, begunAt: number) => {
    const seconds = (performance.now() - begunAt) / 1000;
    console.log(`| ${[what, seconds.toFixed(1), ...(await longest())].join(' | ')} |`);
  };
  for (let version = Number(options.from); ; version += 1) {
    const begunAt = performance.now();
    const [applied] = await migrate(db, Date.now(), { upTo: version });
    if (applied === undefined) break;
    await note(`\`${applied}\``, begunAt);
  }
  const begunAt = performance.now();
  const filled = await fillOwners({ db });
  await note(`the owners of ${filled.toLocaleString('en')} agents, by the job`, begunAt);
  await db.close();
}

/** Agents that are linked to people with ten of them each, and were used. */
async function fill(url: string): Promise<void> {
  const filler = await openFiller(url);
  const now = Date.now();
  let owner = '';
  for (let index = 0; index < total; index += 1) {
    const at = now - (total - index) * 1000;
    if (index % 10 === 0) {
      owner = idAt('usr', at);
      const person = { kind: 'human', parent_id: null, mailbox: `${index}@example.com`, created_at: at };
      filler.put('accounts', { id: owner, ...person });
    }
    const more: Record<string, Record<string, string | number | null>> = {
      accounts: { parent_id: owner, mailbox: null },
      agents: { name: `Agent ${index}`, owned_at: at },
      credentials: { expires_at: null, last_used_at: at, last_used_from: 'network 203.0.x.x' },
    };
    const putOwned: Put = (table, row) => filler.put(table, { ...row, ...more[table] });
    putAgent(putOwned, at, at);
    if (index % 5000 === 0) await filler.flush();
  }
  await filler.close();
}
