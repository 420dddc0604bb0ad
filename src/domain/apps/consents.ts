import type { Config } from '../../config/load.ts';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { OPENID_SCOPES } from '../../lib/openid-scopes.ts';
import { formatScope, isSubset, parseScope, restrictTo, withImplied } from '../../lib/scopes.ts';
import { DAY_MS } from '../../lib/time.ts';
import { lockAccount } from '../../store/accounts.ts';
import { updateTokensOfOAuthGrantRevoked } from '../../store/app-tokens.ts';
import { updateOAuthClientUsed } from '../../store/oauth-clients.ts';
import {
  findLiveOAuthGrant,
  findOAuthGrant,
  insertOAuthGrant,
  listLiveOAuthGrants,
  listLiveOAuthGrantsFor,
  type OAuthGrantRow,
  updateOAuthGrantRevoked,
  updateOAuthGrantScope,
} from '../../store/oauth-grants.ts';
import { deleteOAuthStatesOfGrant } from '../../store/oauth-states.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import type { PlaceRequest } from '../workspaces/give-places.ts';
import { type AskedPlace, isSamePlaces } from './authorization-details.ts';
import { allowConsentPlaces, endConsentPlaces, readWhere, replaceConsentPlaces } from './consent-places.ts';

/** Consents: what a human lets an app do with their account, one for each account, client and API. */

export type Consent = OAuthGrantRow;

/** How long a consent lasts, unless the human gives it anew. */
export const CONSENT_DAYS = 90;

/** A scope that an app asks for. */
export interface AskedScope {
  name: string;
  /** Whether it, or a scope that it implies, is destructive: then it is given only if the human turns it on. */
  isDestructive: boolean;
}

/** What an app asks for. */
export interface Asked {
  accountId: string;
  clientId: string;
  redirectUri: string;
  /** The URL of the API; null: only the scopes of OpenID Connect. */
  resource: string | null;
  /** At the API. */
  scopes: readonly string[];
  openidScopes: readonly string[];
  /** Where, as the app asks for it (RFC 9396); undefined: it leaves that to the human. */
  places?: readonly AskedPlace[] | undefined;
}

/** What a human gives to an app. */
export interface Given extends Omit<Asked, 'places'> {
  /** Where it works; none: in the account of the human, with all scopes. */
  places: readonly PlaceRequest[];
}

/**
 * Returns the scopes that a human can give to an app at an API: those of the API, within the setting `humanScopes`.
 *
 * @param ofAudience undefined: all that are configured
 */
export function listGivableScopes(
  { scopes, humanScopes }: Pick<Config, 'scopes' | 'humanScopes'>,
  ofAudience: readonly string[] | undefined,
): string[] {
  return [...scopes.keys()].filter(
    (name) => humanScopes.includes(name) && (ofAudience?.includes(name) ?? true),
  );
}

/**
 * Divides what an app asks for (RFC 6749 section 3.3) into the scopes of an API and those of OpenID Connect.
 *
 * @param bound the most that it may ask for at an API, space-separated; null: no bound
 */
export function divideScopes(
  config: Pick<Config, 'scopes' | 'humanScopes'>,
  audience: { scopes: readonly string[] | undefined } | undefined,
  scope: string,
  bound: string | null,
): Pick<Asked, 'scopes' | 'openidScopes'> {
  const names = scope.split(' ');
  const givable = audience === undefined ? [] : listGivableScopes(config, audience.scopes);
  return {
    scopes: restrictTo(givable, bound).filter((name) => names.includes(name)),
    openidScopes: names.filter((name) => OPENID_SCOPES.has(name)),
  };
}

/** Describes scopes of an API, in the order of the configuration. */
export function describeAskedScopes(
  { scopes }: Pick<Config, 'scopes'>,
  asked: ReadonlySet<string>,
): AskedScope[] {
  return [...scopes.keys()]
    .filter((name) => asked.has(name))
    .map((name) => {
      const all = withImplied([name], scopes);
      return { name, isDestructive: all.some((scope) => scopes.get(scope)?.destructive === true) };
    });
}

/** Finds a consent that was neither revoked nor has expired. */
export async function findConsent(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  id: string,
): Promise<Consent | undefined> {
  const consent = await findOAuthGrant(db, id);
  return consent !== undefined && isLiveConsent(consent, clock()) ? consent : undefined;
}

/** Finds what an account lets a client do at an API. */
function findConsentFor(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  asked: Pick<Asked, 'accountId' | 'clientId' | 'resource'>,
): Promise<Consent | undefined> {
  return findLiveOAuthGrant(db, asked, clock());
}

/** Lists what a human lets a client do at all APIs, newest first. */
export function listConsentsFor(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  asked: Pick<Asked, 'accountId' | 'clientId'>,
): Promise<Consent[]> {
  return listLiveOAuthGrantsFor(db, asked, clock());
}

/**
 * Finds the consent that a human gave before to the same or to more, and that need not be asked for again. It counts for
 * the redirect URI for which it was given, and only for https: on other ones another program may listen (RFC 8252
 * section 8.6). An app that names places gets exactly those, or the human is asked. A change of the client ends its consents.
 */
export async function findRememberedConsent(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  asked: Asked,
): Promise<Consent | undefined> {
  if (!asked.redirectUri.startsWith('https:')) return undefined;
  const consent = await findConsentFor(deps, asked);
  const isRemembered =
    consent?.redirectUri === asked.redirectUri &&
    isSubset(asked.scopes, parseScope(consent.scope)) &&
    isSubset(asked.openidScopes, parseScope(consent.openidScope));
  if (!isRemembered || asked.places === undefined) return isRemembered ? consent : undefined;
  const access = await readWhere(deps, consent, asked.scopes);
  return isSamePlaces(asked.places, access, asked.scopes) ? consent : undefined;
}

/** Whether a consent was neither revoked nor has expired. */
export function isLiveConsent({ revokedAt, expiresAt }: Consent, now: number): boolean {
  return revokedAt === null && expiresAt > now;
}

/**
 * Saves a consent and tells the owner. It replaces the one that the account gave this client at this API before: where
 * it gives less, the tokens issued so far are revoked; where it gives more, they stay as they are.
 *
 * @returns its id
 * @throws Failure `signInRequired` if the account was deleted; `notFound` if the client ended or was suspended, or for a
 * workspace that the account is not in; as allowConsentPlaces()
 */
export function saveConsent(deps: Deps, origin: RequestOrigin, given: Given): Promise<string> {
  return useCase(deps, origin, {}, (work) => giveConsent(work, given));
}

/** Saves a consent as saveConsent() does, in the caller's transaction. */
export async function giveConsent(work: Work, given: Given): Promise<string> {
  const { tx, now, deps } = work;
  const { accountId, clientId, resource, redirectUri } = given;
  // Workspaces and trees are locked before the account.
  const places = await allowConsentPlaces(work, given, given.places);
  if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
  if ((await updateOAuthClientUsed(tx, clientId, now)) !== 1) throw consentOver();
  const terms = {
    scope: formatScope(given.scopes),
    openidScope: formatScope(given.openidScopes),
    redirectUri,
    expiresAt: now + CONSENT_DAYS * DAY_MS,
  };
  const earlier = await findLiveOAuthGrant(tx, given, now);
  const id = earlier?.id ?? newId('con', now, deps.random);
  if (earlier === undefined) {
    await insertOAuthGrant(tx, {
      id,
      accountId,
      clientId,
      resource,
      ...terms,
      createdAt: now,
      principal: null,
    });
    await replaceConsentPlaces(work, id, accountId, places, undefined);
  } else {
    const isLess = await replaceConsentPlaces(work, id, accountId, places, parseScope(earlier.scope));
    // It may have ended meanwhile, with the last of its places.
    if ((await updateOAuthGrantScope(tx, id, terms)) !== 1) throw consentOver();
    if (isLess || givesLess(earlier, terms)) await revokeTokens(work, earlier);
  }
  const details = { client: clientId, scope: terms.scope, ...(resource !== null && { resource }) };
  await recordAndNotify(work, accountId, { kind: 'app.connected', subject: id, details });
  return id;
}

function consentOver(): Failure {
  return new Failure('notFound', 'There is no such client any more.', { hint: 'consent.notFound' });
}

function givesLess(earlier: Consent, next: Pick<Consent, 'scope' | 'openidScope'>): boolean {
  const isWithin = (before: string, after: string) => isSubset(parseScope(before), parseScope(after));
  return !isWithin(earlier.scope, next.scope) || !isWithin(earlier.openidScope, next.openidScope);
}

async function revokeTokens(work: Work, consent: Consent): Promise<void> {
  if ((await updateTokensOfOAuthGrantRevoked(work.tx, consent.id, work.now)) === 0) return;
  await recordEvent(work, {
    kind: 'app.narrowed',
    accountId: consent.accountId,
    subject: consent.id,
    details: { client: consent.clientId },
  });
}

/** Notes in the audit that a human gave an app nothing, in the caller's transaction. */
export async function recordDecline(
  work: Work,
  { accountId, clientId }: Pick<Asked, 'accountId' | 'clientId'>,
): Promise<void> {
  await recordEvent(work, { kind: 'app.declined', accountId, details: { client: clientId } });
}

/**
 * Ends a consent in the caller's transaction: revokes the tokens of the app, which resource servers are told of, and
 * deletes its codes and refresh tokens. A consent that has ended stays as it is.
 *
 * @param by who ended it, as the audit says. Where that is neither the owner nor the app, the owner is mailed
 * @returns how many tokens were revoked
 */
export async function endConsent(
  work: Work,
  consent: Pick<Consent, 'id' | 'accountId' | 'clientId'>,
  by: 'owner' | 'account' | 'client' | 'clientRemoved' | 'operator' | 'provider' | 'replay',
): Promise<number> {
  const { tx, now } = work;
  const { id, accountId, clientId } = consent;
  const isMailed = by === 'clientRemoved' || by === 'operator' || by === 'provider';
  if (isMailed) await lockAccount(tx, accountId);
  // Places are locked before the consent that has them.
  await endConsentPlaces(work, id);
  if ((await updateOAuthGrantRevoked(tx, id, now)) !== 1) return 0;
  const tokens = await updateTokensOfOAuthGrantRevoked(tx, id, now);
  await deleteOAuthStatesOfGrant(tx, id);
  const event = { kind: 'app.revoked', accountId, subject: id, details: { client: clientId, by } } as const;
  if (isMailed) await recordAndNotify(work, accountId, event);
  else await recordEvent(work, event);
  return tokens;
}

/**
 * Ends a consent of an account.
 *
 * @throws Failure `notFound`, also for a consent of another account (S-29)
 */
export async function revokeConsent(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const consent = await findOAuthGrant(work.tx, id);
    if (consent?.accountId !== accountId) throw new Failure('notFound', 'There is no such app among yours.');
    await endConsent(work, consent, 'owner');
  });
}

/** Ends all consents of an account that is deleted, in the caller's transaction. */
export async function endConsentsOfAccount(work: Work, accountId: string): Promise<void> {
  for (const consent of await listLiveOAuthGrants(work.tx, accountId, work.now)) {
    await endConsent(work, consent, 'account');
  }
}
