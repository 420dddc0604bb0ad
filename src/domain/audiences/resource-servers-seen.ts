import type { Deps } from '../../deps.ts';
import { updateResourceServerSeen } from '../../store/resource-servers.ts';

/** When a resource server was last seen, and last followed the revocation feed; epoch ms. */
export interface ResourceServerUse {
  id: string;
  seenAt: number;
  followedAt: number | null;
}

/** Stores when resource servers were last seen, in one transaction. A stored time that is later stays. */
export async function writeResourceServersSeen(
  { db }: Pick<Deps, 'db'>,
  uses: readonly ResourceServerUse[],
): Promise<void> {
  if (uses.length === 0) return;
  await db.tx(async (tx) => {
    // In one order, so that two services do not wait for each other in a circle.
    for (const { id, seenAt, followedAt } of uses.toSorted((one, other) => (one.id < other.id ? -1 : 1))) {
      await updateResourceServerSeen(tx, id, seenAt, followedAt);
    }
  });
}
