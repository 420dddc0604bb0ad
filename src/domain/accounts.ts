import type { Deps } from '../deps.ts';
import { endAccount, findAccount, holdAccount } from '../store/accounts.ts';
import { listOwnedAgents } from '../store/agents.ts';
import { deleteAuthenticator, deleteRecoveryCodes } from '../store/authenticators.ts';
import { revokePersonalCredentials } from '../store/credentials.ts';
import { listEventsOf } from '../store/events.ts';
import { listHostsOf } from '../store/hosts.ts';
import { unlinkPrincipalsOf } from '../store/principals.ts';
import { endSessions } from '../store/sessions.ts';
import { endAgent } from './agents.ts';
import { describeEvents, type Happening } from './event-texts.ts';
import type { Asker } from './events.ts';
import { endHost } from './hosts.ts';
import { recordAndTell } from './notices.ts';

/** What a human has here: what happened to it, and its end. */

/** The mailbox of a human's account, or undefined. */
export async function mailboxOf(deps: Pick<Deps, 'db'>, accountId: string): Promise<string | undefined> {
  return (await findAccount(deps.db, accountId))?.mailbox ?? undefined;
}

/**
 * What happened to an account, newest first.
 *
 * @param before go on before this mark of an earlier answer
 * @returns `next`: the mark for what is older still, undefined at the end
 */
export async function listActivity(
  deps: Pick<Deps, 'db'>,
  accountId: string,
  before: string | undefined,
  limit: number,
): Promise<{ activity: Happening[]; next: string | undefined }> {
  const events = await listEventsOf(deps.db, { accountId }, before, limit);
  const activity = await describeEvents(deps, events);
  return { activity, next: events.length === limit ? events.at(-1)!.id : undefined };
}

/**
 * Deletes a human's account: its agents, merged and linked, its keys and its sessions end with it, and its mailbox is
 * forgotten. The audit keeps its ids as long as it keeps everything. The same mailbox may begin anew.
 */
export async function deleteAccount(deps: Deps, asker: Asker, accountId: string): Promise<void> {
  await deps.db.tx(async (tx) => {
    const now = deps.clock();
    if (!(await holdAccount(tx, accountId))) return;
    await recordAndTell(tx, deps, asker, now, accountId, { kind: 'account.deleted' });
    for (const agent of await listOwnedAgents(tx, accountId)) {
      await endAgent(tx, deps, asker, now, agent);
      if (agent.accountId !== accountId) await endAccount(tx, agent.accountId, now);
    }
    for (const host of await listHostsOf(tx, accountId)) await endHost(tx, deps, asker, now, host);
    await unlinkPrincipalsOf(tx, accountId);
    await revokePersonalCredentials(tx, accountId, now);
    await deleteAuthenticator(tx, accountId);
    await deleteRecoveryCodes(tx, accountId);
    await endSessions(tx, accountId, now);
    await endAccount(tx, accountId, now);
  });
}
