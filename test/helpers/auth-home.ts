import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { BARE_ENVIRONMENT } from './bare-environment.ts';
import type { Ended } from './cli.ts';
import { type AtTerminal, type Redirections, vouchsafeAtTerminal } from './terminal.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

/** What `vouchsafe auth` is run with beside its arguments. */
export interface AuthRun {
  /** What it reads from stdin. */
  stdin?: string | Uint8Array;
  env?: Record<string, string>;
  /** Told each time that it wrote to stderr, with all of it so far. */
  onStderr?: (stderr: string) => void;
}

/** A home of profiles, and a folder to work in. */
export interface AuthHome {
  /** The folder to work in. */
  folder: string;
  /** `VOUCHSAFE_HOME`. */
  store: string;
  /** `vouchsafe auth …` without a terminal, as in CI. */
  auth(args: readonly string[], run?: AuthRun): Promise<Ended>;
  /** The same, which must go well. @returns what it printed, as parsed */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json(t: ExecutionContext, args: readonly string[], run?: AuthRun): Promise<any>;
  /** The same, which must end with this exit code and error code, and print nothing to stdout. @returns the error */
  fails(
    t: ExecutionContext,
    args: readonly string[],
    exit: number,
    code: string,
    run?: AuthRun,
  ): Promise<{ code: string; message: string; hint?: string }>;
  /** `vouchsafe auth …` at a terminal. */
  atTerminal(
    t: ExecutionContext,
    args: readonly string[],
    redirections?: Redirections,
    env?: Record<string, string>,
  ): AtTerminal;
  remove(): void;
}

export function createAuthHome(): AuthHome {
  const root = mkdtempSync(join(tmpdir(), 'vouchsafe-home-'));
  const folder = join(root, 'work');
  const store = join(root, 'store');
  const environment = { VOUCHSAFE_HOME: store, HOME: root };
  mkdirSync(folder);
  const auth: AuthHome['auth'] = (args, { stdin = '', env = {}, onStderr } = {}) =>
    runAlone(['auth', ...args], { ...environment, ...env }, folder, stdin, onStderr);
  return {
    folder,
    store,
    auth,
    async json(t, args, run) {
      const ended = await auth(args, run);
      t.is(ended.code, 0, `${args.join(' ')}: ${ended.stderr}`);
      return JSON.parse(ended.stdout);
    },
    async fails(t, args, exit, code, run) {
      const ended = await auth(args, run);
      const shown = args.join(' ');
      t.is(ended.code, exit, `${shown}: ${ended.stderr}`);
      t.is(ended.stdout, '', shown);
      const { error } = JSON.parse(ended.stderr.trim().split('\n').at(-1)!);
      t.is(error.code, code, `${shown}: ${ended.stderr}`);
      t.regex(error.message, /\.$/, shown);
      return error;
    },
    atTerminal: (t, args, redirections, env = {}) =>
      vouchsafeAtTerminal(t, ['auth', ...args], folder, { ...environment, ...env }, redirections),
    remove: () => rmSync(root, { recursive: true }),
  };
}

/** Runs the program in a session of its own, so that it has no terminal, also where the tests have one. */
function runAlone(
  args: readonly string[],
  env: Record<string, string>,
  cwd: string,
  stdin: string | Uint8Array,
  onStderr: AuthRun['onStderr'],
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { ...BARE_ENVIRONMENT, ...env },
      cwd,
      detached: true,
      timeout: 60_000,
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      output.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output.stderr += chunk;
      onStderr?.(output.stderr);
    });
    // It may end before it has read all.
    child.stdin.on('error', () => {});
    child.stdin.end(stdin);
    child.on('close', (code) => resolve({ code: code ?? -1, ...output }));
  });
}
