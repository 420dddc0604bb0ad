import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { type Budget, Failure } from '../../errors.ts';
import type { RequestOrigin } from '../../work.ts';
import { record } from '../audit/audit-log.ts';

/**
 * Runs a use-case and puts the first refusal by a limit into the audit: the first only, since a flood of refused requests
 * must not become a flood of writes.
 */
export async function withLimitAudit<Result>(
  deps: Deps,
  origin: RequestOrigin,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const budget = error instanceof Failure ? error.details.budget : undefined;
    if (budget !== undefined) await recordHit(deps, origin, budget);
    throw error;
  }
}

/** Of each service: the hits that the audit knows of, and until when (epoch ms) they are not told again. */
const reportedBy = new WeakMap<Deps, LRUCache<string, number>>();

async function recordHit(deps: Deps, origin: RequestOrigin, budget: Budget): Promise<void> {
  deps.metrics.limitHits.inc({ limit: budget.name });
  const id = `${budget.name}:${origin.address.limitKey}`;
  const reported = reportedBy.get(deps) ?? new LRUCache<string, number>({ max: 10_000 });
  reportedBy.set(deps, reported);
  const now = deps.clock();
  if ((reported.get(id) ?? 0) > now) return;
  reported.set(id, now + budget.resetSeconds * 1000);
  await deps.db
    .tx((tx) => record({ tx, deps, origin, now }, { kind: 'limit.hit', details: { limit: budget.name } }))
    .catch((error) => deps.log.warn({ err: error }, 'a limit was hit, but the audit could not take it'));
}
