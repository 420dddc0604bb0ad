import { createReadStream } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { listResourceServers, type ResourceServer } from '../domain/audiences/resource-servers.ts';
import { importNodes } from '../domain/workspaces/import-nodes.ts';
import { checkNode, type ToldNode } from '../domain/workspaces/node-batches.ts';
import { readNodes } from '../domain/workspaces/tree.ts';
import { ConfigError, Failure } from '../errors.ts';
import { normalizeAudienceUrl } from '../lib/audience-url.ts';
import { type Shell, wholeNumber } from './shell.ts';

interface Options {
  workspace: string;
  resource: string;
  replace?: true;
  confirmDeleted?: number;
}

const PAGE = 500;

/** Adds `nodes import` and `nodes list`: the tree of a workspace at one API. */
export function addNodeCommands(program: Command, shell: Shell): void {
  const nodes = program.command('nodes').description('what is in a workspace, as its API tells it');
  nodes
    .command('import <file>')
    .description('import nodes from a file, one JSON object a line or a JSON list; - for stdin')
    .requiredOption('--workspace <id>', 'wsp_…, or the account of a personal workspace')
    .requiredOption('--resource <url>', 'the URL of the API, or its client_id')
    .option('--replace', 'end the nodes that are not in the file')
    .option('--confirm-deleted <n>', 'how many nodes may end, where that is much', wholeNumber)
    .action(async (file: string, options: Options) => {
      const told = await readNodesOf(file);
      await shell.withDatabase(async (deps) => {
        const server = await findServer(deps, options.resource);
        if (server === undefined) return shell.notFound('resource server');
        const { workspace, replace = false, confirmDeleted } = options;
        const origin = shell.origin();
        const how = { replaces: replace, confirmDeleted };
        const report = (done: number) => {
          if (told.length > PAGE) shell.note(`${done} of ${told.length} nodes`);
        };
        const result = await importNodes(deps, origin, server, workspace, told, how, report);
        const { upserted, unchanged, deleted } = result;
        shell.say(
          { workspace, ...result },
          `${upserted} nodes are new or changed, ${unchanged} as they were, ${deleted} ended.`,
        );
      });
    });
  nodes
    .command('list')
    .description('the nodes of a workspace, as JSON lines')
    .requiredOption('--workspace <id>', 'wsp_…, or the account of a personal workspace')
    .requiredOption('--resource <url>', 'the URL of the API, or its client_id')
    .action((options: Options) =>
      shell.withDatabase(async (deps) => {
        const server = await findServer(deps, options.resource);
        if (server === undefined) return shell.notFound('resource server');
        let after: string | undefined = '';
        while (after !== undefined) {
          const page = await readNodes(deps, server, options.workspace, after, PAGE);
          for (const { externalId, parent, kind, name } of page.nodes) {
            await shell.line({ id: externalId, parent, kind, name });
          }
          after = page.next;
        }
      }),
    );
}

const nodeLine = z.object({
  id: z.string(),
  parent: z.string().nullish(),
  kind: z.string(),
  name: z.string(),
});

/** @throws ConfigError naming the line or entry that is no node */
async function readNodesOf(file: string): Promise<ToldNode[]> {
  const content = (await text(file === '-' ? process.stdin : createReadStream(file, 'utf8'))).trim();
  const isList = content.startsWith('[');
  const entries = isList
    ? parse(content, 'The list')
    : content.split('\n').map((line, at) => parse(line, where(at)));
  if (!Array.isArray(entries)) throw new ConfigError('It takes a JSON list, or one JSON object a line.');
  return entries.map((entry, index) => {
    const node = nodeLine.safeParse(entry);
    if (!node.success) {
      throw new ConfigError(`${where(index)} is no node: it takes {"id":…,"parent":…,"kind":…,"name":…}.`);
    }
    const { id, parent, kind, name } = node.data;
    const told = { id, kind, name, ...(typeof parent === 'string' && { parent }) };
    try {
      checkNode(told, where(index));
    } catch (error) {
      if (error instanceof Failure) throw new ConfigError(`${error.details.field}: ${error.message}`);
      throw error;
    }
    return told;
  });

  function where(index: number): string {
    return isList ? `Entry ${index + 1}` : `Line ${index + 1}`;
  }
}

function parse(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new ConfigError(`${where} is not valid JSON.`);
  }
}

async function findServer(deps: Deps, resource: string): Promise<ResourceServer | undefined> {
  const servers = await listResourceServers(deps);
  if (resource.startsWith('rs_')) return servers.find(({ id }) => id === resource);
  const url = normalizeAudienceUrl(resource);
  return servers.find((server) => server.url === url && server.understandsWorkspaces);
}
