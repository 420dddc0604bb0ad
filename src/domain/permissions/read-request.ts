import type { Deps } from '../../deps.ts';
import { Failure, type FailureKind } from '../../errors.ts';
import { AuthError, type AuthErrorCode } from '../../lib/artifacts/auth-error.ts';
import {
  type PermissionRequest,
  readRequest,
  verifyRequest,
} from '../../lib/artifacts/permission-request.ts';
import { type PublicKey, readPublicKey } from '../../lib/ed25519.ts';

/** Reading permission requests as they come: nothing of them is believed before their signature is verified. */

/** A request whose signature fits, and the key that made it. */
export interface SignedRequest {
  artifact: PermissionRequest;
  key: PublicKey;
  /** Epoch ms. */
  expiresAt: number;
}

/** How the errors of artifacts are answered. */
const KINDS: Partial<Record<AuthErrorCode, FailureKind>> = {
  INVALID_PATH: 'invalidPath',
  UNSUPPORTED_VERSION: 'unsupportedVersion',
  SIGNATURE_INVALID: 'invalidSignature',
  WRONG_SERVICE: 'wrongService',
  ARTIFACT_TOO_LARGE: 'bodyTooLarge',
};

/**
 * Checks a request: shape and version, the service that it is for, times, key, id and signature, in this order.
 *
 * @param value as parsed
 * @throws Failure `badRequest`, `invalidPath`, `unsupportedVersion`, `wrongService`, `invalidSignature`
 */
export async function readSignedRequest(
  { config, clock }: Pick<Deps, 'config' | 'clock'>,
  value: unknown,
): Promise<SignedRequest> {
  try {
    const artifact = readRequest(value);
    if (artifact.service !== config.publicUrl) {
      throw new Failure('wrongService', `This request is for another service than ${config.publicUrl}.`);
    }
    // One that is over may have been decided: its answer is told, also then.
    const expiresAt = Date.parse(artifact.expires_at);
    await verifyRequest(artifact, { now: Math.min(clock(), expiresAt) });
    const key = readPublicKey(artifact.requester.key);
    if (typeof key === 'string') throw new Failure('invalidSignature', 'The key of this request is none.');
    return { artifact, key, expiresAt };
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    const { code, message, index } = error;
    const field = index === undefined ? {} : { field: `permissions.${index}` };
    throw new Failure(KINDS[code] ?? 'badRequest', message, field, error);
  }
}
