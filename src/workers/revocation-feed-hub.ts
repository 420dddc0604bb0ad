import { LRUCache } from 'lru-cache';
import type { Deps } from '../deps.ts';
import type { ResourceServer } from '../domain/audiences/resource-servers.ts';
import {
  concerning,
  expand,
  type Follow,
  type Follower,
  narrowTo,
  OVERLAP_MS,
  overlapped,
  rowsFrom,
} from '../domain/audiences/revocation-feed.ts';
import { Failure } from '../errors.ts';
import { firstIdAt } from '../lib/ids.ts';
import type { EventRow } from '../store/events.ts';

/** Reads the revocation feed once for all resource servers that follow it. */

/** How often the audit is looked at while anybody follows: a revocation must be known everywhere within a second. */
const POLL_MS = 200;

const FOLLOWERS_MAX = 100;

/** The followers of this process, and the one timer that looks for all of them. */
export function createRevocationFeedHub(deps: Pick<Deps, 'db' | 'clock' | 'log'>): {
  follow: Follow;
  stop(): void;
} {
  const followers = new Set<Follower & { server: ResourceServer }>();
  const told = new LRUCache<string, true>({ max: 100_000 });
  /** There while anybody follows: one beginning for all who come at once. */
  let watch: { begun: Promise<void>; timer?: NodeJS.Timeout } | undefined;
  let isLooking = false;
  let isStopped = false;

  async function look(): Promise<void> {
    if (isLooking || followers.size === 0) return;
    isLooking = true;
    try {
      for await (const row of rowsFrom(deps, recently())) {
        if (told.has(row.id)) continue;
        told.set(row.id, true);
        await tellAll(row);
      }
    } catch (error) {
      deps.log.warn({ err: error }, 'resource servers could not be told what happened; it is tried again');
    } finally {
      isLooking = false;
    }
  }

  const recently = () => firstIdAt('evt', deps.clock() - OVERLAP_MS);

  async function tellAll(row: EventRow): Promise<void> {
    if (row.kind === 'resource.removed') {
      for (const each of followers) if (each.server.id === row.subject) leave(each);
      return;
    }
    const event = await expand(deps, row);
    if (event === undefined) return;
    for (const each of followers) {
      const concerns = narrowTo(event, each.server);
      if (concerns) each.tell(concerns);
    }
  }

  /** What happened while it was away. What the timer tells meanwhile comes twice, which does no harm. */
  async function catchUp(follower: Follower & { server: ResourceServer }, after: string): Promise<void> {
    for await (const row of rowsFrom(deps, overlapped(after))) {
      if (!followers.has(follower)) return;
      const event = await concerning(deps, row, follower.server);
      if (event !== undefined) follower.tell(event);
    }
  }

  /**
   * Begins to look. What is there already was before its time; what is not yet committed is not, whatever its id says. Were it
   * done for each who comes, the second would take for old what the first has yet to be told.
   */
  function startWatch(): NonNullable<typeof watch> {
    const mine: NonNullable<typeof watch> = { begun: begin() };
    return mine;

    async function begin(): Promise<void> {
      for await (const row of rowsFrom(deps, recently())) told.set(row.id, true);
      if (watch !== mine) return; // all have left meanwhile
      mine.timer = setInterval(() => void look(), POLL_MS);
      mine.timer.unref();
    }
  }

  function leave(follower: Follower & { server: ResourceServer }): void {
    if (!followers.delete(follower)) return;
    if (followers.size === 0) {
      clearInterval(watch?.timer);
      watch = undefined;
    }
    follower.end();
  }

  return {
    async follow(server, after, { tell, end }) {
      if (isStopped) {
        throw new Failure('unavailable', 'This service is shutting down. Follow again, on a new connection.');
      }
      const same = [...followers].filter((each) => each.server.id === server.id);
      if (same.length >= FOLLOWERS_MAX) {
        throw new Failure('limited', `At most ${FOLLOWERS_MAX} connections follow for one resource server.`, {
          retryAfterSeconds: 10,
        });
      }
      const follower = { server, tell, end };
      followers.add(follower);
      watch ??= startWatch();
      try {
        await watch.begun;
      } catch (error) {
        leave(follower);
        throw error;
      }
      if (after !== undefined) {
        catchUp(follower, after).catch((error) => {
          deps.log.warn({ err: error }, 'a resource server could not be told what it missed');
          leave(follower); // it comes again, and asks again
        });
      }
      return () => leave(follower);
    },
    stop() {
      isStopped = true;
      for (const follower of [...followers]) leave(follower);
    },
  };
}
