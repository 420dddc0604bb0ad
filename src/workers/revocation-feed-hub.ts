import { LRUCache } from 'lru-cache';
import type { Deps } from '../deps.ts';
import type { ResourceServer } from '../domain/audiences/resource-servers.ts';
import {
  addAffectedKeys,
  type Follow,
  type Follower,
  narrowToServer,
  OVERLAP_MS,
  streamFollowedEvents,
  toEventForServer,
  withOverlap,
} from '../domain/audiences/revocation-feed.ts';
import { Failure } from '../errors.ts';
import { firstIdAt } from '../lib/ids.ts';
import type { EventRow } from '../store/events.ts';

/** Reads the revocation feed once for all resource servers that follow it. */

/** How often the hub polls the audit log for its followers, who must know of a revocation within a second (S-31). */
const POLL_MS = 200;

/** How many connections one resource server may have. */
const FOLLOWERS_MAX = 100;

/**
 * Creates the hub of this process: its followers, and the one timer that polls for all of them.
 *
 * @returns `follow`, and `stop`, which ends all followers and refuses new ones
 */
export function createRevocationFeedHub(deps: Pick<Deps, 'db' | 'clock' | 'log'>): {
  follow: Follow;
  stop(): void;
} {
  const followers = new Set<Follower & { server: ResourceServer }>();
  /** Ids of events that were sent, or were committed before the first follower came, who has it created: it is large. */
  let sentIds: LRUCache<string, true> | undefined;
  /** Set while there are followers. Those that come at the same time share one start. */
  let watch: { ready: Promise<void>; timer?: NodeJS.Timeout } | undefined;
  let isPolling = false;
  let isStopped = false;

  async function poll(): Promise<void> {
    if (isPolling || followers.size === 0) return;
    isPolling = true;
    try {
      for await (const row of streamFollowedEvents(deps, overlapStart())) {
        if (sentIds!.has(row.id)) continue;
        sentIds!.set(row.id, true);
        await notifyFollowers(row);
      }
    } catch (error) {
      deps.log.warn({ err: error }, 'resource servers could not be told what happened; it is tried again');
    } finally {
      isPolling = false;
    }
  }

  const overlapStart = () => firstIdAt('evt', deps.clock() - OVERLAP_MS);

  async function notifyFollowers(row: EventRow): Promise<void> {
    if (row.kind === 'resource.removed') {
      for (const each of followers) if (each.server.id === row.subject) removeFollower(each);
      return;
    }
    const event = await addAffectedKeys(deps, row);
    if (event === undefined) return;
    for (const each of followers) {
      const narrowed = narrowToServer(event, each.server);
      if (narrowed) each.notify(narrowed);
    }
  }

  /** Sends the events after `after`. Those that the timer sends meanwhile may arrive twice, which is harmless. */
  async function catchUp(follower: Follower & { server: ResourceServer }, after: string): Promise<void> {
    for await (const row of streamFollowedEvents(deps, withOverlap(after))) {
      if (!followers.has(follower)) return;
      const event = await toEventForServer(deps, row, follower.server);
      if (event !== undefined) follower.notify(event);
    }
  }

  /**
   * Starts to poll. Events that are committed already are older than the followers and are not sent. Events that commit
   * later are sent, even with an older id. A start for each follower would be wrong: that of the second one would skip
   * events that the first one has not received yet.
   */
  function startWatch(): NonNullable<typeof watch> {
    const started: NonNullable<typeof watch> = { ready: prepare() };
    return started;

    async function prepare(): Promise<void> {
      sentIds ??= new LRUCache({ max: 100_000 });
      for await (const row of streamFollowedEvents(deps, overlapStart())) sentIds.set(row.id, true);
      if (watch !== started) return; // all followers have left meanwhile
      started.timer = setInterval(() => void poll(), POLL_MS);
      started.timer.unref();
    }
  }

  function removeFollower(follower: Follower & { server: ResourceServer }): void {
    if (!followers.delete(follower)) return;
    if (followers.size === 0) {
      clearInterval(watch?.timer);
      watch = undefined;
    }
    follower.end();
  }

  return {
    async follow(server, after, { notify, end }) {
      if (isStopped) {
        throw new Failure('unavailable', 'This service is shutting down. Follow again, on a new connection.');
      }
      const same = [...followers].filter((each) => each.server.id === server.id);
      if (same.length >= FOLLOWERS_MAX) {
        throw new Failure('limited', `At most ${FOLLOWERS_MAX} connections follow for one resource server.`, {
          retryAfterSeconds: 10,
        });
      }
      const follower = { server, notify, end };
      followers.add(follower);
      watch ??= startWatch();
      try {
        await watch.ready;
      } catch (error) {
        removeFollower(follower);
        throw error;
      }
      if (after !== undefined) {
        catchUp(follower, after).catch((error) => {
          deps.log.warn({ err: error }, 'a resource server could not be told what it missed');
          removeFollower(follower); // the resource server reconnects and asks again
        });
      }
      return () => removeFollower(follower);
    },
    stop() {
      isStopped = true;
      for (const follower of [...followers]) removeFollower(follower);
    },
  };
}
