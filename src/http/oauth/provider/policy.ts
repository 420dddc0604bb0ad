import type { Configuration } from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import { findMailbox } from '../../../domain/accounts/find-or-create-account.ts';
import { parseDetails } from '../../../domain/apps/authorization-details.ts';
import { findClient } from '../../../domain/apps/clients.ts';
import { divideScopes, findConsent, findRememberedConsent } from '../../../domain/apps/consents.ts';
import { resolveAudience } from '../../../domain/audiences/audience.ts';
import { parseMailbox } from '../../../lib/mailbox.ts';
import { ACR_VALUES } from '../../../lib/openid-scopes.ts';

/** When a human is asked within an authorization request: to sign in, and for their consent. */

/** Whether an app demands the second factor: it names that alone. */
export function needsSecondFactor(acrValues: unknown): boolean {
  return acrValues === ACR_VALUES.secondFactor;
}

/** A request as oidc-provider checked it. */
export interface CheckedRequest {
  clientId: string;
  redirectUri: string;
  /** Space-separated. */
  scope: string;
  /** The URL of the API; undefined: the app asks for scopes of OpenID Connect alone. */
  resource: string | undefined;
  /** Space-separated; undefined: the app leaves it to us whether to ask. */
  prompt: string | undefined;
  loginHint: string | undefined;
  /** `authorization_details` as they were sent; undefined: the app leaves it to the human where it works. */
  details: string | undefined;
}

/** Reads the parameters of a request that oidc-provider checked. */
export function readParams(params: Record<string, unknown>): CheckedRequest {
  const textOf = (name: string) => (typeof params[name] === 'string' ? params[name] : undefined);
  return {
    clientId: textOf('client_id') ?? '',
    redirectUri: textOf('redirect_uri') ?? '',
    scope: textOf('scope') ?? '',
    resource: textOf('resource'),
    prompt: textOf('prompt'),
    loginHint: textOf('login_hint'),
    details: textOf('authorization_details'),
  };
}

/**
 * Reports whether a request leads back to the app without asking the human, since they gave the same before. An app can
 * demand that they are asked, and they are where it means another account.
 *
 * @returns the id of the consent; undefined: the human is asked
 */
export async function findConsentOfRequest(
  deps: Deps,
  accountId: string,
  { clientId, redirectUri, scope, resource, prompt, loginHint, details }: CheckedRequest,
): Promise<string | undefined> {
  if (/\b(?:consent|select_account)\b/.test(prompt ?? '')) return undefined;
  const hinted = parseMailbox(loginHint ?? '');
  if (hinted !== undefined && hinted !== (await findMailbox(deps, accountId))) return undefined;
  const client = await findClient(deps, clientId);
  if (client === undefined) return undefined;
  const audience = resource === undefined ? undefined : await resolveAudience(deps, resource);
  const asked = {
    accountId,
    clientId,
    redirectUri,
    resource: audience?.url ?? null,
    ...divideScopes(deps.config, audience, scope, client.scope),
    places: details === undefined ? undefined : parseDetails(deps.config, details, audience?.url),
  };
  return (await findRememberedConsent(deps, asked))?.id;
}

/** Creates the function that finds the consent for a request: the one given in it, or a remembered one. */
export function createConsentFinder(deps: Deps): NonNullable<Configuration['loadExistingGrant']> {
  return async ({ oidc }) => {
    const { result, session, params } = oidc;
    const given = result?.consent?.grantId;
    const id = given ?? (await findConsentOfRequest(deps, session!.accountId!, readParams(params!)));
    if (id === undefined || (await findConsent(deps, id)) === undefined) return undefined;
    return oidc.provider.Grant.find(id);
  };
}
