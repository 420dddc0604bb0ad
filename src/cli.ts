#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addAgentCommands } from './commands/agents.ts';
import { addCheckCommand } from './commands/check.ts';
import { addEventCommands } from './commands/events.ts';
import { addResourceCommands } from './commands/resources.ts';
import { addRestoreCommand } from './commands/restore.ts';
import { addServiceCommands } from './commands/service.ts';
import { createShell, EXIT } from './commands/shell.ts';
import { addSigningKeyCommands } from './commands/signing-keys.ts';
import { ConfigError, Failure } from './errors.ts';

// What it writes, a database, what lies beside it, a copy, is for its owner alone, in whatever folder.
process.umask(0o077);

const PACKAGE = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('vouchsafe')
  .description('Agent identity service. Settings come from the environment and vouchsafe.config.json.')
  .version(PACKAGE.version)
  .option('--json', 'answer in JSON')
  .exitOverride()
  .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 called or configured wrongly, 4 not found.');

// A file of commands each, in the order in which --help shows them.
const shell = createShell(program, process.env);
addServiceCommands(program, shell);
addRestoreCommand(program, shell);
addResourceCommands(program, shell);
addAgentCommands(program, shell);
addSigningKeyCommands(program, shell);
addEventCommands(program, shell);
addCheckCommand(program, shell);
optionEverywhere(program);

// Whoever reads us has had enough, as `| head` does: there is nobody left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
  } else if (error instanceof ConfigError) {
    console.error(error.message);
    process.exitCode = EXIT.usage;
  } else {
    const cause = error instanceof Failure && error.cause instanceof Error ? `: ${error.cause.message}` : '';
    console.error(`${error instanceof Error ? error.message : String(error)}${cause}`);
    process.exitCode = error instanceof Failure && error.kind === 'badRequest' ? EXIT.usage : EXIT.failed;
  }
}

// `--json` may stand before or behind the command.
function optionEverywhere(command: Command): void {
  for (const sub of command.commands) {
    sub.option('--json', 'answer in JSON').exitOverride();
    sub.on('option:json', () => program.setOptionValue('json', true));
    optionEverywhere(sub);
  }
}
