/**
 * Measures whether memory stays flat over very many authorizations: an app asks, a person's consent is remembered, and the code is
 * exchanged. Needs Linux (/proc).
 *
 *   npm run bench:authorizations             # 100,000
 *   npm run bench:authorizations -- 20000
 */
import { join } from 'node:path';
import { openAuthorizers, putPeople } from './authorizer.ts';
import { cliOf, commitOf, here, residentMiB, SECRET, withBench } from './bench.ts';

const total = Number(process.argv[2] ?? 100_000);
const PEOPLE = 16;
const STEPS = 10;

await withBench(async (bench) => {
  const url = `file:${join(bench.folder, 'authorizations.db')}`;
  const env = { DATABASE_URL: url, SECRET };
  const cli = cliOf(here('..'));
  await bench.run([cli, 'migrate'], env);
  const sessions = await putPeople(url, PEOPLE);
  await bench.run([cli, 'resource', 'add', 'https://api.example.com', '--name', 'bench', '--json'], env);
  const server = await bench.start([cli, 'serve'], env, '/auth.md');
  const at = `http://localhost:${server.port}`;
  const authorizers = await openAuthorizers(at, sessions);

  console.log(`\nSQLite, ${total.toLocaleString('en')} authorizations, commit ${commitOf(here('..'))}\n`);
  console.log('| authorizations | memory (RSS), MiB | a second |');
  console.log('| --- | --- | --- |');
  console.log(`| 0 | ${residentMiB(server).toFixed(0)} | |`);
  let done = 0;
  for (let step = 1; step <= STEPS; step += 1) {
    const until = (total * step) / STEPS;
    const before = { done, at: performance.now() };
    await Promise.all(
      authorizers.map(async (authorize) => {
        while (done < until) {
          done += 1;
          const response = await fetch(`${at}/oauth2/token`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
            body: await authorize(),
          });
          const text = await response.text();
          if (response.status !== 200) throw new Error(`no token: ${response.status} ${text}`);
        }
      }),
    );
    const perSecond = (done - before.done) / ((performance.now() - before.at) / 1000);
    console.log(
      `| ${done.toLocaleString('en')} | ${residentMiB(server).toFixed(0)} | ${perSecond.toFixed(0)} |`,
    );
  }
});
