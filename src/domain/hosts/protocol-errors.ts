import { Failure, type ProtocolCode } from '../../errors.ts';

/**
 * Creates a failure with an error code of the Agent Auth Protocol (Agent Auth Protocol 1.0-draft, section 5.13).
 *
 * @param members further members of the answer
 * @param cause for the log only
 */
export function protocolError(
  code: ProtocolCode,
  message: string,
  members?: Record<string, unknown>,
  cause?: unknown,
): Failure {
  const protocol = members === undefined ? { code } : { code, members };
  return new Failure('protocolRefused', message, { protocol }, cause);
}

/**
 * Creates the failure for a token of a host or an agent. The answer is the same whatever is wrong; the cause is for the
 * log only.
 */
export function invalidJwt(cause?: unknown): Failure {
  return protocolError(
    'invalid_jwt',
    'The token is not valid: sign a new one for each request, with EdDSA, a fresh jti, 60 seconds of life and the right audience.',
    undefined,
    cause,
  );
}
