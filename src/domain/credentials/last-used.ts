import type { Deps } from '../../deps.ts';
import { updateCredentialUsed } from '../../store/credentials.ts';

/** Stores when and from where keys and tokens were last used. */

/** One use of a key or token. */
export interface KeyUse {
  /** SHA-256 of the secret. */
  hash: Buffer;
  /** Epoch ms. */
  at: number;
  /** Shown to the owner: the resource server that introspected the key, or the network of the caller. */
  from: string;
}

const BATCH_SIZE = 200;

/** Writes uses to the database, at most `BATCH_SIZE` in one transaction. A stored use that is newer stays. */
export async function writeLastUsed({ db }: Pick<Deps, 'db'>, uses: readonly KeyUse[]): Promise<void> {
  for (let start = 0; start < uses.length; start += BATCH_SIZE) {
    await db.tx(async (tx) => {
      for (const { hash, at, from } of uses.slice(start, start + BATCH_SIZE))
        await updateCredentialUsed(tx, hash, at, from);
    });
  }
}
