import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import type { Policy, ScopeCatalogue, ToolRule } from 'vouchsafe/resource-server';
import { z } from 'zod';

/** The tools, and what each needs. */

export interface App {
  owner: string;
  records: string[];
}

export const SCOPES: ScopeCatalogue = {
  read: { description: 'Look' },
  write: { description: 'Change', implies: ['read'] },
  admin: { description: 'Delete', implies: ['write'] },
};

export const RULES: Record<string, ToolRule> = {
  list_apps: 'read',
  create_app: 'write',
  delete_app: 'admin',
  records: { argument: 'action', scopes: { query: 'read', insert: 'write' } },
};

const app = z
  .string()
  .regex(/^[a-z0-9-]{1,32}$/)
  .describe('The name of an app');

/** The server of one session. The guard has decided already whether a call may happen. */
export function buildTools(apps: Map<string, App>, policy: Policy, subject: () => string): McpServer {
  const server = new McpServer({ name: 'example', version: '1.0.0' });

  /** Says in the list what a tool needs, and whether it only looks. */
  function tool<Shape extends z.ZodRawShape>(
    name: string,
    description: string,
    inputSchema: Shape,
    act: (args: z.output<z.ZodObject<Shape>>) => unknown,
  ): void {
    const needs = policy.scopesOf(name);
    const config = {
      description: `${description} Needs the scope ${needs.join(' or ')}.`,
      inputSchema,
      annotations: { readOnlyHint: policy.isReadOnly(name) },
      _meta: { 'vouchsafe/scopes': needs },
    };
    server.registerTool(
      name,
      config as never,
      ((args: z.output<z.ZodObject<Shape>>) => ({
        content: [{ type: 'text', text: JSON.stringify(act(args)) }],
      })) as never,
    );
  }

  tool('list_apps', 'Lists all apps.', {}, () => [...apps.keys()]);
  tool('create_app', 'Makes an app, which is then yours.', { app }, (args) => {
    if (apps.has(args.app)) throw new Error('There is an app of that name already.');
    apps.set(args.app, { owner: subject(), records: [] });
    return { created: args.app };
  });
  tool('delete_app', 'Deletes an app of yours.', { app }, (args) => ({ deleted: apps.delete(args.app) }));
  const action = z.enum(['query', 'insert']);
  tool(
    'records',
    'Reads or adds records of an app.',
    { app, action, value: z.string().optional() },
    (args) => {
      const found = apps.get(args.app);
      if (found === undefined) throw new Error('There is no such app.');
      if (args.action === 'insert') found.records.push(args.value ?? '');
      return found.records;
    },
  );
  return server;
}
