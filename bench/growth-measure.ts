import { existsSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import type { Config } from '../src/config/load.ts';
import type { Deps } from '../src/deps.ts';
import type { Db } from '../src/store/engine/db.ts';
import type { Work } from '../src/work.ts';
import { SECRET } from './bench.ts';
import { measureWorkspaces } from './growth-workspaces.ts';

/**
 * Runs every background job and what pages and APIs ask on a filled database, in one process, and prints how long each kept others
 * waiting, as JSON. Arguments: checkout whose code is measured, URL of the database, seconds that retention may take.
 */
const [checkout, url, seconds] = process.argv.slice(2) as [string, string, string];

export interface Figure {
  name: string;
  /** The longest transaction, and the longest time without a turn of the event loop (ms). */
  transactionMs: number;
  blockMs: number;
  totalMs: number;
  /** What it did, where that says something. */
  note?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: modules of another commit
const load = (file: string): Promise<any> => import(pathToFileURL(`${checkout}/src/${file}`).href);
const { loadConfig } = await load('config/load.ts');
const { startService } = await load('main.ts');
const { createLog } = await load('lib/log.ts');
const { localOrigin } = await load('work.ts');

let longestMs = 0;
const figures: Figure[] = [];

/** Notes how long each transaction lasts: on SQLite until its work is done, on PostgreSQL until it is committed. */
function timed(db: Db): Db {
  return {
    ...db,
    async tx(work) {
      let begunAt = performance.now();
      const note = () => {
        longestMs = Math.max(longestMs, performance.now() - begunAt);
      };
      const result = await db.tx(async (tx) => {
        begunAt = performance.now();
        const done = await work(tx);
        if (db.engine === 'sqlite') note();
        return done;
      });
      if (db.engine === 'postgres') note();
      return result;
    },
  };
}

async function measure(name: string, work: () => Promise<unknown>): Promise<void> {
  const loop = monitorEventLoopDelay({ resolution: 1 });
  longestMs = 0;
  loop.enable();
  const begunAt = performance.now();
  const note = await work().catch((error) => `failed: ${error instanceof Error ? error.message : error}`);
  const totalMs = performance.now() - begunAt;
  await new Promise((resolve) => setTimeout(resolve, 5));
  loop.disable();
  const figure = { name, transactionMs: longestMs, blockMs: loop.max / 1e6, totalMs };
  figures.push(typeof note === 'string' ? { ...figure, note } : figure);
  console.error(name, Math.round(longestMs), Math.round(loop.max / 1e6), Math.round(totalMs), note ?? '');
}

const { freePort } = await import('../test/helpers/free-port.ts');
const port = await freePort();
const config: Config = loadConfig({
  PORT: String(port),
  OPS_PORT: '0',
  DATABASE_URL: url,
  SECRET,
  LIMITS: JSON.stringify({ registerPerIp: '999999999/h', registerPerService: '999999999/h' }),
});
const service = await startService(config, { wrapDb: timed, log: createLog('fatal') });
const deps: Deps = service.deps;
const asker = localOrigin('bench');

async function get(path: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`http://localhost:${port}${path}`, { headers, redirect: 'manual' });
  const body = await response.text();
  if (!response.ok) throw new Error(`${path} says ${response.status}: ${body.slice(0, 200)}`);
  return body;
}

/** Signs an account in. */
async function cookieOf(accountId: string): Promise<string> {
  const { startSession } = await load('domain/accounts/sessions.ts');
  const { useCase } = await load('domain/limits/use-case.ts');
  const secret = await useCase(deps, asker, {}, (work: Work) =>
    startSession(work, { id: accountId, isNew: true }),
  );
  return `__Host-session=${secret}; vouchsafe_session=${secret}`;
}

/** A human with some hundred agents, signed in. */
async function ownerCookie(): Promise<string> {
  const { useCase } = await load('domain/limits/use-case.ts');
  const { newId } = await load('lib/ids.ts');
  const now = deps.clock();
  const id = newId('usr', now, deps.random);
  await useCase(deps, asker, {}, async (work: Work) => {
    const { tx } = work;
    await tx.run(`INSERT INTO accounts (id, kind, mailbox, created_at) VALUES (?, 'human', ?, ?)`, [
      id,
      `${id}@example.com`,
      now,
    ]);
    const agents = await tx.all<{ id: string; registrationId: string }>(
      'SELECT id, registration_id AS "registrationId" FROM agents ORDER BY id DESC LIMIT 300',
    );
    for (const agent of agents) {
      await tx.run('UPDATE agents SET account_id = ?, owned_at = ? WHERE id = ?', [id, now, agent.id]);
      await tx.run('UPDATE credentials SET account_id = ? WHERE agent_id = ?', [id, agent.id]);
      await tx.run(`UPDATE registrations SET claimed_at = ?, mode = 'merge' WHERE id = ?`, [
        now,
        agent.registrationId,
      ]);
      await tx.run('UPDATE claims SET claimed_at = ? WHERE registration_id = ?', [now, agent.registrationId]);
    }
  });
  return cookieOf(id);
}

try {
  const Cookie = await ownerCookie();
  await get('/auth.md'); // warm up
  for (const path of ['/agents', '/keys', '/account']) {
    await measure(`page ${path}, 300 agents`, () => get(path, { Cookie }).then(() => undefined));
  }
  await measure('registration', async () => {
    const response = await fetch(`http://localhost:${port}/agent/auth`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{"type":"anonymous"}',
    });
    if (!response.ok) throw new Error(await response.text());
  });
  await measure('metrics', () =>
    fetch(`http://127.0.0.1:${service.opsPort}/metrics`).then(async (reply) => void (await reply.text())),
  );
  if (existsSync(`${checkout}/db/migrations/0021_workspaces.sql`)) {
    const at = `http://localhost:${port}`;
    await measureWorkspaces({ deps, at, load, measure, cookieOf, asker });
  }
  const { countOutboxBacklog } = await load('domain/mail/deliver.ts');
  await measure('mail that waits', () => countOutboxBacklog(deps).then(() => undefined));
  const { notifyOfKeyExpiry } = await load('domain/jobs/key-expiry-notices.ts');
  await measure('warnings of expiry', () => notifyOfKeyExpiry(deps));
  const { revokeUntrustedIssuers } = await load('domain/jobs/revoke-untrusted-issuers.ts');
  await measure('revocation of untrusted issuers', () => revokeUntrustedIssuers(deps, () => true));
  await measure('revocation of untrusted issuers, the next minute', () =>
    revokeUntrustedIssuers(deps, () => true),
  );
  const { deleteExpiredRows } = await load('domain/jobs/retention.ts');
  await measure('retention', async () => {
    const begunAt = performance.now();
    const giveUpAt = begunAt + Number(seconds) * 1000;
    const removed: Record<string, number> = await deleteExpiredRows(deps, () => performance.now() < giveUpAt);
    const took = (performance.now() - begunAt) / 1000;
    const agents = removed.registrations ?? 0;
    return `${agents.toLocaleString('en')} registrations, ${Math.round(agents / took)} a second`;
  });
} finally {
  await service.stop();
}
console.log(JSON.stringify(figures));
// What a measured commit leaves behind must not hold this process up.
process.exit(0);
