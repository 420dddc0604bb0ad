import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { cutPage, type ListPage, type ListQuery, PAGE_LIMIT } from '../../lib/list-pages.ts';
import { formatScope } from '../../lib/scopes.ts';
import { DAY_MS } from '../../lib/time.ts';
import { lockAccount } from '../../store/accounts.ts';
import { findCredential, listPersonalCredentials, listPersonalPage } from '../../store/credentials.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { useCase } from '../limits/use-case.ts';
import { endKey } from './api-keys.ts';
import { isLive, issueKey, type Key, toKey } from './issue.ts';

/** Keys that a human makes for a script or an MCP host of their own. No agent stands behind them. */

/** The keys of a human's own, newest first, also ended ones: they are its history. */
export async function listPersonalKeys(
  deps: Deps,
  accountId: string,
  query: ListQuery = {},
): Promise<ListPage<Key>> {
  const { db, clock } = deps;
  const rows = await listPersonalPage(db, accountId, query, query.before, clock(), PAGE_LIMIT);
  const { items, next } = cutPage(rows, (row) => row.id);
  return { items: items.map(toKey), next };
}

/**
 * Makes a key for its human.
 *
 * @param ask.resources URLs of the resource servers that it is for; undefined: all
 * @param ask.days how long it works; undefined: until it is revoked
 * @param repeatable a form that is sent twice makes one key
 * @returns the key, and its secret, which is nowhere else
 * @throws Failure `badRequest` where there are too many already
 */
export function createPersonalKey(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  ask: {
    name: string;
    scopes: readonly string[];
    resources: readonly string[] | undefined;
    days: number | undefined;
  },
  repeatable: IdempotentRequest,
): Promise<{ key: Key; credential: string }> {
  return useCase(deps, origin, { idempotency: repeatable }, async (work) => {
    const { tx, now } = work;
    if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
    const keys = await listPersonalCredentials(tx, accountId);
    const max = deps.config.limits.keysPerAccount;
    if (keys.filter((key) => isLive(key, now)).length >= max) {
      throw new Failure('badRequest', `You have ${max} keys that work. Revoke one first.`);
    }
    const expiresAt = ask.days === undefined ? null : now + ask.days * DAY_MS;
    const { id, credential } = await issueKey(work, {
      agentId: undefined,
      accountId,
      scopes: ask.scopes,
      name: ask.name,
      resources: ask.resources,
      expiresAt,
      warnAt: expiresAt === null ? null : expiresAt - warningDays(ask.days!) * DAY_MS,
    });
    await recordAndNotify(work, accountId, {
      kind: 'key.created',
      subject: id,
      details: { scope: formatScope(ask.scopes) },
    });
    return { key: toKey((await findCredential(tx, id))!), credential };
  });
}

/** A week before the end, or of a short life the last day. */
function warningDays(days: number): number {
  return days >= 30 ? 7 : 1;
}

/** Revokes one of them. @throws Failure `notFound`, also for somebody else's */
export async function revokePersonalKey(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  keyId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const key = await findCredential(tx, keyId);
    if (key === undefined || key.agentId !== null || key.accountId !== accountId) {
      throw new Failure('notFound', 'There is no such key among yours.');
    }
    await endKey(work, key);
  });
}
