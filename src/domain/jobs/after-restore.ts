import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';
import { hashSecret, newSecret, type SecretPrefix } from '../../lib/secrets.ts';
import { findAccount } from '../../store/accounts.ts';
import { deleteRecoveryCodes } from '../../store/authenticators.ts';
import { listCredentials } from '../../store/credentials.ts';
import { upsertSuppression } from '../../store/mail-refusals.ts';
import { updateOAuthClientSecret } from '../../store/oauth-clients.ts';
import { findOAuthGrant } from '../../store/oauth-grants.ts';
import { findRegistration } from '../../store/registrations.ts';
import { updateResourceServerSecret } from '../../store/resource-servers.ts';
import {
  endShortLivedRows,
  findEventIds,
  findRestoredState,
  type RestoredState,
} from '../../store/restored.ts';
import { upsertUsedTokensMark } from '../../store/spent-tokens.ts';
import type { RequestOrigin } from '../../work.ts';
import { revokeAgent, revokeDelegation } from '../agents/end-agent.ts';
import { endClient, findClient } from '../apps/clients.ts';
import { endConsent } from '../apps/consents.ts';
import { endConsentsOfEndedClient } from '../apps/end-consents.ts';
import { suspendClient } from '../apps/manage-clients.ts';
import { removeResourceServer } from '../audiences/resource-servers.ts';
import { type EventKind, recordEvent } from '../audit/audit-log.ts';
import { AT_COMMAND_LINE } from '../audit/operator-acts.ts';
import { revokeKeyById } from '../credentials/revoke-credential.ts';
import { rotateSigningKeys } from '../credentials/signing-keys.ts';
import { revokeHost } from '../hosts/revoke-host.ts';
import { useCase } from '../limits/use-case.ts';
import { deleteAccount } from '../owner/delete-account.ts';
import { narrowAgent, undoMerge, unlinkAgent } from '../owner/manage-agents.ts';
import { unlinkProvider } from '../providers/linked-providers.ts';
import type { EventLine, Repeat } from './event-lines.ts';
import { REPEAT_PERMISSIONS } from './permissions-after-restore.ts';
import { REPEAT_IN_WORKSPACES } from './workspaces-after-restore.ts';

/** What a restored database needs before it serves requests: it lacks everything since the backup was made (S-109). */

/** Counts the working keys of a restored database, and finds the time of its newest audit line, epoch ms. */
export function describeRestored(deps: Pick<Deps, 'db' | 'clock'>): Promise<RestoredState> {
  return findRestoredState(deps.db, deps.clock());
}

/**
 * Ends sessions, codes, connection requests, refresh tokens and access tokens, and counts every signed token issued so
 * far as used. Agents, accounts and keys stay.
 *
 * @param details of the audit line
 */
export async function revokeShortLivedCredentials(
  deps: Deps,
  origin: RequestOrigin,
  details: Record<string, number>,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await endShortLivedRows(tx, now);
    await upsertUsedTokensMark(tx, now);
    await recordEvent(work, { kind: 'database.restored', details });
  });
}

/** How many events one query looks up in the backup. */
const EVENTS_PER_LOOKUP = 500;

/**
 * Repeats the revocations that happened after the backup was made. If an event does not say what stayed valid, as when
 * a host changed its key, everything that it concerns is revoked.
 *
 * @param events of the audit log of the replaced database, oldest first; those that the backup holds change nothing
 * @returns how many events were repeated
 */
export async function repeatRevocations(
  deps: Deps,
  origin: RequestOrigin,
  events: readonly EventLine[],
): Promise<number> {
  let count = 0;
  for (let at = 0; at < events.length; at += EVENTS_PER_LOOKUP) {
    const batch = events.slice(at, at + EVENTS_PER_LOOKUP);
    const idsInBackup = await findEventIds(
      deps.db,
      batch.map(({ id }) => id),
    );
    for (const event of batch) {
      const repeat = REPEAT_BY_KIND[event.kind];
      if (repeat === undefined || idsInBackup.has(event.id)) continue;
      await repeat(deps, origin, event);
      count += 1;
    }
  }
  return count;
}

const REPEAT_BY_KIND: Partial<Record<EventKind, Repeat>> = {
  'key.revoked': (deps, origin, { subject }) => revokeKeyById(deps, origin, subject ?? ''),
  'key.retired': revokeOtherKeys,
  'agent.revoked': (deps, origin, event) => revokeAgent(deps, origin, event.agent_id ?? ''),
  'agent.narrowed': (deps, origin, event) =>
    changeOrRevokeAgent(deps, origin, event, (owner, agent) =>
      narrowAgent(deps, origin, owner, agent, String(event.details?.scope ?? '').split(' ')),
    ),
  'agent.released': (deps, origin, event) =>
    changeOrRevokeAgent(deps, origin, event, (owner, agent) => unlinkAgent(deps, origin, owner, agent)),
  'agent.merge_undone': (deps, origin, event) =>
    changeOrRevokeAgent(deps, origin, event, (owner, agent) => undoMerge(deps, origin, owner, agent)),
  // The backup may know no other owner of a workspace than this account, although there was one when it was deleted.
  'account.deleted': (deps, origin, event) =>
    deleteAccount(deps, origin, event.account_id ?? '', { succession: 'passOn' }),
  'app.revoked': endConsentAgain,
  'app.narrowed': endConsentAgain, // the backup has the wider one
  'client.removed': removeClientAgain,
  'client.suspended': (deps, origin, { subject }) => suspendAgain(deps, origin, subject ?? ''),
  'client.rotated': (deps, _, { subject }) =>
    deps.db.tx((tx) => updateOAuthClientSecret(tx, subject ?? '', unknownSecret(deps, 'cs'), null)),
  'host.revoked': (deps, origin, { subject }) => revokeHost(deps, origin, subject ?? ''),
  'host.rekeyed': (deps, origin, { subject }) => revokeHost(deps, origin, subject ?? ''),
  'principal.revoked': (deps, origin, { subject }) => revokePrincipal(deps, origin, subject ?? ''),
  'principal.unlinked': unlinkAgain,
  'resource.removed': (deps, origin, { subject }) => removeResourceServer(deps, origin, subject ?? ''),
  'resource.rotated': (deps, _, { subject }) => revokeResourceSecret(deps, subject ?? ''),
  'recovery_code.used': (deps, _, { account_id }) =>
    deps.db.tx((tx) => deleteRecoveryCodes(tx, account_id ?? '')),
  'mail.wanted': suppressAllMail,
  'signing_key.made': async (deps, origin, { details }) => {
    if (details?.atOnce === true) await rotateSigningKeys(deps, origin, true);
  },
  ...REPEAT_PERMISSIONS,
  ...REPEAT_IN_WORKSPACES,
};

/**
 * Repeats a change that an owner made to an agent. If that fails, the agent is revoked: the backup knows no owner or
 * another one, or the change is no longer possible.
 */
async function changeOrRevokeAgent(
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

/**
 * Revokes all keys of an agent but the one whose first use retired others. That key may not be in the backup, so that
 * nothing says which keys it superseded.
 */
async function revokeOtherKeys(
  deps: Deps,
  origin: RequestOrigin,
  { agent_id, subject }: EventLine,
): Promise<void> {
  for (const key of await listCredentials(deps.db, agent_id ?? '')) {
    if (key.id !== subject) await revokeKeyById(deps, origin, key.id);
  }
}

async function revokePrincipal(deps: Deps, origin: RequestOrigin, registrationId: string): Promise<void> {
  const registration = await findRegistration(deps.db, registrationId);
  if (registration?.agentId) await revokeAgent(deps, origin, registration.agentId);
  await useCase(deps, origin, {}, (work) => revokeDelegation(work, registrationId));
}

async function unlinkAgain(deps: Deps, origin: RequestOrigin, event: EventLine): Promise<void> {
  try {
    await unlinkProvider(deps, origin, event.account_id ?? '', event.subject ?? '');
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'notFound') throw error; // the backup has no such link
  }
}

async function endConsentAgain(deps: Deps, origin: RequestOrigin, { subject }: EventLine): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const consent = await findOAuthGrant(work.tx, subject ?? '');
    if (consent !== undefined) await endConsent(work, consent, 'replay');
  });
}

/** The people were mailed when it was removed. */
async function removeClientAgain(deps: Deps, origin: RequestOrigin, { subject }: EventLine): Promise<void> {
  await useCase(deps, origin, {}, (work) => endClient(work, subject ?? ''));
  await endConsentsOfEndedClient(deps, origin, subject ?? '', 'client');
}

async function suspendAgain(deps: Deps, origin: RequestOrigin, clientId: string): Promise<void> {
  if ((await findClient(deps, clientId)) !== undefined) {
    await suspendClient(deps, origin, clientId, AT_COMMAND_LINE);
  }
}

/** Returns the hash of a secret that nobody knows. */
function unknownSecret(deps: Deps, prefix: SecretPrefix): Buffer {
  return hashSecret(newSecret(prefix, deps.random));
}

/**
 * Replaces the secret of a resource server by one that nobody knows. The backup holds only the secret from before the
 * rotation, which may have leaked. The operator rotates it again.
 */
async function revokeResourceSecret(deps: Deps, id: string): Promise<void> {
  const hash = unknownSecret(deps, 'rss');
  await deps.db.tx((tx) => updateResourceServerSecret(tx, id, hash, null));
}

async function suppressAllMail(
  deps: Deps,
  _: RequestOrigin,
  { account_id, details }: EventLine,
): Promise<void> {
  const account = await findAccount(deps.db, account_id ?? '');
  if (details?.wanted !== false || !account?.mailbox) return;
  const mailbox = mailboxLimitKey(account.mailbox);
  const now = deps.clock();
  await deps.db.tx((tx) => upsertSuppression(tx, { mailbox, sender: '', now, endsAt: null }));
}
