import {
  errors,
  type KoaContextWithOIDC,
  type RichAuthorizationRequestsActiveConfiguration,
} from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import { isSamePlaces, parseDetail, parseDetails } from '../../../domain/apps/authorization-details.ts';
import { readWhere } from '../../../domain/apps/consent-places.ts';
import { findConsent } from '../../../domain/apps/consents.ts';
import { toAuthorizationDetails, WORKSPACE_TYPE } from '../../../domain/credentials/placed-access.ts';
import { Failure } from '../../../errors.ts';
import { parseScope } from '../../../lib/scopes.ts';

/** Authorization details in requests of clients and in responses of the token endpoint (RFC 9396), as oidc-provider asks for them. */

/** Creates the settings of the feature. */
export function richRequests(deps: Deps): RichAuthorizationRequestsActiveConfiguration {
  return {
    enabled: true,
    types: {
      [WORKSPACE_TYPE]: {
        validate: async ({ oidc }: KoaContextWithOIDC, detail: Record<string, unknown>) => {
          const { resource } = oidc.params ?? {};
          const { identifier } = orInvalid(() =>
            parseDetail(deps.config, detail, typeof resource === 'string' ? resource : undefined),
          );
          if (oidc.route === 'device_authorization' && identifier.startsWith('wsp_')) {
            throw invalid('a device cannot ask for a shared workspace: ask in a browser');
          }
        },
      },
    },
    /** What a code or refresh token stands for: places are read anew for each token, as they are then. */
    authorizationDetailsForGrantSource: async ({ oidc }: KoaContextWithOIDC, source: { grantId?: string }) =>
      grantedDetails(deps, source.grantId, oidc.params?.scope),
    authorizationDetailsForAccessToken: async (
      { oidc }: KoaContextWithOIDC,
      token: { grantId?: string; scope?: string },
    ) => {
      if (token.grantId === undefined) throw invalid('a client that acts by itself works in its own account');
      const granted = await grantedDetails(deps, token.grantId, token.scope);
      await checkNamed(deps, oidc.params?.authorization_details, token);
      return granted;
    },
    authorizationDetailsForIntrospection: async (_ctx: KoaContextWithOIDC, token: { rar?: object[] }) =>
      token.rar,
  } as unknown as RichAuthorizationRequestsActiveConfiguration;
}

async function grantedDetails(deps: Deps, grantId: string | undefined, scope: unknown) {
  const consent = grantId === undefined ? undefined : await findConsent(deps, grantId);
  if (consent === undefined || consent.resource === null) return undefined;
  const scopes = typeof scope === 'string' ? parseScope(scope) : undefined;
  const access = await readWhere(deps, consent, scopes);
  return JSON.parse(JSON.stringify(toAuthorizationDetails(access, consent.resource).authorization_details));
}

/**
 * Checks details that a token is requested with: they are those that the human consented to, or the token would reach more than
 * was asked for.
 */
async function checkNamed(
  deps: Deps,
  named: unknown,
  { grantId, scope = '' }: { grantId?: string; scope?: string },
): Promise<void> {
  if (typeof named !== 'string') return;
  const consent = await findConsent(deps, grantId!);
  const resource = consent?.resource ?? undefined;
  const asked = orInvalid(() => parseDetails(deps.config, named, resource));
  if (asked === undefined) return;
  const scopes = parseScope(scope);
  const access = consent === undefined ? [] : await readWhere(deps, consent, scopes);
  if (!isSamePlaces(asked, access, scopes)) throw invalid('these are not the places that were consented to');
}

function orInvalid<Result>(parse: () => Result): Result {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'invalidDetails') throw invalid(error.message);
    throw error;
  }
}

function invalid(description: string): Error {
  return new errors.InvalidAuthorizationDetails(description);
}
