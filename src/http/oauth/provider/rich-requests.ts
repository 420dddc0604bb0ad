import {
  errors,
  type KoaContextWithOIDC,
  type RichAuthorizationRequestsActiveConfiguration,
} from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import { parseDetail, parseDetails } from '../../../domain/apps/authorization-details.ts';
import { readWhere } from '../../../domain/apps/consent-places.ts';
import { findConsent } from '../../../domain/apps/consents.ts';
import { chooseTokenPlaces } from '../../../domain/apps/token-places.ts';
import {
  type PlacedAccess,
  toAuthorizationDetails,
  WORKSPACE_TYPE,
} from '../../../domain/credentials/placed-access.ts';
import { Failure } from '../../../errors.ts';
import { formatScope, parseScope } from '../../../lib/scopes.ts';
import { currentExchange } from './exchange.ts';

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
    authorizationDetailsForAccessToken: async ({ oidc }: KoaContextWithOIDC, token: AppToken) => {
      if (token.grantId === undefined) throw invalid('a client that acts by itself works in its own account');
      return tokenDetails(deps, oidc.params?.authorization_details, token);
    },
    authorizationDetailsForIntrospection: async (_ctx: KoaContextWithOIDC, token: { rar?: object[] }) =>
      token.rar,
  } as unknown as RichAuthorizationRequestsActiveConfiguration;
}

/** A token that is about to be saved. */
interface AppToken {
  grantId?: string;
  scope?: string;
}

async function grantedDetails(deps: Deps, grantId: string | undefined, scope: unknown) {
  const consent = grantId === undefined ? undefined : await findConsent(deps, grantId);
  if (consent === undefined || consent.resource === null) return undefined;
  const scopes = typeof scope === 'string' ? parseScope(scope) : undefined;
  return toDetails(await readWhere(deps, consent, scopes), consent.resource);
}

/** Describes where a token works, and narrows it to the places that its request names (RFC 9396 sections 6 and 7). */
async function tokenDetails(deps: Deps, named: unknown, token: AppToken) {
  const consent = await findConsent(deps, token.grantId!);
  const resource = consent?.resource ?? undefined;
  const asked =
    typeof named === 'string' ? orInvalid(() => parseDetails(deps.config, named, resource)) : undefined;
  if (consent === undefined || resource === undefined) {
    if (asked !== undefined) throw invalid('this token is for no API');
    return undefined;
  }
  const { access, narrowed } = await chooseTokenPlaces(
    deps,
    consent,
    parseScope(token.scope ?? ''),
    asked,
  ).catch(throwInvalid);
  if (narrowed !== undefined) {
    currentExchange().narrowed = narrowed;
    token.scope = formatScope([...new Set(access.flatMap(({ actions }) => actions))].toSorted());
  }
  return toDetails(access, resource);
}

/** As plain objects: oidc-provider takes no members that are undefined. */
function toDetails(access: readonly PlacedAccess[], resource: string) {
  return JSON.parse(JSON.stringify(toAuthorizationDetails(access, resource).authorization_details));
}

function orInvalid<Result>(parse: () => Result): Result {
  try {
    return parse();
  } catch (error) {
    return throwInvalid(error);
  }
}

function throwInvalid(error: unknown): never {
  if (error instanceof Failure && error.kind === 'invalidDetails') throw invalid(error.message);
  throw error;
}

function invalid(description: string): Error {
  return new errors.InvalidAuthorizationDetails(description);
}
