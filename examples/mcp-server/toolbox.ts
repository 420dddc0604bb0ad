import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import type { Policy, VerifiedToken } from 'vouchsafe/resource-server';
import { z } from 'zod';
import { isReached, workspaceOf } from './rules.ts';
import type { Thing, Workspaces } from './workspaces.ts';

/** What the tools are made with. */

/** A call that the rules allow: by whom, and in which workspace. */
export interface Call {
  token: VerifiedToken;
  workspace: string;
}

export type Toolbox = ReturnType<typeof createToolbox>;

/** The name of a thing in a workspace. */
export const slug = z.string().regex(/^[a-z0-9-]{1,32}$/, 'must be up to 32 of a-z 0-9 -');

export function createToolbox(server: McpServer, policy: Policy, workspaces: Workspaces) {
  /** Offers a tool, if there is a rule for it. The list says what it needs, and whether it only looks. */
  function tool<Shape extends z.ZodRawShape>(
    name: string,
    description: string,
    shape: Shape,
    act: (args: z.output<z.ZodObject<Shape>>, call: Call) => unknown,
  ): void {
    const needs = policy.scopesOf(name);
    if (needs.length === 0) return;
    const config = {
      description: `${description} Needs the scope ${needs.join(' or ')}.`,
      inputSchema: { ...shape, workspace: z.string().optional().describe('By default the one of the key') },
      annotations: { readOnlyHint: policy.isReadOnly(name) },
      _meta: { 'vouchsafe/scopes': needs },
    };
    const run = async (args: z.output<z.ZodObject<Shape>>, { authInfo }: { authInfo: { extra: Call } }) => {
      const { token } = authInfo.extra;
      const done = await act(args, { token, workspace: workspaceOf(args, token) });
      return { content: [{ type: 'text', text: JSON.stringify(done) }] };
    };
    server.registerTool(name, config as never, run as never);
  }

  return {
    tool,
    workspaces,

    /** A thing of one of these kinds. @throws Error if there is none */
    get(workspace: string, id: string, ...kinds: string[]): Thing {
      const found = workspaces.find(workspace, id);
      if (found !== undefined && kinds.includes(found.kind)) return found;
      throw new Error(`There is no ${kinds.join(' or ')} "${id}" in this workspace.`);
    },

    /** @throws Error if the name is taken in this workspace */
    assertFree(workspace: string, id: string): void {
      if (workspaces.find(workspace, id)) throw new Error(`There is something called "${id}" already.`);
    },

    /** The things of a workspace with which the rules let the caller use a tool. */
    async allowed({ token, workspace }: Call, name: string, argument: string): Promise<Thing[]> {
      const things = isReached(token, workspace) ? [...workspaces.open(workspace).values()] : [];
      const verdicts = things.map(({ id }) => policy.decide(token, name, { workspace, [argument]: id }));
      const answers = await Promise.all(verdicts);
      return things.filter((_, index) => answers[index]!.allowed);
    },

    /** @throws Error if the rules do not let the caller use a tool like this */
    async assertMay({ token, workspace }: Call, name: string, args: Record<string, unknown>): Promise<void> {
      const verdict = await policy.decide(token, name, { workspace, ...args });
      if (!verdict.allowed) throw new Error(verdict.message);
    },
  };
}
