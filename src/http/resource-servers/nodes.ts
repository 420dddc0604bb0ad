import { z } from 'zod';
import { readWorkspaces } from '../../domain/workspaces/list-workspaces.ts';
import { checkNode, checkNodeId } from '../../domain/workspaces/node-batches.ts';
import { applyNodeBatch, readNodes, type SentBatch } from '../../domain/workspaces/tree.ts';
import { Failure } from '../../errors.ts';
import { operation } from '../server/table.ts';
import { isoOrNull, toIso } from '../server/wire-times.ts';

/** The trees that resource servers tell, and the workspaces that they are told of (docs/workspaces.md, the tree). */

/** How many nodes a batch names, in `upsert` and `delete` together. */
const OPERATIONS_MAX = 500;
const PAGE_MAX = 500;

const toldNode = z.object({
  id: z.string().describe('As the API names it: up to 64 of A-Z a-z 0-9 _ . ~ -'),
  parent: z
    .string()
    .optional()
    .describe('The id of the node that it is in; left out: right below the workspace'),
  kind: z.string().describe('Such as "folder"'),
  name: z.string().describe('For people'),
});

const batchBody = z.object({
  workspace: z.string().max(64),
  sequence: z.int().min(0).max(Number.MAX_SAFE_INTEGER).optional().describe('Grows with every batch'),
  upsert: z.array(toldNode).default([]),
  delete: z.array(z.string()).default([]),
  replace: z.boolean().default(false).describe('Whether nodes that `upsert` does not name end'),
  confirm_deleted: z.int().min(0).optional().describe('How many nodes the batch is meant to end'),
});

const batchAnswer = z.object({
  workspace: z.string(),
  sequence: z.int().optional(),
  upserted: z.int(),
  unchanged: z.int(),
  moved: z.int(),
  deleted: z.int(),
  nodes: z.int().describe('How many the tree has now'),
});

const nodesAnswer = z.object({
  nodes: z.array(
    z.object({ id: z.string(), parent: z.string().nullable(), kind: z.string(), name: z.string() }),
  ),
  next: z.string().optional().describe('The `after` of the next page; left out: this is the last'),
  sequence: z.int().optional().describe('The number of the last batch that had one'),
});

const workspacesAnswer = z.object({
  workspaces: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      created_at: z.iso.datetime(),
      ended_at: z.iso.datetime().nullable(),
      members: z.array(z.object({ account: z.string(), role: z.string() })),
    }),
  ),
  next: z.string().optional(),
});

/** PUT and POST /resource/nodes: applies a batch to the tree of one workspace. */
export const tellNodes = operation({
  caller: 'resourceServer',
  summary: 'Tell which things are in a workspace, and in each other',
  body: { media: 'batch', schema: batchBody },
  answer: batchAnswer,
  async handle({ deps, origin, caller, body, bytes }) {
    const batch = readBatch(body);
    return { data: await applyNodeBatch(deps, origin, caller, batch, bytes) };
  },
});

/** GET /resource/nodes: reads a page of the tree back. */
export const listNodes = operation({
  caller: 'resourceServer',
  summary: 'Read the nodes of a workspace, as they were told',
  answer: nodesAnswer,
  async handle({ deps, caller, query }) {
    const workspace = query.get('workspace');
    if (workspace === null) throw invalidQuery('workspace', 'Name the workspace: ?workspace=wsp_…');
    const { nodes, next, sequence } = await readNodes(
      deps,
      caller,
      workspace,
      query.get('after') ?? '',
      limitOf(query),
    );
    return {
      data: {
        nodes: nodes.map(({ externalId, parent, kind, name }) => ({ id: externalId, parent, kind, name })),
        ...(next !== undefined && { next }),
        ...(sequence !== undefined && { sequence }),
      },
    };
  },
});

/** GET /resource/workspaces: lists the shared workspaces, with their members. */
export const listWorkspaces = operation({
  caller: 'resourceServer',
  summary: 'The shared workspaces and who is in them',
  answer: workspacesAnswer,
  async handle({ deps, caller, query }) {
    const { workspaces, next } = await readWorkspaces(deps, caller, query.get('after') ?? '');
    return {
      data: {
        workspaces: workspaces.map(({ id, name, createdAt, endedAt, members }) => ({
          id,
          name,
          created_at: toIso(createdAt),
          ended_at: isoOrNull(endedAt),
          members: members.map(({ accountId, role }) => ({ account: accountId, role })),
        })),
        ...(next !== undefined && { next }),
      },
    };
  },
});

/** @throws Failure `tooMany`, `invalidNode` naming the entry */
function readBatch(body: z.output<typeof batchBody>): SentBatch {
  const { upsert, delete: deletions } = body;
  if (upsert.length + deletions.length > OPERATIONS_MAX) {
    const field = upsert.length > OPERATIONS_MAX ? 'upsert' : 'delete';
    throw new Failure('tooMany', `A batch names at most ${OPERATIONS_MAX} nodes. Send several.`, { field });
  }
  for (const [index, id] of deletions.entries()) checkNodeId(id, `delete[${index}]`);
  return {
    workspace: body.workspace,
    sequence: body.sequence,
    upsert: upsert.map((node, index) => {
      checkNode(node, `upsert[${index}]`);
      return node;
    }),
    delete: deletions,
    replace: body.replace,
    confirmDeleted: body.confirm_deleted,
  };
}

function limitOf(query: URLSearchParams): number {
  const text = query.get('limit') ?? String(PAGE_MAX);
  const limit = /^[1-9][0-9]{0,2}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > PAGE_MAX) throw invalidQuery('limit', `limit is a number from 1 to ${PAGE_MAX}.`);
  return limit;
}

function invalidQuery(field: string, message: string): Failure {
  return new Failure('invalidNode', message, { field });
}
