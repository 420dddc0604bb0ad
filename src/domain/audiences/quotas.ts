import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findAccount } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import { incrementCounter } from '../../store/counters.ts';
import { findCredential } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import { listPlaceHistory } from '../../store/places.ts';
import type { ResourceServer } from './resource-servers.ts';

/** The monthly quota of an account for one action at a resource server, which consumes it before it acts. */
export interface QuotaCount {
  /** Whether this action was within the quota. */
  allowed: boolean;
  tier: 'anonymous' | 'claimed';
  max: number;
  remaining: number;
  /** Epoch ms: the start of the next month, UTC. */
  resetsAt: number;
  /** The registration of an unclaimed agent: a claim raises its quota. Undefined for every other account. */
  registrationId: string | undefined;
}

/**
 * Consumes one action from the quota of the account behind a key. Concurrent calls never consume more than the quota.
 *
 * @returns `allowed: false`, with nothing consumed, if the quota is exhausted
 * @throws Failure `badRequest` for an action without a quota, or an unknown key
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
    // Each tier has its own counter: use before the claim does not reduce the quota after it.
    const holder = key.kind === 'app_key' ? await workspaceOf(tx, key.id) : key.accountId;
    const name = `quota:${server.id}:${action}:${tier}:${month}:${holder}`;
    const { won: allowed, used } = await incrementCounter(tx, name, quota[tier], resetsAt - now, now);
    const agent = isClaimed || key.agentId === null ? undefined : await findAgent(tx, key.agentId);
    return {
      allowed,
      tier,
      max: quota[tier],
      remaining: Math.max(0, quota[tier] - used),
      resetsAt,
      registrationId: agent?.registrationId,
    };
  });
}

/** The keys of things share the quota of their workspace. */
async function workspaceOf(tx: Tx, keyId: string): Promise<string> {
  const [place] = await listPlaceHistory(tx, keyId);
  return place?.workspaceId ?? keyId;
}

function monthOf(now: number): [name: string, end: number] {
  const date = new Date(now);
  const end = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  return [date.toISOString().slice(0, 7), end];
}
