#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { createShell, EXIT, type Shell } from './commands/shell.ts';
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

interface Group {
  /** The names of the commands that it adds to the program. */
  names: readonly string[];
  load(): Promise<(program: Command, shell: Shell) => void>;
}

// One file per group of commands, in the order in which --help lists them.
const GROUPS: readonly Group[] = [
  {
    names: ['serve', 'migrate', 'backup', 'doctor', 'config'],
    load: async () => (await import('./commands/service.ts')).addServiceCommands,
  },
  { names: ['restore'], load: async () => (await import('./commands/restore.ts')).addRestoreCommand },
  { names: ['resource'], load: async () => (await import('./commands/resources.ts')).addResourceCommands },
  { names: ['nodes'], load: async () => (await import('./commands/nodes.ts')).addNodeCommands },
  { names: ['client'], load: async () => (await import('./commands/clients.ts')).addClientCommands },
  { names: ['issuer'], load: async () => (await import('./commands/issuers.ts')).addIssuerCommands },
  { names: ['agent'], load: async () => (await import('./commands/agents.ts')).addAgentCommands },
  {
    names: ['agent'],
    load: async () => (await import('./commands/agent-client.ts')).addAgentClientCommands,
  },
  {
    names: ['permission'],
    load: async () => (await import('./commands/permissions.ts')).addPermissionCommands,
  },
  { names: ['key'], load: async () => (await import('./commands/keys.ts')).addKeyCommands },
  { names: ['account'], load: async () => (await import('./commands/accounts.ts')).addAccountCommands },
  {
    names: ['workspace'],
    load: async () => (await import('./commands/workspaces.ts')).addWorkspaceCommands,
  },
  { names: ['mail'], load: async () => (await import('./commands/mail.ts')).addMailCommands },
  { names: ['operator'], load: async () => (await import('./commands/operators.ts')).addOperatorCommands },
  {
    names: ['signing-key', 'keys'],
    load: async () => (await import('./commands/signing-keys.ts')).addSigningKeyCommands,
  },
  { names: ['events'], load: async () => (await import('./commands/events.ts')).addEventCommands },
  { names: ['auth'], load: async () => (await import('./commands/auth.ts')).addAuthCommands },
  { names: ['check'], load: async () => (await import('./commands/check.ts')).addCheckCommand },
  // It reads all other groups, so none of its names loads it alone.
  { names: [], load: async () => (await import('./commands/completion.ts')).addCompletionCommand },
];

// A command loads its own group alone, and --version none: all of them take several times as long. --help and what is no command
// load all.
const named = process.argv.slice(2).find((argument) => argument !== '--json');
const called = GROUPS.filter(({ names }) => named !== undefined && names.includes(named));
const shell = createShell(program, process.env);
const isVersion = named === '--version' || named === '-V';
for (const { load } of called.length > 0 || isVersion ? called : GROUPS) (await load())(program, shell);
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
