import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { type Budget, Failure } from '../../errors.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';

/**
 * Runs a use case and records a refusal by a limit in the audit log: once per limit, client address and window, since a
 * flood of refused requests must not become a flood of writes.
 */
export async function withLimitAudit<Result>(
  deps: Deps,
  origin: RequestOrigin,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    const budget = error instanceof Failure ? error.details.budget : undefined;
    if (budget !== undefined) await recordHit(deps, origin, budget);
    throw error;
  }
}

/** Per service: the refusals that were recorded, and until when (epoch ms) they are not recorded again. */
const recordedBy = new WeakMap<Deps, LRUCache<string, number>>();

async function recordHit(deps: Deps, origin: RequestOrigin, budget: Budget): Promise<void> {
  deps.metrics.limitHits.inc({ limit: budget.name });
  const id = `${budget.name}:${origin.address.limitKey}`;
  const recorded = recordedBy.get(deps) ?? new LRUCache<string, number>({ max: 10_000 });
  recordedBy.set(deps, recorded);
  const now = deps.clock();
  if ((recorded.get(id) ?? 0) > now) return;
  recorded.set(id, now + budget.resetSeconds * 1000);
  await deps.db
    .tx((tx) =>
      recordEvent({ tx, deps, origin, now }, { kind: 'limit.hit', details: { limit: budget.name } }),
    )
    .catch((error) => deps.log.warn({ err: error }, 'a limit was hit, but the audit could not take it'));
}
