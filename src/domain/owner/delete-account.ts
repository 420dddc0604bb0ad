import type { Deps } from '../../deps.ts';
import { findAccount, lockAccount, updateAccountEnded } from '../../store/accounts.ts';
import { deleteAuthenticator, deleteRecoveryCodes } from '../../store/authenticators.ts';
import { listHostsOf } from '../../store/hosts.ts';
import { updateInvitationsToErased } from '../../store/invitations.ts';
import { deleteLinkRequestsOfAccount } from '../../store/link-requests.ts';
import { listOwnedAgents } from '../../store/owned-agents.ts';
import { listOwnedClients } from '../../store/owned-clients.ts';
import { updatePersonalCredentialsRevoked } from '../../store/personal-credentials.ts';
import { updatePrincipalsOfAccountUnlinked } from '../../store/principals.ts';
import { updateSessionsOfAccountEnded } from '../../store/sessions.ts';
import type { RequestOrigin } from '../../work.ts';
import { endAgent } from '../agents/end-agent.ts';
import { endClient } from '../apps/clients.ts';
import { endConsentsOfAccount } from '../apps/consents.ts';
import { BATCHES_PER_REQUEST, endConsentsOfEndedClient } from '../apps/end-consents.ts';
import { lockAccounts, recordAndNotify } from '../audit/notifications.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { endHost } from '../hosts/revoke-host.ts';
import { useCase } from '../limits/use-case.ts';
import { endPermissionsOfAccount } from '../permissions/grants.ts';
import { leaveAllWorkspaces, lockWorkspacesOf, type Succession } from '../workspaces/leave-all-workspaces.ts';
import { endPersonalWorkspace } from '../workspaces/workspaces.ts';

/**
 * Deletes a human's account. It takes the account out of its workspaces, and deletes those without another member, and its own. It
 * revokes the account's agents (merged and linked), hosts, delegations and keys, ends what it lets apps do, its OAuth
 * clients with what others let them do, and its sessions, and erases its mailbox. The audit log keeps the account's ids
 * for its retention time. The same mailbox can open a new account.
 *
 * @param options.succession what becomes of workspaces with other members whose last owner it is
 * @param options.act the operator who does it; undefined: the human
 * @throws Failure `lastOwner`, unless `succession` says otherwise; `badRequest` as leaveAllWorkspaces()
 */
export async function deleteAccount(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  { succession = 'refuse', act }: { succession?: Succession; act?: OperatorAct } = {},
): Promise<void> {
  const clients = await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await lockWorkspacesOf(work, accountId);
    await lockAccounts(work, [accountId, ...(typeof succession === 'string' ? [] : [succession.to])]);
    if (!(await lockAccount(tx, accountId))) return [];
    await recordAndNotify(work, accountId, { kind: 'account.deleted' });
    if (act !== undefined) {
      await recordOperatorEvent(work, act, { kind: 'operator.account_deleted', subject: accountId });
    }
    await leaveAllWorkspaces(work, accountId, succession);
    await updateInvitationsToErased(tx, (await findAccount(tx, accountId))!.mailbox!, now);
    for (const agent of await listOwnedAgents(tx, accountId)) {
      await endAgent(work, agent);
      if (agent.accountId === accountId) continue;
      await updateAccountEnded(tx, agent.accountId, now);
      await endPersonalWorkspace(work, agent.accountId);
    }
    for (const host of await listHostsOf(tx, accountId)) await endHost(work, host);
    await updatePrincipalsOfAccountUnlinked(tx, accountId);
    await deleteLinkRequestsOfAccount(tx, accountId);
    const clients = await listOwnedClients(tx, accountId);
    for (const { id } of clients) await endClient(work, id, { accountId, details: { by: 'account' } });
    await endConsentsOfAccount(work, accountId);
    await endPermissionsOfAccount(work, accountId);
    await updatePersonalCredentialsRevoked(tx, accountId, now);
    await endPersonalWorkspace(work, accountId);
    await deleteAuthenticator(tx, accountId);
    await deleteRecoveryCodes(tx, accountId);
    await updateSessionsOfAccountEnded(tx, accountId, now);
    await updateAccountEnded(tx, accountId, now);
    return clients;
  });
  for (const { id } of clients) {
    await endConsentsOfEndedClient(deps, origin, id, 'clientRemoved', BATCHES_PER_REQUEST);
  }
}
