import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { principalOf } from '../../lib/principals.ts';
import { parseScope, restrictTo } from '../../lib/scopes.ts';
import { findAccountByMailbox } from '../../store/accounts.ts';
import { deleteLinkRequestOfPrincipal } from '../../store/link-requests.ts';
import { updateOAuthClientUsed } from '../../store/oauth-clients.ts';
import { lockOrCreatePrincipal, type PrincipalRow, updatePrincipalLinked } from '../../store/principals.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { giveAssertedConsent, requireLaterSignIn } from '../apps/asserted-consents.ts';
import type { SpentAssertion } from '../apps/authorization-states.ts';
import type { OAuthClient } from '../apps/clients.ts';
import { describeAskedScopes, listGivableScopes } from '../apps/consents.ts';
import { type Audience, resolveAudience } from '../audiences/audience.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { type ClientAssertion, checkBoundKey, verifyClientIdJag } from './client-id-jag.ts';
import { retryableIfKeysUnavailable } from './id-jag.ts';
import { askForLink } from './link-requests.ts';
import { assertionLimits, findLinkedAccount, matchAccount, SKEW_MS } from './match-account.ts';
import { invalidProviderToken } from './provider-token.ts';

/**
 * An OAuth client that authenticated exchanges an ID-JAG of a trusted provider: it gets a token for the account of a user
 * whom nobody here asks, since their organization decides (enterprise-managed authorization;
 * draft-ietf-oauth-identity-assertion-authz-grant section 4.4).
 */

/** What a client presents. */
export interface PresentedIdJag {
  /** A JWT in compact form. */
  assertion: string;
  /** Authenticated, and registered with this grant. */
  client: Pick<OAuthClient, 'id' | 'scope'>;
  /** The URL of the API; undefined: the one that the assertion names, or the default one. */
  resource: string | undefined;
  /** Space-separated; undefined: all that the assertion allows. */
  scope: string | undefined;
  /** The thumbprint of the key that the client proved; undefined: none. */
  keyThumbprint: string | undefined;
}

/** What the token of an exchange allows. */
export interface AdmittedIdJag {
  accountId: string;
  consentId: string;
  /** The URL of the API. */
  resource: string;
  scopes: string[];
  /** To be spent with the token; undefined: the assertion may be presented again. */
  spent: SpentAssertion | undefined;
}

/**
 * Admits an ID-JAG: creates the account of a user whose mailbox nobody has, and the consent under which the app is listed.
 * No provider may open an account that exists: its owner is asked first, see askForLink() (S-34, S-95).
 *
 * @throws Failure `invalidAssertion`, `linkRequired`, `claimDenied`, `loginRequired`, `invalidGrant` for a missing proof; `invalidTarget`, `invalidScope`
 * beyond what the assertion allows; `limited`; `unavailable` while the keys of the issuer cannot be fetched
 */
export async function admitIdJag(
  deps: Deps,
  origin: RequestOrigin,
  presented: PresentedIdJag,
): Promise<AdmittedIdJag> {
  const { assertion, client } = presented;
  const verified = await retryableIfKeysUnavailable(verifyClientIdJag(deps, assertion, client.id));
  checkBoundKey(verified, presented.keyThumbprint);
  const audience = await chooseAudience(deps, verified, presented.resource);
  const scopes = chooseScopes(deps, verified, audience, presented);
  const { issuer, singleUse } = verified.issuer;
  const { jti, issuedAt, expiresAt, signedInAt } = verified;
  const admitted = await useCase(deps, origin, { sharedLimits: assertionLimits(verified) }, async (work) => {
    const { tx, now } = work;
    await work.consumeSharedLimits();
    const { tenant, subject } = verified;
    const principal = await lockOrCreatePrincipal(tx, principalOf({ issuer, tenant, subject }), issuer, now);
    const held = await holdAccount(work, principal, verified);
    const accountId = 'askedId' in held ? held.askedId : held.accountId;
    const resource = audience.url;
    const given = { accountId, clientId: client.id, resource, scopes, principal: principal.principal };
    if ('askedId' in held) {
      await requireLaterSignIn(work, { ...given, signedInAt });
      return askForLink(work, given);
    }
    if ((await updateOAuthClientUsed(tx, client.id, now)) !== 1) {
      throw new Failure('invalidGrant', 'The client has ended.');
    }
    const consentId = await giveAssertedConsent(work, { ...given, issuer, signedInAt });
    await recordEvent(work, {
      kind: 'assertion.taken',
      subject: consentId,
      details: { issuer, client: client.id },
    });
    const spent = singleUse ? { issuer, jti, issuedAt, endsAt: expiresAt + 2 * SKEW_MS } : undefined;
    return { accountId, consentId, resource, scopes, spent };
  });
  if (admitted instanceof Failure) throw admitted; // that the owner was asked is committed
  return admitted;
}

/**
 * Returns the account of a user, which it links to a new one, and locks it; or the account whose owner has to be asked.
 *
 * @throws Failure `invalidAssertion`
 */
async function holdAccount(
  work: Work,
  principal: PrincipalRow,
  { mailbox, issuer }: ClientAssertion,
): Promise<{ accountId: string } | { askedId: string }> {
  const linked = await findLinkedAccount(work, principal);
  if (linked !== undefined) return linked;
  if (mailbox === undefined) {
    throw invalidProviderToken(
      'contact',
      'Nobody here knows this user: the assertion must carry "email", and "email_verified": true.',
    );
  }
  const matched = await matchAccount(work, principal, { mailbox });
  if (matched.kind === 'stepUp') {
    const existing = await findAccountByMailbox(work.tx, mailbox);
    if (existing === undefined) throw new Failure('invalidGrant', 'The account has just ended. Try again.');
    return { askedId: existing.id };
  }
  const { accountId } = matched;
  await updatePrincipalLinked(work.tx, principal.principal, accountId, work.now);
  await deleteLinkRequestOfPrincipal(work.tx, principal.principal);
  await recordEvent(work, {
    kind: 'principal.linked',
    accountId,
    details: { issuer: issuer.issuer },
  });
  return { accountId };
}

/** Chooses the API: within `resource` of the assertion, which may be one of several. @throws Failure `invalidTarget` */
async function chooseAudience(
  deps: Deps,
  { resources }: ClientAssertion,
  asked: string | undefined,
): Promise<Audience> {
  if (resources === undefined) return resolveAudience(deps, asked);
  const allowed = await Promise.all(resources.map((url) => findAudience(deps, url)));
  const known = allowed.filter((each) => each !== undefined);
  const wanted = asked === undefined ? known[0] : await resolveAudience(deps, asked);
  const chosen = known.find(({ url }) => url === wanted?.url);
  if (chosen !== undefined) return chosen;
  throw new Failure('invalidTarget', 'The assertion allows no such resource: see "resource" in it.');
}

async function findAudience(deps: Deps, url: string): Promise<Audience | undefined> {
  try {
    return await resolveAudience(deps, url);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'invalidTarget') return undefined;
    throw error;
  }
}

/**
 * Chooses the scopes: within those of the API that apps can be given, of the client and of the assertion. What is
 * destructive the issuer has to name, as a human has to turn it on.
 *
 * @throws Failure `invalidScope` if none is left
 */
function chooseScopes(
  { config }: Pick<Deps, 'config'>,
  { scopes: asserted }: ClientAssertion,
  audience: Audience,
  { client, scope }: PresentedIdJag,
): string[] {
  const givable = restrictTo(listGivableScopes(config, audience.scopes), client.scope);
  const described = describeAskedScopes(config, new Set(givable));
  const allowed = described
    .filter(({ name, isDestructive }) => asserted?.includes(name) ?? !isDestructive)
    .map(({ name }) => name);
  const chosen = scope === undefined ? allowed : allowed.filter((name) => parseScope(scope).includes(name));
  if (chosen.length > 0) return chosen.sort();
  throw new Failure(
    'invalidScope',
    'The assertion, the client and the resource have no such scope in common.',
  );
}
