import type { Deps } from '../deps.ts';
import { firstIdAt } from '../lib/ids.ts';
import type { Tx } from '../store/db.ts';
import { deleteOldEvents } from '../store/events.ts';
import {
  deleteEndedAttempts,
  deleteEndedCounters,
  deleteEndedRefusals,
  deleteExpiredIdempotency,
  deleteExpiredRefreshTokens,
  deleteExpiredRegistrations,
  deleteExpiredTokens,
  deleteForgottenAgents,
  deleteIdlePrincipals,
  deleteOldApprovals,
  deleteOldMail,
  deleteOldSessions,
  deleteOldSignIns,
  deleteSpentTokens,
} from '../store/retention.ts';

const DAY_MS = 86_400_000;
/** What has ended stays this long: late callers still hear "expired" instead of "unknown". */
const KEEP_MS = DAY_MS;
/** So long it is remembered from where an account was signed in to. */
const SESSIONS_KEEP_MS = 30 * DAY_MS;
/** Whoever was not let in for so long is not waited for. */
const FORGOTTEN_MS = 7 * DAY_MS;
/** Tokens are many, and what has expired is refused without them. */
const TOKENS_KEEP_MS = 600_000;
const AUDIT_KEEP_MS = 400 * DAY_MS;
/** Rows a transaction: short enough that nobody waits for it. */
const BATCH = 200;

type Sweep = (tx: Tx, now: number) => Promise<number>;

/** What goes, and when. No answer depends on it: ended things are refused by their times long before (rule 3). */
const SWEEPS: Record<string, Sweep> = {
  idempotency: (tx, now) => deleteExpiredIdempotency(tx, now, BATCH),
  counters: (tx, now) => deleteEndedCounters(tx, now, BATCH),
  mail: (tx, now) => deleteOldMail(tx, now - KEEP_MS, BATCH),
  attempts: (tx, now) => deleteEndedAttempts(tx, now - KEEP_MS, BATCH),
  registrations: (tx, now) => deleteExpiredRegistrations(tx, now - KEEP_MS, BATCH),
  refusals: (tx, now) => deleteEndedRefusals(tx, now, BATCH),
  signIns: (tx, now) => deleteOldSignIns(tx, now - KEEP_MS, BATCH),
  sessions: (tx, now) => deleteOldSessions(tx, now - SESSIONS_KEEP_MS, BATCH),
  tokens: (tx, now) => deleteExpiredTokens(tx, now - TOKENS_KEEP_MS, BATCH),
  refreshTokens: (tx, now) => deleteExpiredRefreshTokens(tx, now, BATCH),
  approvals: (tx, now) => deleteOldApprovals(tx, now - KEEP_MS, BATCH),
  forgottenAgents: (tx, now) => deleteForgottenAgents(tx, now - FORGOTTEN_MS, BATCH),
  principals: (tx, now) => deleteIdlePrincipals(tx, now - SESSIONS_KEEP_MS, BATCH),
  spentTokens: (tx, now) => deleteSpentTokens(tx, now, BATCH),
  events: (tx, now) => deleteOldEvents(tx, firstIdAt('evt', now - AUDIT_KEEP_MS), BATCH),
};

/**
 * Removes what has expired, in small transactions with pauses for others between.
 *
 * @returns how many rows went, by kind
 */
export async function sweep(
  deps: Pick<Deps, 'db' | 'clock'>,
  mayGoOn: () => boolean = () => true,
): Promise<Record<string, number>> {
  const removed: Record<string, number> = {};
  for (const [name, remove] of Object.entries(SWEEPS)) {
    removed[name] = 0;
    for (let count = BATCH; count >= BATCH && mayGoOn(); ) {
      count = await deps.db.tx((tx) => remove(tx, deps.clock()));
      removed[name] += count;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return removed;
}
