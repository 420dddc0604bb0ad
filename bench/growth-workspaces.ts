import type { Deps } from '../src/deps.ts';
import { basic } from './bench.ts';
import { LARGE, RESOURCE } from './workspace-rows.ts';

/** What people and APIs ask of workspaces, where there are as many members, nodes and keys as agents, and how one ends. */

/** What the measuring process has. */
interface Measured {
  deps: Deps;
  /** Where the service answers. */
  at: string;
  // biome-ignore lint/suspicious/noExplicitAny: modules of another commit
  load: (file: string) => Promise<any>;
  measure: (name: string, work: () => Promise<unknown>) => Promise<void>;
  /** Signs an account in. @returns the header */
  cookieOf: (accountId: string) => Promise<string>;
  // biome-ignore lint/suspicious/noExplicitAny: of another commit
  asker: any;
}

const SAMPLE = 200;

/** Measures on a database that putWorkspaces() filled; at last it deletes the workspace at its limits. */
export async function measureWorkspaces({ deps, at, load, measure, cookieOf, asker }: Measured) {
  const { db } = deps;
  const large = await db.get<{ id: string; owner: string }>(
    'SELECT id, created_by AS owner FROM workspaces WHERE name = ?',
    [LARGE],
  );
  const { id, owner } = large!;
  const { addResourceServer } = await load('domain/audiences/resource-servers.ts');
  const input = { url: RESOURCE, name: 'bench', understandsWorkspaces: true };
  const { server, secret } = await addResourceServer(deps, asker, input);
  const Authorization = basic(server.id, secret);
  const Cookie = await cookieOf(owner);
  const ask = async (path: string, options: RequestInit = {}): Promise<void> => {
    const response = await fetch(at + path, { redirect: 'manual', ...options });
    const body = await response.text();
    if (!response.ok) throw new Error(`${path} says ${response.status}: ${body.slice(0, 200)}`);
  };
  const page = (path: string) => measure(`page ${path}`, () => ask(path, { headers: { Cookie } }));
  const byApi = (path: string) => ask(path, { headers: { Authorization } });
  const send = (batch: object) =>
    ask('/resource/nodes', {
      method: 'PUT',
      headers: { Authorization, 'Content-Type': 'application/json' },
      body: JSON.stringify({ workspace: id, ...batch }),
    });

  await page('/workspaces');
  await page(`/workspaces/${id}`);
  await page(`/workspaces/${id}/members`);
  await page(`/workspaces/${id}/keys`);
  await page('/keys/new');
  await measure('a page of its tree', () => byApi(`/resource/nodes?workspace=${id}&limit=500`));
  await measure('a page of all workspaces', () => byApi('/resource/workspaces'));
  await measure('a batch of one node', () =>
    send({ upsert: [{ id: 'n_0', kind: 'project', name: 'renamed' }] }),
  );
  await measure('a batch that ends 1,000 nodes', () => send({ delete: ['n_1'], confirm_deleted: 1000 }));
  const { listEffectivePlaces } = await load('store/places.ts');
  const keys = await db.all<{ holder: string }>(`SELECT holder FROM places ORDER BY id DESC LIMIT ${SAMPLE}`);
  await measure(`places of ${SAMPLE} keys, one after the other`, async () => {
    for (const { holder } of keys) await listEffectivePlaces(db, holder, RESOURCE, deps.clock());
  });
  const { readRevocationFeed } = await load('domain/audiences/revocation-feed.ts');
  const { last } = await readRevocationFeed(deps, server, undefined);
  const { changeRole, removeMember } = await load('domain/workspaces/members.ts');
  const admins = await db.all<{ id: string }>(
    `SELECT account_id AS id FROM members WHERE workspace_id = ? AND role = 'admin' ORDER BY account_id LIMIT 2`,
    [id],
  );
  await measure('an admin with 50 keys is demoted', () =>
    changeRole(deps, asker, owner, id, { memberId: admins[0]!.id, role: 'viewer', endsKeys: false }),
  );
  await measure('an admin with 50 keys is removed', () =>
    removeMember(deps, asker, owner, id, admins[1]!.id),
  );
  await measure('the events of both, for an API', async () => {
    const { events } = await readRevocationFeed(deps, server, last);
    return `${events.length} events`;
  });
  const { deleteWorkspace } = await load('domain/workspaces/workspaces.ts');
  await measure('a workspace at its limits is deleted', () => deleteWorkspace(deps, asker, owner, id));
}
