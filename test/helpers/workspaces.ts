import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import { startSession } from '../../src/domain/accounts/sessions.ts';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import { acceptInvitation, inviteToWorkspace } from '../../src/domain/workspaces/invitations.ts';
import { createWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { Failure } from '../../src/errors.ts';
import type { Role } from '../../src/store/members.ts';
import { localOrigin } from '../../src/work.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import { violations } from './oracle.ts';
import { type Engine, startTestService, type TestOptions } from './service.ts';

/** People in workspaces, by the functions that their pages call. */

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
  const origin = localOrigin('test');
  const { server, secret } = await addResourceServer(deps, origin, {
    url: 'https://api.example.com',
    name: 'The API',
    scopes: undefined,
  });
  await db.tx((tx) => tx.run('UPDATE resource_servers SET workspaces = 1 WHERE id = ?', [server.id]));

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

  /** Gives a key a place, as the form of keys does. @returns the ids of the key and the place */
  async function placeKey(
    workspaceId: string,
    by: Person,
    key = `key_${workspaceId.slice(4)}${by.id.slice(4)}`,
  ): Promise<{ key: string; place: string }> {
    const place = `plc_${Math.floor(on.clock())}${++places}`;
    await db.tx(async (tx) => {
      await tx.run(
        `INSERT INTO credentials (hash, id, kind, account_id, scope, resources, created_at, prefix, last_four, placed)
         VALUES (?, ?, 'key', ?, 'read', '', ?, 'sk_test', 'abcd', 1) ON CONFLICT DO NOTHING`,
        [Buffer.from(key.padEnd(32, 'x').slice(-32)), key, by.id, on.clock()],
      );
      await tx.run(
        `INSERT INTO places (id, holder, workspace_id, actions, granted_by, created_at) VALUES (?, ?, ?, 'read', ?, ?)`,
        [place, key, workspaceId, by.id, on.clock()],
      );
    });
    return { key, place };
  }
  let places = 0;

  /** Ends the service, once nothing in its database contradicts itself. */
  async function stop(): Promise<void> {
    const found = await violations(db).finally(() => on.stop());
    ensure(found.length === 0, found.join('\n'));
  }

  return {
    on,
    deps,
    origin,
    api: { ...server, secret },
    person,
    workspace,
    invite,
    join,
    membersOf,
    eventsOf,
    placeKey,
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
