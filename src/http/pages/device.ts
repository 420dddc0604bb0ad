import { z } from 'zod';
import { CONSENT_DAYS } from '../../domain/apps/consents.ts';
import {
  approveDevice,
  denyDevice,
  deviceRequestNotFound,
  readDeviceToken,
  viewDeviceRequest,
} from '../../domain/apps/device-codes.ts';
import type { Offer } from '../../domain/apps/offers.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { clearCookie } from '../server/cookies.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { canGiveLess, describeOrigin, presentOpenidScopes } from './consent.ts';
import { checkedNames, formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import type { Pages } from './pages.ts';
import { describeScopes } from './scopes.ts';

/**
 * The page on which a human connects a device whose code they typed (RFC 8628 section 3.3). Somebody else may have sent
 * them the code, so the page demands a fresh sign-in and names the network of the device beside that of the browser.
 */

/** The human allows each scope whose checkbox is on: `scope:read`, `openid:email`. */
const deviceForm = formSchema({
  request: z.string().max(64),
  decision: z.enum(['approve', 'deny']),
}).catchall(z.string().max(64));

type UserCall = Pick<Call<unknown, 'recentlyVerifiedUser'>, 'deps' | 'caller' | 'origin'>;

/** GET /connect/device: shows what a device asks for. */
export function devicePage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'Review what a device asks for',
    handle(call) {
      const { deps, caller } = call;
      const id = readDeviceToken(deps, caller.cookie('connect') ?? '');
      if (id === undefined) throw deviceRequestNotFound();
      const draft = caller.draft(PAGES.reviewDevice);
      return showDevice(pages, call, id, draft?.request === id.slice(0, 64) ? draft : undefined);
    },
  });
}

/** POST /connect/device: connects the device, or declines. */
export function decideDevice(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Connect a device, or decline',
    form: deviceForm,
    async handle(call) {
      const { deps, origin, body, caller } = call;
      const id = readDeviceToken(deps, caller.cookie('connect') ?? '');
      // The form must be about the request that this browser was shown.
      if (id === undefined || id !== body.request) throw deviceRequestNotFound();
      const { session } = caller;
      try {
        if (body.decision === 'deny') await denyDevice(deps, origin, id, session);
        else {
          await approveDevice(deps, origin, id, session, {
            scopes: checkedNames(body, 'scope'),
            openidScopes: checkedNames(body, 'openid'),
          });
        }
        const state = body.decision === 'deny' ? 'declined' : 'connected';
        const done = pages.show(caller, 'device', { state });
        return { ...done, cookies: [...(done.cookies ?? []), clearCookie(deps.config, 'connect')] };
      } catch (error) {
        const kind = error instanceof Failure ? error.kind : undefined;
        if (kind === 'codeExpired') return showDevice(pages, call, id, undefined);
        if (kind === 'badRequest')
          return showDevice(pages, call, id, body, { key: 'consent.nothingSelected' });
        throw error;
      }
    },
  });
}

/** What the page says of places: a device works in one's own things, and keeps what its client has in shared workspaces. */
function presentPlaces({ where: { choices, isShown } }: Pick<Offer, 'where'>) {
  const kept = choices.filter(({ isOwn, isHeld }) => !isOwn && isHeld);
  return {
    hasWorkspaces: isShown,
    hasOwn: choices.some(({ isOwn, isAsked }) => isOwn && isAsked),
    kept: [...new Set(kept.map(({ workspaceName = '' }) => displayName(workspaceName)))],
  };
}

/** Shows a request. @param typed the fields as they were sent; undefined: nothing was sent yet */
async function showDevice(
  pages: Pages,
  { deps, caller, origin }: UserCall,
  id: string,
  typed: Record<string, string | undefined> | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const { state, client, audience, ...asked } = await viewDeviceRequest(deps, id, caller.session.accountId);
  if (state !== 'open') return pages.show(caller, 'device', { state }, 410);
  const names = asked.scopes.map(({ name }) => name);
  const lines = new Map(describeScopes(deps.config, names).map((line) => [line.name, line]));
  const values = {
    state,
    id,
    appName: client.name === null ? '' : displayName(client.name),
    ...describeOrigin(client),
    userCode: asked.userCode,
    network: asked.network,
    ownNetwork: origin.address.coarse,
    askedAt: asked.askedAt,
    approvedAt: asked.approvedAt,
    registeredAt: client.createdAt,
    resource: audience && { name: audience.name, host: new URL(audience.url).host },
    scopes: asked.scopes.map((scope) => ({
      ...lines.get(scope.name),
      ...scope,
      isOn: typed === undefined || `scope:${scope.name}` in typed,
    })),
    ...presentPlaces(asked),
    ...presentOpenidScopes(asked, typed && Object.keys(typed)),
    canGiveLess: canGiveLess({
      ...asked,
      scopes: asked.scopes.filter(({ isDestructive }) => !isDestructive),
      where: { choices: [], isShown: false },
    }),
    days: CONSENT_DAYS,
    problem,
  };
  return pages.show(caller, 'device', values);
}
