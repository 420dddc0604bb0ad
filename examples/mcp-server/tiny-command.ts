import { z } from 'zod';
import { slug, type Toolbox } from './toolbox.ts';

/**
 * Tiny Command: systems that are first built as previews, then saved, then operated. There is no tool for keys: people make and end
 * them on pages.
 */

/** A saved system. */
interface System {
  purpose: string;
  records: string[];
  /** What it did, newest last. */
  log: string[];
}

/** What `confirm_save` would save. */
interface Preview {
  /** The system that it changes; undefined: it becomes one. */
  changes: string | undefined;
  name: string;
  purpose: string;
  in: string | undefined;
}

export function addTinyCommand({ tool, workspaces, get, assertFree, allowed }: Toolbox): void {
  const system = (workspace: string, asset: string) => get(workspace, asset, 'system').content as System;
  const text = z.string().min(1).max(1000);

  tool('list_my_assets', 'Lists the systems that you may look at.', {}, async (_, call) =>
    (await allowed(call, 'query_records', 'asset'))
      .filter(({ kind }) => kind === 'system')
      .map(({ id }) => id),
  );

  tool(
    'describe_my_workspace',
    'Says which workspace the key is for, as whom, and what is in it.',
    {},
    async (_, call) => {
      const things = await allowed(call, 'query_records', 'asset');
      return {
        workspace: call.workspace,
        as: call.token.subject,
        things: things.map(({ id, kind, parent }) => ({ id, kind, in: parent })),
      };
    },
  );

  tool(
    'query_records',
    'Reads the records of a system.',
    { asset: slug },
    ({ asset }, { workspace }) => system(workspace, asset).records,
  );

  tool(
    'check_enrichment',
    'Says whether records are enriched.',
    { asset: slug },
    ({ asset }, { workspace }) => ({
      enriched: system(workspace, asset).log.includes('enriched'),
    }),
  );

  tool(
    'build_system',
    'Builds a preview of a new system. Nothing is saved.',
    { asset: slug, purpose: text, in: slug.optional().describe('The project or folder that it is to be in') },
    async ({ asset, purpose, in: parent }, { workspace }) => {
      assertFree(workspace, asset);
      if (parent !== undefined) get(workspace, parent, 'project', 'folder');
      return preview(workspace, { changes: undefined, name: asset, purpose, in: parent });
    },
  );

  tool(
    'update_asset',
    'Builds a preview of a change to a system. Nothing is saved.',
    { asset: slug, purpose: text },
    ({ asset, purpose }, { workspace }) => {
      get(workspace, asset, 'system');
      return preview(workspace, { changes: asset, name: asset, purpose, in: asset });
    },
  );

  async function preview(workspace: string, content: Preview): Promise<{ preview: string }> {
    const id = `preview-${crypto.randomUUID().slice(0, 8)}`;
    await workspaces.put(workspace, { id, kind: 'preview', name: content.name, parent: content.in, content });
    return { preview: id };
  }

  tool('confirm_save', 'Saves a preview.', { preview: slug }, async ({ preview }, { workspace }) => {
    const { changes, name, purpose, in: parent } = get(workspace, preview, 'preview').content as Preview;
    if (changes === undefined) {
      assertFree(workspace, name);
      const content: System = { purpose, records: [], log: [] };
      await workspaces.put(workspace, { id: name, kind: 'system', name, parent, content });
    } else system(workspace, changes).purpose = purpose;
    await workspaces.remove(workspace, preview);
    return { saved: name };
  });

  tool(
    'add_record',
    'Adds a record to a system.',
    { asset: slug, value: text },
    ({ asset, value }, { workspace }) => ({ record: system(workspace, asset).records.push(value) - 1 }),
  );

  tool(
    'update_record',
    'Changes a record of a system.',
    { asset: slug, record: z.int().nonnegative(), value: text },
    ({ asset, record, value }, { workspace }) => {
      const { records } = system(workspace, asset);
      if (record >= records.length) throw new Error('There is no such record.');
      records[record] = value;
      return { record };
    },
  );

  /** A tool that a system does something by; what it did is in its log. */
  function operate(
    name: string,
    description: string,
    shape: z.ZodRawShape,
    did: (args: never) => string,
  ): void {
    tool(name, description, { asset: slug, ...shape }, (args, { workspace }) => {
      const { log } = system(workspace, String(args.asset));
      log.push(did(args as never));
      return { done: log.at(-1) };
    });
  }
  operate('trigger_workflow', 'Starts the workflow of a system.', {}, () => 'workflow started');
  operate(
    'send_via_integration',
    'Sends a message.',
    { to: text },
    ({ to }: { to: string }) => `sent to ${to}`,
  );
  operate(
    'run_agent',
    'Gives a task to the agent of a system.',
    { task: text },
    ({ task }: { task: string }) => {
      return `agent did: ${task}`;
    },
  );
  operate('run_enrichment', 'Enriches the records of a system.', {}, () => 'enriched');
}
