import { once } from 'node:events';
import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import type { Deps } from '../deps.ts';
import { ConfigError } from '../errors.ts';
import { withDeps } from '../with-deps.ts';
import { localOrigin, type RequestOrigin } from '../work.ts';

/** Exit codes: 0 done, 1 failed, 2 called or configured wrongly, 4 not found. */
export const EXIT = { failed: 1, usage: 2, notFound: 4 } as const;

/** What every command needs of the process it runs in. cli.ts makes it; no command reads the environment itself. */
export interface Shell {
  env: Record<string, string | undefined>;
  /** Answers: the JSON with `--json`, the text without. */
  say(json: object, text: string): void;
  /** One of many answers, in JSON whatever was asked for. Waits while the reader is behind. */
  line(json: object): Promise<void>;
  /** A word to the person at the terminal, beside the answer: never in what a program reads. */
  note(text: string): void;
  /** The answer where an id leads nowhere; the process ends with the code for that. */
  notFound(what: string): void;
  /** The command ran and what it found is bad. */
  failed(): void;
  /** Works on the database that the settings name; it is brought up to date first and closed afterwards. */
  withDatabase(work: (deps: Deps, applied: string[]) => Promise<void>): Promise<void>;
  /** Who asks, for the audit. */
  origin(): RequestOrigin;
}

/** @param program whose `--json` counts, wherever it stood on the line */
export function createShell(program: Command, env: Shell['env']): Shell {
  return {
    env,
    say(json, text) {
      console.log(program.opts<{ json?: boolean }>().json ? JSON.stringify(json) : text);
    },
    async line(json) {
      if (!process.stdout.write(`${JSON.stringify(json)}\n`)) await once(process.stdout, 'drain');
    },
    note(text) {
      console.error(text);
    },
    notFound(what) {
      console.error(`There is no such ${what}.`);
      process.exitCode = EXIT.notFound;
    },
    failed() {
      process.exitCode = EXIT.failed;
    },
    withDatabase: (work) => withDeps(loadConfig(env), work),
    origin: () => localOrigin('cli'),
  };
}

/** An argument of `--limit`. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new ConfigError('--limit takes a whole number from 1.');
  return value;
}
