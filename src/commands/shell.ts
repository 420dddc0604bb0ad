import { once } from 'node:events';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Deps } from '../deps.ts';
import { REASON_MAX, readReason } from '../domain/audit/operator-acts.ts';
import { ConfigError } from '../errors.ts';
import { DAY_MS } from '../lib/time.ts';
import { localOrigin, type RequestOrigin } from '../work.ts';

/** Exit codes: 0 done, 1 failed, 2 called or configured wrongly, 4 not found. */
export const EXIT = { failed: 1, usage: 2, notFound: 4 } as const;

/** What a command needs of its process. runProgram() creates it; no command reads the environment itself. */
export interface Shell {
  /** The environment variables. */
  env: Record<string, string | undefined>;
  /** Prints the result to stdout: the JSON with `--json`, otherwise the text. */
  say(json: object, text: string): void;
  /** Prints one of many results, always as JSON. Waits while the reader of stdout is slower. */
  line(json: object): Promise<void>;
  /** Prints a text as it is. Waits while the reader of stdout is slower. */
  write(text: string): Promise<void>;
  /** Prints a note for the operator to stderr, so that programs that read stdout do not see it. */
  note(text: string): void;
  /** Reports that an id does not exist. Sets the exit code. */
  notFound(what: string): void;
  /** Reports that the command ran, and found a fault. Sets the exit code. */
  failed(): void;
  /** Migrates the configured database, runs `work` on it, and closes it. `applied` names the migrations that ran. */
  withDatabase(work: (deps: Deps, applied: string[]) => Promise<void>): Promise<void>;
  /** The origin of a change, for the audit log. */
  origin(): RequestOrigin;
}

async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

/** Creates the shell of a process. @param program the program with the option `--json` */
export function createShell(program: Command, env: Shell['env']): Shell {
  return {
    env,
    say(json, text) {
      console.log(program.opts<{ json?: boolean }>().json ? JSON.stringify(json) : text);
    },
    line: (json) => write(`${JSON.stringify(json)}\n`),
    write,
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
    // Commands without a database start without its engines and without what checks settings.
    async withDatabase(work) {
      const [{ loadConfig }, { withDeps }] = await Promise.all([
        import('../config/load.ts'),
        import('../with-deps.ts'),
      ]);
      return withDeps(loadConfig(env), work);
    },
    origin: () => localOrigin('cli'),
  };
}

/** Parses the argument of `--limit`. @throws ConfigError unless it is a whole number from 1 */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new ConfigError('--limit takes a whole number from 1.');
  return value;
}

/** Parses a time. @returns epoch ms */
export function parseIsoTime(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError('It takes a time such as 2026-01-31T12:00:00Z.');
  return at;
}

const UNIT_MS = { m: DAY_MS / 1440, h: DAY_MS / 24, d: DAY_MS } as const;

/** Parses a time such as `30m`, `12h` or `7d`, or `0`. @returns ms */
export function durationMs(text: string): number {
  if (text === '0') return 0;
  const found = /^([1-9][0-9]{0,5})([mhd])$/.exec(text);
  if (found === null) throw new InvalidArgumentError('It takes a time such as 30m, 12h or 7d, or 0.');
  return Number(found[1]) * UNIT_MS[found[2] as keyof typeof UNIT_MS];
}

/** Creates the option by which an act says why, as the console's field of a reason does. */
export function reasonOption(): Option {
  return new Option('--reason <text>', `why, for the audit log; up to ${REASON_MAX} characters`).argParser(
    (text) => {
      const { reason, fault } = readReason(text);
      if (fault !== undefined) throw new InvalidArgumentError(`It takes 1 to ${REASON_MAX} characters.`);
      return reason;
    },
  );
}

/** Says which of some things were revoked, and which there are not. */
export function sayRevoked(
  shell: Shell,
  what: string,
  ids: readonly string[],
  revoked: readonly string[],
  sentence: (id: string) => string,
): void {
  const missing = ids.filter((id) => !revoked.includes(id));
  if (revoked.length > 0) {
    shell.say({ revoked: ids.length === 1 ? revoked[0] : revoked }, revoked.map(sentence).join('\n'));
  }
  for (const id of missing) shell.notFound(ids.length === 1 ? what : `${what}: ${id}`);
}
