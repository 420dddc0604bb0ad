import type { Command } from 'commander';
import { fetchIssuerKeys, findIssuers } from '../domain/operators/trusted-issuers.ts';
import type { Shell } from './shell.ts';

/** Adds `issuer …`: lists the agent providers that the configuration trusts, and those that it trusts no more. */
export function addIssuerCommands(program: Command, shell: Shell): void {
  program
    .command('issuer')
    .description('agent providers, which vouch for agents; whom to trust is in the configuration')
    .command('list')
    .description('fetches their keys, and counts the agents that came by their word')
    .action(() =>
      shell.withDatabase(async (deps) => {
        await fetchIssuerKeys(deps);
        const { trusted, former } = await findIssuers(deps);
        const json = [
          ...trusted.map(({ issuer, displayName, jwksUri, agents, lastFetch }) => ({
            issuer,
            trusted: true,
            name: displayName,
            jwks_uri: jwksUri,
            agents: agents.count,
            keys: lastFetch?.fault ?? 'fetched',
          })),
          ...former.map(({ issuer, agents }) => ({ issuer, trusted: false, agents: agents.count })),
        ];
        const lines = [
          ...trusted.map(
            ({ issuer, displayName, agents, lastFetch }) =>
              `${issuer}  ${displayName}  agents: ${agents.count}  keys: ${lastFetch?.fault ?? 'fetched'}`,
          ),
          ...former.map(({ issuer, agents }) => `${issuer}  not trusted any more  agents: ${agents.count}`),
        ];
        shell.say({ issuers: json }, lines.join('\n') || 'None.');
      }),
    );
}
