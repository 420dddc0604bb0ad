import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { findClient, type OAuthClient } from '../../domain/apps/clients.ts';
import { CONSENT_DAYS, listAskedScopes, listConsents, saveConsent } from '../../domain/apps/consents.ts';
import { type Audience, resolveAudience } from '../../domain/audiences/audience.ts';
import { isLoopbackHost } from '../../lib/loopback.ts';
import { OPENID_SCOPES } from '../../lib/openid-scopes.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import {
  findInteraction,
  finishInteraction,
  type Interaction,
  interactionNotFound,
} from '../oauth/provider/interaction.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { checkedNames, formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import { describeScopes } from './scopes.ts';

/** The page on which a human decides what an app may do with their account (RFC 6749 section 4.1, S-78). */

/** The human allows each scope whose checkbox is on: `scope:read`, `openid:email`. */
const consentForm = formSchema({ decision: z.enum(['approve', 'deny']) }).catchall(z.string().max(64));

type UserCall = Call<unknown, 'signedInUser'>;

/** GET /authorize/:uid: connects the request with the signed-in human, then asks for the consent. */
export function consentPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Decide about an app',
    async handle(call) {
      const { deps, caller, params } = call;
      const { session } = caller;
      const asked = await findInteraction(call, params.uid!, session);
      if (asked.prompt === 'consent') return showConsent(pages, call, asked);
      if (asked.wantsFreshLogin && session.createdAt < asked.startedAt * 1000) {
        const location = `${PAGES.signInAgain}?next=${PATHS.interaction}/${asked.uid}` as const;
        return redirect(deps.config, location, caller.cookies);
      }
      const ts = Math.floor(session.createdAt / 1000);
      const login = { accountId: session.accountId, remember: false, ts };
      const next = await finishInteraction(call, asked.uid, session, { login });
      return redirect(deps.config, next, caller.cookies);
    },
  });
}

/** POST /authorize/:uid: saves what the human decided and goes back to the app. */
export function decideConsent(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Approve what an app asks for, or decline',
    form: consentForm,
    async handle(call) {
      const { deps, origin, body, caller, params } = call;
      const { session } = caller;
      const asked = await findInteraction(call, params.uid!, session);
      if (asked.prompt !== 'consent' || asked.accountId !== session.accountId) throw interactionNotFound();
      if (body.decision === 'deny') {
        const error = { error: 'access_denied' };
        return redirect(
          deps.config,
          await finishInteraction(call, asked.uid, session, error),
          caller.cookies,
        );
      }
      const offer = await describeOffer(deps, asked);
      const scopes = checkedNames(body, 'scope').filter((name) =>
        offer.scopes.some((each) => each.name === name),
      );
      const openid = checkedNames(body, 'openid');
      const openidScopes = offer.openidScopes.filter((name) => !OPTIONAL.has(name) || openid.includes(name));
      if (scopes.length === 0 && !openidScopes.includes('openid')) {
        return showConsent(pages, call, asked, body, { key: 'consent.nothingSelected' });
      }
      const grantId = await saveConsent(deps, origin, {
        accountId: session.accountId,
        clientId: asked.clientId,
        resource: offer.audience?.url ?? null,
        scopes,
        openidScopes,
      });
      const next = await finishInteraction(call, asked.uid, session, { consent: { grantId } });
      return redirect(deps.config, next, caller.cookies);
    },
  });
}

/** The scopes of OpenID Connect that a human can keep back. */
const OPTIONAL: ReadonlySet<string> = new Set(['email']);

/** What an app asks for. */
interface Offer {
  client: OAuthClient;
  audience: Audience | undefined;
  scopes: ReturnType<typeof listAskedScopes>;
  openidScopes: string[];
}

async function describeOffer(deps: Deps, asked: Interaction): Promise<Offer> {
  const client = await findClient(deps, asked.clientId);
  if (client === undefined) throw interactionNotFound();
  const names = asked.scope.split(' ');
  const audience = asked.resource === undefined ? undefined : await resolveAudience(deps, asked.resource);
  const known = audience?.scopes;
  const ofAudience = audience === undefined ? [] : names.filter((name) => known?.includes(name) ?? true);
  return {
    client,
    audience,
    scopes: listAskedScopes(deps.config, new Set(ofAudience)),
    openidScopes: names.filter((name) => OPENID_SCOPES.has(name)),
  };
}

async function showConsent(
  pages: Pages,
  { deps, caller }: UserCall,
  asked: Interaction,
  typed?: Record<string, string | undefined>,
  problem?: Problem,
): Promise<HandlerResult> {
  const { session } = caller;
  if (asked.accountId !== session.accountId) throw interactionNotFound();
  const offer = await describeOffer(deps, asked);
  const { client, audience } = offer;
  const target = new URL(asked.redirectUri);
  const lines = new Map(
    describeScopes(
      deps.config,
      offer.scopes.map(({ name }) => name),
    ).map((line) => [line.name, line]),
  );
  const earlier = (await listConsents(deps, session.accountId)).find(
    ({ clientId }) => clientId === client.id,
  );
  const page = pages.show(
    caller,
    'consent',
    {
      uid: asked.uid,
      appName: client.name === null ? '' : displayName(client.name),
      publishedAt: client.origin === 'document' ? new URL(client.id).host : undefined,
      redirectTo: /^https?:$/.test(target.protocol) ? target.host : target.protocol,
      isLocal: isLoopbackHost(target.hostname),
      isProgram: !/^https?:$/.test(target.protocol),
      approvedAt: earlier?.createdAt,
      resource: audience && { name: audience.name, host: new URL(audience.url).host },
      scopes: offer.scopes.map((scope) => ({
        ...lines.get(scope.name),
        ...scope,
        isOn: typed ? `scope:${scope.name}` in typed : !scope.isDestructive,
      })),
      asksForEmail: offer.openidScopes.includes('email'),
      givesEmail: typed ? 'openid:email' in typed : true,
      days: CONSENT_DAYS,
      problem,
    },
    problem === undefined ? 200 : 400,
  );
  return { ...page, headers: allowRedirectTo(page.headers ?? {}, target) };
}

/**
 * Lets the form lead to the app: browsers apply `form-action` to each redirect that follows a form. A popup keeps its
 * opener, which the app listens through.
 */
function allowRedirectTo(headers: Record<string, string>, { origin, protocol }: URL): Record<string, string> {
  const name = 'Content-Security-Policy';
  const source = origin === 'null' ? protocol : origin;
  return {
    ...headers,
    [name]: headers[name]!.replace("form-action 'self'", `form-action 'self' ${source}`),
    'Cross-Origin-Opener-Policy': 'unsafe-none',
  };
}
