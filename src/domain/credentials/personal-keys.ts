import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type ListPage, type ListQuery, mapPage, parseIdMark, readPage } from '../../lib/list-pages.ts';
import { formatScope } from '../../lib/scopes.ts';
import { lockAccount } from '../../store/accounts.ts';
import { type CredentialRow, findCredential } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import {
  countPersonal,
  type KeyState,
  listExpiringPersonal,
  listPersonalCredentials,
  listPersonalPage,
  type PersonalCounts,
  type PersonalFilter,
} from '../../store/personal-credentials.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { useCase } from '../limits/use-case.ts';
import { allowPlaces, assertRoomForKey, givePlaces, type PlaceRequest } from '../workspaces/give-places.ts';
import { isLive, issueKey, type Key, lifetimeFrom, toKey } from './issue.ts';
import { revokeCredential } from './revoke-credential.ts';

/** Personal keys: a human creates them for a script or an MCP host, and they belong to no agent. */

/** A request for a page of a human's personal keys. */
export type KeyListQuery = ListQuery<KeyState, never>;

/**
 * Lists a page of the personal keys of an account, newest first. Revoked and expired keys are included as its history.
 */
export async function listPersonalKeys(
  deps: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  query: KeyListQuery = {},
): Promise<ListPage<Key>> {
  const filter = toFilter(deps, query);
  const page = await readPage(
    parseIdMark(query.at),
    query.rows,
    (place, limit) => listPersonalPage(deps.db, accountId, filter, place, limit),
    (row) => row.id,
  );
  return mapPage(page, (rows) => rows.map(toKey));
}

/** Counts the personal keys of an account, those that a list shows and those before its page. */
export function countPersonalKeys(
  deps: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  query: KeyListQuery,
): Promise<PersonalCounts> {
  return countPersonal(deps.db, accountId, toFilter(deps, query), parseIdMark(query.at));
}

/** How many keys that expire soon are pointed out. */
const EXPIRING_ROWS = 5;

/** Lists personal keys of an account that expire within a time, the first to expire first, and at most a few. */
export async function listExpiringKeys(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  withinMs: number,
): Promise<Key[]> {
  const now = clock();
  const rows = await listExpiringPersonal(db, accountId, now, now + withinMs, EXPIRING_ROWS);
  return rows.map(toKey);
}

function toFilter({ clock }: Pick<Deps, 'clock'>, { search, state }: KeyListQuery): PersonalFilter {
  return { search, state, now: clock() };
}

/**
 * Creates a personal key.
 *
 * @param request.resources URLs of the audiences at which it works; undefined: all
 * @param request.days its lifetime; undefined: until it is revoked
 * @param idempotency makes a form that is sent twice create one key
 * @returns the key, and its secret, of which only the hash is stored
 * @throws Failure `badRequest` if `keysPerAccount` keys work already; `tooMany` if too many do in a workspace;
 * `signInRequired` if the account was deleted; as allowPlaces()
 */
export function createPersonalKey(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  request: {
    name: string;
    scopes: readonly string[];
    resources: readonly string[] | undefined;
    /** Where it works; undefined: in the account, by its scopes. */
    places?: readonly PlaceRequest[] | undefined;
    days: number | undefined;
  },
  idempotency: IdempotentRequest,
): Promise<{ key: Key; credential: string }> {
  return useCase(deps, origin, { idempotency }, async (work) => {
    const { tx, now } = work;
    const places = request.places && (await allowPlaces(work, accountId, request.places));
    if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
    const keys = await listPersonalCredentials(tx, accountId);
    const max = deps.config.limits.keysPerAccount;
    if (keys.filter((key) => isLive(key, now)).length >= max) {
      throw new Failure('badRequest', `You have ${max} keys that work. Revoke one first.`);
    }
    if (places !== undefined) await assertRoomForKey(work, places);
    const { id, credential } = await issueKey(work, {
      agentId: undefined,
      accountId,
      scopes: request.scopes,
      name: request.name,
      resources: request.resources,
      isPlaced: places !== undefined,
      ...lifetimeFrom(now, request.days),
    });
    await recordAndNotify(work, accountId, {
      kind: 'key.created',
      subject: id,
      details: { scope: formatScope(request.scopes) },
    });
    if (places !== undefined) await givePlaces(work, id, accountId, places);
    return { key: toKey((await findCredential(tx, id))!), credential };
  });
}

/**
 * Finds a personal key of an account.
 *
 * @throws Failure `notFound`, also for a key of another account (S-29)
 */
export async function findPersonalKey(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  keyId: string,
): Promise<Key> {
  return toKey(await findOwnCredential(db, accountId, keyId));
}

/**
 * Revokes a personal key of an account.
 *
 * @throws Failure `notFound`, also for a key of another account (S-29)
 */
export async function revokePersonalKey(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  keyId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    await revokeCredential(work, await findOwnCredential(work.tx, accountId, keyId), 'owner');
  });
}

async function findOwnCredential(
  db: Pick<Tx, 'get'>,
  accountId: string,
  keyId: string,
): Promise<CredentialRow> {
  const key = await findCredential(db, keyId);
  if (key === undefined || key.kind !== 'key' || key.agentId !== null || key.accountId !== accountId) {
    throw new Failure('notFound', 'There is no such key among yours.');
  }
  return key;
}
