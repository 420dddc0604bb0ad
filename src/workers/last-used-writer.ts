import type { Deps } from '../deps.ts';
import {
  type ResourceServerUse,
  writeResourceServersSeen,
} from '../domain/audiences/resource-servers-seen.ts';
import { writeLastUsed } from '../domain/credentials/last-used.ts';

/**
 * Records when and where keys were last used, and when resource servers were last seen: in memory at first, and once a
 * minute in the database.
 */
export interface LastUsedWriter {
  /**
   * Records a use of a key.
   *
   * @param hash SHA-256 of the key
   * @param now epoch ms
   * @param from text for the owner: the resource server that introspected the key, or the coarse network
   */
  touch(hash: Buffer, now: number, from: string): void;
  /** Records that a resource server was seen. @param isFollowing whether it followed the revocation feed */
  noteResourceServer(id: string, now: number, isFollowing: boolean): void;
  /** Writes the uses since the last flush. Logs an error of the database instead of throwing it. */
  flush(): Promise<void>;
  /** Stops the timer and flushes. */
  stop(): Promise<void>;
}

const FLUSH_MS = 60_000;

/** With this many keys in memory, uses are not recorded until the next flush, so that memory stays bounded. */
const KEYS_MAX = 50_000;

/** Starts the writer and its timer. */
export function startLastUsedWriter(deps: Pick<Deps, 'db' | 'log'>): LastUsedWriter {
  let pending = new Map<string, { at: number; from: string }>();

  let servers = new Map<string, ResourceServerUse>();

  async function flush(): Promise<void> {
    const uses = [...pending].map(([hash, use]) => ({ hash: Buffer.from(hash, 'latin1'), ...use }));
    const seen = [...servers.values()];
    pending = new Map();
    servers = new Map();
    try {
      await writeLastUsed(deps, uses);
      await writeResourceServersSeen(deps, seen);
    } catch (error) {
      deps.log.warn({ err: error }, 'last uses could not be written');
    }
  }

  const timer = setInterval(() => void flush(), FLUSH_MS);
  timer.unref();
  return {
    touch(hash, now, from) {
      // A string, because a Map compares Buffers by identity. latin1 keeps the 32 bytes in 32 characters.
      if (pending.size < KEYS_MAX) pending.set(hash.toString('latin1'), { at: now, from });
    },
    noteResourceServer(id, seenAt, isFollowing) {
      const followedAt = isFollowing ? seenAt : (servers.get(id)?.followedAt ?? null);
      servers.set(id, { id, seenAt, followedAt });
    },
    flush,
    async stop() {
      clearInterval(timer);
      await flush();
    },
  };
}
