import { systemRandom } from '../src/lib/random.ts';
import { hashSecret, newSecret, secretHints } from '../src/lib/secrets.ts';
import { openFiller } from './filler.ts';
import { idAt, type Put } from './rows.ts';

/** How many places each key has: a whole workspace, a node of another one, and a path of one's own. */
export const PLACES = 3;

/** Where a key holds: neither node nor path is the whole workspace. */
interface Place {
  workspace_id: string;
  node_id: string | null;
  path: string | null;
}

/**
 * Puts keys on places straight into a migrated database: of one person each, who is in two workspaces.
 *
 * @param resource the URL of the API
 * @returns the keys
 */
export async function putPlacedKeys(url: string, resource: string, count: number): Promise<string[]> {
  const filler = await openFiller(url);
  const { put } = filler;
  const keys: string[] = [];
  const at = Date.now() - 1000;
  while (keys.length < count) {
    const usr = putHuman(put, at);
    const [one, two] = [idAt('wsp', at), idAt('wsp', at)];
    for (const wsp of [one, two]) {
      put('workspaces', { id: wsp, name: 'bench', created_by: usr, created_at: at });
      put('members', { workspace_id: wsp, account_id: usr, role: 'owner', joined_at: at });
    }
    const node = putNode(put, at, { resource, workspaceId: two, externalId: 'prj_1', parentId: null });
    const places = [
      { workspace_id: one, node_id: null, path: null },
      { workspace_id: two, node_id: node, path: null },
      { workspace_id: usr, node_id: null, path: 'drafts/' },
    ];
    keys.push(putPlacedKey(put, at, usr, resource, places));
  }
  await filler.close();
  return keys;
}

/** The row of a person. @returns the account */
export function putHuman(put: Put, at: number): string {
  const usr = idAt('usr', at);
  put('accounts', { id: usr, kind: 'human', mailbox: `${usr.toLowerCase()}@example.com`, created_at: at });
  return usr;
}

/** The row of a node. @returns our id of it */
export function putNode(
  put: Put,
  at: number,
  node: { resource: string; workspaceId: string; externalId: string; parentId: string | null },
): string {
  const id = idAt('nod', at);
  put('nodes', {
    id,
    resource: node.resource,
    workspace_id: node.workspaceId,
    external_id: node.externalId,
    parent_id: node.parentId,
    kind: 'project',
    name: 'bench',
    created_at: at,
    changed_at: at,
  });
  return id;
}

/** The rows of a key of a person on places. @returns the key */
export function putPlacedKey(
  put: Put,
  at: number,
  usr: string,
  resource: string,
  places: readonly Place[],
): string {
  const key = idAt('key', at);
  const secret = newSecret('sk', systemRandom);
  put('credentials', {
    hash: hashSecret(secret),
    id: key,
    account_id: usr,
    name: 'bench',
    scope: 'read write',
    resources: '',
    created_at: at,
    placed: 1,
    prefix: secretHints(secret).prefix,
    last_four: secretHints(secret).lastFour,
  });
  for (const place of places) {
    const rest = { holder: key, resource, actions: 'read write', granted_by: usr, created_at: at };
    put('places', { id: idAt('plc', at), ...place, ...rest });
  }
  return secret;
}
