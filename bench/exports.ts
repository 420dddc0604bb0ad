/**
 * Measures what is downloaded of a million events: the audit log of the console, as JSON lines and as CSV, and a person's own data.
 * How long each takes, how much memory the system has given the service in its first tenth and in its last, and how much the
 * service holds after a collection: before it, and just before its end. Needs Linux (/proc).
 *
 *   npm run bench:exports                                # on both engines
 *   npm run bench:exports -- --events 100000 --engine sqlite
 */
import { parseArgs } from 'node:util';
import { freePort } from '../test/helpers/free-port.ts';
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
  const meterPort = await freePort();
  const server = await bench.start(
    ['--expose-gc', here('exports-server.ts')],
    { ...env, METER_PORT: String(meterPort) },
    '/auth.md',
  );

  console.log(`\n${engine}, ${events.toLocaleString('en')} events, commit ${commitOf(here('..'))}\n`);
  console.log(
    '| what | MB | took s | memory (RSS) before, MiB | at most in the first tenth | in the last | held before | at the end |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const path of ['/console/audit-log.jsonl', '/console/audit-log.csv', '/account/export']) {
    console.log(`| ${[`\`${path}\``, ...(await download(server, meterPort, path, secret))].join(' | ')} |`);
  }
  await bench.end(server);
}

/** Downloads a file, as fast as it comes. */
async function download(server: Server, meterPort: number, path: string, secret: string): Promise<string[]> {
  const held = async (): Promise<number> => {
    const answer = await (await fetch(`http://127.0.0.1:${meterPort}/`)).json();
    return (answer as { held: number }).held / 1024 ** 2;
  };
  const heldBefore = await held();
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
  let heldLast = heldBefore;
  let measuredAt = 0;
  for await (const chunk of response.body!) {
    bytes += chunk.length;
    if (bytes - measuredAt < 10_000_000) continue;
    measuredAt = bytes;
    heldLast = await held();
  }
  const seconds = (performance.now() - begunAt) / 1000;
  clearInterval(timer);
  looks.push(residentMiB(server));
  const tenth = Math.ceil(looks.length / 10);
  const most = [looks.slice(0, tenth), looks.slice(-tenth)].map((some) => Math.max(...some));
  return [
    (bytes / 1e6).toFixed(0),
    seconds.toFixed(1),
    ...[before, ...most, heldBefore, heldLast].map((mib) => mib.toFixed(0)),
  ];
}
