import { Command, CommanderError } from 'commander';
import { ConfigError, Failure } from '../errors.ts';
import { VERSION } from '../lib/version.ts';
import { createShell, EXIT, type Shell } from './shell.ts';

interface Group {
  /** The names of the commands that it adds to the program. */
  names: readonly string[];
  load(): Promise<(program: Command, shell: Shell) => void>;
}

// One file per group of commands, in the order in which --help lists them.
const GROUPS: readonly Group[] = [
  {
    names: ['serve', 'migrate', 'backup', 'doctor', 'config'],
    load: async () => (await import('./service.ts')).addServiceCommands,
  },
  { names: ['restore'], load: async () => (await import('./restore.ts')).addRestoreCommand },
  { names: ['resource'], load: async () => (await import('./resources.ts')).addResourceCommands },
  { names: ['nodes'], load: async () => (await import('./nodes.ts')).addNodeCommands },
  { names: ['client'], load: async () => (await import('./clients.ts')).addClientCommands },
  { names: ['issuer'], load: async () => (await import('./issuers.ts')).addIssuerCommands },
  { names: ['agent'], load: async () => (await import('./agents.ts')).addAgentCommands },
  {
    names: ['agent'],
    load: async () => (await import('./agent-client.ts')).addAgentClientCommands,
  },
  {
    names: ['permission'],
    load: async () => (await import('./permissions.ts')).addPermissionCommands,
  },
  { names: ['key'], load: async () => (await import('./keys.ts')).addKeyCommands },
  { names: ['account'], load: async () => (await import('./accounts.ts')).addAccountCommands },
  {
    names: ['workspace'],
    load: async () => (await import('./workspaces.ts')).addWorkspaceCommands,
  },
  { names: ['mail'], load: async () => (await import('./mail.ts')).addMailCommands },
  { names: ['operator'], load: async () => (await import('./operators.ts')).addOperatorCommands },
  {
    names: ['signing-key', 'keys'],
    load: async () => (await import('./signing-keys.ts')).addSigningKeyCommands,
  },
  { names: ['events'], load: async () => (await import('./events.ts')).addEventCommands },
  { names: ['auth'], load: async () => (await import('./auth.ts')).addAuthCommands },
  { names: ['check'], load: async () => (await import('./check.ts')).addCheckCommand },
  // It reads all other groups, so none of its names loads it alone.
  { names: [], load: async () => (await import('./completion.ts')).addCompletionCommand },
];

/**
 * Runs `vouchsafe` with these arguments. What is wrong goes to stderr and into the exit code of the process.
 *
 * @param args what follows the name of the program
 * @param env the environment variables
 */
export async function runProgram(args: readonly string[], env: Shell['env']): Promise<void> {
  const program = new Command('vouchsafe')
    .description('Agent identity service. Settings come from the environment and vouchsafe.config.json.')
    .version(VERSION)
    .option('--json', 'answer in JSON')
    .exitOverride()
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 called or configured wrongly, 4 not found.');

  // A command loads its own group alone, and --version none: all of them take several times as long. --help and what is no command
  // load all.
  const named = args.find((argument) => argument !== '--json');
  const called = GROUPS.filter(({ names }) => named !== undefined && names.includes(named));
  const shell = createShell(program, env);
  const isVersion = named === '--version' || named === '-V';
  for (const { load } of called.length > 0 || isVersion ? called : GROUPS) (await load())(program, shell);
  addJsonOption(program, program);

  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
    } else if (error instanceof ConfigError) {
      console.error(error.message);
      process.exitCode = EXIT.usage;
    } else {
      const cause =
        error instanceof Failure && error.cause instanceof Error ? `: ${error.cause.message}` : '';
      console.error(`${error instanceof Error ? error.message : String(error)}${cause}`);
      process.exitCode = error instanceof Failure && error.kind === 'badRequest' ? EXIT.usage : EXIT.failed;
    }
  }
}

/** Accepts `--json` after each subcommand too. */
function addJsonOption(program: Command, command: Command): void {
  for (const sub of command.commands) {
    sub.option('--json', 'answer in JSON').exitOverride();
    sub.on('option:json', () => program.setOptionValue('json', true));
    addJsonOption(program, sub);
  }
}
