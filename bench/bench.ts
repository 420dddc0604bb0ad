import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { loadEmbeddedPostgres } from '../test/helpers/embedded-postgres.ts';
import { freePort } from '../test/helpers/free-port.ts';

export const SECRET = 'benchmark-0123456789abcdef0123456789abcdef';
export const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** What one kind of request gave. */
export interface Load {
  perSecond: number;
  p99: number;
}

export interface Server {
  process: ChildProcess;
  port: number;
  /** What it has printed so far, where its output is kept. */
  printed(): string;
}

/** What a measurement uses of the machine. All of it ends with the measurement, whatever happens. */
export interface Bench {
  /** For files that go at the end. */
  folder: string;
  /**
   * Starts a server of ours, which reads PORT, and waits until it answers.
   *
   * @param path where it is asked by GET whether it answers: anything that it says is an answer; undefined: it takes connections
   * @param options.core the processor it is kept to
   * @throws Error when it ends before
   */
  start(
    args: string[],
    env: Record<string, string>,
    path: string | undefined,
    options?: { core?: number; keepOutput?: boolean },
  ): Promise<Server>;
  end(server: Server): Promise<void>;
  /** Runs a program to its end. @throws Error with what it said when that is not 0 */
  run(args: string[], env?: Record<string, string>, core?: number): Promise<string>;
  /** Starts a program that answers each line of its input with one of its output. It ends with the measurement. */
  converse(args: string[]): { ask(line: string): Promise<string> };
  /** Sends requests of one kind for so many seconds; see load.ts. @throws Error with the body of the first answer that is no 2xx */
  load(url: string, kind: string, seconds: number, options?: LoadOptions): Promise<Load>;
  /** A PostgreSQL server of this measurement's own, which syncs every commit. @returns a superuser's URL */
  postgres(): Promise<string>;
}

export interface LoadOptions {
  connections?: number;
  core?: number;
  keysFile?: string;
  authorization?: string;
}

/** Runs a measurement, and ends whatever it has begun: also when it fails, and when it is interrupted. */
export async function withBench(measure: (bench: Bench) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-bench-'));
  const running = new Set<ChildProcess>();
  const cleanUps: (() => Promise<unknown>)[] = [];

  function launch(args: string[], env: Record<string, string>, core: number | undefined): ChildProcess {
    const [program, ...rest] =
      core === undefined
        ? [process.execPath, ...args]
        : ['taskset', '-c', String(core), process.execPath, ...args];
    const child = spawn(program!, rest, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(child);
    child.once('close', () => running.delete(child));
    return child;
  }

  async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }

  async function run(args: string[], env: Record<string, string> = {}, core?: number): Promise<string> {
    const child = launch(args, env, core);
    let printed = '';
    let said = '';
    child.stdout!.on('data', (chunk) => {
      printed += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      said += chunk;
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${said || printed}`);
    return printed;
  }

  const bench: Bench = {
    folder,
    run,

    async start(args, env, path, { core, keepOutput = false } = {}) {
      const port = await freePort();
      const child = launch(args, { OPS_PORT: String(await freePort()), ...env, PORT: String(port) }, core);
      let printed = '';
      let said = '';
      child.stdout!.on('data', (chunk) => {
        if (keepOutput) printed += chunk;
      });
      child.stderr!.on('data', (chunk) => {
        said = (said + chunk).slice(-5000);
      });
      for (const giveUpAt = performance.now() + 30_000; ; ) {
        // Another's server may answer at a port that ours did not get: then ours has ended.
        if (child.exitCode !== null) throw new Error(`${args.join(' ')} did not start:\n${said}`);
        const answers = await (path === undefined ? reaches(port) : asks(`http://localhost:${port}${path}`));
        if (answers && child.exitCode === null) return { process: child, port, printed: () => printed };
        if (performance.now() > giveUpAt) throw new Error(`${args.join(' ')} does not answer:\n${said}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },

    end: ({ process: child }) => endChild(child, 'SIGTERM'),

    converse(args) {
      const child = launch(args, {}, undefined);
      const lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
      child.stderr!.pipe(process.stderr);
      return {
        async ask(line) {
          child.stdin!.write(`${line}\n`);
          const { value, done } = await lines.next();
          if (done) throw new Error(`${args.join(' ')} ended.`);
          return value;
        },
      };
    },

    async load(url, kind, seconds, { connections = 64, core, keysFile = '', authorization = '' } = {}) {
      const printed = await run(
        [here('load.ts'), url, String(seconds), String(connections), kind, keysFile, authorization],
        {},
        core,
      );
      const result = JSON.parse(printed) as Load;
      console.error(`${kind.padEnd(10)} ${Math.round(result.perSecond)}/s, p99 ${result.p99} ms`);
      return result;
    },

    async postgres() {
      // Not made here: run as root, the server runs under a user of its own, who must own it.
      const databaseDir = join(tmpdir(), `vouchsafe-bench-pg-${randomBytes(8).toString('hex')}`);
      const port = await freePort();
      const { EmbeddedPostgres, remove } = await importQuietly(loadEmbeddedPostgres);
      const server = new EmbeddedPostgres({
        databaseDir,
        port,
        user: 'postgres',
        password: 'postgres',
        persistent: false,
        createPostgresUser: process.getuid?.() === 0,
        postgresFlags: ['-c', 'max_connections=100', '-c', 'shared_buffers=512MB', '-c', 'max_wal_size=4GB'],
        onLog: () => {},
        onError: (error) => error && console.error(String(error)),
      });
      cleanUps.push(async () => {
        await server.stop();
        remove();
        rmSync(databaseDir, { recursive: true, force: true });
      });
      await server.initialise();
      await server.start();
      return `postgres://postgres:postgres@127.0.0.1:${port}/postgres`;
    },
  };

  async function cleanUp(): Promise<void> {
    await Promise.all([...running].map((child) => endChild(child, 'SIGKILL')));
    for (const each of cleanUps.splice(0)) await each().catch((error) => console.error(String(error)));
    rmSync(folder, { recursive: true, force: true });
  }
  const interrupt = () => void cleanUp().finally(() => process.exit(1));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await measure(bench);
  } finally {
    await cleanUp();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function asks(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

function reaches(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.end() === socket));
    socket.once('error', () => resolve(false));
  });
}

/** Imports what would end this process at a signal before our own clean-up is through, without its listeners. */
async function importQuietly<Module>(load: () => Promise<Module>): Promise<Module> {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const before = signals.map((signal) => process.listeners(signal));
  const module = await load();
  for (const [index, signal] of signals.entries()) {
    for (const added of process.listeners(signal).filter((each) => !before[index]!.includes(each))) {
      process.off(signal, added);
    }
  }
  return module;
}

/** The middle one of some figures. */
export function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)]!;
}

/** Runs a command of the service, here or in another checkout. */
export function cliOf(checkout: string): string {
  return join(checkout, 'src/cli.ts');
}

/** The commit of a checkout, in short. */
export function commitOf(checkout: string): string {
  return execFileSync('git', ['-C', checkout, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
}

/** The memory that a server holds (RSS). */
export function residentMiB({ process: { pid } }: Server): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** An Authorization header (RFC 7617). */
export function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
}
