import type { Deps } from '../../deps.ts';
import type { Failure } from '../../errors.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { type IdempotentRequest, withIdempotency } from './idempotency.ts';
import { withLimitAudit } from './limit-audit.ts';
import type { LimitCounter } from './limits.ts';
import { withSharedCounters } from './shared-counters.ts';

/** Options for the transaction of a use case. */
interface UseCaseOptions {
  /**
   * The request may be repeated: the answer of the first run is stored with its changes and returned to each
   * repetition.
   */
  idempotency?: IdempotentRequest | undefined;
  /** Counters that requests of different callers share; see withSharedCounters(). */
  sharedLimits?: readonly LimitCounter[];
}

/**
 * Runs a use case in one transaction. It records a refusal by a limit in the audit log, and wakes the outbox worker
 * after the commit if the use case queued a mail.
 *
 * @param act may run more than once, see Db.tx; with `idempotency` its result must survive JSON
 * @returns what `act` returned, now or to an earlier request with the same Idempotency-Key
 * @throws whatever `act` throws, after a rollback; the failure of failAfterCommit(), after the commit; Failure as
 * withIdempotency()
 */
export function useCase<Result>(
  deps: Deps,
  origin: RequestOrigin,
  { idempotency, sharedLimits = [] }: UseCaseOptions,
  act: (work: Work) => Promise<Result>,
): Promise<Result> {
  return withIdempotency<Result>(deps, idempotency, origin, (save) =>
    withLimitAudit(deps, origin, async () => {
      let hasMail = false;
      const outcome = await withSharedCounters(deps, sharedLimits, async (tx, shared) => {
        hasMail = false;
        const work: Work = {
          tx,
          now: deps.clock(),
          deps,
          origin,
          consumeSharedLimits: shared.consume,
          refundSharedLimits: shared.refund,
          wakeOutbox() {
            hasMail = true;
          },
          failAfterCommit(failure) {
            throw new FailAfterCommit(failure);
          },
        };
        try {
          const result = await act(work);
          await save(tx, result);
          return { result };
        } catch (error) {
          if (error instanceof FailAfterCommit) return error;
          throw error;
        }
      });
      if (hasMail) deps.wakeOutbox();
      if (outcome instanceof FailAfterCommit) throw outcome.failure;
      return outcome.result;
    }),
  );
}

/** Leaves `act`, but lets its transaction commit. */
class FailAfterCommit extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super('failed after the commit');
    this.failure = failure;
  }
}
