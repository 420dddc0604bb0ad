import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

/** What docs/agents.md shows, and how it is run: as it stands there, but for the names of the service and of Ann. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TEXT = readFileSync(join(ROOT, 'docs/agents.md'), 'utf8');

/** Where programs find `vouchsafe/client`, and how: our sources, or a folder in which the package is installed. */
export interface Installed {
  folder: string;
  flags: readonly string[];
}

export const FROM_SOURCE: Installed = { folder: ROOT, flags: ['--conditions=vouchsafe-source'] };

/** Returns the blocks of code in a language, in their order. */
export function documentBlocks(language: string): string[] {
  return [...TEXT.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, each]) => each === language)
    .map(([, , code]) => code!);
}

/** A program that runs. */
export interface RunningProgram {
  /** The first link in what it says. @throws if it ends without one */
  link: Promise<string>;
  /** What it said. @throws if it ends by an error */
  ended: Promise<string>;
}

/** Runs a program in TypeScript as somebody does who has the package. It ends with the test at the latest. */
export function runProgram(
  t: ExecutionContext,
  code: string,
  { service, mailbox, installed = FROM_SOURCE }: { service: string; mailbox: string; installed?: Installed },
): RunningProgram {
  const home = mkdtempSync(join(tmpdir(), 'vouchsafe-home-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const program = code.replaceAll('https://id.example.com', service).replaceAll('ann@example.com', mailbox);
  const child = spawn(
    process.execPath,
    [...installed.flags, '--input-type=module-typescript', '-e', program],
    {
      cwd: installed.folder,
      env: { ...process.env, HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    },
  );
  t.teardown(() => child.kill('SIGKILL'));
  return watch(child);
}

function watch(child: ChildProcess): RunningProgram {
  let said = '';
  let complaints = '';
  let find = (_: string) => {};
  const found = new Promise<string>((resolve) => {
    find = resolve;
  });
  child.stdout!.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
    const link = /http\S+(?=\n)/.exec(said)?.[0];
    if (link !== undefined) find(link);
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    complaints += chunk.toString('utf8');
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.on('close', (code) => {
      if (code === 0) resolve(said);
      else reject(new Error(`It ended with ${code}:\n${complaints}`));
    });
  });
  // Whoever waits hears of it; whoever does not must not end the run of all tests.
  ended.catch(() => {});
  const link = Promise.race([
    found,
    ended.then(() => {
      throw new Error(`It ended without a link:\n${said}`);
    }),
  ]);
  link.catch(() => {});
  return { link, ended };
}
