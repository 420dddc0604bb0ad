import type { Deps } from '../../deps.ts';
import type { Tx } from '../../store/engine/db.ts';
import { hasUnknownOwners, updateUnknownOwners } from '../../store/owned-agents.ts';
import { createBatches } from './batches.ts';

/**
 * Writes with each agent whose it is where a version before changed that: after the update all agents with an owner, and then
 * those that older replicas change while they still run. Lists show such agents all the same, but take longer.
 *
 * @param mayGoOn checked before each batch: false leaves the rest to the next run
 * @returns how many agents
 */
export async function fillOwners(
  deps: Pick<Deps, 'db'>,
  mayGoOn: () => boolean = () => true,
): Promise<number> {
  if (!(await hasUnknownOwners(deps.db))) return 0;
  const batches = createBatches<Tx>((act) => deps.db.tx(act));
  for (let written = 0; mayGoOn(); ) {
    const { count, isLast } = await batches.next(updateUnknownOwners);
    written += count;
    if (isLast) return written;
  }
  return 0;
}
