/**
 * Measures the service against a bare node:http server, in one run: the server pinned to one core, the load to the other.
 * Absolute figures belong to the machine and the moment; the shares are what holds. Needs Linux (taskset) and two cores.
 *
 *   npm run bench            # 1 and 1,000,000 keys
 *   npm run bench -- 50000   # 1 and 50,000 keys
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const many = Number(process.argv[2] ?? 1_000_000);
const SECONDS = Number(process.env.SECONDS ?? 8);
const CONNECTIONS = 64;
const ROUNDS = 3;
const GOALS = { introspection: 0.35, registration: 0.12, protectedRoute: 0.8 };
const PORT = 39_117;
const OPS_PORT = 39_118;
const BASELINE_PORT = 39_119;
const KIT_PORT = 39_120;

const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-bench-'));
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const rows: string[] = [];
let failed = false;

interface Load {
  perSecond: number;
  p99: number;
  bad: number;
}

try {
  const baseline = start([here('baseline.ts')], { PORT: String(BASELINE_PORT) });
  await answers(`http://127.0.0.1:${BASELINE_PORT}/`, 'POST');
  await measure('1', 1);
  await measure(many.toLocaleString('en'), many);
  await end(baseline);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

console.log(
  `\n${cpus()[0]?.model}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}, ${SECONDS} s a figure,`,
);
console.log(`${CONNECTIONS} connections, SQLite with every commit synced, log at its default level\n`);
console.log('| keys in the database | what | share of bare node:http | requests/s | p99 ms | goal |');
console.log('| --- | --- | --- | --- | --- | --- |');
console.log(rows.join('\n'));
process.exitCode = failed ? 1 : 0;

/** All figures with so many keys in a fresh database. */
async function measure(label: string, keys: number): Promise<void> {
  const database = join(folder, `keys-${keys}.db`);
  const env = {
    PORT: String(PORT),
    OPS_PORT: String(OPS_PORT),
    DATABASE_URL: `file:${database}`,
    SECRET: 'benchmark-0123456789abcdef0123456789abcdef',
    LIMITS: JSON.stringify({ registerPerIp: '999999999/h', registerPerService: '999999999/h' }),
  };
  const cli = here('../src/cli.ts');
  run([cli, 'migrate'], env);
  const keysFile = join(folder, 'keys.txt');
  run([here('fill.ts'), database, String(keys), keysFile], {});
  const added = run([cli, 'resource', 'add', 'https://api.example.com', '--name', 'bench', '--json'], env);
  const { client_id, client_secret } = JSON.parse(added) as { client_id: string; client_secret: string };
  const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`;

  const before = performance.now();
  const service = start([cli, 'serve'], env);
  await answers(`http://localhost:${PORT}/api/me`, 'GET');
  rows.push(`| ${label} | start to first answer | | | ${Math.round(performance.now() - before)} ms | |`);

  const bareUrl = `http://127.0.0.1:${BASELINE_PORT}/`;
  const results: Record<'introspection' | 'registration', { share: number; load: Load }[]> = {
    introspection: [],
    registration: [],
  };
  load(`http://localhost:${PORT}/oauth2/introspect`, 'introspect', 2, keysFile, authorization); // warm up
  for (let round = 0; round < ROUNDS; round += 1) {
    const bare = load(bareUrl, 'post', SECONDS);
    const introspection = load(
      `http://localhost:${PORT}/oauth2/introspect`,
      'introspect',
      SECONDS,
      keysFile,
      authorization,
    );
    const registration = load(`http://localhost:${PORT}/agent/auth`, 'register', SECONDS);
    results.introspection.push({ share: introspection.perSecond / bare.perSecond, load: introspection });
    results.registration.push({ share: registration.perSecond / bare.perSecond, load: registration });
  }
  for (const [name, all] of Object.entries(results) as [
    'introspection' | 'registration',
    typeof results.introspection,
  ][]) {
    const { share, load: middle } = all.sort((a, b) => a.share - b.share)[Math.floor(ROUNDS / 2)]!;
    const reached = share >= GOALS[name] && middle.bad === 0;
    if (!reached) failed = true;
    rows.push(
      `| ${label} | ${name} | **${share.toFixed(2)}** | ${Math.round(middle.perSecond)} | ${middle.p99} | ${GOALS[name]} ${reached ? 'reached' : 'MISSED'} |`,
    );
  }
  if (keys > 1) await measureKit(keysFile, client_id, client_secret);
  rows.push(`| ${label} | memory (RSS) after it | | | ${Math.round(memory(service) / 1024)} MiB | |`);
  await end(service);
}

/** What the kit costs an API: a verification from memory, and a Koa route behind it against the same route without. */
async function measureKit(keysFile: string, clientId: string, clientSecret: string): Promise<void> {
  const env = {
    PORT: String(KIT_PORT),
    ISSUER: `http://localhost:${PORT}`,
    CLIENT_ID: clientId,
    CLIENT_SECRET: clientSecret,
    KEY: readFileSync(keysFile, 'utf8').split('\n')[0]!,
  };
  const kit = start([here('kit.ts')], env, 'pipe');
  let printed = '';
  kit.stdout!.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const url = `http://127.0.0.1:${KIT_PORT}`;
  await answers(`${url}/bare`, 'GET');
  rows.push(`| | kit: a verification from memory | | | ${Math.round(Number.parseFloat(printed))} ns | |`);
  load(`${url}/protected`, 'bearer', 2, keysFile); // warm up, and every key is known
  const shares: { share: number; load: Load }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const bare = load(`${url}/bare`, 'bearer', SECONDS, keysFile);
    const guarded = load(`${url}/protected`, 'bearer', SECONDS, keysFile);
    shares.push({ share: guarded.perSecond / bare.perSecond, load: guarded });
  }
  const { share, load: middle } = shares.sort((a, b) => a.share - b.share)[Math.floor(ROUNDS / 2)]!;
  const reached = share >= GOALS.protectedRoute && middle.bad === 0;
  if (!reached) failed = true;
  rows.push(
    `| | kit: a Koa route behind it, share of the same without | **${share.toFixed(2)}** | ${Math.round(middle.perSecond)} | ${middle.p99} | ${GOALS.protectedRoute} ${reached ? 'reached' : 'MISSED'} |`,
  );
  await end(kit);
}

function load(url: string, kind: string, seconds: number, ...rest: string[]): Load {
  const args = [here('load.ts'), url, String(seconds), String(CONNECTIONS), kind, ...rest];
  const printed = execFileSync('taskset', ['-c', '1', process.execPath, ...args], { encoding: 'utf8' });
  const result = JSON.parse(printed) as Load;
  console.error(
    `${kind.padEnd(10)} ${Math.round(result.perSecond)}/s, p99 ${result.p99} ms, bad ${result.bad}`,
  );
  return result;
}

function start(args: string[], env: Record<string, string>, out: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
  const log = join(folder, 'server.log');
  if (!existsSync(log)) writeFileSync(log, '');
  return spawn('taskset', ['-c', '0', process.execPath, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', out, 'inherit'],
  });
}

function run(args: string[], env: Record<string, string>): string {
  return execFileSync(process.execPath, args, { env: { ...process.env, ...env }, encoding: 'utf8' });
}

async function answers(url: string, method: string): Promise<void> {
  for (let attempt = 0; attempt < 2000; attempt += 1) {
    const reached = await fetch(url, { method }).then(
      () => true,
      () => false,
    );
    if (reached) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${url} does not answer`);
}

function memory(process: ChildProcess): number {
  const status = readFileSync(`/proc/${process.pid}/status`, 'utf8');
  return Number(status.match(/VmRSS:\s+(\d+)/)?.[1]);
}

async function end(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await closed;
}
