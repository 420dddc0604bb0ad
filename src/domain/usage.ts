import type { Deps } from '../deps.ts';
import { markUsed } from '../store/credentials.ts';

/** When keys were last used: noted in memory, written behind, at most once a minute per key. */
export interface Usage {
  touch(hash: Buffer, now: number): void;
  /** Writes what was noted since the last time. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}

const FLUSH_MS = 60_000;
/** Past this many keys a minute the rest go unnoted until the next flush: memory stays bounded. */
const KEYS_MAX = 50_000;
const BATCH = 200;

export function startUsage(deps: Pick<Deps, 'db' | 'log'>): Usage {
  let noted = new Map<string, number>();

  async function flush(): Promise<void> {
    const batch = [...noted];
    noted = new Map();
    try {
      for (let start = 0; start < batch.length; start += BATCH) {
        await deps.db.tx(async (tx) => {
          for (const [hash, at] of batch.slice(start, start + BATCH)) {
            await markUsed(tx, Buffer.from(hash, 'latin1'), at);
          }
        });
      }
    } catch (error) {
      deps.log.warn({ err: error }, 'last uses could not be written');
    }
  }

  const timer = setInterval(() => void flush(), FLUSH_MS);
  timer.unref();
  return {
    touch(hash, now) {
      // latin1 keeps the 32 bytes in 32 characters; a Buffer would be compared by identity.
      if (noted.size < KEYS_MAX) noted.set(hash.toString('latin1'), now);
    },
    flush,
    async stop() {
      clearInterval(timer);
      await flush();
    },
  };
}
