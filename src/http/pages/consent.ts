import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { isRecentlyVerified } from '../../domain/accounts/sessions.ts';
import { parseDetails } from '../../domain/apps/authorization-details.ts';
import { findClient, type OAuthClient } from '../../domain/apps/clients.ts';
import { CONSENT_DAYS, saveConsent } from '../../domain/apps/consents.ts';
import { describeOffer, type Offer, OPTIONAL_OPENID_SCOPES } from '../../domain/apps/offers.ts';
import { type PlaceChoice, toConsentPlaces } from '../../domain/apps/place-choices.ts';
import { type Audience, resolveAudience } from '../../domain/audiences/audience.ts';
import type { PlaceRequest } from '../../domain/workspaces/give-places.ts';
import { Failure } from '../../errors.ts';
import { isLoopbackHost } from '../../lib/loopback.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import {
  findInteraction,
  finishInteraction,
  type Interaction,
  interactionNotFound,
  keepTicks,
} from '../oauth/provider/interaction.ts';
import { PATHS } from '../server/paths.ts';
import type { Call, HandlerResult } from '../server/table.ts';
import { checkedNames, formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { allowFormTo, type Pages, redirect } from './pages.ts';
import { presentChoices } from './place-choices.ts';
import { describeScopes } from './scopes.ts';

/** The page on which a human decides what an app may do with their account (RFC 6749 section 4.1, S-78). */

/** The human allows each scope whose checkbox is on, in each place: `scope:read`, `openid:email`, `place:own`. */
const consentForm = formSchema({ decision: z.enum(['approve', 'deny']) }).catchall(z.string().max(64));

type UserCall = Call<unknown, 'signedInUser'>;

/** POST /authorize/:uid: saves what the human decided and goes back to the app. */
export function decideConsent(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Approve what an app asks for, or decline',
    form: consentForm,
    hasChoices: true,
    async handle(call) {
      const { deps, origin, body, caller, params } = call;
      const { session } = caller;
      const asked = await findInteraction(call, params.uid!, session);
      const goOn = async (result: Parameters<typeof finishInteraction>[3]) =>
        redirect(deps.config, await finishInteraction(call, asked.uid, session, result), caller.cookies);
      if (body.decision === 'deny') {
        const error = asked.needsSecondFactor && asked.waitsFor === 'login' ? UNMET : 'access_denied';
        return goOn({ error });
      }
      if (asked.waitsFor !== 'consent') throw interactionNotFound();
      const offer = await describeRequest(deps, asked, session.accountId);
      const names = checkedNames(body, 'scope');
      const given = offer.scopes.filter(({ name }) => names.includes(name));
      const openid = checkedNames(body, 'openid');
      const openidScopes = offer.openidScopes
        .map(({ name }) => name)
        .filter((name) => !OPTIONAL_OPENID_SCOPES.has(name) || openid.includes(name));
      if (!given.some(({ isAsked }) => isAsked) && !openidScopes.includes('openid')) {
        return showConsent(pages, call, asked, Object.keys(body), { key: 'consent.nothingSelected' });
      }
      const chosen = chosenPlaces(offer, checkedNames(body, 'place'));
      const scopes = given.map(({ name }) => name);
      const places = placesOf(deps, session.accountId, offer, chosen, scopes);
      if (places === undefined) {
        const key = offer.where.choices.length === 0 ? 'consent.nowhere' : 'consent.whereMissing';
        return showConsent(pages, call, asked, Object.keys(body), { key, field: 'where' });
      }
      const isWide = given.some(({ isDestructive }) => isDestructive) || chosen.some(({ isOwn }) => !isOwn);
      if (isWide && !isRecentlyVerified(deps, session)) {
        const ticks = Object.keys(body).filter((name) => name.includes(':'));
        await keepTicks(call, asked.uid, session, ticks);
        const path = `${PAGES.signInAgain}?next=${PATHS.interaction}/${asked.uid}` as const;
        return redirect(deps.config, path, caller.cookies);
      }
      const consent = {
        accountId: session.accountId,
        clientId: asked.clientId,
        redirectUri: asked.redirectUri,
        resource: offer.audience?.url ?? null,
        scopes,
        openidScopes,
        places,
      };
      try {
        return goOn({ consent: { grantId: await saveConsent(deps, origin, consent) } });
      } catch (error) {
        if (!isPlaceFailure(error)) throw error;
        return showConsent(pages, call, asked, Object.keys(body), {
          key: 'consent.placeGone',
          field: 'where',
        });
      }
    },
  });
}

/** Returns the places that were chosen; all where there is nothing to choose. */
function chosenPlaces({ where }: Offer, names: readonly string[]): PlaceChoice[] {
  return where.isShown ? where.choices.filter(({ name }) => names.includes(name)) : where.choices;
}

/** Converts them to what the consent is given; undefined: there is none in which something may be done. */
function placesOf(
  { config }: Pick<Deps, 'config'>,
  accountId: string,
  { audience }: { audience: Audience | undefined },
  chosen: readonly PlaceChoice[],
  scopes: readonly string[],
): PlaceRequest[] | undefined {
  if (audience === undefined || scopes.length === 0) return [];
  return toConsentPlaces(config, accountId, audience.url, chosen, scopes);
}

/** Whether a place cannot be given any more: a role, a workspace or a thing in it changed since the page was shown. */
function isPlaceFailure(error: unknown): boolean {
  if (!(error instanceof Failure)) return false;
  const { kind, details } = error;
  return kind === 'forbidden' || kind === 'tooMany' || details.field === 'node' || isGone(error);
}

/** Without a hint: that of a client that has ended leads to another page. */
function isGone({ kind, details }: Failure): boolean {
  return kind === 'notFound' && details.hint === undefined;
}

/** RFC 9470 section 5. */
const UNMET = 'unmet_authentication_requirements';

/** Describes what the app of a request asks for. @throws Failure `notFound` if its client is gone */
async function describeRequest(
  deps: Deps,
  asked: Interaction,
  accountId: string,
): Promise<Offer & { client: OAuthClient; audience: Audience | undefined }> {
  const client = await findClient(deps, asked.clientId);
  if (client === undefined) throw interactionNotFound();
  const audience = asked.resource === undefined ? undefined : await resolveAudience(deps, asked.resource);
  const { scope, details } = asked;
  const places = details === undefined ? undefined : parseDetails(deps.config, details, audience?.url);
  const offer = await describeOffer(deps, { client, audience, scope, places }, accountId);
  return { ...offer, client, audience };
}

/**
 * Shows the page.
 *
 * @param ticks the names of the boxes that the human ticked before; undefined: all are ticked but destructive ones
 */
export async function showConsent(
  pages: Pages,
  { deps, caller }: Pick<UserCall, 'deps' | 'caller'>,
  asked: Interaction,
  ticks = asked.ticks,
  problem?: Problem,
): Promise<HandlerResult> {
  const offer = await describeRequest(deps, asked, caller.session.accountId);
  const { client, audience } = offer;
  const names = offer.scopes.map(({ name }) => name);
  const lines = new Map(describeScopes(deps.config, names).map((line) => [line.name, line]));
  const page = pages.show(caller, 'consent', {
    next: `${PATHS.interaction}/${asked.uid}`,
    appName: client.name === null ? '' : displayName(client.name),
    ...describeOrigin(client),
    ...describeRedirect(asked.redirectUri),
    approvedAt: offer.approvedAt,
    registeredAt: client.createdAt,
    resource: audience && { name: audience.name, host: new URL(audience.url).host },
    scopes: offer.scopes.map((scope) => ({
      ...lines.get(scope.name),
      ...scope,
      isOn: ticks ? ticks.includes(`scope:${scope.name}`) : !scope.isDestructive,
    })),
    where: presentChoices(offer, ticks),
    ...presentOpenidScopes(offer, ticks),
    canGiveLess: canGiveLess(offer),
    isConfirmed: asked.ticks !== undefined && isRecentlyVerified(deps, caller.session),
    days: CONSENT_DAYS,
    problem,
  });
  return allowFormTo(page, asked.redirectUri);
}

/** What the pages say of the scopes of OpenID Connect. @param ticks see showConsent() */
export function presentOpenidScopes(
  { openidScopes }: Pick<Offer, 'openidScopes'>,
  ticks: readonly string[] | undefined,
) {
  return {
    openidScopes: openidScopes
      .filter(({ name }) => OPTIONAL_OPENID_SCOPES.has(name))
      .map((scope) => ({ ...scope, isOn: ticks?.includes(`openid:${scope.name}`) ?? true })),
    staysConnected: openidScopes.some(({ name }) => name === 'offline_access'),
  };
}

/** Whether the app has something that the human can take away by this decision: then its tokens end. */
export function canGiveLess({
  scopes,
  openidScopes,
  where,
}: Pick<Offer, 'scopes' | 'openidScopes' | 'where'>): boolean {
  const optional = openidScopes.filter(({ name }) => OPTIONAL_OPENID_SCOPES.has(name));
  if (where.isShown && where.choices.some(({ isHeld }) => isHeld)) return true;
  return [...scopes, ...optional].some(({ isHeld }) => isHeld);
}

/** Describes for the page where a client is published, or else who registered it. */
export function describeOrigin({ id, origin }: OAuthClient) {
  return { origin, publishedAt: origin === 'document' ? new URL(id).host : undefined };
}

/** Describes for the page where an app is answered. */
export function describeRedirect(redirectUri: string) {
  const { protocol, host, hostname } = new URL(redirectUri);
  const isWeb = /^https?:$/.test(protocol);
  return { redirectTo: isWeb ? host : protocol, isLocal: isLoopbackHost(hostname), isProgram: !isWeb };
}
