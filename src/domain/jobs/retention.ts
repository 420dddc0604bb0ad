import type { Deps } from '../../deps.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { DAY_MS } from '../../lib/time.ts';
import type { Tx } from '../../store/engine/db.ts';
import { deleteOldEvents } from '../../store/events.ts';
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
} from '../../store/retention.ts';
import { createBatches } from './batches.ts';

/** What has ended stays this long: late callers still hear "expired" instead of "unknown". */
const KEEP_MS = DAY_MS;
/** So long it is remembered from where an account was signed in to. */
const SESSIONS_KEEP_MS = 30 * DAY_MS;
/** Whoever was not let in for so long is not waited for. */
const FORGOTTEN_MS = 7 * DAY_MS;
/** Tokens are many, and what has expired is refused without them. */
const TOKENS_KEEP_MS = 600_000;
const AUDIT_KEEP_MS = 400 * DAY_MS;

type Sweep = (tx: Tx, now: number, rows: number) => Promise<number>;

/** What goes, and when. No answer depends on it: ended things are refused by their times long before. */
const SWEEPS: Record<string, Sweep> = {
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
  approvals: (tx, now, rows) => deleteOldApprovals(tx, now - KEEP_MS, rows),
  forgottenAgents: (tx, now, rows) => deleteForgottenAgents(tx, now - FORGOTTEN_MS, rows),
  principals: (tx, now, rows) => deleteIdlePrincipals(tx, now - SESSIONS_KEEP_MS, rows),
  spentTokens: (tx, now, rows) => deleteSpentTokens(tx, now, rows),
  events: (tx, now, rows) => deleteOldEvents(tx, firstIdAt('evt', now - AUDIT_KEEP_MS), rows),
};

/**
 * Removes what has expired: a batch of each kind in turn, so that a backlog of one holds up no other.
 *
 * @param mayGoOn asked before each batch; what is left is for the next time
 * @returns how many rows went, by kind
 */
export async function sweep(
  deps: Pick<Deps, 'db' | 'clock'>,
  mayGoOn: () => boolean = () => true,
): Promise<Record<string, number>> {
  const removed: Record<string, number> = {};
  const kinds = Object.entries(SWEEPS).map(([name, remove]) => {
    removed[name] = 0;
    return { name, remove, batches: createBatches<Tx>((act) => deps.db.tx(act)) };
  });
  for (let open = kinds; open.length > 0; ) {
    const left: typeof kinds = [];
    for (const kind of open) {
      if (!mayGoOn()) return removed;
      const { count, isLast } = await kind.batches.next((tx, rows) => kind.remove(tx, deps.clock(), rows));
      removed[kind.name]! += count;
      if (!isLast) left.push(kind);
    }
    open = left;
  }
  return removed;
}
