/**
 * Measures the lists of one person who has very much, among many others: what each page takes of the processor, in our process and
 * in the database. Time on the processor, since it is the same on a busy machine; all rows are in memory. Needs Linux (/proc).
 *
 *   npm run bench:lists                                  # 10,000 agents, on both engines, among 200,000 of others
 *   npm run bench:lists -- --others 1000000 --engine sqlite
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { freePort } from '../test/helpers/free-port.ts';
import { type Bench, cliOf, commitOf, here, median, SECRET, withBench } from './bench.ts';
import { openFiller } from './filler.ts';
import { putPerson } from './lists-rows.ts';
import { putAgent } from './rows.ts';

const { values: options } = parseArgs({
  options: {
    agents: { type: 'string', default: '10000' },
    /** Agents of nobody, each with its account, key and event; and a hundredth as many people with ten agents. */
    others: { type: 'string', default: '200000' },
    engine: { type: 'string', default: 'sqlite,postgres' },
  },
});
const agents = Number(options.agents);
const others = Number(options.others);
const GOAL_MS = 30;
const ROUNDS = 20;
const WARM_UPS = 10;

interface Usage {
  cpuMs: number;
  databaseMs: number;
}

let failed = false;
await withBench(async (bench) => {
  for (const engine of options.engine.split(',')) await measure(bench, engine);
});
process.exitCode = failed ? 1 : 0;

async function measure(bench: Bench, engine: string): Promise<void> {
  const url = engine === 'sqlite' ? `file:${bench.folder}/lists.db` : await bench.postgres();
  const env = { DATABASE_URL: url, SECRET };
  await bench.run([cliOf(here('..')), 'migrate'], env);
  const people = await fill(url);
  const meterPort = await freePort();
  const server = await bench.start(
    [here('lists-server.ts')],
    { ...env, METER_PORT: String(meterPort) },
    '/auth.md',
  );
  let askServers: (() => number) | undefined;
  const usage = async (): Promise<Usage> => {
    const answer = await (await fetch(`http://127.0.0.1:${meterPort}/`)).json();
    const { cpuMs, sqliteMs } = answer as { cpuMs: number; sqliteMs: number };
    return { cpuMs, databaseMs: askServers?.() ?? sqliteMs };
  };

  console.log(
    `\n${engine}, ${agents.toLocaleString('en')} agents among ${others.toLocaleString('en')} of others,`,
  );
  console.log(`commit ${commitOf(here('..'))}: median of ${ROUNDS}\n`);
  console.log('| page | our processor ms | in the database ms | goal |');
  console.log('| --- | --- | --- | --- |');
  for (const [whose, { secret, agentId }] of Object.entries(people)) {
    const get = async (path: string): Promise<string> => {
      const headers = { Cookie: `vouchsafe_session=${secret}` };
      const response = await fetch(`http://localhost:${server.port}${path}`, { headers, redirect: 'manual' });
      const body = await response.text();
      if (response.status !== 200) throw new Error(`${path} says ${response.status}: ${body.slice(0, 200)}`);
      return body;
    };
    for (const path of await pathsOf(whose === 'merged', agentId, get)) {
      const used: Usage[] = [];
      for (let round = 0; round < WARM_UPS; round += 1) await get(path);
      if (engine === 'postgres') askServers = await watchServers(url);
      for (let round = 0; round < ROUNDS; round += 1) {
        const before = await usage();
        await get(path);
        const after = await usage();
        used.push({ cpuMs: after.cpuMs - before.cpuMs, databaseMs: after.databaseMs - before.databaseMs });
      }
      const cpuMs = median(used.map((each) => each.cpuMs));
      const databaseMs = median(used.map((each) => each.databaseMs));
      const isReached = cpuMs <= GOAL_MS && databaseMs <= GOAL_MS;
      if (!isReached) failed = true;
      const shown = path.replace(/(agt_\w{4})\w+/g, '$1…').replace(/(after=)[^&]+/, '$1…');
      console.log(
        `| ${whose}: \`${shown}\` | ${cpuMs.toFixed(1)} | ${databaseMs.toFixed(1)} | ${GOAL_MS} ${isReached ? 'reached' : 'MISSED'} |`,
      );
    }
  }
  await bench.end(server);
}

/** Returns how long the server processes of a service were on a processor, ms. They are those that the pages warmed up. */
async function watchServers(url: string): Promise<() => number> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE application_name = 'vouchsafe'`,
  );
  await client.end();
  return () => rows.reduce((sum, { pid }) => sum + onProcessorMs(pid), 0);
}

/** Linux counts it in nanoseconds; a process that has ended counts no more. */
function onProcessorMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return 0;
  }
}

async function fill(url: string) {
  const filler = await openFiller(url);
  const now = Date.now();
  for (let index = 0; index < others; index += 1) {
    putAgent(filler.put, now - index * 1000, now + 2_592_000_000);
    if (index % 5000 === 0) await filler.flush();
  }
  const few = { agents: 10, keys: 3, sessions: 2, events: 20, hosts: 1, isLinked: false };
  for (let index = 0; index < others / 100; index += 1)
    await putPerson(filler.put, async () => {}, now, `other${index}`, few);
  await filler.flush();
  const much = { agents, keys: agents, sessions: agents, events: agents * 10, hosts: 100 };
  const people = {
    merged: await putPerson(filler.put, filler.flush, now, 'merged', { ...much, isLinked: false }),
    linked: await putPerson(filler.put, filler.flush, now, 'linked', { ...much, isLinked: true }),
  };
  await filler.close();
  return people;
}

/** The pages that are measured; of a person with linked agents those on which these are. */
async function pathsOf(
  isWhole: boolean,
  agentId: string,
  get: (path: string) => Promise<string>,
): Promise<string[]> {
  const deep = await pageFromMiddle(get);
  const ofAgents = [
    '/agents',
    deep,
    '/agents?show=active',
    '/agents?show=unused',
    '/agents?show=revoked',
    '/agents?sort=name',
    '/agents?q=agent+99',
    '/agents?q=nobody',
  ];
  if (!isWhole) return ofAgents;
  return [
    ...ofAgents,
    '/agents?show=environments',
    `/agents/${agentId}`,
    '/keys',
    '/keys?show=ended',
    '/keys?q=key+99',
    '/account',
    '/account/activity',
    '/account/activity?kind=agents',
    '/account/activity?kind=keys',
    `/account/activity?about=${agentId}`,
    '/account/activity?q=agent+99',
    '/account/activity?q=agent&kind=signIn',
  ];
}

/** The page after the one that begins with the last agents that were never used: far behind the first. */
async function pageFromMiddle(get: (path: string) => Promise<string>): Promise<string> {
  const last = await get('/agents?sort=used&show=active');
  const mark = /href="\/agents\?[^"]*after=([^"&]*)/.exec(last)?.[1];
  return `/agents?after=${mark}`;
}
