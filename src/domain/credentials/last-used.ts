import type { Deps } from '../../deps.ts';
import { updateAgentUsed } from '../../store/agents.ts';
import { updateCredentialUsed } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import { updateOAuthGrantUsed } from '../../store/oauth-grants.ts';

/** Stores when and from where keys, tokens, agents and the consents to apps were last used. */

/** One use of a key or token. */
export interface KeyUse {
  /** SHA-256 of the secret. */
  hash: Buffer;
  /** Epoch ms. */
  at: number;
  /** Shown to the owner: the resource server that introspected the key, or the network of the caller. */
  from: string;
}

/** One use of an agent: of a key or token of it, or by a request that it signed. */
export interface AgentUse {
  id: string;
  /** Epoch ms. */
  at: number;
  /** As for a key; null: it signed a request in its own environment. */
  from: string | null;
}

/** One use of what a human consented to: of a token of the app. */
export interface ConsentUse {
  id: string;
  /** Epoch ms. */
  at: number;
  /** As for a key. */
  from: string;
}

const BATCH_SIZE = 200;

/**
 * Writes uses to the database, at most `BATCH_SIZE` in one transaction. A stored use that is newer stays. Rows are
 * written in one order, so that services that write at once do not wait for each other in a circle.
 */
export async function writeLastUsed(
  { db }: Pick<Deps, 'db'>,
  uses: { keys: readonly KeyUse[]; agents: readonly AgentUse[]; consents: readonly ConsentUse[] },
): Promise<void> {
  const { keys, agents, consents } = uses;
  await inBatches(db, agents.toSorted(byId), (tx, { id, at, from }) => updateAgentUsed(tx, id, at, from));
  await inBatches(db, consents.toSorted(byId), (tx, { id, at, from }) =>
    updateOAuthGrantUsed(tx, id, at, from),
  );
  await inBatches(
    db,
    keys.toSorted((one, other) => Buffer.compare(one.hash, other.hash)),
    (tx, { hash, at, from }) => updateCredentialUsed(tx, hash, at, from),
  );
}

const byId = (one: { id: string }, other: { id: string }) => (one.id < other.id ? -1 : 1);

async function inBatches<Use>(
  db: Deps['db'],
  uses: readonly Use[],
  write: (tx: Tx, use: Use) => Promise<unknown>,
): Promise<void> {
  for (let start = 0; start < uses.length; start += BATCH_SIZE) {
    await db.tx(async (tx) => {
      for (const use of uses.slice(start, start + BATCH_SIZE)) await write(tx, use);
    });
  }
}
