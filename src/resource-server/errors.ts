/**
 * Thrown if a credential is not valid (`invalid_token`), if the proof of its key is not (`invalid_dpop_proof`, `use_dpop_nonce`;
 * RFC 9449), or if the authorization server cannot be asked about it at the moment (`unavailable`). In the last case `cause`
 * tells why, for your log.
 */
export class VerificationError extends Error {
  /** `unavailable` means neither valid nor invalid: the client can repeat the request later. */
  readonly code: 'invalid_token' | 'invalid_dpop_proof' | 'use_dpop_nonce' | 'unavailable';
  /** The HTTP status to respond with: 503 for `unavailable`, else 401. */
  readonly status: 401 | 503;
  /** Seconds until the client can try again; only with `unavailable`. */
  readonly retryAfter: number | undefined;
  /** The nonce that the next proof must carry, for the header `DPoP-Nonce`; only with `use_dpop_nonce`. */
  readonly nonce?: string;

  constructor(code: VerificationError['code'], message: string, cause?: unknown, retryAfter = 1) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'VerificationError';
    this.code = code;
    this.status = code === 'unavailable' ? 503 : 401;
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

/** Creates the error for a proof that is missing or wrong. */
export function invalidProof(message: string, cause?: unknown): VerificationError {
  return new VerificationError('invalid_dpop_proof', message, cause);
}

/** Creates the error for a proof without the nonce of this resource server (RFC 9449 section 9). */
export function useNonce(nonce: string): VerificationError {
  const error = new VerificationError('use_dpop_nonce', 'The proof must carry the nonce of this server.');
  return Object.assign(error, { nonce });
}
