import type { Deps } from '../../deps.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { DAY_MS } from '../../lib/time.ts';
import type { Tx } from '../../store/engine/db.ts';
import { deleteOldEvents } from '../../store/events.ts';
import { upsertJobMark } from '../../store/figures.ts';
import { deleteOldInvitations } from '../../store/invitations.ts';
import {
  deleteEndedSessionKeys,
  deleteExpiredPermissionGrants,
  deleteExpiredSessionKeys,
  deleteOldPermissionRequests,
} from '../../store/permission-retention.ts';
import {
  deleteEndedAttempts,
  deleteEndedCounters,
  deleteEndedNodes,
  deleteEndedRefusals,
  deleteExcessOAuthClients,
  deleteExpiredIdempotency,
  deleteExpiredLinkRequests,
  deleteExpiredOAuthStates,
  deleteExpiredRefreshTokens,
  deleteExpiredRegistrations,
  deleteExpiredTokens,
  deleteIdleOAuthClients,
  deleteIdlePrincipals,
  deleteNeverActivatedAgents,
  deleteOldApprovals,
  deleteOldMail,
  deleteOldSessions,
  deleteOldSignIns,
  deleteUnusedOAuthClients,
  deleteUsedTokens,
} from '../../store/retention.ts';
import { CLEANUP } from '../operators/health.ts';
import { createBatches } from './batches.ts';

/** Ended rows are kept this long, so that late callers still read "expired" instead of "unknown". */
const KEEP_MS = DAY_MS;
/** Sessions are kept this long, to recognize the networks from which an account was used. */
const SESSIONS_KEEP_MS = 30 * DAY_MS;
/**
 * An agent under a host that was not approved for this long is deleted (Agent Auth Protocol 1.0-draft, section 7.1).
 */
const FORGOTTEN_MS = 7 * DAY_MS;
/** Expired tokens are kept briefly only: they are many, and a token without a row is refused as well. */
const TOKENS_KEEP_MS = 600_000;
/** Clients that nobody here registered and that were not used for this long are deleted. */
const IDLE_CLIENTS_MS = 90 * DAY_MS;
/** More clients that nobody here registered and nobody used are not kept, however fast they come. */
const UNUSED_CLIENTS_MAX = 200_000;
const AUDIT_KEEP_MS = 400 * DAY_MS;

/** Nodes are kept this long after they ended: as long as APIs may not have followed what ended with them. */
const NODES_KEEP_MS = DAY_MS;
/** Invitations are kept this long after they expired, for the exports of those whom they concern. */
const INVITATIONS_KEEP_MS = 30 * DAY_MS;

type DeleteBatch = (tx: Tx, now: number, rows: number) => Promise<number>;

/** What is deleted, and when. No answer depends on it: ended rows are refused by their times long before. */
const DELETIONS: Record<string, DeleteBatch> = {
  idempotency: (tx, now, rows) => deleteExpiredIdempotency(tx, now, rows),
  counters: (tx, now, rows) => deleteEndedCounters(tx, now, rows),
  mail: (tx, now, rows) => deleteOldMail(tx, now - KEEP_MS, rows),
  attempts: (tx, now, rows) => deleteEndedAttempts(tx, now - KEEP_MS, rows),
  registrations: (tx, now, rows) => deleteExpiredRegistrations(tx, now - KEEP_MS, rows),
  refusals: (tx, now, rows) => deleteEndedRefusals(tx, now, rows),
  signIns: (tx, now, rows) => deleteOldSignIns(tx, firstIdAt('sgn', now - KEEP_MS), rows),
  sessions: (tx, now, rows) => deleteOldSessions(tx, now - SESSIONS_KEEP_MS, rows),
  tokens: (tx, now, rows) => deleteExpiredTokens(tx, now - TOKENS_KEEP_MS, rows),
  refreshTokens: (tx, now, rows) => deleteExpiredRefreshTokens(tx, now, rows),
  oauthStates: (tx, now, rows) => deleteExpiredOAuthStates(tx, now, rows),
  unusedClients: (tx, now, rows) => deleteUnusedOAuthClients(tx, now - KEEP_MS, rows),
  idleClients: (tx, now, rows) => deleteIdleOAuthClients(tx, { before: now - IDLE_CLIENTS_MS, now }, rows),
  excessClients: (tx, _, rows) => deleteExcessOAuthClients(tx, UNUSED_CLIENTS_MAX, rows),
  linkRequests: (tx, now, rows) => deleteExpiredLinkRequests(tx, now, rows),
  approvals: (tx, now, rows) => deleteOldApprovals(tx, now - KEEP_MS, rows),
  invitations: (tx, now, rows) => deleteOldInvitations(tx, now - INVITATIONS_KEEP_MS, rows),
  nodes: (tx, now, rows) => deleteEndedNodes(tx, now - NODES_KEEP_MS, rows),
  sessionKeys: (tx, now, rows) => deleteEndedSessionKeys(tx, now - SESSIONS_KEEP_MS, rows),
  terminals: (tx, now, rows) => deleteExpiredSessionKeys(tx, now - KEEP_MS, rows),
  permissionRequests: (tx, now, rows) => deleteOldPermissionRequests(tx, now - KEEP_MS, rows),
  permissionGrants: (tx, now, rows) => deleteExpiredPermissionGrants(tx, now - KEEP_MS, rows),
  forgottenAgents: (tx, now, rows) => deleteNeverActivatedAgents(tx, now - FORGOTTEN_MS, rows),
  principals: (tx, now, rows) => deleteIdlePrincipals(tx, now - SESSIONS_KEEP_MS, rows),
  spentTokens: (tx, now, rows) => deleteUsedTokens(tx, now, rows),
  events: (tx, now, rows) => deleteOldEvents(tx, firstIdAt('evt', now - AUDIT_KEEP_MS), rows),
};

/**
 * Deletes what has expired, one batch of each kind in turn, so that a backlog of one kind delays no other.
 *
 * @param mayGoOn checked before each batch: false leaves the rest to the next run
 * Notes when it came to its end, for operators.
 *
 * @returns how many rows were deleted, by kind
 */
export async function deleteExpiredRows(
  deps: Pick<Deps, 'db' | 'clock'>,
  mayGoOn: () => boolean = () => true,
): Promise<Record<string, number>> {
  const deleted: Record<string, number> = {};
  const kinds = Object.entries(DELETIONS).map(([name, deleteBatch]) => {
    deleted[name] = 0;
    return { name, deleteBatch, batches: createBatches<Tx>((act) => deps.db.tx(act)) };
  });
  for (let pending = kinds; pending.length > 0; ) {
    const unfinished: typeof kinds = [];
    for (const kind of pending) {
      if (!mayGoOn()) return deleted;
      const { count, isLast } = await kind.batches.next((tx, rows) =>
        kind.deleteBatch(tx, deps.clock(), rows),
      );
      deleted[kind.name]! += count;
      if (!isLast) unfinished.push(kind);
    }
    pending = unfinished;
  }
  await deps.db.tx((tx) => upsertJobMark(tx, CLEANUP, deps.clock()));
  return deleted;
}
