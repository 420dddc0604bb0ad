import { Argument, type Command } from 'commander';
import { readCommands } from './completion/commands.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './completion/scripts.ts';
import type { Shell } from './shell.ts';

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** Adds `completion <shell>`: prints the script by which a shell completes all commands of the program. */
export function addCompletionCommand(program: Command, shell: Shell): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SCRIPTS)))
    .description('print what lets a shell complete commands and options')
    .addHelpText(
      'after',
      '\nbash: source <(vouchsafe completion bash)\nzsh:  source <(vouchsafe completion zsh)\nfish: vouchsafe completion fish | source',
    )
    .action((name: keyof typeof SCRIPTS) => shell.write(SCRIPTS[name](readCommands(program))));
}
