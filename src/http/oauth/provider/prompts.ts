import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import { ACR_VALUES } from '../../../lib/openid-scopes.ts';
import { needsSecondFactor } from './policy.ts';
import { acrValuesOf, maxAgeOf } from './step-up.ts';

/** The prompts of oidc-provider: when it asks for a sign-in, a consent or another account. */

/**
 * Creates the policy. The package asks for the sign-in; how old one may be goes by our clock. The page of the consent
 * shows who is signed in and the way to another account, so it serves `prompt=select_account` too.
 */
export function createPolicy({ clock }: Pick<Deps, 'clock'>) {
  const { Check, Prompt, base } = interactionPolicy;
  const policy = base();
  const ask = (isNeeded: boolean) => (isNeeded ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT);
  const login = policy.get('login')!;
  login.checks.remove('max_age');
  login.checks.add(
    new Check('max_age', 'the sign-in is too old', 'login_required', (ctx) =>
      ask(ctx.oidc.result?.login === undefined && isTooOld(ctx, clock())),
    ),
  );
  login.checks.add(
    new Check(
      'second_factor',
      'a second factor is required',
      'unmet_authentication_requirements',
      ({ oidc }) =>
        ask(needsSecondFactor(acrValuesOf(oidc.params ?? {})) && oidc.acr !== ACR_VALUES.secondFactor),
    ),
  );
  for (const prompt of [login, policy.get('consent')!]) {
    const { details } = prompt;
    prompt.details = async (ctx) => ({ ...(await details(ctx)), startedAt: clock() });
  }
  const consent = policy.get('consent')!;
  consent.checks.clear();
  consent.checks.add(
    new Check('consent_missing', 'the human has to be asked', 'consent_required', (ctx) =>
      ask(ctx.oidc.entities.Grant?.jti === undefined),
    ),
  );
  const selection = new Prompt({ name: 'select_account', requestable: true });
  selection.checks.clear();
  policy.add(selection);
  return policy;
}

function isTooOld({ oidc }: KoaContextWithOIDC, now: number): boolean {
  const maxAge = maxAgeOf(oidc.params ?? {});
  return maxAge !== undefined && now / 1000 - (oidc.session?.loginTs ?? 0) > maxAge;
}
