import { newId } from '../src/lib/ids.ts';
import { systemRandom } from '../src/lib/random.ts';
import { hashSecret, newSecret, secretHints } from '../src/lib/secrets.ts';
import { openFiller } from './filler.ts';

/** How many places each key has: a whole workspace, a node of another one, and a path of one's own. */
export const PLACES = 3;

const id = (prefix: Parameters<typeof newId>[0], at: number) => newId(prefix, at, systemRandom);

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
    const [usr, key] = [id('usr', at), id('key', at)];
    const [one, two, node] = [id('wsp', at), id('wsp', at), id('nod', at)];
    const secret = newSecret('sk', systemRandom);
    put('accounts', { id: usr, kind: 'human', mailbox: `${usr.toLowerCase()}@example.com`, created_at: at });
    for (const wsp of [one, two]) {
      put('workspaces', { id: wsp, name: 'bench', created_by: usr, created_at: at });
      put('members', { workspace_id: wsp, account_id: usr, role: 'owner', joined_at: at });
    }
    put('nodes', {
      id: node,
      resource,
      workspace_id: two,
      external_id: 'prj_1',
      kind: 'project',
      name: 'bench',
      created_at: at,
      changed_at: at,
    });
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
    const places = [
      { workspace_id: one, node_id: null, path: null },
      { workspace_id: two, node_id: node, path: null },
      { workspace_id: usr, node_id: null, path: 'drafts/' },
    ];
    for (const place of places) {
      const rest = { holder: key, resource, actions: 'read write', granted_by: usr, created_at: at };
      put('places', { id: id('plc', at), ...place, ...rest });
    }
    keys.push(secret);
  }
  await filler.close();
  return keys;
}
