import { z } from 'zod';
import { slug, type Toolbox } from './toolbox.ts';

/** Stable Baseline: documents and diagrams in projects and folders. A key holds in some of them, for one type or for both. */

const TYPES = ['document', 'diagram'] as const;
const PLACES = ['project', 'folder'];

export function addStableBaseline({ tool, workspaces, get, assertFree, allowed, assertMay }: Toolbox): void {
  const where = slug.optional().describe('The project or folder that it is in');

  tool('list_items', 'Lists what you may read.', {}, async (_, call) => {
    const items = await allowed(call, 'read_item', 'item');
    return items
      .filter(({ kind }) => [...PLACES, ...TYPES].includes(kind))
      .map(({ id, kind, parent }) => ({ id, kind, in: parent }));
  });

  tool('read_item', 'Reads a document or diagram.', { item: slug }, ({ item }, { workspace }) => {
    const { id, kind, content } = get(workspace, item, ...TYPES);
    return { item: id, type: kind, text: content };
  });

  tool(
    'write_item',
    'Creates a document or diagram, or changes its text.',
    { item: slug, text: z.string().max(10_000), type: z.enum(TYPES), in: where },
    async ({ item, text, type, in: parent }, { workspace }) => {
      const known = workspaces.find(workspace, item) && get(workspace, item, ...TYPES);
      if (known === undefined && parent !== undefined) get(workspace, parent, ...PLACES);
      const created = { id: item, kind: type, name: item, parent };
      await workspaces.put(workspace, { ...(known ?? created), content: text });
      return { written: item };
    },
  );

  tool(
    'move_item',
    'Moves a document, diagram or folder to another project or folder.',
    { item: slug, to: slug },
    async ({ item, to }, call) => {
      const moved = get(call.workspace, item, 'folder', ...TYPES);
      get(call.workspace, to, ...PLACES);
      // The rules allowed it where the item is; what is new there has to be allowed, too.
      const type = moved.kind === 'folder' ? {} : { type: moved.kind };
      await assertMay(call, 'write_item', { in: to, ...type });
      await workspaces.put(call.workspace, { ...moved, parent: to });
      return { moved: item, to };
    },
  );

  tool('delete_item', 'Deletes a document or diagram for good.', { item: slug }, async ({ item }, call) => {
    await workspaces.remove(call.workspace, get(call.workspace, item, ...TYPES).id);
    return { deleted: item };
  });

  tool(
    'create_folder',
    'Creates a folder, or a project right below the workspace.',
    { folder: slug, in: where },
    async ({ folder, in: parent }, { workspace }) => {
      assertFree(workspace, folder);
      if (parent !== undefined) get(workspace, parent, ...PLACES);
      const kind = parent === undefined ? 'project' : 'folder';
      await workspaces.put(workspace, { id: folder, kind, name: folder, parent });
      return { created: folder, kind };
    },
  );

  tool(
    'delete_folder',
    'Deletes a folder or project with all that is in it. Keys for it end.',
    { folder: slug },
    async ({ folder }, { workspace }) => {
      await workspaces.remove(workspace, get(workspace, folder, ...PLACES).id);
      return { deleted: folder };
    },
  );
}
