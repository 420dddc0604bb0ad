import type { Command } from 'commander';
import * as resources from '../domain/audiences/resource-servers.ts';
import { parseScope } from '../lib/scopes.ts';
import type { Shell } from './shell.ts';

/** Adds `resource …`: adds, lists and removes resource servers, which may introspect. */
export function addResourceCommands(program: Command, shell: Shell): void {
  const resource = program.command('resource').description('APIs and MCP servers that may introspect');
  resource
    .command('add <url>')
    .description('let a resource server introspect; shows its secret once')
    .requiredOption('--name <name>', 'what it is called')
    .option('--scopes <scopes>', 'the scopes it knows, separated by commas; default: all')
    .option('--rotate', 'where it is there already: give it a new secret, and end the old one')
    .action((url: string, options: { name: string; scopes?: string; rotate?: boolean }) =>
      shell.withDatabase(async (deps) => {
        const { name, rotate = false } = options;
        const scopes = options.scopes === undefined ? undefined : parseScope(options.scopes);
        const input = { url, name, scopes };
        const { server, secret } = await resources.addResourceServerOnce(deps, shell.origin(), input, rotate);
        const lines =
          secret === undefined
            ? [
                `client_id      ${server.id}`,
                'It is there already, with the secret that it was given. --rotate gives it a new one.',
              ]
            : [`client_id      ${server.id}`, `client_secret  ${secret}`, 'The secret is shown this once.'];
        shell.say({ client_id: server.id, client_secret: secret, ...resourceJson(server) }, lines.join('\n'));
      }),
    );
  resource
    .command('list')
    .description('those in service')
    .action(() =>
      shell.withDatabase(async (deps) => {
        const servers = await resources.listResourceServers(deps);
        shell.say(
          { resources: servers.map((server) => ({ client_id: server.id, ...resourceJson(server) })) },
          servers.map((server) => `${server.id}  ${server.url}  ${server.name}`).join('\n') || 'None yet.',
        );
      }),
    );
  resource
    .command('remove <client_id>')
    .description('take a resource server out of service')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        if (!(await resources.removeResourceServer(deps, shell.origin(), id))) {
          return shell.notFound('resource server');
        }
        shell.say({ removed: id }, `${id} may not introspect any more.`);
      }),
    );
}

function resourceJson(server: resources.ResourceServer): object {
  return { url: server.url, name: server.name, scopes: server.scopes };
}
