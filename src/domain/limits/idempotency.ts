import { setTimeout as sleep } from 'node:timers/promises';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { sameDigest, sha256 } from '../../lib/hash.ts';
import type { Tx } from '../../store/engine/db.ts';
import {
  deleteIdempotencyKey,
  findIdempotencyKey,
  type IdempotencyRow,
  insertIdempotencyKey,
  updateIdempotencyAnswer,
} from '../../store/idempotency.ts';
import type { RequestOrigin } from '../../work.ts';
import { assertFloodLimit, type FloodLimit } from './flood-limit.ts';

/** A request that its sender may repeat: the same key of the same owner is the same request (S-55). */
export interface IdempotentRequest {
  /** The client's Idempotency-Key, 1 to 255 visible characters. */
  key: string;
  /** The namespace of the key: the same key of another owner is another key. */
  owner: string;
  /** The bytes of the request. */
  body: Uint8Array;
  /** How long the stored answer is replayed. */
  ttlSeconds: number;
  /**
   * The flood limit of the request, if any. A repetition is not checked: it gets a lost answer also when the limit is
   * exhausted.
   */
  floodLimit: FloodLimit | undefined;
}

/** Stores the answer in the transaction that made the changes, so that both are committed or neither is. */
export type SaveResponse<Answer> = (tx: Tx, answer: Answer) => Promise<void>;

/** How long a request keeps its key before another one may claim it: longer than any request runs. */
const LEASE_MS = 15_000;

/**
 * Runs `act` at most once per key, and returns the answer of that run to each repetition of the request. Answers hold
 * secrets, so they are sealed under the service secret for this owner and key. The key itself is stored as a hash.
 *
 * @param request undefined: the client sent no key, and `act` runs without protection
 * @param act must call `save` with its answer, in its transaction; if it throws, the key is free again
 * @throws Failure `idempotencyMismatch` for the same key with other bytes; `inProgress` while the first request runs;
 * `alreadyClaimed` if the stored answer can no longer be opened; `limited` as assertFloodLimit()
 */
export async function withIdempotency<Answer>(
  deps: Deps,
  request: IdempotentRequest | undefined,
  origin: RequestOrigin,
  act: (save: SaveResponse<Answer>) => Promise<Answer>,
): Promise<Answer> {
  if (request === undefined) return act(async () => {});

  const context = `${request.owner}\n${request.key}`;
  const keyHash = sha256(context);
  const requestHash = sha256(request.body);
  const holder = origin.requestId;
  const earlier = await claimIdempotencyKey(deps, request, origin, keyHash, requestHash);
  if (earlier !== undefined) return replay<Answer>(deps, earlier, requestHash, context);

  try {
    return await act(async (tx, answer) => {
      const sealed = deps.keyring.seal(PURPOSE, context, JSON.stringify(answer));
      const expiresAt = deps.clock() + request.ttlSeconds * 1000;
      if (!(await updateIdempotencyAnswer(tx, keyHash, holder, sealed, expiresAt))) throw inProgress();
    });
  } catch (error) {
    await deps.db.tx((tx) => deleteIdempotencyKey(tx, keyHash, holder)).catch(() => {});
    throw error;
  }
}

/** How long a repetition waits for the answer of the request that is still running. */
const WAIT_MAX_MS = 5000;
const RETRY_PAUSE_MS = 50;

/**
 * Like withIdempotency(), for a form that a user submits twice before the answer arrives: the second request waits for
 * the answer of the first. The answer is stored after `act`, in its own transaction: after a crash in between, a
 * repetition runs `act` again.
 *
 * @throws Failure as withIdempotency() and `act` do
 */
export async function withIdempotencyWait<Answer>(
  deps: Deps,
  request: IdempotentRequest,
  origin: RequestOrigin,
  act: () => Promise<Answer>,
): Promise<Answer> {
  return retryWhileInProgress(() =>
    withIdempotency<Answer>(deps, request, origin, async (save) => {
      const answer = await act();
      await deps.db.tx((tx) => save(tx, answer), 'brief');
      return answer;
    }),
  );
}

/**
 * Runs `act`, and again every 50 ms for up to five seconds while it fails because another request holds its
 * Idempotency-Key.
 *
 * @throws whatever `act` throws; Failure `inProgress` after five seconds
 */
export async function retryWhileInProgress<Result>(act: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + WAIT_MAX_MS;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const isInProgress = error instanceof Failure && error.kind === 'inProgress';
      if (!isInProgress || performance.now() > deadline) throw error;
      await sleep(RETRY_PAUSE_MS);
    }
  }
}

const PURPOSE = 'idempotency';

/** Returns the row of the earlier request with this key, or undefined once this request has claimed the key. */
async function claimIdempotencyKey(
  deps: Deps,
  request: IdempotentRequest,
  origin: RequestOrigin,
  keyHash: Buffer,
  requestHash: Buffer,
): Promise<IdempotencyRow | undefined> {
  const known = await findIdempotencyKey(deps.db, keyHash);
  if (known !== undefined && known.expiresAt > deps.clock()) return known;
  if (request.floodLimit !== undefined) await assertFloodLimit(deps, request.floodLimit, origin.address);
  return deps.db.tx(async (tx) => {
    const now = deps.clock();
    if (await insertIdempotencyKey(tx, keyHash, requestHash, origin.requestId, now, now + LEASE_MS))
      return undefined;
    return findIdempotencyKey(tx, keyHash);
  });
}

function replay<Answer>(
  deps: Deps,
  earlier: { requestHash: Buffer; sealed: Buffer | null },
  requestHash: Buffer,
  context: string,
): Answer {
  if (!sameDigest(earlier.requestHash, requestHash)) {
    throw new Failure(
      'idempotencyMismatch',
      'This Idempotency-Key was used with another body. Send the same body, or use a new key.',
    );
  }
  if (earlier.sealed === null) throw inProgress();
  const text = deps.keyring.open(PURPOSE, context, earlier.sealed);
  // Only after the service secret was replaced and SECRET no longer lists the old one.
  if (text === undefined)
    throw new Failure('alreadyClaimed', 'The answer to this request is no longer available.');
  return JSON.parse(text) as Answer;
}

function inProgress(): Failure {
  return new Failure(
    'inProgress',
    'A request with this Idempotency-Key is being worked on. Repeat it in a moment to get its answer.',
    { retryAfterSeconds: 1 },
  );
}
