import type { Deps } from '../../deps.ts';
import { DAY_MS } from '../../lib/time.ts';
import {
  findResourceServer,
  listResourceServerRows,
  type ResourceServerRow,
} from '../../store/resource-servers.ts';
import { type ResourceServer, toResourceServer } from '../audiences/resource-servers.ts';
import { type AuditEntry, listEventsAbout } from './audit-entries.ts';

/** Resource servers as operators see them: when each was last connected, and the secrets that it may use. */

/** A resource server as an operator sees it; times in epoch ms. */
export interface FoundResourceServer extends ResourceServer {
  removedAt: number | undefined;
  /** When it last authenticated, to the minute; undefined: never. */
  seenAt: number | undefined;
  /** When it last followed the revocation feed, to the minute; undefined: never. */
  followedAt: number | undefined;
  /** `away`: it was seen, and not for a day. */
  status: 'connected' | 'quiet' | 'away' | 'never' | 'removed';
  /** Until when the secret from before the last rotation works; undefined: it does not. */
  previousSecretEndsAt: number | undefined;
}

/** Resource servers ask often: one that was seen within this time is connected. */
const CONNECTED_MS = 3_600_000;
/** One that was not seen for so long needs attention: revocations reach it late. */
const AWAY_MS = DAY_MS;

/** Lists the resource servers in service, oldest first. */
export async function findResourceServers(deps: Pick<Deps, 'db' | 'clock'>): Promise<FoundResourceServer[]> {
  const now = deps.clock();
  return (await listResourceServerRows(deps.db)).map((row) => toFoundResourceServer(row, now));
}

/** One resource server, with its newest events. */
export interface ShownResourceServer {
  server: FoundResourceServer;
  events: AuditEntry[];
}

const EVENTS_SHOWN = 20;

/** Shows one resource server, also one that was removed. @returns undefined if none has this id */
export async function showResourceServer(deps: Deps, id: string): Promise<ShownResourceServer | undefined> {
  const row = await findResourceServer(deps.db, id);
  if (row === undefined) return undefined;
  const events = await listEventsAbout(deps, { subject: id }, EVENTS_SHOWN);
  return { server: toFoundResourceServer(row, deps.clock()), events };
}

function toFoundResourceServer(row: ResourceServerRow, now: number): FoundResourceServer {
  const { removedAt, seenAt, followedAt, previousEndsAt } = row;
  return {
    ...toResourceServer(row),
    removedAt: removedAt ?? undefined,
    seenAt: seenAt ?? undefined,
    followedAt: followedAt ?? undefined,
    status: statusOf(row, now),
    previousSecretEndsAt: previousEndsAt !== null && previousEndsAt > now ? previousEndsAt : undefined,
  };
}

function statusOf({ removedAt, seenAt }: ResourceServerRow, now: number): FoundResourceServer['status'] {
  if (removedAt !== null) return 'removed';
  if (seenAt === null) return 'never';
  if (now - seenAt < CONNECTED_MS) return 'connected';
  return now - seenAt < AWAY_MS ? 'quiet' : 'away';
}
