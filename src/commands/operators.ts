import type { Command } from 'commander';
import { addOperator, findOperators, removeOperator } from '../domain/accounts/operators.ts';
import { mailboxArgument } from './mailbox-argument.ts';
import type { Shell } from './shell.ts';

/** Adds `operator …`: makes, lists and removes those who may use the console. */
export function addOperatorCommands(program: Command, shell: Shell): void {
  const operator = program.command('operator').description('people who may use the console at /console');
  operator
    .command('add')
    .description('make somebody an operator, on this machine alone')
    .argument('<mailbox>', 'their email address', mailboxArgument)
    .action((mailbox: string) =>
      shell.withDatabase(async (deps) => {
        const isNew = await addOperator(deps, shell.origin(), mailbox);
        shell.say(
          { mailbox, added: isNew },
          isNew
            ? `${mailbox} is an operator: sign in at ${deps.config.publicUrl}/console.`
            : `${mailbox} is an operator already.`,
        );
      }),
    );
  operator
    .command('list')
    .description('all of them, and what makes them operators')
    .action(() =>
      shell.withDatabase(async (deps) => {
        const operators = await findOperators(deps);
        const lines = operators.map(({ mailbox, from }) => `${mailbox}  (${from})`);
        shell.say({ operators }, lines.join('\n') || 'None.');
      }),
    );
  operator
    .command('remove')
    .description('take the console away from somebody, at once')
    .argument('<mailbox>', 'their email address', mailboxArgument)
    .action((mailbox: string) =>
      shell.withDatabase(async (deps) => {
        if (!(await removeOperator(deps, shell.origin(), mailbox))) return shell.notFound('operator');
        shell.say({ removed: mailbox }, `${mailbox} is no operator any more.`);
      }),
    );
}
