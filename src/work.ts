import type { Deps } from './deps.ts';
import type { Budget, Failure } from './errors.ts';
import type { Address } from './lib/address.ts';
import type { Tx } from './store/engine/db.ts';

/** Where a request comes from: what the audit log and the limits know of a caller. */
export interface RequestOrigin {
  address: Address;
  requestId: string;
}

/** Returns the origin of work that no request started: of a background job, or of an operator at the command line. */
export function localOrigin(requestId: string): RequestOrigin {
  return { address: { text: 'local', limitKey: 'local', coarse: 'this machine' }, requestId };
}

/**
 * One use case and its transaction, created by useCase(). Domain functions that change rows take it as their first
 * parameter.
 */
export interface Work {
  tx: Tx;
  /** Epoch ms, read once, so that all rows of one use case have the same time. */
  now: number;
  deps: Deps;
  origin: RequestOrigin;
  /**
   * Consumes one from each counter of the `sharedLimits` that were passed to useCase().
   *
   * @throws Failure `limited`, or `unavailable` for the wrong guesses at the whole service, if a counter is exhausted
   */
  consumeSharedLimits(): Promise<Budget[]>;
  /** Refunds what consumeSharedLimits() consumed, for a request that turned out to cost nothing. */
  refundSharedLimits(): Promise<void>;
  /** Wakes the outbox worker after the commit, since the transaction queued a mail. */
  wakeOutbox(): void;
  /**
   * Commits what was written so far, such as the count of a wrong guess. useCase() throws the failure after the commit.
   */
  failAfterCommit(failure: Failure): never;
}
