/**
 * Compares introspection and registration here with those of another checkout, on SQLite, taking turns in one run.
 *
 *   npm run bench:compare -- --checkout ../vouchsafe-old   # with its dependencies in place
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Bench, basic, cliOf, commitOf, here, median, SECRET, type Server, withBench } from './bench.ts';

const { values: options } = parseArgs({
  options: {
    checkout: { type: 'string', default: here('..') },
    keys: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '7' },
  },
});

interface Side {
  checkout: string;
  service: Server;
  keysFile: string;
  authorization: string;
  figures: Record<'introspect' | 'register', number[]>;
}

await withBench(async (bench) => {
  const ours = await open(bench, here('..'), 'ours');
  const theirs = await open(bench, options.checkout, 'theirs');
  for (let round = 0; round < Number(options.rounds); round += 1) {
    // Who goes first changes: what the machine does beside it hits both alike.
    for (const side of round % 2 === 0 ? [ours, theirs] : [theirs, ours]) {
      for (const kind of ['introspect', 'register'] as const) {
        const path = kind === 'introspect' ? '/oauth2/introspect' : '/agent/auth';
        const load = await bench.load(
          `http://localhost:${side.service.port}${path}`,
          kind,
          Number(options.seconds),
          { core: 1, keysFile: side.keysFile, authorization: side.authorization },
        );
        side.figures[kind].push(load.perSecond);
      }
    }
  }
  console.log(`\n| | ${commitOf(theirs.checkout)} | ${commitOf(ours.checkout)} | ratio |`);
  console.log('| --- | --- | --- | --- |');
  for (const kind of ['introspect', 'register'] as const) {
    const [before, after] = [theirs.figures[kind], ours.figures[kind]];
    const ratio = median(after.map((each, index) => each / before[index]!));
    const figures = [median(before), median(after)].map((each) => Math.round(each));
    console.log(`| ${kind}, requests/s | ${figures.join(' | ')} | **${ratio.toFixed(2)}** |`);
  }
});

async function open(bench: Bench, checkout: string, name: string): Promise<Side> {
  const url = `file:${join(bench.folder, `${name}.db`)}`;
  const env = {
    DATABASE_URL: url,
    SECRET,
    LIMITS: JSON.stringify({ registerPerIp: '999999999/h', registerPerService: '999999999/h' }),
  };
  const cli = cliOf(checkout);
  await bench.run([cli, 'migrate'], env);
  const keysFile = join(bench.folder, `${name}.txt`);
  await bench.run([here('fill.ts'), url, options.keys, keysFile]);
  const added = await bench.run(
    [cli, 'resource', 'add', 'https://api.example.com', '--name', 'bench', '--json'],
    env,
  );
  const { client_id, client_secret } = JSON.parse(added) as { client_id: string; client_secret: string };
  return {
    checkout,
    service: await bench.start([cli, 'serve'], env, '/auth.md', { core: 0 }),
    keysFile,
    authorization: basic(client_id, client_secret),
    figures: { introspect: [], register: [] },
  };
}
