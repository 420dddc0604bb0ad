import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { BARE_ENVIRONMENT } from './bare-environment.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

/** Why programs cannot be run at a terminal here; undefined if they can. */
export const noTerminals: string | undefined =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') === true
    ? undefined
    : 'there is no script(1) of util-linux';

/** A program at a terminal of its own. */
export interface AtTerminal {
  /** All that the terminal has shown. */
  shown(): string;
  /** Waits until the terminal shows this. @throws if the program ends without it */
  shows(pattern: RegExp): Promise<void>;
  /** Types at the terminal. */
  type(text: string | Buffer): void;
  /** Its exit code. */
  ended: Promise<number>;
}

/** Where stdin comes from and stdout and stderr go; the terminal unless said. */
export interface Redirections {
  stdin?: string;
  stdout?: string;
  stderr?: string;
}

/** `vouchsafe …` at a terminal, with this environment alone. */
export function vouchsafeAtTerminal(
  t: ExecutionContext,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
  { stdin, stdout, stderr }: Redirections = {},
): AtTerminal {
  const redirected = [
    ...(stdin === undefined ? [] : [`< ${quoted(stdin)}`]),
    ...(stdout === undefined ? [] : [`> ${quoted(stdout)}`]),
    ...(stderr === undefined ? [] : [`2> ${quoted(stderr)}`]),
  ];
  const command = ['exec', ...[process.execPath, CLI, ...args].map(quoted), ...redirected].join(' ');
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    cwd,
    env: { ...BARE_ENVIRONMENT, SHELL: '/bin/sh', ...env },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let shown = '';
  let look = () => {};
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString('utf8');
    look();
  });
  const ended = new Promise<number>((resolve) => {
    child.on('close', (code) => resolve(code ?? -1));
  });
  return {
    shown: () => shown,
    async shows(pattern) {
      const isShown = new Promise<void>((resolve) => {
        look = () => pattern.test(shown) && resolve();
        look();
      });
      await Promise.race([isShown, ended]);
      if (!pattern.test(shown)) throw new Error(`It ended without showing ${pattern}:\n${shown}`);
    },
    type(text) {
      child.stdin.write(text);
    },
    ended,
  };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
