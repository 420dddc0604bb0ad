import type { Command } from 'commander';
import { listPublishedKeys, rotateSigningKeys, type SigningKey } from '../domain/credentials/signing-keys.ts';
import type { Shell } from './shell.ts';

/** Adds `signing-key …`: lists and rotates the signing keys. `keys …`, the former name, still works. */
export function addSigningKeyCommands(program: Command, shell: Shell): void {
  const description = 'the keys that this service signs with';
  addSubcommands(program.command('signing-key').description(description), shell);
  addSubcommands(program.command('keys', { hidden: true }).description(description), shell);
}

function addSubcommands(keys: Command, shell: Shell): void {
  keys
    .command('list')
    .description('newest first')
    .action(() =>
      shell.withDatabase(async (deps) => {
        const list = await listPublishedKeys(deps);
        shell.say({ keys: list.map(keyJson) }, list.map(keyLine).join('\n') || 'None yet.');
      }),
    );
  keys
    .command('rotate')
    .description(
      'make the next key: published now, used in ten minutes; the old one stays until its last token is dead',
    )
    .option(
      '--now',
      'the old keys are compromised: use the new one at once, and let all that they signed die',
    )
    .action((options: { now?: boolean }) =>
      shell.withDatabase(async (deps) => {
        const key = await rotateSigningKeys(deps, shell.origin(), options.now === true);
        shell.say(keyJson(key), keyLine(key));
      }),
    );
}

function keyJson(key: SigningKey): object {
  const { kid, state, createdAt, usedFrom } = key;
  return {
    kid,
    state,
    created_at: new Date(createdAt).toISOString(),
    used_from: new Date(usedFrom).toISOString(),
  };
}

function keyLine({ kid, state, usedFrom }: SigningKey): string {
  return `${kid}  ${state.padEnd(7)}  from ${new Date(usedFrom).toISOString()}`;
}
