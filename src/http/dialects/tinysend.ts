import type { FailureKind } from '../../errors.ts';
import { agentChallenge, bearerChallenge, type Dialect } from './dialect.ts';

interface StatusAndCode {
  status: number;
  code: string;
  /** Whether the same request may succeed later. */
  retryable?: boolean;
}

/** Status and error code of every failure kind in the tinysend profile (docs/security.md, bad input). */
export const TINYSEND_ERRORS_BY_KIND = {
  badJson: { status: 400, code: 'invalid_json' },
  badRequest: { status: 400, code: 'invalid_request' },
  badEmail: { status: 400, code: 'invalid_email' },
  bodyTooLarge: { status: 413, code: 'payload_too_large' },
  wrongMediaType: { status: 415, code: 'unsupported_media_type' },
  wrongEncoding: { status: 415, code: 'unsupported_media_type' },
  notFound: { status: 404, code: 'not_found' },
  wrongMethod: { status: 405, code: 'method_not_allowed' },
  misdirected: { status: 421, code: 'misdirected_request' },
  unauthenticated: { status: 401, code: 'unauthorized' },
  signInRequired: { status: 401, code: 'unauthorized' },
  invalidToken: { status: 401, code: 'invalid_token' },
  invalidClient: { status: 401, code: 'invalid_client' },
  insufficientScope: { status: 403, code: 'insufficient_scope' },
  forbidden: { status: 403, code: 'forbidden' },
  invalidClaimToken: { status: 401, code: 'invalid_claim_token' },
  claimExpired: { status: 410, code: 'claim_expired' },
  claimSuperseded: { status: 410, code: 'claim_superseded' },
  claimDenied: { status: 410, code: 'claim_denied' },
  approvalPending: { status: 400, code: 'authorization_pending', retryable: true },
  alreadyClaimed: { status: 409, code: 'already_claimed' },
  codeNotIssued: { status: 400, code: 'otp_not_generated' },
  wrongCode: { status: 401, code: 'otp_invalid' },
  codeExpired: { status: 410, code: 'otp_expired' },
  notConfirmed: { status: 400, code: 'otp_not_generated' },
  methodDisabled: { status: 403, code: 'auth_method_disabled' },
  claimRevoked: { status: 410, code: 'claim_expired' },
  interactionRequired: { status: 401, code: 'interaction_required' },
  linkRequired: { status: 401, code: 'interaction_required' },
  loginRequired: { status: 401, code: 'login_required' },
  invalidAssertion: { status: 400, code: 'invalid_assertion' },
  invalidRefreshToken: { status: 400, code: 'invalid_refresh_token' },
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
  pollTooFast: { status: 400, code: 'slow_down', retryable: true },
  protocolRefused: { status: 400, code: 'invalid_request' },
  idempotencyMismatch: { status: 422, code: 'idempotency_mismatch' },
  inProgress: { status: 409, code: 'in_progress', retryable: true },
  limited: { status: 429, code: 'rate_limited', retryable: true },
  tooManyAttempts: { status: 429, code: 'rate_limited', retryable: true },
  unavailable: { status: 503, code: 'unavailable', retryable: true },
  internal: { status: 500, code: 'internal', retryable: true },
} as const satisfies Record<FailureKind, StatusAndCode>;

/** The tinysend profile: `{ok:true,data}` for success, `{ok:false,error}` for failures (docs/dialects/tinysend.md). */
export const tinysend: Dialect = {
  name: 'tinysend',

  success: (data) => ({ ok: true, data }),

  failure(failure, requestId) {
    const { status, code, retryable = false }: StatusAndCode = TINYSEND_ERRORS_BY_KIND[failure.kind];
    const { field, attemptsRemaining, verificationUri } = failure.details;
    const error = {
      code,
      message: failure.message,
      retryable,
      request_id: requestId,
      ...(field === undefined ? {} : { field }),
      ...(attemptsRemaining === undefined ? {} : { attempts_remaining: attemptsRemaining }),
      ...(verificationUri === undefined ? {} : { verification_uri: verificationUri }),
    };
    return { status, body: { ok: false, error } };
  },

  challenge(failure, metadataUrl) {
    const { status, code } = TINYSEND_ERRORS_BY_KIND[failure.kind];
    if (status !== 401 && status !== 403) return undefined;
    const bearer = bearerChallenge(failure, metadataUrl);
    // A failed claim step concerns no bearer token; auth.md gives its reason in the AgentAuth scheme.
    if (CLAIM_KINDS.has(failure.kind)) return `${bearer}, AgentAuth error="${code}"`;
    return status === 401 ? `${bearer}, ${agentChallenge(metadataUrl)}` : bearer;
  },
};

const CLAIM_KINDS = new Set<FailureKind>(['invalidClaimToken', 'wrongCode', 'interactionRequired']);
