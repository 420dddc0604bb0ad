import { AuthError, type AuthErrorCode } from '../lib/artifacts/auth-error.ts';
import { refused, type ServiceRefusal } from './service-client.ts';

/** What refusals of registration and claim are called here, in all dialects. */
const CODES: Record<string, AuthErrorCode> = {
  invalid_email: 'INVALID_USAGE',
  invalid_login_hint: 'INVALID_USAGE',
  invalid_request: 'INVALID_USAGE',
  unauthorized: 'AUTH_REQUIRED',
  invalid_token: 'AUTH_REQUIRED',
  invalid_grant: 'AUTH_REQUIRED',
  invalid_refresh_token: 'AUTH_REQUIRED',
  invalid_target: 'UNKNOWN_SERVICE',
  invalid_scope: 'PERMISSIONS_MISSING',
  insufficient_scope: 'PERMISSIONS_MISSING',
  invalid_claim_token: 'REQUEST_UNKNOWN',
  claim_expired: 'REQUEST_EXPIRED',
  claim_superseded: 'REQUEST_EXPIRED',
  claim_revoked: 'REQUEST_EXPIRED',
  otp_expired: 'REQUEST_EXPIRED',
  user_code_expired: 'REQUEST_EXPIRED',
  expired_token: 'REQUEST_EXPIRED',
  claim_denied: 'REQUEST_DENIED',
  access_denied: 'REQUEST_DENIED',
  already_claimed: 'REQUEST_CONFLICT',
  claimed_or_in_flight: 'REQUEST_CONFLICT',
  otp_invalid: 'CODE_WRONG',
  invalid_user_code: 'CODE_WRONG',
};

/** Creates the error for a refusal of registration, claim or exchange. */
export function agentRefused(refusal: ServiceRefusal): AuthError {
  const code = CODES[refusal.code];
  if (code === undefined) return refused({ ...refusal, status: 500 });
  return new AuthError(code, refusal.message === '' ? 'The service refused it.' : refusal.message, {
    retryAfter: refusal.retryAfter,
  });
}

/** Whether a refusal only says that the human has not decided yet. */
export function isPending({ code }: ServiceRefusal): boolean {
  return code === 'authorization_pending' || code === 'slow_down' || code === 'otp_not_generated';
}
