import { JsonRefused, parseStrictJson } from '../strict-json.ts';
import { AuthError, type AuthErrorCode } from './auth-error.ts';
import { PathFault } from './permission-entry.ts';
import { type Check, MemberFault } from './read-members.ts';

/** What requests and grants have in common as files. */

/** What a client reads of a file or a stream. White space and indentation are in it. */
export const ARTIFACT_READ_BYTES_MAX = 64 * 1024;
/** What an artifact has in its shortest form, which is how it is sent. */
export const ARTIFACT_BYTES_MAX = 16 * 1024;
/** How deep an artifact may be, and how many names it may have. Names and reasons may have control characters: they are shown
 * through `displayName` and `singleLine`. */
export const ARTIFACT_SHAPE = { depthMax: 6, namesMax: 1024, allowControls: true } as const;

/** How far the clocks of those who exchange files may differ. */
export const ARTIFACT_SKEW_MS = 60_000;

export const REQUEST_KIND = 'vouchsafe.auth.request';
export const GRANT_KIND = 'vouchsafe.auth.grant';
export const DENIAL_KIND = 'vouchsafe.auth.denial';
export const LOGIN_KIND = 'vouchsafe.auth.login';

/** The version of the formats that this code reads and writes. */
export const ARTIFACT_VERSION = 1;

/**
 * Parses a file as a JSON object that may be an artifact.
 *
 * @throws AuthError `ARTIFACT_TOO_LARGE`, `INVALID_REQUEST_ARTIFACT`
 */
export function parseArtifact(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length > ARTIFACT_READ_BYTES_MAX) throw tooLarge();
  let value: Record<string, unknown>;
  try {
    value = parseStrictJson(bytes, ARTIFACT_SHAPE);
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    throw new AuthError(
      'INVALID_REQUEST_ARTIFACT',
      error.message.replaceAll('The body', 'The artifact').replaceAll('the body', 'the artifact'),
      {
        hint: 'An artifact is one JSON object, as "vouchsafe auth" writes it.',
      },
    );
  }
  if (Buffer.byteLength(JSON.stringify(value)) > ARTIFACT_BYTES_MAX) throw tooLarge();
  return value;
}

function tooLarge(): AuthError {
  return new AuthError('ARTIFACT_TOO_LARGE', `An artifact has at most ${ARTIFACT_BYTES_MAX / 1024} KiB.`);
}

/**
 * Checks the shape of an artifact. The version comes first: another one has another shape.
 *
 * @throws AuthError `UNSUPPORTED_VERSION`, or `code`; `INVALID_PATH` with the index of the permission
 */
export function checkArtifact<Value>(
  value: unknown,
  { kind, code }: { kind: string; code: AuthErrorCode },
  check: Check<Value>,
): Value {
  const given = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (given.kind !== kind) throw new AuthError(code, `Its kind is not "${kind}".`);
  if (Number.isSafeInteger(given.version) && given.version !== ARTIFACT_VERSION) {
    throw new AuthError('UNSUPPORTED_VERSION', `Its version is not ${ARTIFACT_VERSION}.`, {
      hint: 'A newer vouchsafe may read it.',
    });
  }
  return withCode(code, () => check(value, ''));
}

/** Gives the faults of checks a code. A fault of a path has its own, and names its permission. */
export function withCode<Value>(code: AuthErrorCode, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MemberFault)) throw error;
    const index = /^permissions\[([0-9]+)\]/.exec(error.where)?.[1];
    throw new AuthError(error instanceof PathFault ? 'INVALID_PATH' : code, error.message, {
      index: index === undefined ? undefined : Number(index),
    });
  }
}
