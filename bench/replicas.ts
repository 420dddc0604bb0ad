/**
 * Measures registration on PostgreSQL with one and with two services on one database, here and in another checkout, taking turns in
 * one run. All requests come from one address, so that they share all rows that can be shared.
 *
 *   npm run bench:replicas
 *   npm run bench:replicas -- --checkout ../vouchsafe-old   # against the code of another checkout
 *   npm run bench:replicas -- --away 2                      # the database 2 ms away, as on another machine
 */
import { parseArgs } from 'node:util';
import { type Bench, cliOf, commitOf, here, median, SECRET, type Server, withBench } from './bench.ts';

const { values: options } = parseArgs({
  options: {
    checkout: { type: 'string' },
    seconds: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    away: { type: 'string', default: '0' },
  },
});
const seconds = Number(options.seconds);
const connections = Number(options.connections);

interface Result {
  one: number[];
  two: number[];
  p99: number;
}

await withBench(async (bench) => {
  const admin = await bench.postgres();
  const checkouts = [here('..'), ...(options.checkout === undefined ? [] : [options.checkout])];
  const stages = [];
  for (const [index, checkout] of checkouts.entries()) {
    stages.push({ checkout, ...(await open(bench, admin, checkout, `bench_${index}`)) });
  }
  const results = new Map<string, Result>(checkouts.map((each) => [each, { one: [], two: [], p99: 0 }]));
  for (let round = 0; round < Number(options.rounds); round += 1) {
    for (const { checkout, servers } of stages) {
      const result = results.get(checkout)!;
      result.one.push((await together(bench, servers.slice(0, 1), connections)).perSecond);
      const both = await together(bench, servers, connections);
      result.two.push(both.perSecond);
      result.p99 = both.p99;
    }
  }
  // Four times as many at once: a refusal aborts, and says so.
  const crowd = await together(bench, stages[0]!.servers, connections * 4);

  console.log('\n| commit | one service, registrations/s | two | two / one | p99 ms of two |');
  console.log('| --- | --- | --- | --- | --- |');
  for (const [checkout, { one, two, p99 }] of results) {
    const ratio = median(two.map((each, index) => each / one[index]!));
    const figures = [median(one), median(two)].map((each) => Math.round(each));
    console.log(`| ${commitOf(checkout)} | ${figures.join(' | ')} | **${ratio.toFixed(2)}** | ${p99} |`);
  }
  console.log(
    `\n${connections * 4} connections: ${Math.round(crowd.perSecond)}/s, p99 ${crowd.p99} ms, none refused`,
  );
});

/** Two services of a checkout on a database of their own. */
async function open(
  bench: Bench,
  admin: string,
  checkout: string,
  name: string,
): Promise<{ servers: Server[] }> {
  await bench.run([here('make-database.ts'), admin, name]);
  const url = new URL(admin);
  url.pathname = `/${name}`;
  if (options.away !== '0') {
    const proxy = await bench.start([here('away.ts')], { TO: url.port, DELAY_MS: options.away }, undefined);
    url.port = String(proxy.port);
  }
  const env = {
    DATABASE_URL: url.href,
    SECRET,
    LIMITS: JSON.stringify({ registerPerIp: '999999999/h', registerPerService: '999999999/h' }),
  };
  const cli = cliOf(checkout);
  const servers = [];
  for (let count = 0; count < 2; count += 1) servers.push(await bench.start([cli, 'serve'], env, '/auth.md'));
  return { servers };
}

/** The same number of connections in all, shared among the services. */
async function together(
  bench: Bench,
  servers: readonly Server[],
  total: number,
): Promise<{ perSecond: number; p99: number }> {
  const loads = await Promise.all(
    servers.map(({ port }) =>
      bench.load(`http://localhost:${port}/agent/auth`, 'register', seconds, {
        connections: total / servers.length,
      }),
    ),
  );
  return {
    perSecond: loads.reduce((sum, load) => sum + load.perSecond, 0),
    p99: Math.max(...loads.map(({ p99 }) => p99)),
  };
}
