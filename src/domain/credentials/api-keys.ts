import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { formatScope, isSubset } from '../../lib/scopes.ts';
import { lockAccount } from '../../store/accounts.ts';
import { lockAgent } from '../../store/agents.ts';
import {
  type CredentialRow,
  findBearerByHash,
  findCredential,
  listCredentials,
} from '../../store/credentials.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import type { Bearer } from './bearer.ts';
import { isLive, issueKey, type Key, type KeyTerms, toKey } from './issue.ts';

/** Lists, creates and revokes keys of agents. issue.ts defines a key, and bearer.ts finds the agent behind one. */

/**
 * Lists all keys of the bearer's agent, also revoked and expired ones.
 *
 * @throws Failure `insufficientScope` unless the bearer is a claimed agent with a key from after its claim
 */
export async function listKeys(deps: Deps, bearer: Bearer): Promise<Key[]> {
  const { agentId } = requireClaimedAgent(deps, bearer);
  return (await listCredentials(deps.db, agentId)).filter(isKey).map(toKey);
}

/** Whether a credential is a key. Access tokens are short-lived and are not managed. */
export function isKey(row: Pick<CredentialRow, 'kind'>): boolean {
  return row.kind === 'key';
}

/** Returns the key that the bearer presented. */
export async function getPresentedKey(deps: Deps, bearer: Bearer): Promise<Key> {
  return toKey((await findCredential(deps.db, bearer.key.id))!);
}

/**
 * Creates another key for the bearer's agent, no wider than the bearer's key in scopes, audiences and lifetime.
 *
 * @param request.resources audience URLs; undefined: those of the bearer's key
 * @param request.expiresInSeconds undefined: it expires with the bearer's key
 * @throws Failure `insufficientScope`; `invalidToken` if the bearer's key was revoked or narrowed meanwhile
 */
export async function createKey(
  deps: Deps,
  origin: RequestOrigin,
  bearer: Bearer,
  request: {
    name: string;
    scopes: readonly string[];
    resources: readonly string[] | undefined;
    expiresInSeconds: number | undefined;
  },
): Promise<{ key: Key; credential: string }> {
  const { agentId, ownerId } = requireClaimedAgent(deps, bearer);
  const now = deps.clock();
  const resources = request.resources ?? bearer.key.resources;
  if (!isNoWider({ scopes: request.scopes, resources }, bearer.key)) {
    throw new Failure(
      'insufficientScope',
      'A key cannot create a wider key. Request only scopes and resources that this key has.',
      { scope: formatScope(request.scopes) },
    );
  }
  const requestedEnd =
    request.expiresInSeconds === undefined ? Infinity : now + request.expiresInSeconds * 1000;
  const end = Math.min(requestedEnd, bearer.key.expiresAt ?? Infinity);
  const expiresAt = end === Infinity ? null : end;

  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    // Read again under the locks: a key that was just revoked or narrowed must not create another one.
    if (!(await lockAccount(tx, ownerId)) || !(await lockAgent(tx, agentId))) throw keyChangedFailure();
    const current = await findBearerByHash(tx, bearer.hash);
    if (current === undefined || !isLive(current, now)) throw keyChangedFailure();
    if (current.scope !== formatScope(bearer.key.scopes) || current.accountId !== bearer.accountId) {
      throw keyChangedFailure();
    }
    const { id, credential } = await issueKey(work, {
      agentId,
      accountId: bearer.accountId,
      scopes: request.scopes,
      name: request.name,
      resources,
      expiresAt,
    });
    await recordAndNotify(work, ownerId, {
      kind: 'key.created',
      agentId,
      subject: id,
      details: { scope: formatScope(request.scopes), maker: bearer.key.id },
    });
    return { key: toKey((await findCredential(tx, id))!), credential };
  });
}

/** Whether a key allows nothing that another key does not allow. */
export function isNoWider(
  key: { scopes: readonly string[]; resources: readonly string[] | undefined },
  other: Pick<KeyTerms, 'scopes' | 'resources'>,
): boolean {
  if (!isSubset(key.scopes, other.scopes)) return false;
  return (
    other.resources === undefined || (key.resources !== undefined && isSubset(key.resources, other.resources))
  );
}

/** Returns the agent and the owner of a bearer that may manage keys. */
export function requireClaimedAgent(deps: Deps, bearer: Bearer): { agentId: string; ownerId: string } {
  const { agentId, ownerId } = bearer;
  if (agentId === undefined) {
    throw new Failure('insufficientScope', 'This is a personal key of a human, who manages it at /keys.', {
      scope: formatScope(bearer.key.scopes),
    });
  }
  const details = { scope: formatScope(deps.config.claimedScopes) };
  // A key from before the claim keeps its old scope at most and soon expires (S-27). A key that it creates could outlive it.
  if (bearer.isSuperseded) {
    throw new Failure(
      'insufficientScope',
      'This key was issued before the claim and cannot manage keys. Use the key that the claim issued.',
      details,
    );
  }
  if (ownerId === undefined) {
    throw new Failure(
      'insufficientScope',
      'Nobody has claimed you, and only a claimed agent manages keys, whatever their scope. Have your human claim you: POST /agent/auth/claim with your claim_token and their mailbox.',
      details,
    );
  }
  return { agentId, ownerId };
}

function keyChangedFailure(): Failure {
  return new Failure(
    'invalidToken',
    'The key was revoked or narrowed. GET /api/me tells whether it still works.',
  );
}
