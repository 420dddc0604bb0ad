/**
 * What a request demands of the sign-in. oidc-provider takes `max_age` and `acr_values` together with `openid` alone; for
 * other requests (RFC 9470 section 4) they have names of ours.
 */

/** The parameters, each with the name that it has in a request without `openid`. */
export const STEP_UP_NAMES: readonly (readonly [string, string])[] = [
  ['max_age', 'step_up_max_age'],
  ['acr_values', 'step_up_acr_values'],
];

type Params = Readonly<Record<string, unknown>>;

/** Returns how old the sign-in may be, in seconds; undefined: as old as it is. */
export function maxAgeOf(params: Params): number | undefined {
  const maxAge = params.max_age ?? params.step_up_max_age;
  return maxAge === undefined ? undefined : Number(maxAge);
}

/** Returns how the human should sign in, as it was sent. */
export function acrValuesOf(params: Params): unknown {
  return params.acr_values ?? params.step_up_acr_values;
}
