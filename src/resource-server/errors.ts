/** Why a credential was not accepted: it is no good, or nobody could say. */
export class VerificationError extends Error {
  readonly code: 'invalid_token' | 'unavailable';
  /** The HTTP status to answer with: 401, or 503. */
  readonly status: 401 | 503;
  /** Seconds until it is worth trying again; with `unavailable`. */
  readonly retryAfter: number | undefined;

  constructor(code: VerificationError['code'], message: string, cause?: unknown, retryAfter = 1) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'VerificationError';
    this.code = code;
    this.status = code === 'invalid_token' ? 401 : 503;
    this.retryAfter = code === 'unavailable' ? retryAfter : undefined;
  }
}

/** The same for unknown, expired, revoked and foreign credentials: who presents one learns nothing of others. */
export function invalidToken(): VerificationError {
  return new VerificationError(
    'invalid_token',
    'The key is not valid: unknown, expired, revoked, or not for this resource.',
  );
}

/** @param cause for the log: what is wrong between this server and the authority */
export function unavailable(cause: unknown, retryAfter = 1): VerificationError {
  return new VerificationError(
    'unavailable',
    'Keys cannot be checked at the moment. Repeat the request later.',
    cause,
    retryAfter,
  );
}
