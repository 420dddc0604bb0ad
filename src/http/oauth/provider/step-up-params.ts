import { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';

/** The parameters of step-up.ts, as oidc-provider takes them. */

/** Makes oidc-provider take the parameters under our names. */
export const STEP_UP_PARAMS: NonNullable<Configuration['extraParams']> = {
  step_up_max_age: checkMaxAge,
  step_up_acr_values: null,
};

/** Checks `max_age` as oidc-provider does with `openid`. @throws InvalidRequest */
function checkMaxAge({ oidc }: KoaContextWithOIDC, value: unknown): void {
  if (value === undefined) return;
  const maxAge = Number(value);
  if (!Number.isSafeInteger(maxAge) || maxAge < 0) {
    throw new errors.InvalidRequest('invalid max_age parameter value');
  }
  if (maxAge > 0) return;
  const { params, prompts } = oidc;
  params!.step_up_max_age = undefined;
  prompts.add('login');
  params!.prompt = [...prompts].join(' ');
}
