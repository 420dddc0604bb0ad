import type { Deps } from '../../deps.ts';
import { parseAddress } from '../../lib/address.ts';
import { PAGE_ROWS_MAX } from '../../lib/list-pages.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import { listAgentNames } from '../../store/agents.ts';
import { listCredentialLabels } from '../../store/credentials.ts';
import type { EventRow } from '../../store/events.ts';
import { listOAuthClientNames } from '../../store/oauth-clients.ts';
import { listRegistrationNames } from '../../store/registrations.ts';
import { listWorkspaceNames } from '../../store/workspaces.ts';

/**
 * Describes events of the audit log for the owner of the account: their kinds and details, with the names of the agents,
 * keys and apps that they are about. The catalogue has the sentences, as `activity.KIND`.
 *
 * @param readerId the account that reads it: sentences about what others did are not "You…". Undefined: that of each event
 * @returns one entry for each event, in the same order
 */
export async function describeEvents(
  deps: Pick<Deps, 'db'>,
  events: readonly EventRow[],
  readerId?: string,
): Promise<ActivityEntry[]> {
  const described: ActivityEntry[] = [];
  for (let offset = 0; offset < events.length; offset += PAGE_ROWS_MAX) {
    described.push(...(await describePage(deps, events.slice(offset, offset + PAGE_ROWS_MAX), readerId)));
  }
  return described;
}

async function describePage(
  { db }: Pick<Deps, 'db'>,
  events: readonly EventRow[],
  readerId: string | undefined,
): Promise<ActivityEntry[]> {
  const workspaceIds = idsIn(events, workspaceIdOf);
  const [agents, claims, keys, clients, workspaces] = await Promise.all([
    listAgentNames(db, idsIn(events, agentIdOf)),
    listRegistrationNames(db, idsIn(events, claimIdOf)),
    listCredentialLabels(db, idsIn(events, keyIdOf)),
    listOAuthClientNames(db, idsIn(events, clientIdOf)),
    workspaceIds.length === 0 ? new Map<string, string>() : listWorkspaceNames(db, workspaceIds),
  ]);
  return events.map((event) => ({
    kind: event.kind,
    details: detailsFor(event, readerId),
    at: event.at,
    agentName: agents.get(agentIdOf(event) ?? '') ?? claims.get(claimIdOf(event) ?? '') ?? undefined,
    isOfAgent: agentIdOf(event) !== null,
    keyName: keys.get(keyIdOf(event) ?? '')?.name ?? undefined,
    keyPrefix: keys.get(keyIdOf(event) ?? '')?.prefix,
    appName: clients.get(clientIdOf(event) ?? '') ?? undefined,
    workspaceName: workspaces.get(workspaceIdOf(event) ?? ''),
    origin:
      event.address === null || event.address === 'local' ? undefined : parseAddress(event.address).coarse,
  }));
}

/** The details of an event; for somebody whom it did not happen to, without `by` and with `ofOther`. */
function detailsFor(event: EventRow, readerId: string | undefined): ActivityEntry['details'] {
  const { by, ...details } = event.details === null ? {} : JSON.parse(event.details);
  if (readerId !== undefined && readerId !== event.accountId) return { ...details, ofOther: true };
  return by === undefined ? details : { ...details, by };
}

function idsIn(events: readonly EventRow[], idOf: (event: EventRow) => string | null): string[] {
  return [...new Set(events.flatMap((event) => idOf(event) ?? []))];
}

function agentIdOf({ agentId, subject }: EventRow): string | null {
  return agentId ?? (subject?.startsWith('agt_') ? subject : null);
}

/** The registration that a claim without an agent is about. */
function claimIdOf({ kind, agentId, subject }: EventRow): string | null {
  return kind.startsWith('claim.') && agentId === null ? subject : null;
}

/** The key that an event is about; of a completed claim, the one that the agent collected. */
function keyIdOf({ kind, subject, details }: EventRow): string | null {
  if (/^(key|app_key)\./.test(kind) || kind === 'operator.key_revoked') return subject;
  if (kind === 'place.ended' && subject?.startsWith('key_')) return subject;
  return kind === 'claim.completed' && details !== null ? (JSON.parse(details).key ?? null) : null;
}

/** The OAuth client that an event is about, or whose consent. */
function clientIdOf({ kind, subject, details }: EventRow): string | null {
  if (kind.startsWith('client.') || kind.startsWith('operator.client_')) return subject;
  return kind.startsWith('app.') && details !== null ? (JSON.parse(details).client ?? null) : null;
}

/** The workspace that an event is about. */
function workspaceIdOf({ workspaceId, subject }: EventRow): string | null {
  return workspaceId ?? (subject?.startsWith('wsp_') ? subject : null);
}
