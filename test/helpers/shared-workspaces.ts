import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { newId } from '../../src/lib/ids.ts';
import { insertMember, type Role } from '../../src/store/members.ts';
import { insertPlace, type PlaceRow } from '../../src/store/places.ts';
import { insertWorkspace } from '../../src/store/workspaces.ts';
import { localOrigin } from '../../src/work.ts';
import { basic, type Reply, type TestService } from './service.ts';

/** An API that understands workspaces, and tells what is in them. */
export interface TreeApi {
  id: string;
  url: string;
  secret: string;
  headers: Record<string, string>;
  /** Sends a batch as it is. */
  send(batch: unknown, method?: string): Promise<Reply>;
  /** Reads the whole tree of a workspace. */
  read(workspace: string): Promise<{ id: string; parent: string | null; kind: string; name: string }[]>;
  ask(path: string): Promise<Reply>;
}

/** Adds an API. @param flags as addResourceServer() */
export async function addTreeApi(
  on: TestService,
  url = 'https://tree.example.com',
  flags: { understandsWorkspaces?: boolean; hasAllWorkspaces?: boolean } = {},
): Promise<TreeApi> {
  const input = {
    url,
    name: new URL(url).hostname,
    scopes: undefined,
    understandsWorkspaces: true,
    ...flags,
  };
  const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), input);
  const headers = basic(server.id, secret);
  const ask = (path: string) => on.request('GET', path, { headers });
  return {
    id: server.id,
    url,
    secret,
    headers,
    ask,
    send: (batch, method = 'PUT') =>
      on.request(method, '/resource/nodes', {
        headers: { ...headers, 'Content-Type': 'application/json' },
        body: typeof batch === 'string' ? batch : JSON.stringify(batch),
      }),
    async read(workspace) {
      const nodes: Awaited<ReturnType<TreeApi['read']>> = [];
      let after: string | undefined = '';
      while (after !== undefined) {
        const { body } = await ask(`/resource/nodes?workspace=${workspace}&after=${after}`);
        nodes.push(...body.nodes);
        after = body.next;
      }
      return nodes;
    },
  };
}

/** Inserts a shared workspace with these members, without their pages. @returns its id */
export async function insertShared(
  on: TestService,
  members: Record<string, Role>,
  name = 'Atlas',
): Promise<string> {
  const { db, random, clock } = on.service.deps;
  const now = clock();
  const id = newId('wsp', now, random);
  const [createdBy = 'usr_nobody'] = Object.keys(members);
  await db.tx(async (tx) => {
    await insertWorkspace(tx, { id, name, createdBy, createdAt: now });
    for (const [accountId, role] of Object.entries(members)) {
      await insertMember(tx, { workspaceId: id, accountId, role, joinedAt: now });
    }
  });
  return id;
}

/** Inserts a place without asking whether somebody may give it. @returns its id */
export async function insertPlaceFor(
  on: TestService,
  place: Pick<PlaceRow, 'holder' | 'workspaceId' | 'grantedBy'> & Partial<PlaceRow>,
): Promise<string> {
  const { db, random, clock } = on.service.deps;
  const now = clock();
  const id = newId('plc', now, random);
  const rest = { resource: null, nodeId: null, path: null, types: null, actions: 'read', expiresAt: null };
  await db.tx((tx) => insertPlace(tx, { ...rest, ...place, id, createdAt: now }));
  return id;
}
