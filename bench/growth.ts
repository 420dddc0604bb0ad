/**
 * Measures what a service with very many agents does beside its requests, and as many members, nodes and keys on places of
 * workspaces: how long each background job, page and command keeps others waiting.
 *
 *   npm run bench:growth                                 # 1,000,000 agents, 300,000 of them expired, on both engines
 *   npm run bench:growth -- --agents 100000 --engine sqlite
 *   npm run bench:growth -- --checkout ../vouchsafe-old  # the code of another checkout, with its dependencies in place
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Bench, cliOf, commitOf, here, SECRET, withBench } from './bench.ts';
import { openFiller } from './filler.ts';
import type { Figure } from './growth-measure.ts';
import { idAt, putAgent, putRemains } from './rows.ts';
import { putWorkspaces } from './workspace-rows.ts';

const { values: options } = parseArgs({
  options: {
    agents: { type: 'string', default: '1000000' },
    engine: { type: 'string', default: 'sqlite,postgres' },
    checkout: { type: 'string', default: here('..') },
    /** How long retention is watched. */
    seconds: { type: 'string', default: '60' },
  },
});
const total = Number(options.agents);
const DAY_MS = 86_400_000;
const hasWorkspaces = existsSync(join(options.checkout, 'db/migrations/0021_workspaces.sql'));

await withBench(async (bench) => {
  for (const engine of options.engine.split(',')) {
    const url = engine === 'sqlite' ? `file:${bench.folder}/growth.db` : await bench.postgres();
    const env = { DATABASE_URL: url, SECRET };
    await bench.run([cliOf(options.checkout), 'migrate'], env);
    await fill(url);
    const figures = await commands(bench, env);
    const printed = await bench.run([here('growth-measure.ts'), options.checkout, url, options.seconds]);
    report(engine, [...(JSON.parse(printed) as Figure[]), ...figures]);
  }
});

async function fill(url: string): Promise<void> {
  const filler = await openFiller(url);
  const now = Date.now();
  for (let index = 0; index < total; index += 1) {
    // A third ended more than a day ago, the rest is young; ids go up with time, as they do.
    const isOver = index < total * 0.3;
    const at = now - (isOver ? 40 : 5) * DAY_MS + Math.floor((index / total) * DAY_MS);
    putAgent(filler.put, at, at + 30 * DAY_MS);
    if (index % 10 === 0) putRemains(filler.put, isOver ? at : now - 2 * DAY_MS, index);
    if (index % 5000 === 0) await filler.flush();
  }
  await putCrowd(filler.put, now - 40 * DAY_MS);
  if (hasWorkspaces) await putWorkspaces(filler.put, filler.flush, now - 5 * DAY_MS, total);
  await filler.close();
}

/** A host that nobody owns any more, with three thousand agents. */
async function putCrowd(put: Parameters<typeof putAgent>[0], at: number): Promise<void> {
  const [usr, reg, hst] = [idAt('usr', at), idAt('reg', at), idAt('hst', at)];
  put('accounts', { id: usr, kind: 'agent', created_at: at });
  put('registrations', { id: reg, kind: 'host', agent_id: null, created_at: at, expires_at: at });
  const key = { thumbprint: hst, public_jwk: '{}' };
  put('hosts', { id: hst, registration_id: reg, account_id: usr, ...key, created_at: at });
  for (let index = 0; index < 3000; index += 1) {
    const agt = idAt('agt', at);
    put('agents', { id: agt, account_id: usr, registration_id: reg, created_at: at });
    put('hosted_agents', {
      id: agt,
      host_id: hst,
      mode: 'autonomous',
      name: 'agent',
      thumbprint: agt,
      public_jwk: '{}',
      created_at: at,
      activated_at: at,
    });
    put('grants', { agent_id: agt, capability: 'whoami', asked_at: at });
  }
}

/** Commands work in processes of their own and write little: what counts is how long they take. */
async function commands(bench: Bench, env: Record<string, string>): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const command of [
    'agent list --limit 100',
    'agent list --limit 20000',
    'events --limit 1000',
    'events --kind agent.revoked',
    'doctor',
    ...(hasWorkspaces ? ['workspace list', 'workspace list Large'] : []),
  ]) {
    const begunAt = performance.now();
    const said = await bench.run([cliOf(options.checkout), ...command.split(' ')], env).then(
      () => undefined,
      (error: Error) => `failed: ${error.message.split('\n').slice(1).join(' ').slice(0, 100)}`,
    );
    const totalMs = performance.now() - begunAt;
    figures.push({ name: command, transactionMs: 0, blockMs: 0, totalMs, ...(said && { note: said }) });
    console.error(command, Math.round(totalMs), said ?? '');
  }
  return figures;
}

function report(engine: string, figures: readonly Figure[]): void {
  console.log(`\n${engine}, ${total.toLocaleString('en')} agents, commit ${commitOf(options.checkout)}\n`);
  console.log('| what | longest transaction ms | longest block of the event loop ms | in all ms | |');
  console.log('| --- | --- | --- | --- | --- |');
  for (const { name, transactionMs, blockMs, totalMs, note = '' } of figures) {
    const shown = [transactionMs, blockMs, totalMs].map((ms) =>
      ms === 0 ? '' : ms.toFixed(ms < 10 ? 1 : 0),
    );
    console.log(`| ${name} | ${shown.join(' | ')} | ${note} |`);
  }
}
