import type { Failure, FailureKind, ProtocolCode } from '../../errors.ts';
import { agentChallenge, type Dialect } from './dialect.ts';

/** The status of each error code that only this protocol defines (Agent Auth Protocol 1.0-draft, section 5.13). */
const PROTOCOL_STATUS: Record<ProtocolCode, number> = {
  invalid_jwt: 401,
  authentication_required: 401,
  invalid_public_key: 400,
  unsupported_algorithm: 400,
  unsupported_mode: 400,
  invalid_capabilities: 400,
  unknown_constraint_operator: 400,
  agent_exists: 409,
  already_granted: 409,
  agent_not_found: 404,
  capability_not_found: 404,
  capability_not_granted: 403,
  constraint_violated: 403,
  agent_pending: 403,
  agent_expired: 403,
  agent_revoked: 403,
  agent_rejected: 403,
  agent_claimed: 403,
  absolute_lifetime_exceeded: 403,
  host_revoked: 403,
  unauthorized: 403,
  execution_failed: 502,
};

/** Status and code of the failure kinds that are not specific to this protocol; others are `invalid_request`. */
const SHARED: Partial<Record<FailureKind, { status: number; code: string }>> = {
  bodyTooLarge: { status: 413, code: 'invalid_request' },
  wrongMediaType: { status: 415, code: 'invalid_request' },
  wrongEncoding: { status: 415, code: 'invalid_request' },
  notFound: { status: 404, code: 'not_found' },
  wrongMethod: { status: 405, code: 'invalid_request' },
  misdirected: { status: 421, code: 'invalid_request' },
  unauthenticated: { status: 401, code: 'authentication_required' },
  invalidToken: { status: 401, code: 'invalid_jwt' },
  invalidClient: { status: 401, code: 'unauthorized' },
  limited: { status: 429, code: 'rate_limited' },
  tooManyAttempts: { status: 429, code: 'rate_limited' },
  unavailable: { status: 503, code: 'temporarily_unavailable' },
  internal: { status: 500, code: 'internal_error' },
};

const BAD_REQUEST = { status: 400, code: 'invalid_request' };

/** The Agent Auth Protocol: `{error, message}` for failures. Published clients print only the message. */
export const agentAuthProtocol: Dialect = {
  name: 'agent protocol',
  success: (data) => data,

  failure(failure, requestId) {
    const { status, code } = toStatusAndCode(failure);
    const { protocol, field, retryAfterSeconds } = failure.details;
    const body = {
      error: code,
      message: failure.message,
      ...protocol?.members,
      ...(field !== undefined && { field }),
      ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }),
      request_id: requestId,
    };
    return { status, body };
  },

  challenge(failure, metadataUrl) {
    if (toStatusAndCode(failure).status !== 401) return undefined;
    return agentChallenge(metadataUrl);
  },
};

function toStatusAndCode({ kind, details }: Failure): { status: number; code: string } {
  const { protocol } = details;
  if (protocol !== undefined) return { status: PROTOCOL_STATUS[protocol.code], code: protocol.code };
  return SHARED[kind] ?? BAD_REQUEST;
}
