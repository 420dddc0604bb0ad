import type { Deps } from '../../deps.ts';
import { parseScope } from '../../lib/scopes.ts';
import type { Audience } from '../audiences/audience.ts';
import type { AskedPlace } from './authorization-details.ts';
import type { OAuthClient } from './clients.ts';
import {
  type AskedScope,
  type Consent,
  describeAskedScopes,
  divideScopes,
  listConsentsFor,
  listGivableScopes,
} from './consents.ts';
import { listPlaceChoices, type PlaceChoices } from './place-choices.ts';

/** What an app asks for beside what it has, as a human sees it before they decide. */

/** Whether the app asks for a scope now, and whether it has it now. */
interface Held {
  isAsked: boolean;
  isHeld: boolean;
}

export interface Offer {
  /** At the API, in the order of the configuration. */
  scopes: (AskedScope & Held)[];
  openidScopes: (Held & { name: string })[];
  /** Where it can work. */
  where: PlaceChoices;
  /** When the human approved the app first, at whatever API; undefined: never. */
  approvedAt: number | undefined;
}

/**
 * Describes what an app asks an account for. What it has already is part of it, since the new consent replaces the one
 * so far (O-10).
 *
 * @param asked the scopes, space-separated, and the places
 */
export async function describeOffer(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  asked: {
    client: OAuthClient;
    audience: Audience | undefined;
    scope: string;
    /** Undefined: the app leaves it to the human. */
    places: readonly AskedPlace[] | undefined;
  },
  accountId: string,
): Promise<Offer> {
  const { client, audience } = asked;
  const wanted = divideScopes(deps.config, audience, asked.scope, client.scope);
  const consents = await listConsentsFor(deps, { accountId, clientId: client.id });
  const held = consents.find(({ resource }) => resource === (audience?.url ?? null));
  const heldScopes = listHeldScopes(deps, audience, held);
  const heldOpenid = parseScope(held?.openidScope ?? '');
  const scopes = describeAskedScopes(deps.config, new Set([...wanted.scopes, ...heldScopes]));
  return {
    scopes: scopes.map((scope) => ({
      ...scope,
      isAsked: wanted.scopes.includes(scope.name),
      isHeld: heldScopes.includes(scope.name),
    })),
    openidScopes: [...new Set([...wanted.openidScopes, ...heldOpenid])].map((name) => ({
      name,
      isAsked: wanted.openidScopes.includes(name),
      isHeld: heldOpenid.includes(name),
    })),
    where: await listPlaceChoices(deps, accountId, {
      client,
      audience,
      scopes: scopes.map(({ name }) => name),
      asked: asked.places,
      heldId: held?.id,
    }),
    approvedAt: consents.at(-1)?.createdAt,
  };
}

function listHeldScopes(
  { config }: Pick<Deps, 'config'>,
  audience: Audience | undefined,
  held: Consent | undefined,
): string[] {
  if (audience === undefined || held === undefined) return [];
  const scopes = parseScope(held.scope);
  return listGivableScopes(config, audience.scopes).filter((name) => scopes.includes(name));
}

/** The scopes of OpenID Connect that a human can keep back. */
export const OPTIONAL_OPENID_SCOPES: ReadonlySet<string> = new Set(['email', 'profile']);
