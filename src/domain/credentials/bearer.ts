import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { isWellFormedKey } from '../../lib/key-shapes.ts';
import { hashSecret, isWellFormedSecret } from '../../lib/secrets.ts';
import { type BearerRow, findBearerByHash } from '../../store/credentials.ts';
import { updateCredentialFirstUsed, updateSupersededRevoked } from '../../store/superseded-credentials.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { isLive, type KeyTerms, toKeyTerms } from './issue.ts';
import type { NarrowedPlace } from './narrow-access.ts';

/**
 * Whose a credential is: an unclaimed agent's, a claimed agent's, a human's own, that of an app that a human lets use their
 * account, or that of a thing in a workspace.
 */
export type CredentialKind = 'anonymous' | 'claimed' | 'personal' | 'app' | 'app_key';

/** Finds and authenticates the bearer of a key or access token. */

/** The agent or human behind a key or access token that works. */
export interface Bearer {
  key: KeyTerms;
  /** A long-lived key, or a short-lived token. */
  form: 'key' | 'token';
  /** SHA-256 of the presented secret. */
  hash: Buffer;
  /** Undefined: a personal key of a human, a token of an app, or the key of a thing. */
  agentId: string | undefined;
  /** Whether it is the key of a thing in a workspace: it works in no account, and `accountId` only answers for it. */
  isAppKey: boolean;
  /**
   * The app that uses the account: its OAuth client, and the consent of the human; without consent the client acts by
   * itself. Undefined: it is no token of an app.
   */
  app: { clientId: string; grantId: string | undefined } | undefined;
  /** The thumbprint of the key that every use must prove (RFC 9449); undefined: who holds it may use it. */
  keyThumbprint: string | undefined;
  /** The account the key works in: `user_id`, `sub`. */
  accountId: string;
  /** The account of the human who owns the agent or the personal key; undefined while the agent is unclaimed. */
  ownerId: string | undefined;
  /** The agent's own account before its merge, if the key works in the account that the agent merged into. */
  mergedFrom: string | undefined;
  /** Whether its agent has places beside its account, and this credential reaches them. Always no where `key.isPlaced`. */
  hasAgentPlaces: boolean;
  /** Of a token got with a session key: the permission grants in whose places alone it works. */
  grants: readonly string[] | undefined;
  /** The places to which a token is narrowed in what its consent or its grants allow; undefined: it has all of that. */
  narrowed: readonly NarrowedPlace[] | undefined;
  /** The SHA-256 of the one action that the token is for, base64url; undefined: none in particular. */
  actionHash: string | undefined;
  /** Whether the key has not been used yet, and its first use revokes the keys that it supersedes. */
  retiresOthers: boolean;
  /** Whether the key is from before the claim: it keeps its old scope at most, until it expires or its successor is used. */
  isSuperseded: boolean;
}

/** In characters. No access token that we sign is longer. */
const SIGNED_LENGTH_MAX = 2048;

/**
 * Whether a text has the form of a key or access token. A signed token is found by its hash, so its signature is not
 * checked.
 */
export function hasCredentialForm({ config }: Pick<Deps, 'config'>, credential: string): boolean {
  if (isWellFormedKey(config.keys.accepted, credential)) return true;
  if (isWellFormedSecret('at', credential) || isWellFormedSecret('ak', credential)) return true;
  return credential.length <= SIGNED_LENGTH_MAX && /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/.test(credential);
}

/** The check that a credential failed: for the operator's log, never for the caller. */
export type RefusedCheck =
  | 'malformed'
  | 'unknown'
  | 'revoked'
  | 'expired'
  | 'agent revoked'
  | 'client ended'
  | 'other audience'
  | 'no place';

/**
 * Finds the bearer of a credential. This does not count as a use of it: see recordKeyUse(). Callers must not reveal which
 * check failed. A malformed credential costs no database query (S-20).
 *
 * @returns the bearer, or the check that the credential failed
 */
export async function findBearer(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  credential: string,
): Promise<Bearer | RefusedCheck> {
  if (!hasCredentialForm(deps, credential)) return 'malformed';
  const hash = hashSecret(credential);
  const row = await findBearerByHash(deps.db, hash);
  if (row === undefined) return 'unknown';
  if (row.revokedAt !== null) return 'revoked';
  if (!isLive(row, deps.clock())) return 'expired';
  if (row.clientEndedAt !== null) return 'client ended';
  return row.agentRevokedAt === null ? toBearer(row, hash) : 'agent revoked';
}

/** Logs which check refused a credential, with the id of the request and without the credential. */
export function logRefused({ log }: Pick<Deps, 'log'>, origin: RequestOrigin, check: RefusedCheck): void {
  log.debug({ id: origin.requestId, check }, 'a credential was refused');
}

/**
 * Records a use of a credential. The first use of a key issued on a claim revokes the keys from before the claim.
 *
 * @param from the resource server or the network of this use, as shown to the owner
 */
export async function recordKeyUse(
  deps: Deps,
  origin: RequestOrigin,
  bearer: Bearer,
  from: string,
): Promise<void> {
  const now = deps.clock();
  const { agentId } = bearer;
  deps.noteKeyUse(bearer.hash, { agentId, consentId: bearer.app?.grantId }, now, from);
  if (!bearer.retiresOthers || agentId === undefined) return;
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if ((await updateCredentialFirstUsed(tx, bearer.hash)) !== 1) return;
    const retired = await updateSupersededRevoked(tx, agentId, bearer.key.id, now);
    if (retired === 0) return;
    await recordEvent(work, {
      kind: 'key.retired',
      accountId: bearer.accountId,
      agentId,
      subject: bearer.key.id,
      details: { keys: retired },
    });
  });
}

/**
 * Authenticates the bearer of a credential, and records the use.
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
  await recordKeyUse(deps, origin, bearer, `network ${origin.address.coarse}`);
  return bearer;
}

/** Returns whose a credential is. */
export function kindOfBearer({ app, agentId, ownerId, isAppKey }: Bearer): CredentialKind {
  if (isAppKey) return 'app_key';
  if (app !== undefined) return 'app';
  if (agentId === undefined) return 'personal';
  return ownerId === undefined ? 'anonymous' : 'claimed';
}

function toBearer(row: BearerRow, hash: Buffer): Bearer {
  const mergedFrom = row.agentMergedFrom;
  return {
    key: toKeyTerms(row),
    form: row.kind === 'token' ? 'token' : 'key',
    hash,
    agentId: row.agentId ?? undefined,
    isAppKey: row.kind === 'app_key',
    app: row.clientId === null ? undefined : { clientId: row.clientId, grantId: row.oauthGrant ?? undefined },
    keyThumbprint: row.keyThumbprint ?? undefined,
    accountId: row.accountId,
    ownerId: row.kind === 'app_key' ? undefined : (row.ownerId ?? undefined),
    mergedFrom: mergedFrom !== null && mergedFrom !== row.accountId ? mergedFrom : undefined,
    hasAgentPlaces: row.placed === 2,
    grants: row.grants === null ? undefined : row.grants.split(' '),
    narrowed: row.narrowed === null ? undefined : (JSON.parse(row.narrowed) as NarrowedPlace[]),
    actionHash: row.actionHash ?? undefined,
    retiresOthers: row.retiresOthers === 1,
    isSuperseded: row.supersededBy !== null,
  };
}
