import type { Deps } from '../deps.ts';
import {
  type ResourceServerUse,
  writeResourceServersSeen,
} from '../domain/audiences/resource-servers-seen.ts';
import { writeLastUsed } from '../domain/credentials/last-used.ts';

/**
 * Records when and where keys, agents and apps were last used, and when resource servers were last seen: in memory at first, and
 * once a minute in the database.
 */
export interface LastUsedWriter {
  /**
   * Records a use of a key or token, and of its agent or of the consent to its app.
   *
   * @param hash SHA-256 of the key
   * @param holder the agent, or the consent; neither: a personal key
   * @param now epoch ms
   * @param from text for the owner: the resource server that introspected the key, or the coarse network
   */
  noteKeyUse(
    hash: Buffer,
    holder: { agentId?: string | undefined; consentId?: string | undefined },
    now: number,
    from: string,
  ): void;
  /** Records that an agent under a host signed a request. @param now epoch ms */
  noteAgentUse(agentId: string, now: number): void;
  /** Records that a resource server was seen. @param isFollowing whether it followed the revocation feed */
  noteResourceServer(id: string, now: number, isFollowing: boolean): void;
  /** Writes the uses since the last flush. Logs an error of the database instead of throwing it. */
  flush(): Promise<void>;
  /** Stops the timer and flushes. */
  stop(): Promise<void>;
}

const FLUSH_MS = 60_000;

/** With this many keys, agents or consents in memory, no others are recorded until the next flush, so that memory stays bounded. */
const ENTRIES_MAX = 50_000;

/** Starts the writer and its timer. */
export function startLastUsedWriter(deps: Pick<Deps, 'db' | 'log'>): LastUsedWriter {
  let keys = new Map<string, { at: number; from: string }>();
  let agents = new Map<string, { at: number; from: string | null }>();
  let consents = new Map<string, { at: number; from: string }>();
  let servers = new Map<string, ResourceServerUse>();

  async function flush(): Promise<void> {
    const seen = [...servers.values()];
    const uses = {
      keys: [...keys].map(([hash, use]) => ({ hash: Buffer.from(hash, 'latin1'), ...use })),
      agents: [...agents].map(([id, use]) => ({ id, ...use })),
      consents: [...consents].map(([id, use]) => ({ id, ...use })),
    };
    keys = new Map();
    agents = new Map();
    consents = new Map();
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
    noteKeyUse(hash, { agentId, consentId }, at, from) {
      const use = { at, from };
      // A string, because a Map compares Buffers by identity. latin1 keeps the 32 bytes in 32 characters.
      if (keys.size < ENTRIES_MAX) keys.set(hash.toString('latin1'), use);
      if (agentId !== undefined && agents.size < ENTRIES_MAX) agents.set(agentId, use);
      if (consentId !== undefined && consents.size < ENTRIES_MAX) consents.set(consentId, use);
    },
    noteAgentUse(agentId, at) {
      if (agents.size < ENTRIES_MAX) agents.set(agentId, { at, from: null });
    },
    noteResourceServer(id, seenAt, isFollowing) {
      const use: ResourceServerUse = servers.get(id) ?? { id, seenAt, followedAt: null };
      use.seenAt = seenAt;
      if (isFollowing) use.followedAt = seenAt;
      servers.set(id, use);
    },
    flush,
    async stop() {
      clearInterval(timer);
      await flush();
    },
  };
}
