/**
 * Runs the tests by ava: all, or the files named on the command line, on SQLite and on a real PostgreSQL. That one is started
 * here for the run, unless TEST_DATABASE_URL names another (a superuser's URL: each test makes and drops its own database).
 *
 *   --engine=sqlite   on SQLite alone, without those in a browser: a look before the whole
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, globSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { loadEmbeddedPostgres } from './helpers/embedded-postgres.ts';
import { freePort } from './helpers/free-port.ts';

const AVA = fileURLToPath(new URL('cli.js', import.meta.resolve('ava')));
const isSqliteAlone = process.argv.includes('--engine=sqlite');
const named = process.argv.slice(2).filter((each) => !each.startsWith('--'));
// Every test file makes databases, and what they promise of a disk is tried by processes that are killed, not by power that
// fails: where the memory has room, they are made there, which halves the time of a run. Removed at its end, whatever tests leave.
const IN_MEMORY = '/dev/shm';
const base = hasRoom(IN_MEMORY) ? IN_MEMORY : tmpdir();
const folder = mkdtempSync(join(base, 'vouchsafe-tests-'));
chmodSync(folder, 0o711); // a PostgreSQL server that a test starts as root runs under a user of its own
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
/** The database that tests copy, instead of migrating each of theirs. */
const TEMPLATE = `test_template_${randomBytes(8).toString('hex')}`;
/** Of a server that lives for one run: nothing of it outlives a crash, and hundreds of databases need no sweeping. */
const POSTGRES_SETTINGS = [
  'max_connections=400',
  'fsync=off',
  'full_page_writes=off',
  'wal_level=minimal',
  'max_wal_senders=0',
  'autovacuum=off',
];
const { url, stop } = await findServer();

/** Two hundred requests at once, and an attack, want the machine for themselves: these come one by one at the end. */
const ALONE = ['test/claims/races.test.ts', 'test/operating/unread-answers.test.ts'];
/** A browser draws in several processes: more than one for each processor, and what people wait for is late. */
const IN_BROWSER = 'test/browser/*.test.ts';
/** They cannot do without PostgreSQL, or are slow and care for no engine. */
const NOT_ON_SQLITE = [
  'test/storage/{postgres,pgbouncer,shared-rows}.test.ts',
  'test/operating/{startup-order,closed-folder,settings,drain-silent-database}.test.ts',
  'test/auth-md/interleaved.test.ts',
  IN_BROWSER,
];
/** They need clients of others, which `npm run test:interop` installs first. */
const INTEROP = 'test/interop/**';
const left = isSqliteAlone ? NOT_ON_SQLITE : [];

/** Files that run beside each other. */
interface Phase {
  files: string[];
  /** How many at once; undefined: as ava.config.js says. */
  concurrency?: number;
  /** Whether what they run of src/ is left out of the coverage: others before them run the same, and counting costs a tenth. */
  isUncounted?: boolean;
}

const phases: Phase[] =
  named.length > 0
    ? [{ files: named }]
    : [
        { files: globSync('test/**/*.test.ts', { exclude: [...ALONE, IN_BROWSER, ...left, INTEROP] }) },
        ...(isSqliteAlone ? [] : [{ files: globSync(IN_BROWSER), concurrency: 2, isUncounted: true }]),
        ...ALONE.map((file) => ({ files: [file], isUncounted: true })),
      ];
if (isSqliteAlone) console.log(`On SQLite alone, without ${NOT_ON_SQLITE.join(', ')}.`);
let passed = 0;
let failed = 0;
/** The `not ok` lines, repeated at the end: a log that is cut at its beginning still says what failed. */
const failures: string[] = [];
let runner: ChildProcess | undefined;
let isEnding = false;
// The shell and npm hand a signal to this process alone.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    isEnding = true;
    const left = runner;
    const end = () => void stop().finally(() => process.exit(128 + constants.signals[signal]));
    if (left === undefined || left.exitCode !== null) return end();
    left.once('close', end);
    left.kill(signal);
  });
}
for (const { files, ...how } of phases) {
  const startedAt = performance.now();
  const outcome = await run(files, how);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`# ${files.length === 1 ? files[0] : `${files.length} files`}: ${seconds} s`);
  if (isEnding) await new Promise(() => {}); // the process is about to exit
  passed += outcome.passed;
  failed += outcome.failed;
}
await stop();
for (const line of failures) console.log(line);
console.log(`${passed} passed, ${failed} failed`);
// Said outright: the hook with which the PostgreSQL server is ended at exit would say 0 in the place of an exitCode.
process.exit(failed > 0 ? 1 : 0);

/**
 * Runs test files, and reads ava's own count. A phase that ends badly without a failed test in that count (a file that times
 * out, or does not load) counts as one that failed.
 */
async function run(
  files: string[],
  { concurrency, isUncounted = false }: Omit<Phase, 'files'>,
): Promise<{ passed: number; failed: number }> {
  const atOnce = concurrency === undefined ? [] : [`--concurrency=${concurrency}`];
  const started = spawn(process.execPath, [AVA, '--tap', ...atOnce, ...files], {
    env: { ...environment(), ...(isUncounted && { NODE_V8_COVERAGE: '' }) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  runner = started;
  const seen = { pass: 0, fail: 0 };
  const totals: { pass?: number; fail?: number } = {};
  for await (const line of createInterface(started.stdout)) {
    console.log(line);
    if (/^ok \d+ /.test(line) && !/ # (SKIP|TODO)\b/.test(line)) seen.pass += 1;
    else if (/^not ok \d+ /.test(line)) {
      seen.fail += 1;
      failures.push(line);
    }
    const [, name, count] = /^# (pass|fail) (\d+)$/.exec(line) ?? [];
    if (name === 'pass' || name === 'fail') totals[name] = Number(count);
  }
  const code =
    started.exitCode ?? (await new Promise<number | null>((resolve) => started.once('close', resolve)));
  const fail = totals.fail ?? seen.fail;
  if (code !== 0 && fail === 0) failures.push(`not ok ${files.join(', ')} ended with exit code ${code}`);
  return { passed: totals.pass ?? seen.pass, failed: code === 0 ? fail : Math.max(fail, 1) };
}

function environment(): NodeJS.ProcessEnv {
  const { TEST_DATABASE_URL: _, ...others } = process.env;
  // Compiled once for all the processes of the run, which start again and again.
  const NODE_COMPILE_CACHE = join(folder, 'compiled');
  const server = url !== undefined && { TEST_DATABASE_URL: url, TEST_TEMPLATE: TEMPLATE };
  return { ...others, TMPDIR: folder, NODE_COMPILE_CACHE, ...server };
}

async function findServer(): Promise<{ url: string | undefined; stop(): Promise<void> }> {
  if (isSqliteAlone) return { url: undefined, stop: async () => {} };
  const given = process.env.TEST_DATABASE_URL;
  return given === undefined ? startPostgres() : { url: given, stop: () => dropTemplate(given) };
}

async function dropTemplate(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE}`);
  await client.end();
}

/** Whether a folder is there and has two gigabytes to give: containers often have 64 MB of it. */
function hasRoom(path: string): boolean {
  if (!existsSync(path)) return false;
  const { bavail, bsize } = statfsSync(path, { bigint: false });
  return bavail * bsize >= 2 ** 31;
}

async function startPostgres(): Promise<{ url: string; stop(): Promise<void> }> {
  // Not made here: run as root, the server runs under a user of its own, who must own it.
  const databaseDir = join(base, `vouchsafe-pg-${randomBytes(8).toString('hex')}`);
  const port = await freePort();
  const { EmbeddedPostgres, remove } = await loadEmbeddedPostgres();
  const server = new EmbeddedPostgres({
    databaseDir,
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    postgresFlags: POSTGRES_SETTINGS.flatMap((setting) => ['-c', setting]),
    onLog: () => {},
    onError: (error) => error && console.error(String(error)),
  });
  await server.initialise();
  await server.start();
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    async stop() {
      await server.stop();
      remove();
      rmSync(databaseDir, { recursive: true, force: true });
    },
  };
}
