import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import {
  formatNumberMark,
  type ListPage,
  type ListQuery,
  mapPage,
  parseNumberMark,
  readPage,
} from '../../lib/list-pages.ts';
import { hashSecret, isWellFormedSecret, newSecret } from '../../lib/secrets.ts';
import { type Locale, parseLocale } from '../../lib/translate.ts';
import { deleteOAuthSessions } from '../../store/oauth-states.ts';
import {
  findSessionByHash,
  hasSessionFrom,
  insertSession,
  listLiveSessionIds,
  listSessionsPage,
  type SessionRow,
  updateSessionEnded,
  updateSessionSeen,
} from '../../store/sessions.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import { isOperator } from './operators.ts';

/** The session of a human in a browser; times in epoch ms, `seenAt` exact to the minute. */
export interface Session
  extends Pick<SessionRow, 'id' | 'accountId' | 'mailbox' | 'origin' | 'createdAt' | 'seenAt'> {
  /** The language that the account chose; undefined: that of the browser. */
  locale: Locale | undefined;
  /** Whether its mailbox is an operator's now. */
  isOperator: boolean;
  /** Whether its human is shown workspaces: see isOffered(). */
  hasWorkspaces: boolean;
}

const IDLE_MS = 1_800_000;
const LIFE_MS = 43_200_000;
const SEEN_EVERY_MS = 60_000;

/**
 * How old a session may be for a sensitive action. An older one must verify again, which starts a new session (S-36,
 * S-75).
 */
export const RECENT_VERIFICATION_MS = 900_000;

/**
 * Starts a session in the caller's transaction. If the network is new to an account that already existed, the owner is
 * notified (S-48).
 *
 * @returns the plain secret for the cookie; the database holds its hash
 */
export async function startSession(work: Work, account: { id: string; isNew: boolean }): Promise<string> {
  const { tx, now, deps, origin } = work;
  const accountId = account.id;
  const network = origin.address.coarse;
  const isKnown = await hasSessionFrom(tx, accountId, network);
  const secret = newSecret('ses', deps.random);
  const id = newId('ses', now, deps.random);
  await insertSession(tx, { hash: hashSecret(secret), id, accountId, origin: network, now });
  const event = { kind: 'session.begun', accountId, subject: id } as const;
  if (isKnown || account.isNew) await recordEvent(work, event);
  else await recordAndNotify(work, accountId, { ...event, details: { new_network: true } });
  return secret;
}

/**
 * Finds the session of a cookie, and records once a minute that it is used.
 *
 * @param secret plain, of the cookie
 * @returns undefined if the session is unknown, ended, unused for half an hour or older than twelve hours
 */
export async function findSession(deps: Deps, secret: string): Promise<Session | undefined> {
  if (!isWellFormedSecret('ses', secret)) return undefined;
  const row = await findSessionByHash(deps.db, hashSecret(secret));
  const now = deps.clock();
  if (row === undefined || !isLive(row, now)) return undefined;
  if (now - row.seenAt >= SEEN_EVERY_MS) await deps.db.tx((tx) => updateSessionSeen(tx, row.hash, now));
  return toSession(deps, row);
}

/**
 * Returns whether a session is new enough for a sensitive action: whether its code was typed within FRESH_MS (S-75).
 */
export function isRecentlyVerified(deps: Pick<Deps, 'clock'>, session: Session): boolean {
  return deps.clock() - session.createdAt < RECENT_VERIFICATION_MS;
}

/**
 * Lists one page of the live sessions of a human but the one that asks, used last first. That one stands before the
 * first page.
 */
export async function listOtherSessions(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  own: Session,
  { at, rows }: Pick<ListQuery, 'at' | 'rows'> = {},
): Promise<ListPage<Session>> {
  const after = oldestLive(deps.clock());
  const page = await readPage(
    parseNumberMark(at),
    rows,
    (place, limit) => listSessionsPage(deps.db, own.accountId, after, own.id, place, limit),
    (row) => formatNumberMark(row.seenAt, row.id),
  );
  return mapPage(page, (found) => found.map((row) => toSession(deps, row)));
}

/** Ends one session of an account, from the next request on. Does nothing if the account has no such live session. */
export async function endSession(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    if (await endLiveSession(work, accountId, id)) await deleteOAuthSessions(work.tx, accountId);
  });
}

/**
 * Ends all live sessions of an account but one, from the next request on.
 *
 * @param keptId the session that goes on
 */
export async function endOtherSessions(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  keptId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    await endSessionsOf(work, accountId, keptId);
  });
}

/**
 * Ends all live sessions of an account in the caller's transaction.
 *
 * @param keptId the session that goes on; undefined: none
 * @returns how many ended
 */
export async function endSessionsOf(work: Work, accountId: string, keptId?: string): Promise<number> {
  const { tx, now } = work;
  let ended = 0;
  for (const id of await listLiveSessionIds(tx, accountId, oldestLive(now))) {
    if (id !== keptId && (await endLiveSession(work, accountId, id))) ended += 1;
  }
  if (ended > 0) await deleteOAuthSessions(tx, accountId);
  return ended;
}

/** Ends a session in the caller's transaction. @returns false if the account has no such live one */
async function endLiveSession(work: Work, accountId: string, id: string): Promise<boolean> {
  if ((await updateSessionEnded(work.tx, accountId, id, work.now)) !== 1) return false;
  await recordEvent(work, { kind: 'session.ended', accountId, subject: id });
  return true;
}

/** The bounds of live sessions, exclusive: when they began, and when they were last used. */
export function oldestLive(now: number): { began: number; seen: number } {
  return { began: now - LIFE_MS, seen: now - IDLE_MS };
}

function isLive(row: SessionRow, now: number): boolean {
  return row.endedAt === null && now - row.seenAt < IDLE_MS && now - row.createdAt < LIFE_MS;
}

function toSession(deps: Pick<Deps, 'config'>, row: SessionRow): Session {
  const { id, accountId, mailbox, locale, origin, createdAt, seenAt } = row;
  const isOperatorNow = isOperator(deps, mailbox, row.isListedOperator > 0);
  return {
    id,
    accountId,
    mailbox,
    locale: parseLocale(locale),
    origin,
    createdAt,
    seenAt,
    isOperator: isOperatorNow,
    hasWorkspaces: row.hasWorkspaces === 1,
  };
}
