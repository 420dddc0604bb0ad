/**
 * Measures the service against a bare node:http server, in one run: the server pinned to one core, the load to the other.
 * Absolute figures belong to the machine and the moment; the shares are what holds. Needs Linux (taskset) and two cores.
 *
 *   npm run bench            # 1 and 1,000,000 keys
 *   npm run bench -- 50000   # 1 and 50,000 keys
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { putPeople } from './authorizer.ts';
import {
  type Bench,
  basic,
  cliOf,
  here,
  type Load,
  type LoadOptions,
  median,
  residentMiB,
  SECRET,
  type Server,
  withBench,
} from './bench.ts';
import { PLACES, putPlacedKeys } from './placed-keys.ts';

const many = Number(process.argv[2] ?? 1_000_000);
const SECONDS = Number(process.env.SECONDS ?? 8);
const CONNECTIONS = 64;
const ROUNDS = 3;
/** Codes live for a minute: so many are made within it. */
const CODES = CONNECTIONS * 20;
const PEOPLE = 16;
const RESOURCE = 'https://api.example.com';
/** How many keys on places are asked about, and how much longer than about others that may take. */
const PLACED = 250;
const PLACED_MICROSECONDS = 100;
const GOALS = { introspection: 0.35, registration: 0.12, protectedRoute: 0.8 };
/** The processors of the server and of what asks it. */
const SERVER = 0;
const CLIENT = 1;

const rows: string[] = [];
let failed = false;

await withBench(async (bench) => {
  const baseline = await bench.start([here('baseline.ts')], {}, '/', { core: SERVER });
  await measure(bench, baseline, '1', 1);
  await measure(bench, baseline, many.toLocaleString('en'), many);
});

console.log(
  `\n${cpus()[0]?.model}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}, ${SECONDS} s a figure,`,
);
console.log(`${CONNECTIONS} connections, SQLite with every commit synced, log at its default level\n`);
console.log('| keys in the database | what | share of bare node:http | requests/s | p99 ms | goal |');
console.log('| --- | --- | --- | --- | --- | --- |');
console.log(rows.join('\n'));
process.exitCode = failed ? 1 : 0;

/** All figures with so many keys in a fresh database. */
async function measure(bench: Bench, baseline: Server, label: string, keys: number): Promise<void> {
  const url = `file:${join(bench.folder, `keys-${keys}.db`)}`;
  const env = {
    DATABASE_URL: url,
    SECRET,
    LIMITS: JSON.stringify({
      registerPerIp: '999999999/h',
      registerPerService: '999999999/h',
      tokensPerClient: '999999999/h',
    }),
  };
  const cli = cliOf(here('..'));
  await bench.run([cli, 'migrate'], env);
  const keysFile = join(bench.folder, 'keys.txt');
  await bench.run([here('fill.ts'), url, String(keys), keysFile]);
  const sessions = await putPeople(url, PEOPLE);
  const placedFile = join(bench.folder, 'placed.txt');
  writeFileSync(placedFile, (await putPlacedKeys(url, RESOURCE, PLACED)).join('\n'));
  const added = await bench.run(
    [cli, 'resource', 'add', RESOURCE, '--name', 'bench', '--workspaces', '--json'],
    env,
  );
  const app = JSON.parse(await bench.run([here('make-client.ts')], env)) as {
    clientId: string;
    secret: string;
  };
  const { client_id, client_secret } = JSON.parse(added) as { client_id: string; client_secret: string };
  const authorization = basic(client_id, client_secret);

  const before = performance.now();
  const service = await bench.start([cli, 'serve'], env, '/api/me', { core: SERVER });
  rows.push(`| ${label} | start to first answer | | | ${Math.round(performance.now() - before)} ms | |`);

  const at = `http://localhost:${service.port}`;
  const load = (path: string, kind: string, seconds = SECONDS, options: LoadOptions = {}) =>
    bench.load(`${at}${path}`, kind, seconds, {
      connections: CONNECTIONS,
      core: CLIENT,
      keysFile,
      authorization,
      ...options,
    });
  const codesFile = join(bench.folder, 'codes.txt');
  const shares: Record<'introspection' | 'registration' | 'credentials' | 'exchange', Share[]> = {
    introspection: [],
    registration: [],
    credentials: [],
    exchange: [],
  };
  const more: number[] = [];
  await load('/oauth2/introspect', 'introspect', 2); // warm up
  for (let round = 0; round < ROUNDS; round += 1) {
    const bare = await bench.load(`http://127.0.0.1:${baseline.port}/`, 'post', SECONDS, {
      connections: CONNECTIONS,
      core: CLIENT,
    });
    const introspection = await load('/oauth2/introspect', 'introspect');
    const placed = await load('/oauth2/introspect', 'introspect', SECONDS, { keysFile: placedFile });
    more.push(1e6 / placed.perSecond - 1e6 / introspection.perSecond);
    const registration = await load('/agent/auth', 'register');
    shares.introspection.push({ share: introspection.perSecond / bare.perSecond, load: introspection });
    shares.registration.push({ share: registration.perSecond / bare.perSecond, load: registration });
    const credentials = await load('/oauth2/token', 'client_credentials', SECONDS, {
      authorization: basic(app.clientId, app.secret),
    });
    shares.credentials.push({ share: credentials.perSecond / bare.perSecond, load: credentials });
    await bench.run(
      [here('make-codes.ts'), at, String(CODES), codesFile, JSON.stringify(sessions)],
      {},
      CLIENT,
    );
    const exchange = await load('/oauth2/token', 'code', SECONDS, { keysFile: codesFile });
    shares.exchange.push({ share: exchange.perSecond / bare.perSecond, load: exchange });
  }
  note(label, 'introspection', shares.introspection, GOALS.introspection);
  noteMore(label, `introspection of a key with ${PLACES} places, more than of one without`, more);
  note(label, 'registration', shares.registration, GOALS.registration);
  note(label, 'a token by client credentials', shares.credentials);
  note(label, 'a token by an authorization code', shares.exchange);
  if (keys > 1) await measureKit(bench, service, keysFile, client_id, client_secret);
  rows.push(`| ${label} | memory (RSS) after it | | | ${Math.round(residentMiB(service))} MiB | |`);
  await bench.end(service);
}

interface Share {
  share: number;
  load: Load;
}

function note(label: string, what: string, shares: readonly Share[], goal?: number): void {
  const middle = median(shares.map(({ share }) => share));
  const { load } = shares.find(({ share }) => share === middle)!;
  const isReached = goal === undefined || middle >= goal;
  if (!isReached) failed = true;
  const aim = goal === undefined ? '' : `${goal} ${isReached ? 'reached' : 'MISSED'}`;
  const figures = `**${middle.toFixed(2)}** | ${Math.round(load.perSecond)} | ${load.p99}`;
  rows.push(`| ${label} | ${what} | ${figures} | ${aim} |`);
}

/** Notes how many microseconds of a processor something takes more. */
function noteMore(label: string, what: string, all: readonly number[]): void {
  const microseconds = median(all);
  const isReached = microseconds <= PLACED_MICROSECONDS;
  if (!isReached) failed = true;
  const aim = `${PLACED_MICROSECONDS} µs ${isReached ? 'reached' : 'MISSED'}`;
  rows.push(`| ${label} | ${what} | | | ${Math.round(microseconds)} µs | ${aim} |`);
}

/** What the kit costs an API: a verification from memory, and a Koa route behind it against the same route without. */
async function measureKit(
  bench: Bench,
  service: Server,
  keysFile: string,
  clientId: string,
  clientSecret: string,
): Promise<void> {
  const env = {
    ISSUER: `http://localhost:${service.port}`,
    CLIENT_ID: clientId,
    CLIENT_SECRET: clientSecret,
    KEY: readFileSync(keysFile, 'utf8').split('\n')[0]!,
  };
  const kit = await bench.start([here('kit.ts')], env, '/bare', { core: SERVER, keepOutput: true });
  rows.push(
    `| | kit: a verification from memory | | | ${Math.round(Number.parseFloat(kit.printed()))} ns | |`,
  );
  const load = (path: string, seconds = SECONDS) =>
    bench.load(`http://127.0.0.1:${kit.port}${path}`, 'bearer', seconds, {
      connections: CONNECTIONS,
      core: CLIENT,
      keysFile,
    });
  await load('/protected', 2); // warm up, and every key is known
  const shares: Share[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const bare = await load('/bare');
    const guarded = await load('/protected');
    shares.push({ share: guarded.perSecond / bare.perSecond, load: guarded });
  }
  note('', 'kit: a Koa route behind it, share of the same without', shares, GOALS.protectedRoute);
  await bench.end(kit);
}
