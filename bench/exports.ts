/**
 * Measures what is downloaded of a million events: the audit log of the console, as JSON lines and as CSV, and a person's own data.
 * How long each takes, and how much memory the service holds in its first tenth and in its last. Needs Linux (/proc).
 *
 *   npm run bench:exports                                # on both engines
 *   npm run bench:exports -- --events 100000 --engine sqlite
 */
import { parseArgs } from 'node:util';
import { type Bench, cliOf, commitOf, here, residentMiB, SECRET, type Server, withBench } from './bench.ts';
import { openFiller } from './filler.ts';
import { putPerson } from './lists-rows.ts';

const { values: options } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    engine: { type: 'string', default: 'sqlite,postgres' },
  },
});
const events = Number(options.events);
const LOOK_MS = 50;

await withBench(async (bench) => {
  for (const engine of options.engine.split(',')) {
    await measure(
      bench,
      engine,
      engine === 'sqlite' ? `file:${bench.folder}/exports.db` : await bench.postgres(),
    );
  }
});

async function measure(bench: Bench, engine: string, url: string): Promise<void> {
  const env = { DATABASE_URL: url, SECRET, OPERATORS: 'operator@example.com' };
  const cli = cliOf(here('..'));
  await bench.run([cli, 'migrate'], env);
  const filler = await openFiller(url);
  const now = Date.now();
  const belongings = { agents: 10_000, keys: 10_000, sessions: 10_000, events, hosts: 100, isLinked: true };
  const { secret, id } = await putPerson(filler.put, filler.flush, now, 'operator', belongings);
  // No code of it is asked for: the session began with it.
  filler.put('authenticators', {
    account_id: id,
    sealed: Buffer.alloc(60),
    last_step: 0,
    created_at: now - 1000,
  });
  await filler.close();
  const server = await bench.start([cli, 'serve'], env, '/auth.md');

  console.log(`\n${engine}, ${events.toLocaleString('en')} events, commit ${commitOf(here('..'))}\n`);
  console.log('| what | MB | took s | memory (RSS) before, MiB | at most in the first tenth | in the last |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const path of ['/console/audit-log.jsonl', '/console/audit-log.csv', '/account/export']) {
    console.log(`| ${[`\`${path}\``, ...(await download(server, path, secret))].join(' | ')} |`);
  }
  await bench.end(server);
}

/** Downloads a file, as fast as it comes. */
async function download(server: Server, path: string, secret: string): Promise<string[]> {
  const before = residentMiB(server);
  const looks: number[] = [];
  const timer = setInterval(() => looks.push(residentMiB(server)), LOOK_MS);
  const begunAt = performance.now();
  const response = await fetch(`http://localhost:${server.port}${path}`, {
    headers: { Cookie: `vouchsafe_session=${secret}` },
    redirect: 'manual',
  });
  if (response.status !== 200) throw new Error(`${path} says ${response.status}: ${await response.text()}`);
  let bytes = 0;
  for await (const chunk of response.body!) bytes += chunk.length;
  const seconds = (performance.now() - begunAt) / 1000;
  clearInterval(timer);
  looks.push(residentMiB(server));
  const tenth = Math.ceil(looks.length / 10);
  const most = [looks.slice(0, tenth), looks.slice(-tenth)].map((some) => Math.max(...some));
  return [(bytes / 1e6).toFixed(0), seconds.toFixed(1), ...[before, ...most].map((mib) => mib.toFixed(0))];
}
