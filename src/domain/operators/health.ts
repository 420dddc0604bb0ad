import type { Deps } from '../../deps.ts';
import { DAY_MS } from '../../lib/time.ts';
import { findJobMark } from '../../store/figures.ts';
import { countWaitingMail } from '../../store/outbox.ts';
import { listPublishedKeys } from '../credentials/signing-keys.ts';
import { type FoundResourceServer, findResourceServers } from './resource-servers.ts';

/** How the service is; times in epoch ms. */
export interface Health {
  /** How long the database takes for the smallest question, ms. */
  databaseMs: number;
  queue: { waiting: number; oldest: number | null; isLate: boolean };
  resourceServers: readonly FoundResourceServer[];
  /** The key that signs; undefined: there is none yet. */
  signingKey: { usedFrom: number; isDue: boolean } | undefined;
  /** When expired rows were last deleted; undefined: not yet. */
  cleanup: { at: number; isLate: boolean } | undefined;
}

/** The name of the job that deletes expired rows, see deleteExpiredRows(). */
export const CLEANUP = 'cleanup';

/** Mail is late that waits for longer: the outbox worker sends it within seconds. */
const QUEUE_LATE_MS = 300_000;
/** Rows are deleted once a minute. */
const CLEANUP_LATE_MS = 3_600_000;
const SIGNING_KEY_DUE_MS = 365 * DAY_MS;

/** Looks how the service is. */
export async function readHealth(deps: Deps): Promise<Health> {
  const { db, clock } = deps;
  const began = performance.now();
  await db.now();
  const databaseMs = performance.now() - began;
  const [queue, resourceServers, keys, cleanedAt] = await Promise.all([
    countWaitingMail(db),
    findResourceServers(deps),
    listPublishedKeys(deps),
    findJobMark(db, CLEANUP),
  ]);
  const now = clock();
  const current = keys.find(({ state }) => state === 'current');
  return {
    databaseMs,
    resourceServers,
    queue: { ...queue, isLate: queue.oldest !== null && now - queue.oldest > QUEUE_LATE_MS },
    signingKey: current && {
      usedFrom: current.usedFrom,
      isDue: now - current.usedFrom > SIGNING_KEY_DUE_MS,
    },
    cleanup:
      cleanedAt === undefined ? undefined : { at: cleanedAt, isLate: now - cleanedAt > CLEANUP_LATE_MS },
  };
}
