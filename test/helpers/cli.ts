import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BARE_ENVIRONMENT } from './bare-environment.ts';
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

/** `vouchsafe …` in a folder, with a secret unless `env` says otherwise. */
export function vouchsafe(
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<Ended> {
  return runNode([CLI, ...args], { SECRET: TEST_SECRET, ...env }, cwd);
}
