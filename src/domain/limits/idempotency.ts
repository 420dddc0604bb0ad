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

/** A request that its sender may repeat: the same key by the same owner is the same request (S-55). */
export interface IdempotentRequest {
  /** The client's Idempotency-Key, 1 to 255 visible characters. */
  key: string;
  /** Whose key it is; the same key of another owner is another one. */
  owner: string;
  /** The bytes of the request. */
  body: Uint8Array;
  /** How long the answer can be asked for again. */
  ttlSeconds: number;
  /** The flood limit of the request, if any. It meets the first one only: a lost answer can be asked for when the budget is spent. */
  limit: FloodLimit | undefined;
}

/** Keeps the answer in the transaction that earned it, so that there is never one without the other. */
export type SaveResponse<Answer> = (tx: Tx, answer: Answer) => Promise<void>;

/** A holder that died is waited for so long: longer than any request lives. */
const LEASE_MS = 15_000;

/**
 * Runs `act` at most once per key, and gives the answer of that one run to whoever repeats the request. Answers hold
 * secrets, so they are sealed under the service secret together with the key itself, which is not stored.
 *
 * @param repeatable undefined: the client sent no key, `act` just runs
 * @throws Failure `idempotencyMismatch` for the same key with other bytes, `inProgress` while the first one runs
 */
export async function withIdempotency<Answer>(
  deps: Deps,
  repeatable: IdempotentRequest | undefined,
  origin: RequestOrigin,
  act: (keep: SaveResponse<Answer>) => Promise<Answer>,
): Promise<Answer> {
  if (repeatable === undefined) return act(async () => {});

  const context = `${repeatable.owner}\n${repeatable.key}`;
  const keyHash = sha256(context);
  const requestHash = sha256(repeatable.body);
  const holder = origin.requestId;
  const earlier = await claimIdempotencyKey(deps, repeatable, origin, keyHash, requestHash);
  if (earlier !== undefined) return replay<Answer>(deps, earlier, requestHash, context);

  try {
    return await act(async (tx, answer) => {
      const sealed = deps.keyring.seal(PURPOSE, context, JSON.stringify(answer));
      const expiresAt = deps.clock() + repeatable.ttlSeconds * 1000;
      if (!(await updateIdempotencyAnswer(tx, keyHash, holder, sealed, expiresAt))) throw inProgress();
    });
  } catch (error) {
    await deps.db.tx((tx) => deleteIdempotencyKey(tx, keyHash, holder)).catch(() => {});
    throw error;
  }
}

/** Who repeats a request while it runs waits so long for its answer. */
const PATIENCE_MS = 5000;
const PAUSE_MS = 50;

/**
 * Like withIdempotency(), for what is sent twice by a hand that is quicker than the answer: the second one waits for the answer of the first. It is
 * kept when it is there, so after a crash in between a repetition acts again.
 *
 * @throws Failure as withIdempotency() and `act` do
 */
export async function withIdempotencyWait<Answer>(
  deps: Deps,
  repeatable: IdempotentRequest,
  origin: RequestOrigin,
  act: () => Promise<Answer>,
): Promise<Answer> {
  return patiently(() =>
    withIdempotency<Answer>(deps, repeatable, origin, async (keep) => {
      const answer = await act();
      await deps.db.tx((tx) => keep(tx, answer), 'brief');
      return answer;
    }),
  );
}

/** Does something again while the same is being done already. */
export async function patiently<Result>(act: () => Promise<Result>): Promise<Result> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const isUnderWay = error instanceof Failure && error.kind === 'inProgress';
      if (!isUnderWay || performance.now() > until) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

const PURPOSE = 'idempotency';

/** What is known of the key, or undefined: then it is taken for this request. */
async function claimIdempotencyKey(
  deps: Deps,
  repeatable: IdempotentRequest,
  origin: RequestOrigin,
  keyHash: Buffer,
  requestHash: Buffer,
): Promise<IdempotencyRow | undefined> {
  const known = await findIdempotencyKey(deps.db, keyHash);
  if (known !== undefined && known.expiresAt > deps.clock()) return known;
  if (repeatable.limit !== undefined) await assertFloodLimit(deps, repeatable.limit, origin.address);
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
  // Only where the service secret was replaced and not kept beside the new one.
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
