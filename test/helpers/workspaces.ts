import { randomUUID } from 'node:crypto';
import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import { startSession } from '../../src/domain/accounts/sessions.ts';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { describeEvents } from '../../src/domain/audit/describe-events.ts';
import { createPersonalKey } from '../../src/domain/credentials/personal-keys.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import type { PlaceRequest } from '../../src/domain/workspaces/give-places.ts';
import { acceptInvitation, inviteToWorkspace } from '../../src/domain/workspaces/invitations.ts';
import { createWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { Failure } from '../../src/errors.ts';
import { newId } from '../../src/lib/ids.ts';
import type { ActivityEntry } from '../../src/ports/mailer.ts';
import type { EventRow } from '../../src/store/events.ts';
import { insertMember, type Role, updateMemberEnded, updateMemberRole } from '../../src/store/members.ts';
import { insertNodes, updateNodesEnded } from '../../src/store/nodes.ts';
import { insertPlace, type PlaceRow } from '../../src/store/places.ts';
import { lockTree } from '../../src/store/trees.ts';
import { insertWorkspace, lockWorkspace } from '../../src/store/workspaces.ts';
import type { Work } from '../../src/work.ts';
import { asker, type Server } from './api-keys.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import { violations } from './oracle.ts';
import {
  basic,
  type Engine,
  type Reply,
  startTestService,
  type TestOptions,
  type TestService,
} from './service.ts';

/**
 * Workspaces, who is in them, what APIs tell of them, and keys on places of them: by the functions that pages call
 * (openWorkspaces), or as rows, where a test is about something else (openPlaces).
 */

/** An API that understands workspaces, and tells what is in them. */
export interface TreeApi extends Server {
  url: string;
  headers: Record<string, string>;
  get(path: string): Promise<Reply>;
  /** Sends a batch as it is. */
  send(batch: unknown, method?: string): Promise<Reply>;
  /** Reads the whole tree of a workspace. */
  read(workspace: string): Promise<{ id: string; parent: string | null; kind: string; name: string }[]>;
}

/** Adds an API. @param input as addResourceServer() */
export async function addTreeApi(
  on: TestService,
  url = 'https://tree.example.com',
  input: {
    name?: string;
    scopes?: string[] | undefined;
    understandsWorkspaces?: boolean;
    hasAllWorkspaces?: boolean;
  } = {},
): Promise<TreeApi> {
  const { server, secret } = await addResourceServer(on.service.deps, asker, {
    url,
    name: 'API',
    scopes: undefined,
    understandsWorkspaces: true,
    ...input,
  });
  const headers = basic(server.id, secret);
  const get = (path: string) => on.request('GET', path, { headers });
  return {
    id: server.id,
    url: server.url,
    secret,
    headers,
    get,
    ask: (token) => on.form('/oauth2/introspect', { token }, headers),
    send: (batch, method = 'PUT') =>
      on.request(method, '/resource/nodes', {
        headers: { ...headers, 'Content-Type': 'application/json' },
        body: typeof batch === 'string' ? batch : JSON.stringify(batch),
      }),
    async read(workspace) {
      const nodes: Awaited<ReturnType<TreeApi['read']>> = [];
      let after: string | undefined = '';
      while (after !== undefined) {
        const { body } = await get(`/resource/nodes?workspace=${workspace}&after=${after}`);
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

/** Creates a key of a person on places, as its form does. */
export function makePlacedKey(
  on: TestService,
  accountId: string,
  places: readonly PlaceRequest[],
  days?: number,
) {
  const scopes = [...new Set(places.flatMap(({ actions }) => actions))].toSorted();
  return createPersonalKey(
    on.service.deps,
    asker,
    accountId,
    { name: 'bot', scopes, resources: undefined, places, days },
    { key: randomUUID(), owner: 'test', body: Buffer.alloc(0), ttlSeconds: 60, floodLimit: undefined },
  );
}

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
    workspace: (...members: [accountId: string, role: Role][]) =>
      insertShared(of(), Object.fromEntries(members), 'Launch team'),
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
    /** Our id of a node that an API told; waits until it did. */
    async findNode(workspaceId: string, externalId: string): Promise<string> {
      for (;;) {
        const found = await deps().db.get<{ id: string }>(
          'SELECT id FROM nodes WHERE workspace_id = ? AND external_id = ? AND ended_at IS NULL',
          [workspaceId, externalId],
        );
        if (found !== undefined) return found.id;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    endNode: (id: string) => act(({ tx, now }) => updateNodesEnded(tx, [id], now)),
    /** A resource server that understands workspaces. */
    server: (url: string, scopes?: string[]) => addTreeApi(of(), url, { scopes }),
    /** A key of a person on places. */
    key: (accountId: string, places: readonly PlaceRequest[], days?: number) =>
      makePlacedKey(of(), accountId, places, days),
  };
}

/** A person: the account and its mailbox. */
export interface Person {
  id: string;
  mailbox: string;
}

/** Limits that no test meets by the way. */
const WIDE = {
  workspacesPerAccount: '1000/d',
  workspacesOwned: 1000,
  invitesPerWorkspace: '1000/d',
  invitesPerAccount: '1000/d',
};

/** A service with an API that understands workspaces. */
export async function openWorkspaces(engine: Engine, options: TestOptions = {}) {
  const on = await startTestService(engine, { ...options, limits: { ...WIDE, ...options.limits } });
  const { deps } = on.service;
  const { db } = deps;
  const origin = asker;
  const api = await addTreeApi(on, 'https://api.example.com', { name: 'The API' });

  /** Creates a person. Two days old, unless the test says that it is new. */
  async function person(name = 'person', { isNew = false } = {}): Promise<Person> {
    const mailbox = newMailbox(name);
    const { id } = await useCase(deps, origin, {}, async (work) => {
      const account = await findOrCreateAccount(work, mailbox);
      await startSession(work, account);
      return account;
    });
    if (!isNew) {
      const at = on.clock() - 2 * 86_400_000;
      await db.tx((tx) => tx.run('UPDATE accounts SET created_at = ? WHERE id = ?', [at, id]));
    }
    return { id, mailbox };
  }

  /** Creates a workspace, and lets others in. */
  async function workspace(
    owner: Person,
    others: readonly (readonly [Person, Role])[] = [],
    name = 'Atlas',
  ): Promise<string> {
    const id = await createWorkspace(deps, origin, owner.id, name);
    for (const [other, role] of others) await join(id, owner, other, role);
    return id;
  }

  /** Invites a person. @returns the id of the invitation, which is open */
  async function invite(
    workspaceId: string,
    inviter: Person,
    invited: { mailbox: string },
    role: Role = 'member',
  ): Promise<string> {
    await inviteToWorkspace(deps, origin, inviter.id, workspaceId, { mailbox: invited.mailbox, role });
    const row = await db.get<{ id: string }>(
      `SELECT id FROM invitations WHERE workspace_id = ? AND mailbox = ? AND accepted_at IS NULL AND ended_at IS NULL`,
      [workspaceId, invited.mailbox],
    );
    ensure(row, 'invited');
    return row.id;
  }

  /** Invites a person, who accepts. */
  async function join(workspaceId: string, inviter: Person, invited: Person, role: Role): Promise<void> {
    await acceptInvitation(deps, origin, invited.id, await invite(workspaceId, inviter, invited, role));
  }

  /** Who is in a workspace, as `mailbox role`. */
  async function membersOf(workspaceId: string): Promise<string[]> {
    const rows = await db.all<{ mailbox: string; role: string }>(
      `SELECT a.mailbox, m.role FROM members m JOIN accounts a ON a.id = m.account_id
       WHERE m.workspace_id = ? AND m.ended_at IS NULL ORDER BY m.joined_at, m.account_id`,
      [workspaceId],
    );
    return rows.map(({ mailbox, role }) => `${mailbox} ${role}`);
  }

  /** The events of a workspace, oldest first, as `kind`. */
  async function eventsOf(workspaceId: string): Promise<{ kind: string; accountId: string | null }[]> {
    return db.all('SELECT kind, account_id AS "accountId" FROM events WHERE workspace_id = ? ORDER BY id', [
      workspaceId,
    ]);
  }

  /** Gives a key a place, without asking whether that person may give it. @returns the ids of the key and the place */
  async function placeKey(
    workspaceId: string,
    by: Person,
    key = `key_${workspaceId.slice(4)}${by.id.slice(4)}`,
  ): Promise<{ key: string; place: string }> {
    await db.tx((tx) =>
      tx.run(
        `INSERT INTO credentials (hash, id, kind, account_id, scope, resources, created_at, prefix, last_four, placed)
         VALUES (?, ?, 'key', ?, 'read', '', ?, 'sk_test', 'abcd', 1) ON CONFLICT DO NOTHING`,
        [Buffer.from(key.padEnd(32, 'x').slice(-32)), key, by.id, on.clock()],
      ),
    );
    return { key, place: await insertPlaceFor(on, { holder: key, workspaceId, grantedBy: by.id }) };
  }

  /** Begins to watch what people are mailed. @returns what each was told since, in their notices */
  async function watchMails(...people: Person[]): Promise<() => Promise<ActivityEntry[][]>> {
    on.clock.advance(1);
    const last = (await db.get<{ id: string }>('SELECT MAX(id) AS id FROM events'))!.id;
    return () =>
      Promise.all(
        people.map(async ({ id, mailbox }) => {
          const events = await db.all<EventRow>(
            `SELECT e.id, e.at, e.kind, e.account_id AS "accountId", e.agent_id AS "agentId", e.subject, e.address, e.details,
               e.request_id AS "requestId", e.workspace_id AS "workspaceId"
             FROM outbox o JOIN notices n ON n.mail_id = o.id JOIN events e ON e.id = n.event_id
             WHERE o.mailbox = ? AND e.id > ? ORDER BY e.id`,
            [mailbox, last],
          );
          return describeEvents({ db }, events, id);
        }),
      );
  }

  /** Ends the service, once nothing in its database contradicts itself. */
  async function stop(): Promise<void> {
    const found = await violations(db).finally(() => on.stop());
    ensure(found.length === 0, found.join('\n'));
  }

  return {
    on,
    deps,
    origin,
    api,
    person,
    workspace,
    invite,
    join,
    membersOf,
    eventsOf,
    placeKey,
    watchMails,
    stop,
  };
}
export type Workspaces = Awaited<ReturnType<typeof openWorkspaces>>;

/** The kind of the failure that something ends with; `done` if it succeeds. */
export async function outcome(act: Promise<unknown>): Promise<string> {
  try {
    await act;
    return 'done';
  } catch (error) {
    if (error instanceof Failure) return error.kind;
    throw error;
  }
}
