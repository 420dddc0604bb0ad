import { type ChildProcess, execFile, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BARE_ENVIRONMENT } from './bare-environment.ts';
import type { FromCommands, ToCommands } from './command-process.ts';
import { TEST_SECRET } from './service.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

/** What a program said and how it ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program of this Node in a process of its own, with this environment alone. */
export function runNode(args: readonly string[], env: Record<string, string>, cwd: string): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...BARE_ENVIRONMENT, ...env }, cwd, timeout: 60_000, maxBuffer: 10_000_000 };
    const child = execFile(process.execPath, args, options, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, stdout, stderr });
    });
  });
}

/** `vouchsafe …` in a folder, in a process of its own, with a secret unless `env` says otherwise. */
export function vouchsafeAlone(
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<Ended> {
  return runNode([CLI, ...args], { SECRET: TEST_SECRET, ...env }, cwd);
}

/** The process that runs the commands of this test file, and the last of them. */
let commands: ChildProcess | undefined;
let last: Promise<unknown> = Promise.resolve();

/** The same in a process that runs one command after another, which saves its start; but `serve`, which goes on, alone. */
export function vouchsafe(
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<Ended> {
  if (args.includes('serve')) return vouchsafeAlone(args, cwd, env);
  const ended = last.then(() =>
    runNext({ args, cwd, env: { ...BARE_ENVIRONMENT, SECRET: TEST_SECRET, ...env } }),
  );
  last = ended;
  return ended;
}

function runNext(command: ToCommands): Promise<Ended> {
  commands ??= startCommands();
  const child = commands;
  return new Promise((resolve) => {
    const output = { stdout: '', stderr: '' };
    const end = (code: number) => {
      child.off('message', onMessage).off('exit', onExit);
      child.unref();
      child.channel?.unref();
      resolve({ code, ...output });
    };
    const onMessage = (message: FromCommands) => {
      if (message.kind === 'ended') end(message.code);
      else output[message.kind] += message.text;
    };
    // Some ways to fail end the process at once.
    const onExit = (code: number | null) => {
      commands = undefined;
      end(code ?? -1);
    };
    child.on('message', onMessage).once('exit', onExit);
    child.ref();
    child.channel?.ref();
    child.send(command);
  });
}

function startCommands(): ChildProcess {
  return fork(fileURLToPath(new URL('./command-process.ts', import.meta.url)), { execArgv: [] });
}
