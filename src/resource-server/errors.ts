/**
 * Thrown if a credential is not valid (`invalid_token`), or if the authorization server cannot be asked about it at the moment
 * (`unavailable`). In the second case `cause` tells why, for your log.
 */
export class VerificationError extends Error {
  /** `unavailable` means neither valid nor invalid: the client can repeat the request later. */
  readonly code: 'invalid_token' | 'unavailable';
  /** The HTTP status to respond with: 401 for `invalid_token`, 503 for `unavailable`. */
  readonly status: 401 | 503;
  /** Seconds until the client can try again; only with `unavailable`. */
  readonly retryAfter: number | undefined;

  constructor(code: VerificationError['code'], message: string, cause?: unknown, retryAfter = 1) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'VerificationError';
    this.code = code;
    this.status = code === 'invalid_token' ? 401 : 503;
    this.retryAfter = code === 'unavailable' ? retryAfter : undefined;
  }
}

/** Creates the error for all credentials that are not valid. It does not tell why, to reveal nothing about other credentials. */
export function invalidToken(): VerificationError {
  return new VerificationError(
    'invalid_token',
    'The key is not valid: unknown, expired, revoked, or not for this resource.',
  );
}

/**
 * Creates the error for a credential that cannot be verified at the moment.
 *
 * @param cause for the log: what is wrong between this server and the authorization server
 * @param retryAfter seconds
 */
export function unavailable(cause: unknown, retryAfter = 1): VerificationError {
  return new VerificationError(
    'unavailable',
    'Keys cannot be checked at the moment. Repeat the request later.',
    cause,
    retryAfter,
  );
}
