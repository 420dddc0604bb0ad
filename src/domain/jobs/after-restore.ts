import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { findAccount } from '../../store/accounts.ts';
import { deleteRecoveryCodes } from '../../store/authenticators.ts';
import { listCredentials } from '../../store/credentials.ts';
import { insertRefusal } from '../../store/mail-refusals.ts';
import { findRegistration } from '../../store/registrations.ts';
import { findResourceServer, updateResourceServerSecret } from '../../store/resource-servers.ts';
import {
  findEventIds,
  findRestoredState,
  type RestoredState,
  updateShortLivedEnded,
} from '../../store/restored.ts';
import { upsertSpentMark } from '../../store/spent-tokens.ts';
import type { RequestOrigin } from '../../work.ts';
import { endDelegation, revokeAgent } from '../agents/end-agent.ts';
import { removeResourceServer } from '../audiences/resource-servers.ts';
import { type EventKind, record } from '../audit/audit-log.ts';
import { revokeKeyById } from '../credentials/api-keys.ts';
import { rotateKeys } from '../credentials/signing-keys.ts';
import { revokeHost } from '../hosts/hosts.ts';
import { useCase } from '../limits/use-case.ts';
import { deleteAccount } from '../owner/delete-account.ts';
import { narrowAgent, undoMerge, unlinkAgent } from '../owner/manage-agents.ts';

/** What a database that was just restored needs before it may serve: the time between the backup and now is not in it (S-109). */

/** A line of `vouchsafe events`. */
export interface EventLine {
  id: string;
  kind: EventKind;
  account_id?: string | undefined;
  agent_id?: string | undefined;
  subject?: string | undefined;
  details?: Record<string, unknown> | undefined;
}

/** @returns how many keys the backup knows as working, and the time of its newest audit line, epoch ms */
export function describeRestored(deps: Pick<Deps, 'db' | 'clock'>): Promise<RestoredState> {
  return findRestoredState(deps.db, deps.clock());
}

/**
 * Ends sessions, codes, approvals, refresh and access tokens, and counts every token that was issued so far as used. Agents, accounts
 * and keys stay.
 */
export async function endWhatMayBeOver(
  deps: Deps,
  origin: RequestOrigin,
  details: Record<string, number>,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await updateShortLivedEnded(tx, now);
    await upsertSpentMark(tx, now);
    await record(work, { kind: 'database.restored', details });
  });
}

/** Events of one look whether they are in the backup. */
const LOOK = 500;

/**
 * Ends again what was ended after the backup was made. Where it is not known how much was left, as of a host's former key, all ends.
 *
 * @param events of the audit of the database that was there, oldest first; those that the backup holds change nothing
 * @returns how many of them ended something
 */
export async function revokeAgain(
  deps: Deps,
  origin: RequestOrigin,
  events: readonly EventLine[],
): Promise<number> {
  let count = 0;
  for (let at = 0; at < events.length; at += LOOK) {
    const some = events.slice(at, at + LOOK);
    const there = await findEventIds(
      deps.db,
      some.map(({ id }) => id),
    );
    for (const event of some) {
      const end = ENDS[event.kind];
      if (end === undefined || there.has(event.id)) continue;
      await end(deps, origin, event);
      count += 1;
    }
  }
  return count;
}

type End = (deps: Deps, origin: RequestOrigin, event: EventLine) => Promise<unknown>;

const ENDS: Partial<Record<EventKind, End>> = {
  'key.revoked': (deps, origin, { subject }) => revokeKeyById(deps, origin, subject ?? ''),
  'key.retired': endOlderKeys,
  'agent.revoked': (deps, origin, event) => revokeAgent(deps, origin, event.agent_id ?? ''),
  'agent.narrowed': (deps, origin, event) =>
    orRevoke(deps, origin, event, (owner, agent) =>
      narrowAgent(deps, origin, owner, agent, String(event.details?.scope ?? '').split(' ')),
    ),
  'agent.released': (deps, origin, event) =>
    orRevoke(deps, origin, event, (owner, agent) => unlinkAgent(deps, origin, owner, agent)),
  'agent.merge_undone': (deps, origin, event) =>
    orRevoke(deps, origin, event, (owner, agent) => undoMerge(deps, origin, owner, agent)),
  'account.deleted': (deps, origin, event) => deleteAccount(deps, origin, event.account_id ?? ''),
  'host.revoked': (deps, origin, { subject }) => revokeHost(deps, origin, subject ?? ''),
  'host.rekeyed': (deps, origin, { subject }) => revokeHost(deps, origin, subject ?? ''),
  'principal.revoked': (deps, origin, { subject }) => endPrincipal(deps, origin, subject ?? ''),
  'resource.removed': (deps, origin, { subject }) => removeResourceServer(deps, origin, subject ?? ''),
  'resource.rotated': (deps, _, { subject }) => endResourceSecret(deps, subject ?? ''),
  'recovery_code.used': (deps, _, { account_id }) =>
    deps.db.tx((tx) => deleteRecoveryCodes(tx, account_id ?? '')),
  'mail.wanted': refuseMail,
  'signing_key.made': async (deps, origin, { details }) => {
    if (details?.atOnce === true) await rotateKeys(deps, origin, true);
  },
};

/** Where the backup knows no owner of the agent, or knows another, nobody chose what it may do: it ends. */
async function orRevoke(
  deps: Deps,
  origin: RequestOrigin,
  event: EventLine,
  change: (ownerId: string, agentId: string) => Promise<void>,
): Promise<void> {
  try {
    await change(event.account_id ?? '', event.agent_id ?? '');
  } catch (error) {
    if (!(error instanceof Failure) || (error.kind !== 'notFound' && error.kind !== 'badRequest'))
      throw error;
    await revokeAgent(deps, origin, event.agent_id ?? '');
  }
}

/** Its successor may not be in the backup, and with it is lost which keys it followed. */
async function endOlderKeys(
  deps: Deps,
  origin: RequestOrigin,
  { agent_id, subject }: EventLine,
): Promise<void> {
  for (const key of await listCredentials(deps.db, agent_id ?? '')) {
    if (key.id !== subject) await revokeKeyById(deps, origin, key.id);
  }
}

async function endPrincipal(deps: Deps, origin: RequestOrigin, registrationId: string): Promise<void> {
  const registration = await findRegistration(deps.db, registrationId);
  if (registration?.agentId) await revokeAgent(deps, origin, registration.agentId);
  await deps.db.tx((tx) => endDelegation(tx, registrationId));
}

/** The operator makes the next one: what it was is not in the backup, and the one before is known to whoever it was changed for. */
async function endResourceSecret(deps: Deps, id: string): Promise<void> {
  const lost = hashSecret(newSecret('rss', deps.random));
  await deps.db.tx(async (tx) => {
    if ((await findResourceServer(tx, id)) !== undefined) await updateResourceServerSecret(tx, id, lost);
  });
}

async function refuseMail(deps: Deps, _: RequestOrigin, { account_id, details }: EventLine): Promise<void> {
  const account = await findAccount(deps.db, account_id ?? '');
  if (details?.wanted !== false || !account?.mailbox) return;
  const mailbox = mailboxLimitKey(account.mailbox);
  const now = deps.clock();
  await deps.db.tx((tx) => insertRefusal(tx, { mailbox, sender: '', now, endsAt: null }));
}
