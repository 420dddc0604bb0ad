import type { Deps } from './deps.ts';
import type { Budget, Failure } from './errors.ts';
import type { Address } from './lib/address.ts';
import type { Tx } from './store/engine/db.ts';

/** Who sent a request: what audit and limits know of a caller. */
export interface RequestOrigin {
  address: Address;
  requestId: string;
}

/** The origin of what the service does by itself, or an operator at the command line. */
export function localOrigin(requestId: string): RequestOrigin {
  return { address: { text: 'local', limitKey: 'local', coarse: 'this machine' }, requestId };
}

/** One use case and its transaction, made by useCase(). A function of the domain that changes rows takes it as its first parameter. */
export interface Work {
  tx: Tx;
  /** Epoch ms, read once, so that all rows of one use case bear the same time. */
  now: number;
  deps: Deps;
  origin: RequestOrigin;
  /**
   * Takes one from each of the `sharedLimits` that useCase() was given.
   *
   * @throws Failure `limited`, or `unavailable` for the service's own guess budget, when one is exhausted
   */
  consumeSharedLimits(): Promise<Budget[]>;
  /** Gives back what consumeSharedLimits() took: the request turned out to cost nothing. */
  refundSharedLimits(): Promise<void>;
  /** Wakes the outbox worker after the commit: the transaction wrote a mail that is to leave at once. */
  wake(): void;
  /** Commits what was written so far, such as the count of a wrong guess, and then throws the failure. */
  failAfterCommit(failure: Failure): never;
}
