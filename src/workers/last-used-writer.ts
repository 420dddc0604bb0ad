import type { Deps } from '../deps.ts';
import { writeLastUsed } from '../domain/credentials/last-used.ts';

/** When and where keys were last used: noted in memory, written behind, at most once a minute per key. */
export interface LastUsedWriter {
  /** @param from in words for its owner: the resource server that asked, or the network */
  touch(hash: Buffer, now: number, from: string): void;
  /** Writes what was noted since the last time. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}

const FLUSH_MS = 60_000;
/** Past this many keys a minute the rest go unnoted until the next flush: memory stays bounded. */
const KEYS_MAX = 50_000;

export function startLastUsedWriter(deps: Pick<Deps, 'db' | 'log'>): LastUsedWriter {
  let noted = new Map<string, { at: number; from: string }>();

  async function flush(): Promise<void> {
    const uses = [...noted].map(([hash, use]) => ({ hash: Buffer.from(hash, 'latin1'), ...use }));
    noted = new Map();
    try {
      await writeLastUsed(deps, uses);
    } catch (error) {
      deps.log.warn({ err: error }, 'last uses could not be written');
    }
  }

  const timer = setInterval(() => void flush(), FLUSH_MS);
  timer.unref();
  return {
    touch(hash, now, from) {
      // latin1 keeps the 32 bytes in 32 characters; a Buffer would be compared by identity.
      if (noted.size < KEYS_MAX) noted.set(hash.toString('latin1'), { at: now, from });
    },
    flush,
    async stop() {
      clearInterval(timer);
      await flush();
    },
  };
}
