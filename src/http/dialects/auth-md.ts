import type { AssertionFault, Failure, FailureKind } from '../../errors.ts';
import { type Dialect, toErrorDescription } from './dialect.ts';

interface ErrorNames {
  status: number;
  /** The name in versions 0.1 to 0.6. */
  error: string;
  /** The name in production, if it differs. */
  code?: string;
}

/**
 * Status and error names of every failure kind in auth.md (auth.md v0.1 to v0.6, docs/dialects.md). docs/security.md,
 * bad input, has the kinds that auth.md does not name.
 */
export const AUTH_MD_ERRORS_BY_KIND = {
  badJson: { status: 400, error: 'invalid_request' },
  badRequest: { status: 400, error: 'invalid_request' },
  badEmail: { status: 400, error: 'invalid_login_hint' },
  bodyTooLarge: { status: 413, error: 'payload_too_large' },
  wrongMediaType: { status: 415, error: 'unsupported_media_type' },
  wrongEncoding: { status: 415, error: 'unsupported_media_type' },
  notFound: { status: 404, error: 'not_found' },
  wrongMethod: { status: 405, error: 'method_not_allowed' },
  misdirected: { status: 421, error: 'invalid_request' },
  unauthenticated: { status: 401, error: 'unauthorized' },
  signInRequired: { status: 401, error: 'unauthorized' },
  invalidToken: { status: 401, error: 'invalid_token' },
  invalidClient: { status: 401, error: 'invalid_client' },
  insufficientScope: { status: 403, error: 'insufficient_scope' },
  forbidden: { status: 403, error: 'access_denied' },
  invalidClaimToken: { status: 401, error: 'invalid_claim_token' },
  claimExpired: { status: 410, error: 'claim_expired' },
  claimSuperseded: { status: 410, error: 'claim_expired', code: 'claim_revoked' },
  claimRevoked: { status: 410, error: 'claim_expired', code: 'claim_revoked' },
  claimDenied: { status: 403, error: 'access_denied', code: 'claim_denied' },
  approvalPending: { status: 400, error: 'authorization_pending', code: 'claim_not_confirmed' },
  alreadyClaimed: { status: 409, error: 'claimed_or_in_flight', code: 'already_claimed' },
  codeNotIssued: { status: 400, error: 'otp_not_generated', code: 'claim_not_confirmed' },
  notConfirmed: { status: 400, error: 'otp_not_generated', code: 'claim_not_confirmed' },
  wrongCode: { status: 401, error: 'otp_invalid', code: 'invalid_user_code' },
  codeExpired: { status: 410, error: 'otp_expired', code: 'user_code_expired' },
  methodDisabled: { status: 403, error: 'auth_method_disabled' },
  interactionRequired: { status: 401, error: 'interaction_required' },
  linkRequired: { status: 401, error: 'interaction_required' },
  loginRequired: { status: 401, error: 'login_required' },
  invalidAssertion: { status: 400, error: 'invalid_request' },
  invalidRefreshToken: { status: 400, error: 'invalid_refresh_token' },
  invalidGrant: { status: 400, error: 'invalid_grant' },
  invalidTarget: { status: 400, error: 'invalid_target' },
  invalidScope: { status: 400, error: 'invalid_scope' },
  unsupportedGrant: { status: 400, error: 'unsupported_grant_type' },
  invalidDetails: { status: 400, error: 'invalid_authorization_details' },
  invalidNode: { status: 400, error: 'invalid_request' },
  invalidParent: { status: 400, error: 'invalid_parent' },
  invalidPath: { status: 400, error: 'invalid_path' },
  tooMany: { status: 400, error: 'too_many' },
  lastOwner: { status: 409, error: 'last_owner' },
  staleSequence: { status: 409, error: 'stale_sequence' },
  confirmNeeded: { status: 409, error: 'confirm_needed' },
  invitationVoid: { status: 410, error: 'invitation_void' },
  wrongService: { status: 400, error: 'wrong_service' },
  unsupportedVersion: { status: 400, error: 'unsupported_version' },
  invalidSignature: { status: 400, error: 'invalid_signature' },
  unknownService: { status: 400, error: 'unknown_service' },
  unknownAction: { status: 400, error: 'unknown_action' },
  grantNotAllowed: { status: 403, error: 'grant_not_allowed' },
  keyInUse: { status: 409, error: 'key_in_use' },
  requestDecided: { status: 409, error: 'request_decided' },
  requestExpired: { status: 410, error: 'request_expired' },
  tooManyOpen: { status: 429, error: 'too_many_open' },
  pollTooFast: { status: 400, error: 'slow_down' },
  protocolRefused: { status: 400, error: 'invalid_request' },
  idempotencyMismatch: { status: 422, error: 'idempotency_mismatch' },
  inProgress: { status: 409, error: 'in_progress' },
  limited: { status: 429, error: 'rate_limited', code: 'rate_limit_exceeded' },
  tooManyAttempts: { status: 429, error: 'rate_limited', code: 'too_many_attempts' },
  unavailable: { status: 503, error: 'temporarily_unavailable' },
  internal: { status: 500, error: 'server_error' },
} as const satisfies Record<FailureKind, ErrorNames>;

/**
 * The error name of each fault in a provider's assertion, as in the README of auth.md (auth.md v0.1, POST /agent/auth).
 */
const FAULT_NAMES: Record<AssertionFault, string> = {
  malformed: 'invalid_request',
  issuer: 'invalid_issuer',
  signature: 'invalid_signature',
  key: 'invalid_signature',
  audience: 'invalid_audience',
  expired: 'expired',
  client: 'invalid_client_id',
  contact: 'missing_verified_email',
  login: 'insufficient_user_authentication',
  replayed: 'replay_detected',
};

/**
 * auth.md 0.1 to 0.7: unwrapped data; a failure has the versions' name in `error` and production's in `code`
 * (docs/dialects.md).
 */
export const authMd = createDialect('auth.md', AUTH_MD_ERRORS_BY_KIND);

/** auth.md 0.1, which has no `login_hint` (docs/security.md, bad input). */
export const authMd01 = createDialect('auth.md', {
  ...AUTH_MD_ERRORS_BY_KIND,
  badEmail: { status: 400, error: 'invalid_request', code: 'invalid_login_hint' },
});

/** auth.md at the completion of a claim: a repeated completion has its own error name. */
export const authMdComplete = createDialect('auth.md', {
  ...AUTH_MD_ERRORS_BY_KIND,
  alreadyClaimed: { status: 409, error: 'previously_claimed', code: 'already_claimed' },
});

/**
 * For bodies that only production has: its names in both members, and some statuses of its own
 * (docs/dialects/production.md).
 */
const PRODUCTION = withProductionNames({
  ...AUTH_MD_ERRORS_BY_KIND,
  approvalPending: { status: 409, error: 'claim_not_confirmed' },
  codeNotIssued: { status: 409, error: 'claim_not_confirmed' },
  notConfirmed: { status: 409, error: 'claim_not_confirmed' },
});

/** auth.md as production runs it (docs/dialects/production.md). */
export const authMdProduction = createDialect('auth.md production', PRODUCTION);

/**
 * Production at the completion of a claim: an unknown claim token has its own error name (docs/dialects/production.md).
 */
export const authMdProductionComplete = createDialect('auth.md production', {
  ...PRODUCTION,
  invalidClaimToken: { status: 400, error: 'invalid_claim' },
});

/** Every error name of all versions, for the OpenAPI document. */
export const AUTH_MD_ERRORS: readonly string[] = [
  ...new Set([
    ...Object.values<ErrorNames>(AUTH_MD_ERRORS_BY_KIND).flatMap(({ error, code = error }) => [error, code]),
    ...Object.values(FAULT_NAMES),
    'previously_claimed',
    'invalid_claim',
  ]),
];

function withProductionNames(table: Record<FailureKind, ErrorNames>): Record<FailureKind, ErrorNames> {
  const entries = Object.entries(table).map(([kind, { status, error, code = error }]) => [
    kind,
    { status, error: code },
  ]);
  return Object.fromEntries(entries) as Record<FailureKind, ErrorNames>;
}

function createDialect(name: string, table: Record<FailureKind, ErrorNames>): Dialect {
  const errorNamesOf = ({ kind, details }: Failure): { error: string; code: string } => {
    const names = table[kind];
    const fault = kind === 'invalidAssertion' ? details.fault : undefined;
    const error = fault === undefined ? names.error : FAULT_NAMES[fault];
    return { error, code: names.code ?? error };
  };

  return {
    name,

    success: (data) => data,

    failure(failure, requestId) {
      const { message, details } = failure;
      const { status } = table[failure.kind];
      const { attemptsRemaining, verificationUri, maxAgeSeconds, retryAfterSeconds, field } = details;
      const body = {
        ...errorNamesOf(failure),
        message,
        error_description: message,
        request_id: requestId,
        ...(field !== undefined && { field }),
        ...(attemptsRemaining !== undefined && { attempts_remaining: attemptsRemaining }),
        ...(verificationUri !== undefined && { verification_uri: verificationUri }),
        ...(maxAgeSeconds !== undefined && { max_age: maxAgeSeconds }),
        ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }),
      };
      return { status, body };
    },

    challenge(failure) {
      if (table[failure.kind].status !== 401) return undefined;
      return agentAuthChallenge(errorNamesOf(failure).error, failure.message, failure.details.maxAgeSeconds);
    },
  };
}

/**
 * Creates the AgentAuth challenge (auth.md v0.6, POST /agent/identity).
 *
 * @param maxAgeSeconds how old a login at the agent provider may be
 */
export function agentAuthChallenge(error: string, description: string, maxAgeSeconds?: number): string {
  const maxAge = maxAgeSeconds === undefined ? '' : `, max_age="${maxAgeSeconds}"`;
  return `AgentAuth error="${error}"${maxAge}, error_description="${toErrorDescription(description)}"`;
}
