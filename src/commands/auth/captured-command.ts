import { spawn } from 'node:child_process';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { StoredCommand } from '../../client/profile-files.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';

/**
 * Captures a command as it would run here.
 *
 * @throws AuthError `COMMAND_NOT_CAPTURED` if there is no such program
 */
export function captureCommand(argv: readonly string[], folder: string, path: string): StoredCommand {
  const real = realpathSync(folder);
  const program = findProgram(argv[0]!, real, path);
  if (program === undefined) {
    throw new AuthError(
      'COMMAND_NOT_CAPTURED',
      'There is no such program here: what stands after -- would not run.',
    );
  }
  return { argv: [...argv], program, folder: real };
}

/** @throws AuthError `COMMAND_CHANGED` if the same words would run another program, or in another folder, than when captured */
export function assertUnchanged(command: StoredCommand, path: string): void {
  let folder: string | undefined;
  try {
    folder = realpathSync(command.folder);
  } catch {
    // It is gone.
  }
  if (folder !== command.folder) {
    throw new AuthError('COMMAND_CHANGED', 'The folder of the captured command is not there any more.');
  }
  if (findProgram(command.argv[0]!, folder, path) !== command.program) {
    throw new AuthError(
      'COMMAND_CHANGED',
      'The program of the captured command is another one now, or gone.',
      { hint: 'Run the command yourself, or capture it again.' },
    );
  }
}

/**
 * Runs a captured command with the stdin, stdout and stderr of this process, without a shell.
 *
 * @returns its exit code
 * @throws AuthError `COMMAND_SIGNAL` if a signal ended it, `COMMAND_CHANGED` if it cannot be started
 */
export function runCommand(command: StoredCommand, env: Record<string, string | undefined>): Promise<number> {
  const [argv0, ...args] = command.argv;
  return new Promise((resolve, reject) => {
    const child = spawn(command.program, args, {
      argv0: argv0!,
      cwd: command.folder,
      env,
      shell: false,
      stdio: 'inherit',
    });
    // The terminal sends Ctrl-C to both. The command decides what it means.
    const leaveToCommand = () => {};
    process.on('SIGINT', leaveToCommand);
    child.on('error', () => {
      process.off('SIGINT', leaveToCommand);
      reject(new AuthError('COMMAND_CHANGED', 'The captured command cannot be started any more.'));
    });
    child.on('exit', (code) => {
      process.off('SIGINT', leaveToCommand);
      if (code !== null) resolve(code);
      else reject(new AuthError('COMMAND_SIGNAL', 'A signal ended the command.'));
    });
  });
}

/** Writes a command so that a person sees each argument, and what is not a plain letter of it. */
export function quoteCommand(argv: readonly string[]): string {
  return argv.map(quote).join(' ');
}

function quote(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument;
  if (/^[\x20-\x7e]*$/.test(argument)) return `'${argument.replaceAll("'", String.raw`'\''`)}'`;
  const escaped = [...argument].map((character) => {
    if (character === '\\' || character === "'") return `\\${character}`;
    if (/[\x20-\x7e]/.test(character)) return character;
    return character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join('');
  });
  return `$'${escaped.join('')}'`;
}

function findProgram(name: string, folder: string, path: string): string | undefined {
  if (name.includes('/')) return realProgram(resolve(folder, name));
  return path
    .split(delimiter)
    .filter(isAbsolute)
    .map((place) => realProgram(join(place, name)))
    .find((program) => program !== undefined);
}

function realProgram(file: string): string | undefined {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile() ? realpathSync(file) : undefined;
  } catch {
    return undefined;
  }
}
