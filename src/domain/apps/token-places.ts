import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { resolveAudience } from '../audiences/audience.ts';

import { allows, type NarrowedPlace, narrowAccess } from '../credentials/narrow-access.ts';
import type { PlacedAccess } from '../credentials/placed-access.ts';
import { type AskedPlace, isSamePlaces } from './authorization-details.ts';
import { readWhere } from './consent-places.ts';
import type { Consent } from './consents.ts';
import { understandsWorkspaces } from './place-choices.ts';

/** Where a token of an app works: where the human lets it, or in fewer places that it names (RFC 9396 section 6). */
export interface TokenPlaces {
  access: PlacedAccess[];
  /** Undefined: all that the human consented to. */
  narrowed: NarrowedPlace[] | undefined;
}

/**
 * Finds where a token works. What it may reach later is bounded by the consent all the same, as that is then.
 *
 * @param scopes those of the token
 * @param asked undefined: the app names no places
 * @throws Failure `invalidDetails` for more than the human consented to, and for fewer places where the API would not be told of
 * them
 */
export async function chooseTokenPlaces(
  deps: Deps,
  consent: Consent,
  scopes: readonly string[],
  asked: readonly AskedPlace[] | undefined,
): Promise<TokenPlaces> {
  const access = await readWhere(deps, consent, scopes);
  if (asked === undefined) return { access, narrowed: undefined };
  const narrowed = asked.map((place) => toNarrowed(place, access));
  if (isSamePlaces(asked, access, scopes)) return { access, narrowed: undefined };
  const { resource } = consent;
  const isTold =
    resource !== null && (await understandsWorkspaces(deps, await resolveAudience(deps, resource)));
  if (!isTold) throw beyondConsent();
  return { access: narrowAccess(access, narrowed, resource), narrowed };
}

/** @throws Failure `invalidDetails` where the consent does not allow all that a place names */
function toNarrowed(
  { identifier: workspaceId, node, path, datatypes: types, actions }: AskedPlace,
  access: readonly PlacedAccess[],
): NarrowedPlace {
  const place = { workspaceId, node, path, types };
  const known = [...new Set(access.flatMap((each) => each.actions))];
  const named = actions ?? known.filter((action) => allows(access, { ...place, actions: [action] }));
  if (named.length === 0 || !allows(access, { ...place, actions: named })) throw beyondConsent();
  return { ...place, actions: named };
}

function beyondConsent(): Failure {
  return new Failure('invalidDetails', 'these are not places that were consented to.');
}
