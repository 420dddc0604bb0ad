import type { Deps } from '../../deps.ts';
import { updateCredentialUsed } from '../../store/credentials.ts';

/** When and where keys were last used. */

/** A use of a key. */
export interface KeyUse {
  hash: Buffer;
  /** Epoch ms. */
  at: number;
  /** In words for its owner: the resource server that asked, or the network. */
  from: string;
}

const BATCH = 200;

/** Writes what was noted, in transactions of a bounded size. */
export async function writeLastUsed({ db }: Pick<Deps, 'db'>, uses: readonly KeyUse[]): Promise<void> {
  for (let start = 0; start < uses.length; start += BATCH) {
    await db.tx(async (tx) => {
      for (const { hash, at, from } of uses.slice(start, start + BATCH))
        await updateCredentialUsed(tx, hash, at, from);
    });
  }
}
