import type { Deps } from '../../deps.ts';
import { parseAddress } from '../../lib/address.ts';
import { PAGE_ROWS } from '../../lib/list-pages.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import { listAgentNames } from '../../store/agents.ts';
import { listCredentialNames } from '../../store/credentials.ts';
import type { EventRow } from '../../store/events.ts';
import type { EventKind } from './audit-log.ts';

/** What each kind of event means, in words for the owner of the account, on pages and in mails. */
const TEXTS: Record<EventKind, string> = {
  'registration.created': 'An agent registered',
  'claim.started': 'An agent asked you to vouch for it',
  'claim.guess_failed': 'A wrong code was tried for an agent',
  'claim.completed': 'An agent got its new key',
  'claim.approved': 'You vouched for an agent',
  'claim.confirmed': 'You were shown the code for an agent',
  'claim.denied': 'An agent that asked for you was turned away',
  'claim.superseded': 'An older request of an agent ended',
  'account.created': 'Your account began',
  'account.deleted': 'Your account was deleted, and its agents and keys ended',
  'authenticator.added': 'An authenticator app was set up',
  'authenticator.removed': 'The authenticator app was removed',
  'recovery_codes.made': 'New recovery codes were made',
  'recovery_code.used': 'A recovery code was used to sign in',
  'agent.merged': 'An agent moved into your account',
  'agent.linked': 'An agent was linked to you',
  'agent.revoked': 'An agent was revoked',
  'agent.renamed': 'An agent was renamed',
  'agent.narrowed': 'An agent was given less to do',
  'agent.released': 'An agent was unlinked from you',
  'agent.merge_undone': 'An agent was moved out of your account again',
  'host.linked': 'A host of agents was linked to you',
  'host.revoked': 'A host of agents was revoked, and its agents with it',
  'host.rekeyed': 'A host of agents changed its key',
  'agent.asked': 'An agent asked what it may do',
  'agent.connected': 'You let an agent work for you',
  'agent.rejected': 'You turned an agent away',
  'agent.claimed': 'What an agent of your host had done alone became yours',
  'agent.reactivated': 'An agent that had expired began anew',
  'capability.granted': 'You allowed an agent more',
  'capability.executed': 'An agent used what you allowed',
  'capability.refused': 'An agent tried to use a capability and could not',
  'assertion.taken': 'An agent came by the word of its provider',
  'principal.linked': 'The agent provider of an agent may speak for it from now on',
  'principal.revoked': 'An agent provider took its word for an agent back',
  'token.issued': 'An agent got an access token',
  'refresh_token.reused': 'A used token came back, and what it belonged to ended',
  'refresh_token.revoked': 'An agent gave up renewing itself',
  'signing_key.made': 'A new signing key was made',
  'key.created': 'A key was made',
  'key.retired': 'Older keys of an agent ended',
  'key.revoked': 'A key was revoked',
  'key.expiring': 'A key is about to expire',
  'mail.dead': 'A mail could not be delivered',
  'mail.wanted': 'Mail of agents was switched on or off',
  'session.begun': 'Somebody signed in',
  'session.ended': 'A session was ended',
  'session.guess_failed': 'A wrong code was tried to sign in',
  'limit.hit': 'A limit was reached',
  'resource.added': 'A resource server was added',
  'resource.rotated': 'A resource server got a new secret',
  'resource.removed': 'A resource server was removed',
  'database.restored': 'The database was restored from a backup',
};

/**
 * Describes events of the audit log for the owner of the account, with the names of the agents and keys that they are
 * about.
 *
 * @returns one entry for each event, in the same order
 */
export async function describeEvents(
  deps: Pick<Deps, 'db'>,
  events: readonly EventRow[],
): Promise<ActivityEntry[]> {
  const described: ActivityEntry[] = [];
  for (let offset = 0; offset < events.length; offset += PAGE_ROWS) {
    described.push(...(await describePage(deps, events.slice(offset, offset + PAGE_ROWS))));
  }
  return described;
}

async function describePage({ db }: Pick<Deps, 'db'>, events: readonly EventRow[]): Promise<ActivityEntry[]> {
  const keyIdOf = ({ kind, subject }: EventRow) => (kind.startsWith('key.') ? subject : null);
  const [agents, keys] = await Promise.all([
    listAgentNames(db, [...new Set(events.flatMap(({ agentId }) => agentId ?? []))]),
    listCredentialNames(db, [...new Set(events.flatMap((event) => keyIdOf(event) ?? []))]),
  ]);
  return events.map((event) => ({
    text: TEXTS[event.kind as EventKind] ?? event.kind,
    at: event.at,
    agentName: agents.get(event.agentId ?? '') ?? undefined,
    keyName: keys.get(keyIdOf(event) ?? '') ?? undefined,
    origin:
      event.address === null || event.address === 'local' ? undefined : parseAddress(event.address).coarse,
  }));
}
