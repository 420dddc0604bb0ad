import type { AuthorizationServerOptions, PlaceOfCall } from 'vouchsafe/resource-server';
import { syncNodes } from 'vouchsafe/resource-server';

/**
 * What is in the workspaces, in memory: this server owns the tree. Vouchsafe is told it, so that people can choose from it where a
 * key holds.
 */

export interface Thing {
  /** Unique in its workspace. */
  id: string;
  kind: string;
  name: string;
  /** The thing that it is in; undefined: right below the workspace. */
  parent: string | undefined;
  /** What the tools keep of it. */
  content?: unknown;
}

/** The kinds that people choose from. What lies in them, such as documents, is this server's alone. */
const TOLD = ['project', 'folder', 'app', 'system'];

/** With what each shared workspace begins. */
const BEGINNING: readonly Thing[] = [
  { id: 'launch', kind: 'project', name: 'Launch', parent: undefined },
  { id: 'specs', kind: 'folder', name: 'Specs', parent: 'launch' },
  { id: 'drafts', kind: 'folder', name: 'Drafts', parent: 'launch' },
  { id: 'hiring', kind: 'project', name: 'Hiring', parent: undefined },
];

export type Workspaces = ReturnType<typeof createWorkspaces>;

/** @param server the credential of this server at Vouchsafe */
export function createWorkspaces(server: AuthorizationServerOptions, onError: (error: unknown) => void) {
  const workspaces = new Map<string, Map<string, Thing>>();
  /** One telling of a workspace after another. */
  const telling = new Map<string, Promise<void>>();

  /** The things of a workspace that somebody has access to: one that is met first begins. */
  function open(workspace: string): Map<string, Thing> {
    let things = workspaces.get(workspace);
    if (things === undefined) {
      const isShared = workspace.startsWith('wsp_');
      things = new Map(isShared ? BEGINNING.map((thing) => [thing.id, { ...thing }]) : []);
      workspaces.set(workspace, things);
      if (isShared) void tell(workspace);
    }
    return things;
  }

  /** Makes the tree at Vouchsafe this one. While that fails, people choose from an older one, and nobody gets further than here. */
  function tell(workspace: string, confirmDeleted = 0): Promise<void> {
    const told = (telling.get(workspace) ?? Promise.resolve()).then(async () => {
      const things = [...(workspaces.get(workspace)?.values() ?? [])];
      const nodes = things.filter(({ kind }) => TOLD.includes(kind)).map(toNode);
      await syncNodes({ ...server, workspace, nodes, confirmDeleted }).catch(onError);
    });
    telling.set(workspace, told);
    return told;
  }

  function chainOf(things: ReadonlyMap<string, Thing>, id: string | undefined): string[] {
    const chain: string[] = [];
    for (let at = id; at !== undefined && things.has(at); at = things.get(at)!.parent) chain.unshift(at);
    return chain;
  }

  return {
    open,
    find: (workspace: string, id: string): Thing | undefined => workspaces.get(workspace)?.get(id),

    /** Where a thing is; the workspace as a whole if there is none. Documents and diagrams have a type. */
    placeOf(workspace: string, id: string | undefined): PlaceOfCall {
      const things = workspaces.get(workspace) ?? new Map<string, Thing>();
      const kind = id === undefined ? undefined : things.get(id)?.kind;
      return { workspace, within: chainOf(things, id), ...(kind !== undefined && { type: kind }) };
    },

    /** Adds, changes or moves a thing. */
    async put(workspace: string, thing: Thing): Promise<void> {
      const things = open(workspace);
      if (thing.parent !== undefined && chainOf(things, thing.parent).includes(thing.id)) {
        throw new Error('A thing cannot be moved below itself.');
      }
      things.set(thing.id, thing);
      if (TOLD.includes(thing.kind)) await tell(workspace);
    },

    /** Deletes a thing with all that is in it. */
    async remove(workspace: string, id: string): Promise<void> {
      const things = open(workspace);
      const ending = [...things.values()].filter((each) => chainOf(things, each.id).includes(id));
      for (const each of ending) things.delete(each.id);
      await tell(workspace, ending.filter(({ kind }) => TOLD.includes(kind)).length);
    },

    /** An agent was merged: what is in its own workspace goes to that of its owner. */
    async merge(from: string, to: string): Promise<void> {
      const moving = workspaces.get(from);
      if (moving === undefined) return;
      const things = open(to);
      for (const [id, thing] of moving) if (!things.has(id)) things.set(id, thing);
      workspaces.delete(from);
      if ([...moving.values()].some(({ kind }) => TOLD.includes(kind))) await tell(to);
    },

    /** A workspace was deleted, or an account: so is what is kept of it. */
    forget: (workspace: string) => void workspaces.delete(workspace),
  };
}

function toNode({ id, kind, name, parent }: Thing) {
  return { id, kind, name, ...(parent !== undefined && { parent }) };
}
