import { randomUUID } from 'node:crypto';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { createPersonalKey } from '../../src/domain/credentials/personal-keys.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import type { PlaceRequest } from '../../src/domain/workspaces/give-places.ts';
import { newId } from '../../src/lib/ids.ts';
import { insertMember, type Role, updateMemberEnded, updateMemberRole } from '../../src/store/members.ts';
import { insertNodes, updateNodesEnded } from '../../src/store/nodes.ts';
import { lockTree } from '../../src/store/trees.ts';
import { insertWorkspace, lockWorkspace } from '../../src/store/workspaces.ts';
import type { Work } from '../../src/work.ts';
import { asker, type Server } from './api-keys.ts';
import { newMailbox } from './common.ts';
import { basic, type TestService } from './service.ts';

/** Workspaces as rows, and keys on places of them. */
export function openPlaces(of: () => TestService) {
  const deps = () => of().service.deps;
  const act = <Result>(work: (work: Work) => Promise<Result>) => useCase(deps(), asker, {}, work);

  return {
    act,
    /** The account of somebody new. */
    async person(): Promise<string> {
      return (await of().claimed(newMailbox('member'))).user_id;
    },
    /** A workspace with these members. */
    workspace(...members: [accountId: string, role: Role][]): Promise<string> {
      return act(async ({ tx, now }) => {
        const id = newId('wsp', now, deps().random);
        await insertWorkspace(tx, { id, name: 'Launch team', createdBy: members[0]![0], createdAt: now });
        for (const [accountId, role] of members) {
          await insertMember(tx, { workspaceId: id, accountId, role, joinedAt: now });
        }
        return id;
      });
    },
    setRole: (workspaceId: string, accountId: string, role: Role) =>
      act(({ tx }) => updateMemberRole(tx, { workspaceId, accountId, role })),
    leave: (workspaceId: string, accountId: string) =>
      act(({ tx, now }) => updateMemberEnded(tx, workspaceId, accountId, now)),
    lock: (work: Work, workspaceId: string) => lockWorkspace(work.tx, workspaceId),
    /** A node right below a workspace; our id of it. */
    node(resource: string, workspaceId: string, externalId: string, kind = 'project'): Promise<string> {
      return act(async ({ tx, now }) => {
        await lockTree(tx, resource, workspaceId, now);
        const id = newId('nod', now, deps().random);
        const node = { id, resource, workspaceId, externalId, parentId: null, kind, name: externalId };
        await insertNodes(tx, [node], now);
        return id;
      });
    },
    endNode: (id: string) => act(({ tx, now }) => updateNodesEnded(tx, [id], now)),
    /** A resource server that understands workspaces. */
    async server(url: string, scopes?: string[]): Promise<Server & { url: string }> {
      const { server, secret } = await addResourceServer(deps(), asker, {
        url,
        name: 'API',
        scopes,
        understandsWorkspaces: true,
      });
      const ask = (token: string) => of().form('/oauth2/introspect', { token }, basic(server.id, secret));
      return { id: server.id, secret, url: server.url, ask };
    },
    /** A key of a person on places. */
    key(accountId: string, places: readonly PlaceRequest[], days?: number) {
      const scopes = [...new Set(places.flatMap(({ actions }) => actions))].toSorted();
      return createPersonalKey(
        deps(),
        asker,
        accountId,
        { name: 'bot', scopes, resources: undefined, places, days },
        { key: randomUUID(), owner: 'test', body: Buffer.alloc(0), ttlSeconds: 60, floodLimit: undefined },
      );
    },
  };
}
