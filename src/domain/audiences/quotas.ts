import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findAccount } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import { incrementCounter } from '../../store/counters.ts';
import { findCredential } from '../../store/credentials.ts';
import type { ResourceServer } from './resource-servers.ts';

/** How often a month an account may do something at a resource server, which asks here before it does it. */
export interface QuotaCount {
  allowed: boolean;
  tier: 'anonymous' | 'claimed';
  max: number;
  remaining: number;
  /** Epoch ms: the beginning of the next month, UTC. */
  resetsAt: number;
  /** Of the agent that a human can vouch for, which unlocks more; undefined once somebody does. */
  registrationId: string | undefined;
}

/**
 * Counts one action of the account behind a key, unless its quota is spent. Of many at once, no more than are left are allowed.
 *
 * @throws Failure `badRequest` for an action without a quota, or a key that is not there
 */
export async function consumeQuota(
  deps: Deps,
  server: ResourceServer,
  keyId: string,
  action: string,
): Promise<QuotaCount> {
  const quota = deps.config.quotas.get(action);
  if (quota === undefined) {
    throw new Failure('badRequest', 'There is no quota for this action. The configuration lists them.', {
      field: 'action',
    });
  }
  const now = deps.clock();
  return deps.db.tx(async (tx) => {
    const key = await findCredential(tx, keyId);
    if (key === undefined) throw new Failure('badRequest', 'There is no such key.', { field: 'key_id' });
    const account = (await findAccount(tx, key.accountId))!;
    const isClaimed = account.kind === 'human' || account.parentId !== null;
    const tier = isClaimed ? 'claimed' : 'anonymous';
    const [month, resetsAt] = monthOf(now);
    // Each tier counts for itself: what was used before the claim is not taken from what comes with it.
    const name = `quota:${server.id}:${action}:${tier}:${month}:${key.accountId}`;
    const { won, used } = await incrementCounter(tx, name, quota[tier], resetsAt - now, now);
    const agent = isClaimed || key.agentId === null ? undefined : await findAgent(tx, key.agentId);
    return {
      allowed: won,
      tier,
      max: quota[tier],
      remaining: Math.max(0, quota[tier] - used),
      resetsAt,
      registrationId: agent?.registrationId,
    };
  });
}

function monthOf(now: number): [name: string, end: number] {
  const date = new Date(now);
  const end = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  return [date.toISOString().slice(0, 7), end];
}
