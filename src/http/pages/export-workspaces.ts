import type { Deps } from '../../deps.ts';
import type { Session } from '../../domain/accounts/sessions.ts';
import {
  listAppKeysMadeBy,
  listInvitationsOfAccount,
  listPlacesGivenBy,
} from '../../domain/workspaces/records-of-account.ts';
import { listWorkspacesOf } from '../../domain/workspaces/workspaces.ts';
import type { InvitationRow } from '../../store/invitations.ts';
import { toIso } from '../server/wire-times.ts';

/**
 * What the export of an account says of workspaces: memberships, invitations sent and received, places given, keys made for things.
 *
 * @returns undefined if there is nothing
 */
export async function exportWorkspaces(
  deps: Pick<Deps, 'db' | 'config'>,
  { accountId, mailbox }: Pick<Session, 'accountId' | 'mailbox'>,
): Promise<object | undefined> {
  const [memberships, invitations, places, appKeys] = await Promise.all([
    listWorkspacesOf(deps, accountId),
    listInvitationsOfAccount(deps, accountId, mailbox),
    listPlacesGivenBy(deps, accountId),
    listAppKeysMadeBy(deps, accountId),
  ]);
  const lists = [memberships, invitations.sent, invitations.received, places, appKeys];
  if (lists.every((list) => list.length === 0)) return undefined;
  return {
    memberships: memberships.map(({ workspaceId, name, role, joinedAt }) => ({
      workspace: workspaceId,
      name,
      role,
      joined_at: toIso(joinedAt),
    })),
    invitations_sent: invitations.sent.map((each) => ({ to: each.mailbox, ...exportInvitation(each) })),
    invitations_received: invitations.received.map(exportInvitation),
    places: places.map((place) => ({
      id: place.id,
      holder: place.holder,
      workspace: place.workspaceId,
      resource: place.resource ?? undefined,
      node: place.node && { id: place.node.externalId, name: place.node.name },
      path: place.path ?? undefined,
      types: place.types?.split(' '),
      actions: place.actions.split(' '),
      given_at: toIso(place.createdAt),
      expires_at: place.expiresAt === null ? undefined : toIso(place.expiresAt),
    })),
    app_keys: appKeys.map((key) => ({
      id: key.id,
      name: key.name ?? undefined,
      prefix: key.prefix,
      workspace: key.workspaceId,
      node: key.nodeId ?? undefined,
      scopes: key.scope.split(' '),
      created_at: toIso(key.createdAt),
      expires_at: key.expiresAt === null ? undefined : toIso(key.expiresAt),
      revoked_at: key.revokedAt === null ? undefined : toIso(key.revokedAt),
    })),
  };
}

function exportInvitation(invitation: InvitationRow): object {
  const { id, workspaceId, role, createdAt, expiresAt, acceptedAt, endedAt, endReason } = invitation;
  return {
    id,
    workspace: workspaceId,
    role,
    sent_at: toIso(createdAt),
    expires_at: toIso(expiresAt),
    accepted_at: acceptedAt === null ? undefined : toIso(acceptedAt),
    ended_at: endedAt === null ? undefined : toIso(endedAt),
    end_reason: endReason ?? undefined,
  };
}
