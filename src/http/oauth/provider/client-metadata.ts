import type { Config } from '../../../config/load.ts';
import { applicationTypeOf, isRedirectUri, REDIRECTS_MAX } from '../../../domain/apps/redirect-uris.ts';
import { DEVICE_GRANT } from '../grant-types.ts';

/**
 * Makes the metadata of clients that register themselves (RFC 7591 section 2) fit what this service offers. Clients send
 * nulls, empty texts and grants of other services; what is not understood is left out, as that section demands.
 */

export type ClientMetadata = Record<string, unknown>;

/** Why metadata is refused (RFC 7591 section 3.2.2). */
export interface MetadataFault {
  error: 'invalid_redirect_uri' | 'invalid_client_metadata';
  error_description: string;
}

const CODE_GRANT = 'authorization_code';
const GRANT_TYPES = [CODE_GRANT, 'refresh_token'];
const TEXTS = ['client_name', 'client_uri', 'token_endpoint_auth_method', 'jwks', 'jwks_uri'] as const;

/**
 * Normalizes the metadata of a client that nobody here knows. It gets the grants of a human's consent and no others
 * (client credentials are for clients that a human or the operator registered). Its scope is left out: it would refuse
 * the client a wider one later, which the human decides about.
 */
export function normalizeClientMetadata(
  { deviceForNewClients }: Pick<Config, 'deviceForNewClients'>,
  sent: ClientMetadata,
): ClientMetadata | MetadataFault {
  const asked = Array.isArray(sent.grant_types) ? sent.grant_types : GRANT_TYPES;
  // A device has no browser that could be led back: it needs no redirect (RFC 7591 section 2).
  const needsCode = !deviceForNewClients || !asked.includes(DEVICE_GRANT) || asked.includes(CODE_GRANT);
  const redirects = sent.redirect_uris ?? (needsCode ? undefined : []);
  const isList = Array.isArray(redirects) && redirects.every((each) => typeof each === 'string');
  if (!isList || (redirects.length === 0 && needsCode) || redirects.length > REDIRECTS_MAX) {
    return refuseRedirect(`redirect_uris must be a list of 1 to ${REDIRECTS_MAX} URLs`);
  }
  const wrong = redirects.find((each) => !isRedirectUri(each));
  if (wrong !== undefined) {
    return refuseRedirect(
      'a redirect URI must be https, http on a loopback host, or a scheme of the app, without fragment',
    );
  }
  const goodbyes = Array.isArray(sent.post_logout_redirect_uris) ? sent.post_logout_redirect_uris : [];
  if (
    goodbyes.length > REDIRECTS_MAX ||
    !goodbyes.every((each) => typeof each === 'string' && isRedirectUri(each))
  ) {
    const error_description = `post_logout_redirect_uris must be at most ${REDIRECTS_MAX} URLs such as redirect_uris`;
    return { error: 'invalid_client_metadata', error_description };
  }
  const kept = TEXTS.filter((name) => sent[name] !== null && sent[name] !== '' && sent[name] !== undefined);
  if (kept.includes('jwks_uri') && !/^https:/.test(String(sent.jwks_uri))) {
    return refuseMetadata('jwks_uri must be an https URL');
  }
  return {
    ...Object.fromEntries(kept.map((name) => [name, sent[name]])),
    ...(sent.dpop_bound_access_tokens === true && { dpop_bound_access_tokens: true }),
    redirect_uris: redirects,
    ...(goodbyes.length > 0 && { post_logout_redirect_uris: goodbyes }),
    application_type: applicationTypeOf(redirects),
    grant_types: [...GRANT_TYPES, ...(deviceForNewClients ? [DEVICE_GRANT] : [])].filter(
      (each) => (each === CODE_GRANT && redirects.length > 0) || asked.includes(each),
    ),
    response_types: redirects.length > 0 ? ['code'] : [],
  };
}

/** The ways to sign in that a client shares a secret for. */
const SHARED_SECRETS: ReadonlySet<unknown> = new Set([
  'client_secret_basic',
  'client_secret_post',
  'client_secret_jwt',
]);

/**
 * Normalizes the metadata that a client publishes at its client id (draft-ietf-oauth-client-id-metadata-document section
 * 4.1). It shares no secret with us.
 */
export function normalizeClientDocument(
  config: Pick<Config, 'deviceForNewClients'>,
  clientId: string,
  published: ClientMetadata,
): ClientMetadata | MetadataFault {
  if (published.client_id !== clientId) return refuseMetadata('client_id must be the URL of the document');
  const hasSecret = Object.keys(published).some((name) => name.startsWith('client_secret'));
  if (hasSecret || SHARED_SECRETS.has(published.token_endpoint_auth_method)) {
    return refuseMetadata('a document is public: the client cannot have a secret');
  }
  const metadata = normalizeClientMetadata(config, published);
  return isFault(metadata) ? metadata : { token_endpoint_auth_method: 'none', ...metadata };
}

function refuseRedirect(error_description: string): MetadataFault {
  return { error: 'invalid_redirect_uri', error_description };
}

function refuseMetadata(error_description: string): MetadataFault {
  return { error: 'invalid_client_metadata', error_description };
}

/** Whether normalizing refused the metadata. */
export function isFault(result: ClientMetadata | MetadataFault): result is MetadataFault {
  return 'error' in result;
}
