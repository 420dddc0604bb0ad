import { homedir } from 'node:os';
import { join } from 'node:path';
import { ConnectedProfile } from '../../client/connected-profile.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { printableJson } from '../../lib/artifacts/printable-json.ts';
import type { PopupConditions } from './open-link.ts';
import { reportError } from './report-error.ts';
import { openTerminal, type Terminal } from './terminal.ts';

/** The options that every verb has. */
export interface CommonOptions {
  profile?: string;
  service?: string;
  timeout: number;
}

/** What a verb of `vouchsafe auth` has of its process. */
export interface VerbContext {
  env: Record<string, string | undefined>;
  options: CommonOptions;
  /** Whether stdout takes JSON: with `--json`, and where it is no terminal. */
  isJson: boolean;
  /** The terminal, opened when it is first asked for; undefined if there is none. */
  terminal(): Terminal | undefined;
  /** Prints the result to stdout: one JSON value, or the text for a person. */
  print(json: object, text: string): void;
  /** Prints an artifact to stdout, which is JSON either way. */
  write(text: string): Promise<void>;
  /** Opens the profile that the options name. `create`: makes it, and its key, where there is none. */
  openProfile(how?: { create: boolean }): Promise<ConnectedProfile>;
  /** When a link may be opened. @param isAllowed whether `--no-popup` was not given */
  popup(isAllowed: boolean): PopupConditions;
  /** Prints a line for a person to stderr. */
  note(line: string): void;
  /**
   * Asks for a yes at the terminal, unless `--yes` says it.
   *
   * @throws AuthError `CONFIRMATION_REQUIRED` if there is no terminal, `REQUEST_CANCELLED` if the answer is no
   */
  confirm(question: string, isYes: boolean): Promise<void>;
}

/** Does one verb. `args` are its operands. @returns the exit code, where that is not 0 */
// biome-ignore lint/suspicious/noExplicitAny: each verb declares the options that its row has
export type Verb = (context: VerbContext, args: string[], options: any) => Promise<unknown>;

/** Runs a verb and reports its error. @returns the exit code */
export async function runVerb(
  verb: Verb,
  args: string[],
  options: CommonOptions,
  isJson: boolean,
  env: VerbContext['env'],
): Promise<number> {
  let opened: { terminal: Terminal | undefined } | undefined;
  const terminal = () => {
    opened ??= { terminal: openTerminal() };
    return opened.terminal;
  };
  const context: VerbContext = {
    env,
    options,
    isJson,
    terminal,
    print: (json, text) => console.log(isJson ? printableJson(json) : text),
    write: (text) =>
      new Promise((resolve, reject) => {
        process.stdout.write(text, (error) => (error == null ? resolve() : reject(error)));
      }),
    popup: (isAllowed) => ({
      isAllowed,
      hasTerminal: process.stderr.isTTY && terminal() !== undefined,
      env,
      platform: process.platform,
    }),
    note: (line) => console.error(line),
    openProfile: ({ create } = { create: false }) =>
      ConnectedProfile.open({
        home: env.VOUCHSAFE_HOME || join(homedir(), '.vouchsafe'),
        name: options.profile ?? (env.VOUCHSAFE_PROFILE || undefined),
        service: options.service,
        create,
        timeoutMs: options.timeout * 1000,
        onSkew: (seconds) =>
          console.error(
            `The clock of this machine and that of the service are ${Math.abs(seconds)} seconds apart.`,
          ),
      }),
    async confirm(question, isYes) {
      if (isYes) return;
      const asked = terminal();
      if (asked === undefined) {
        throw new AuthError(
          'CONFIRMATION_REQUIRED',
          'This needs a yes, and there is no terminal to ask at.',
          { hint: 'Give --yes if that is what you want.' },
        );
      }
      if (!(await asked.ask(question))) throw new AuthError('REQUEST_CANCELLED', 'Nothing was done.');
    },
  };
  try {
    const code = await verb(context, args, options);
    return typeof code === 'number' ? code : 0;
  } catch (error) {
    return reportError(error, isJson);
  } finally {
    opened?.terminal?.close();
  }
}
