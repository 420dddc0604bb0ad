import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import { insertEvent } from '../../store/events.ts';
import type { Work } from '../../work.ts';

/** All kinds of events in the audit log (S-108). */
export const EVENT_KINDS = [
  'registration.created',
  'claim.started',
  'claim.guess_failed',
  'claim.completed',
  'claim.approved',
  'claim.confirmed',
  'claim.denied',
  'claim.superseded',
  'account.created',
  'account.deleted',
  'account.locale_changed',
  'account.name_changed',
  'authenticator.added',
  'authenticator.removed',
  'recovery_codes.made',
  'recovery_code.used',
  'agent.merged',
  'agent.linked',
  'agent.revoked',
  'agent.renamed',
  'agent.narrowed',
  'agent.released',
  'agent.merge_undone',
  'host.linked',
  'host.revoked',
  'host.rekeyed',
  'agent.asked',
  'agent.connected',
  'agent.rejected',
  'agent.claimed',
  'agent.reactivated',
  'capability.granted',
  'capability.executed',
  'capability.refused',
  'assertion.taken',
  'principal.linked',
  'principal.unlinked',
  'principal.revoked',
  'token.issued',
  'refresh_token.reused',
  'refresh_token.revoked',
  'signing_key.made',
  'key.created',
  'key.retired',
  'key.revoked',
  'key.expiring',
  'mail.dead',
  'mail.wanted',
  'session.begun',
  'session.ended',
  'session.guess_failed',
  'limit.hit',
  'client.registered',
  'client.changed',
  'client.rotated',
  'client.suspended',
  'client.resumed',
  'client.removed',
  'app.asked',
  'app.connected',
  'app.declined',
  'app.narrowed',
  'app.revoked',
  'workspace.created',
  'workspace.renamed',
  'workspace.connected',
  'workspace.deleted',
  'member.invited',
  'member.joined',
  'member.role_changed',
  'member.left',
  'member.removed',
  'invitation.declined',
  'invitation.withdrawn',
  'invitation.void',
  'place.given',
  'place.ended',
  'session_key.bound',
  'session_key.confirmed',
  'session_key.rotated',
  'session_key.ended',
  'terminal.connected',
  'permission.asked',
  'permission.referred',
  'permission.granted',
  'permission.denied',
  'grant.revoked',
  'grant.spent',
  'app_key.made',
  'tree.changed',
  'resource.added',
  'resource.changed',
  'resource.rotated',
  'resource.removed',
  'database.restored',
  'operator.added',
  'operator.removed',
  'operator.account_deleted',
  'operator.agent_revoked',
  'operator.key_revoked',
  'operator.keys_revoked',
  'operator.client_suspended',
  'operator.client_resumed',
  'operator.client_removed',
  'operator.client_rotated',
  'operator.sessions_ended',
  'operator.permission_ended',
  'operator.mail_changed',
  'operator.mail_retried',
  'operator.workspace_deleted',
] as const;

/** The kinds of events that resource servers follow: what they cached may be wrong afterwards. */
const FOLLOWED_KINDS: ReadonlySet<EventKind> = new Set([
  'account.deleted',
  'agent.linked',
  'agent.merge_undone',
  'agent.merged',
  'agent.narrowed',
  'agent.released',
  'agent.revoked',
  'app.narrowed',
  'app.revoked',
  'client.removed',
  'client.suspended',
  'grant.revoked',
  'host.linked',
  'key.retired',
  'key.revoked',
  'member.joined',
  'member.left',
  'member.removed',
  'member.role_changed',
  'place.ended',
  'place.given',
  'resource.removed',
  'workspace.connected',
  'workspace.created',
  'workspace.deleted',
]);

export type EventKind = (typeof EVENT_KINDS)[number];

/** An event to be written to the audit log. */
export interface AuditEvent {
  kind: EventKind;
  accountId?: string | undefined;
  agentId?: string | undefined;
  /** The shared workspace that it happened in. */
  workspaceId?: string | undefined;
  /** The id of the row that the event is about, if that is neither the account nor the agent. */
  subject?: string | undefined;
  /** Further facts; never a secret, a code or a full mailbox. */
  details?: Record<string, string | number | boolean>;
}

/**
 * Writes an event to the audit log, in the transaction of the change that it describes.
 *
 * @returns the id of the event
 */
export async function recordEvent(
  { tx, now, deps, origin }: Pick<Work, 'tx' | 'now' | 'origin'> & { deps: Pick<Deps, 'random'> },
  event: AuditEvent,
): Promise<string> {
  const id = newId('evt', now, deps.random);
  await insertEvent(tx, {
    id,
    at: now,
    kind: event.kind,
    accountId: event.accountId ?? null,
    agentId: event.agentId ?? null,
    workspaceId: event.workspaceId ?? null,
    subject: event.subject ?? null,
    address: origin.address.text,
    requestId: origin.requestId,
    details: event.details === undefined ? null : JSON.stringify(event.details),
    isFollowed: FOLLOWED_KINDS.has(event.kind),
  });
  return id;
}
