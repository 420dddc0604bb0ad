import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { hashSecret, wellFormed } from '../../lib/secrets.ts';
import {
  type BearerRow,
  findBearerByHash,
  updateCredentialFirstUsed,
  updateSupersededRevoked,
} from '../../store/credentials.ts';
import type { RequestOrigin } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { isLive, type KeyTerms, toGrant } from './issue.ts';

/** Who presents a credential. */

/** Who stands behind a key that works. */
export interface Bearer {
  key: KeyTerms;
  hash: Buffer;
  /** Undefined: the key is a human's own. */
  agentId: string | undefined;
  /** The account the key works in: `user_id`, `sub`. */
  accountId: string;
  /** The human's account behind the agent, once claimed. */
  ownerId: string | undefined;
  /** The account the agent had of its own before it was merged, for keys in the account it merged into. */
  mergedFrom: string | undefined;
  /** Whether its first use, which ends the keys it supersedes, is still to come. */
  retiresOthers: boolean;
  /** Whether it is from before the claim, and only reads on until its successor is used. */
  isSuperseded: boolean;
}

/** No token that we sign is longer. */
const SIGNED_LENGTH_MAX = 2048;

/** Whether a text could be a credential of ours. What we signed is looked up like the rest, so its signature need not be looked at. */
export function isPresentable(credential: string): boolean {
  if (wellFormed('sk', credential) || wellFormed('at', credential)) return true;
  return credential.length <= SIGNED_LENGTH_MAX && /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/.test(credential);
}

/** The check that a credential did not pass: for the operator's log, never for the caller. */
export type RefusedCheck =
  | 'malformed'
  | 'unknown'
  | 'revoked'
  | 'expired'
  | 'agent revoked'
  | 'other audience';

/**
 * Who holds this key, or the check that it did not pass. Unknown, malformed, expired and revoked keys are one and the same to the
 * caller; a malformed one costs no look into the database (S-20). Looking is no use of the key: see useKey.
 */
export async function findBearer(
  deps: Pick<Deps, 'db' | 'clock'>,
  credential: string,
): Promise<Bearer | RefusedCheck> {
  if (!isPresentable(credential)) return 'malformed';
  const hash = hashSecret(credential);
  const row = await findBearerByHash(deps.db, hash);
  if (row === undefined) return 'unknown';
  if (row.revokedAt !== null) return 'revoked';
  if (!isLive(row, deps.clock())) return 'expired';
  return row.agentRevokedAt === null ? toBearer(row, hash) : 'agent revoked';
}

/** Notes in the log which check refused a credential, by the id of the request; never the credential. */
export function logRefused({ log }: Pick<Deps, 'log'>, origin: RequestOrigin, check: RefusedCheck): void {
  log.debug({ id: origin.requestId, check }, 'a credential was refused');
}

/**
 * Notes that a key is being used; the first use of a key made by a claim ends the ones from before it.
 *
 * @param from where, in words for its owner
 */
export async function useKey(deps: Deps, origin: RequestOrigin, bearer: Bearer, from: string): Promise<void> {
  const now = deps.clock();
  deps.touchKey(bearer.hash, now, from);
  const { agentId } = bearer;
  if (!bearer.retiresOthers || agentId === undefined) return;
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if ((await updateCredentialFirstUsed(tx, bearer.hash)) !== 1) return;
    const retired = await updateSupersededRevoked(tx, agentId, bearer.key.id, now);
    if (retired === 0) return;
    await record(work, {
      kind: 'key.retired',
      accountId: bearer.accountId,
      agentId,
      subject: bearer.key.id,
      details: { keys: retired },
    });
  });
}

/**
 * The bearer of a key, which counts as a use of it.
 *
 * @throws Failure `invalidToken`
 */
export async function authenticate(deps: Deps, origin: RequestOrigin, credential: string): Promise<Bearer> {
  const bearer = await findBearer(deps, credential);
  if (typeof bearer === 'string') {
    logRefused(deps, origin, bearer);
    throw new Failure(
      'invalidToken',
      'The key is not valid: unknown, expired or revoked. Register again to get one.',
    );
  }
  await useKey(deps, origin, bearer, `network ${origin.address.coarse}`);
  return bearer;
}

function toBearer(row: BearerRow, hash: Buffer): Bearer {
  const mergedFrom = row.agentMergedFrom;
  return {
    key: toGrant(row),
    hash,
    agentId: row.agentId ?? undefined,
    accountId: row.accountId,
    ownerId: row.ownerId ?? undefined,
    mergedFrom: mergedFrom !== null && mergedFrom !== row.accountId ? mergedFrom : undefined,
    retiresOthers: row.retiresOthers === 1,
    isSuperseded: row.supersededBy !== null,
  };
}
