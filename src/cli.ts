#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { addAccountCommands } from './commands/accounts.ts';
import { addAgentCommands } from './commands/agents.ts';
import { addCheckCommand } from './commands/check.ts';
import { addClientCommands } from './commands/clients.ts';
import { addEventCommands } from './commands/events.ts';
import { addIssuerCommands } from './commands/issuers.ts';
import { addKeyCommands } from './commands/keys.ts';
import { addMailCommands } from './commands/mail.ts';
import { addOperatorCommands } from './commands/operators.ts';
import { addResourceCommands } from './commands/resources.ts';
import { addRestoreCommand } from './commands/restore.ts';
import { addServiceCommands } from './commands/service.ts';
import { createShell, EXIT } from './commands/shell.ts';
import { addSigningKeyCommands } from './commands/signing-keys.ts';
import { ConfigError, Failure } from './errors.ts';
import { VERSION } from './lib/version.ts';

// Files that a command creates (databases, their WAL files, backups) are readable by their owner alone, in any folder.
process.umask(0o077);

const program = new Command('vouchsafe')
  .description('Agent identity service. Settings come from the environment and vouchsafe.config.json.')
  .version(VERSION)
  .option('--json', 'answer in JSON')
  .exitOverride()
  .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 called or configured wrongly, 4 not found.');

// One file per group of commands, in the order in which --help lists them.
const shell = createShell(program, process.env);
addServiceCommands(program, shell);
addRestoreCommand(program, shell);
addResourceCommands(program, shell);
addClientCommands(program, shell);
addIssuerCommands(program, shell);
addAgentCommands(program, shell);
addKeyCommands(program, shell);
addAccountCommands(program, shell);
addMailCommands(program, shell);
addOperatorCommands(program, shell);
addSigningKeyCommands(program, shell);
addEventCommands(program, shell);
addCheckCommand(program, shell);
addJsonOption(program);

// The reader closed the pipe, as `| head` does: exit without an error.
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

/** Accepts `--json` after each subcommand too. */
function addJsonOption(command: Command): void {
  for (const sub of command.commands) {
    sub.option('--json', 'answer in JSON').exitOverride();
    sub.on('option:json', () => program.setOptionValue('json', true));
    addJsonOption(sub);
  }
}
