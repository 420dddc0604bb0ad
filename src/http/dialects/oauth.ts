import type { FailureKind } from '../../errors.ts';
import { bearerChallenge, type Dialect, toErrorDescription } from './dialect.ts';

/** Status and error code of every failure kind in OAuth (RFC 6749 section 5.2; docs/security.md, bad input). */
export const OAUTH_ERRORS_BY_KIND = {
  badJson: { status: 400, code: 'invalid_request' },
  badRequest: { status: 400, code: 'invalid_request' },
  badEmail: { status: 400, code: 'invalid_request' },
  bodyTooLarge: { status: 413, code: 'invalid_request' },
  wrongMediaType: { status: 400, code: 'invalid_request' },
  wrongEncoding: { status: 415, code: 'invalid_request' },
  notFound: { status: 404, code: 'not_found' },
  wrongMethod: { status: 405, code: 'invalid_request' },
  misdirected: { status: 421, code: 'invalid_request' },
  unauthenticated: { status: 401, code: 'invalid_client' },
  signInRequired: { status: 401, code: 'invalid_token' },
  invalidToken: { status: 401, code: 'invalid_token' },
  invalidClient: { status: 401, code: 'invalid_client' },
  insufficientScope: { status: 403, code: 'insufficient_scope' },
  forbidden: { status: 403, code: 'access_denied' },
  invalidClaimToken: { status: 400, code: 'expired_token' },
  claimExpired: { status: 400, code: 'expired_token' },
  claimSuperseded: { status: 400, code: 'expired_token' },
  claimDenied: { status: 400, code: 'access_denied' },
  approvalPending: { status: 400, code: 'authorization_pending' },
  alreadyClaimed: { status: 400, code: 'expired_token' },
  codeNotIssued: { status: 400, code: 'authorization_pending' },
  wrongCode: { status: 400, code: 'invalid_grant' },
  codeExpired: { status: 400, code: 'expired_token' },
  notConfirmed: { status: 400, code: 'authorization_pending' },
  methodDisabled: { status: 400, code: 'unsupported_grant_type' },
  claimRevoked: { status: 400, code: 'expired_token' },
  interactionRequired: { status: 400, code: 'authorization_pending' },
  linkRequired: { status: 400, code: 'interaction_required' },
  loginRequired: { status: 400, code: 'invalid_grant' },
  invalidAssertion: { status: 400, code: 'invalid_grant' },
  invalidRefreshToken: { status: 400, code: 'invalid_grant' },
  invalidGrant: { status: 400, code: 'invalid_grant' },
  invalidTarget: { status: 400, code: 'invalid_target' },
  invalidScope: { status: 400, code: 'invalid_scope' },
  unsupportedGrant: { status: 400, code: 'unsupported_grant_type' },
  invalidDetails: { status: 400, code: 'invalid_authorization_details' },
  invalidNode: { status: 400, code: 'invalid_request' },
  invalidParent: { status: 400, code: 'invalid_parent' },
  invalidPath: { status: 400, code: 'invalid_path' },
  tooMany: { status: 400, code: 'too_many' },
  lastOwner: { status: 409, code: 'last_owner' },
  staleSequence: { status: 409, code: 'stale_sequence' },
  confirmNeeded: { status: 409, code: 'confirm_needed' },
  invitationVoid: { status: 410, code: 'invitation_void' },
  wrongService: { status: 400, code: 'wrong_service' },
  unsupportedVersion: { status: 400, code: 'unsupported_version' },
  invalidSignature: { status: 400, code: 'invalid_signature' },
  unknownService: { status: 400, code: 'unknown_service' },
  unknownAction: { status: 400, code: 'unknown_action' },
  grantNotAllowed: { status: 403, code: 'grant_not_allowed' },
  keyInUse: { status: 409, code: 'key_in_use' },
  requestDecided: { status: 409, code: 'request_decided' },
  requestExpired: { status: 410, code: 'request_expired' },
  tooManyOpen: { status: 429, code: 'too_many_open' },
  pollTooFast: { status: 400, code: 'slow_down' },
  protocolRefused: { status: 400, code: 'invalid_request' },
  idempotencyMismatch: { status: 422, code: 'invalid_request' },
  inProgress: { status: 409, code: 'invalid_request' },
  limited: { status: 429, code: 'rate_limited' },
  tooManyAttempts: { status: 429, code: 'rate_limited' },
  unavailable: { status: 503, code: 'temporarily_unavailable' },
  internal: { status: 500, code: 'server_error' },
} as const satisfies Record<FailureKind, { status: number; code: string }>;

/** OAuth 2.0: unwrapped data for success, `{error, error_description, error_uri}` for failures. */
export const oauth: Dialect = {
  name: 'oauth',

  success: (data) => data,

  failure(failure) {
    const { status, code } = OAUTH_ERRORS_BY_KIND[failure.kind];
    const { field, last, deleting, verificationUri } = failure.details;
    const members = {
      ...(verificationUri !== undefined && { error_uri: verificationUri }),
      ...(field !== undefined && OF_BATCHES.has(failure.kind) && { field }),
      ...(last !== undefined && { last }),
      ...(deleting !== undefined && { deleting }),
    };
    return {
      status,
      body: { error: code, error_description: toErrorDescription(failure.message), ...members },
    };
  },

  challenge(failure, metadataUrl) {
    const { status, code } = OAUTH_ERRORS_BY_KIND[failure.kind];
    if (status !== 401 && status !== 403) return undefined;
    const bearer = bearerChallenge(failure, metadataUrl);
    return code === 'invalid_client' ? `Basic realm="vouchsafe", ${bearer}` : bearer;
  },
};

/** Failures of what is sent in lists: `field` names the entry. */
const OF_BATCHES = new Set<FailureKind>([
  'invalidNode',
  'invalidParent',
  'invalidPath',
  'invalidDetails',
  'tooMany',
]);

/** OAuth 2.0 for the registration of clients: one that comes too often is to try again later. */
export const oauthRegistration: Dialect = {
  ...oauth,

  failure(failure, requestId) {
    const { status, body } = oauth.failure(failure, requestId);
    const isLimited = status === 429;
    return { status, body: isLimited ? { ...(body as object), error: 'temporarily_unavailable' } : body };
  },
};
