import { Failure, type ProtocolCode } from '../../errors.ts';

/** A refusal that the Agent Auth Protocol has a name for. @param members what stands beside it in the answer */
export function protocolError(
  code: ProtocolCode,
  message: string,
  members?: Record<string, unknown>,
  cause?: unknown,
): Failure {
  const protocol = members === undefined ? { code } : { code, members };
  return new Failure('protocolRefused', message, { protocol }, cause);
}

/** Everything that is wrong with a token of a host or an agent is one and the same to whoever sends it. */
export function invalidJwt(cause?: unknown): Failure {
  return protocolError(
    'invalid_jwt',
    'The token is not valid: sign a new one for each request, with EdDSA, a fresh jti, 60 seconds of life and the right audience.',
    undefined,
    cause,
  );
}
