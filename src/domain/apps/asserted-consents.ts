import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope, isSubset, parseScope } from '../../lib/scopes.ts';
import { DAY_MS } from '../../lib/time.ts';
import {
  findLastOAuthGrantOfPrincipal,
  insertOAuthGrant,
  listLiveOAuthGrantsOfPrincipal,
  type OAuthGrantRow,
  updateOAuthGrantScope,
} from '../../store/oauth-grants.ts';
import type { Work } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { requireOwnWithinBound } from './client-bounds.ts';
import { CONSENT_DAYS, endConsent, isLiveConsent } from './consents.ts';

/** Consents that no human gave at a page: a trusted provider vouches for its user, and lets an app act for them. */

/** What an assertion of a provider about its user lets a client do. */
export interface AssertedConsent {
  accountId: string;
  clientId: string;
  /** The URL of the API. */
  resource: string;
  scopes: readonly string[];
  /** The user, see principalOf(). */
  principal: string;
  issuer: string;
  /** When the user signed in at the provider, epoch ms; undefined: it does not say. */
  signedInAt: number | undefined;
}

/**
 * Refuses an assertion of a sign-in from before what the provider let this client do was ended, whoever ended it.
 *
 * @returns the last consent of this kind; undefined: none was given
 * @throws Failure `loginRequired`
 */
export async function requireLaterSignIn(
  { tx }: Work,
  given: Omit<AssertedConsent, 'scopes' | 'issuer'>,
): Promise<OAuthGrantRow | undefined> {
  const last = await findLastOAuthGrantOfPrincipal(tx, given.principal, given);
  if (last !== undefined && last.revokedAt !== null && (given.signedInAt ?? 0) <= last.revokedAt) {
    const message =
      'What this app may do was ended. The user must sign in at the provider again: see "auth_time" in the assertion.';
    throw new Failure('loginRequired', message);
  }
  return last;
}

/**
 * Saves what an assertion of a provider lets a client do, in the caller's transaction, which has locked the principal and
 * the account. Such a consent stands beside the one that the human gave to the same client. It grows with the assertions,
 * each of which bounds its own token, and the human is told. After it has ended, the user has to sign in at the provider
 * again: until then assertions of the sign-in before would revive it.
 *
 * @returns its id
 * @throws Failure `loginRequired`; `invalidScope` where the client was registered for other places
 */
export async function giveAssertedConsent(work: Work, given: AssertedConsent): Promise<string> {
  const { tx, now, deps } = work;
  const { accountId, clientId, resource, principal } = given;
  const last = await requireLaterSignIn(work, given);
  await requireOwnWithinBound(tx, clientId, accountId, resource, given.scopes);
  const live = last !== undefined && isLiveConsent(last, now) ? last : undefined;
  const before = live === undefined ? [] : parseScope(live.scope);
  const isWider = !isSubset(given.scopes, before);
  if (live !== undefined && !isWider && live.expiresAt > now + (CONSENT_DAYS - 1) * DAY_MS) return live.id;
  const id = live?.id ?? newId('con', now, deps.random);
  const terms = {
    scope: formatScope([...new Set([...before, ...given.scopes])].sort()),
    openidScope: '',
    redirectUri: '', // none: such a consent is never remembered
    expiresAt: now + CONSENT_DAYS * DAY_MS,
  };
  if (live !== undefined) await updateOAuthGrantScope(tx, id, terms);
  else await insertOAuthGrant(tx, { id, accountId, clientId, resource, ...terms, createdAt: now, principal });
  if (isWider) {
    const details = { client: clientId, scope: terms.scope, resource, issuer: given.issuer };
    await recordAndNotify(work, accountId, { kind: 'app.connected', subject: id, details });
  }
  return id;
}

/**
 * Ends all consents that the assertions for a principal gave, in the caller's transaction.
 *
 * @param by `provider`: it took its word back, and the owner is mailed; `owner`: the owner ended the delegation
 * @returns how many tokens were revoked
 */
export async function endConsentsOfPrincipal(
  work: Work,
  principal: string,
  by: 'owner' | 'provider',
): Promise<number> {
  let tokens = 0;
  for (const consent of await listLiveOAuthGrantsOfPrincipal(work.tx, principal, work.now)) {
    tokens += await endConsent(work, consent, by);
  }
  return tokens;
}
