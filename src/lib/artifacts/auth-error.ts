/** Exit codes of `vouchsafe auth` by error code. With `retry --exec`, the code of the command is passed on instead. */
export const EXIT_CODES = {
  REQUEST_CANCELLED: 1,
  STORE_PERMISSIONS: 1,
  STORE_BUSY: 1,
  STORE_CORRUPT: 1,
  COMMAND_SIGNAL: 1,
  INTERNAL_ERROR: 1,
  INVALID_USAGE: 2,
  INVALID_CAP: 2,
  INVALID_PATH: 2,
  INVALID_EXPIRY: 2,
  NO_CAPS_REQUESTED: 2,
  INVALID_PERMISSION_FILE: 2,
  INVALID_MANIFEST: 2,
  CAVEATS_UNSUPPORTED: 2,
  INVALID_REQUEST_ARTIFACT: 2,
  INVALID_GRANT_ARTIFACT: 2,
  UNSUPPORTED_VERSION: 2,
  SOURCE_REQUIRED: 2,
  SOURCE_IS_URL: 2,
  ARTIFACT_TOO_LARGE: 2,
  CONFIRMATION_REQUIRED: 2,
  COMMAND_NOT_CAPTURED: 2,
  UNKNOWN_SERVICE: 2,
  UNKNOWN_ACTION: 2,
  OUTPUT_EXISTS: 2,
  AUTH_REQUIRED: 3,
  NO_KEY: 3,
  SESSION_KEY_ENDED: 3,
  REQUEST_NOT_FOUND: 4,
  PROFILE_NOT_FOUND: 4,
  CODE_WRONG: 5,
  SIGNATURE_INVALID: 5,
  WRONG_SERVICE: 5,
  WRONG_AUDIENCE: 5,
  REQUEST_EXPIRED: 5,
  REQUEST_DENIED: 5,
  REQUEST_UNKNOWN: 5,
  REQUEST_CONFLICT: 5,
  PERMISSIONS_MISSING: 5,
  GRANT_NOT_ALLOWED: 5,
  GRANT_BROADENED: 5,
  COMMAND_NOT_OURS: 5,
  COMMAND_CHANGED: 5,
  NETWORK_ERROR: 6,
  SERVICE_ERROR: 7,
} as const;

/** The code of an error of `vouchsafe auth` and of `vouchsafe/client`. */
export type AuthErrorCode = keyof typeof EXIT_CODES;

/** What an error says beside its code and sentence. */
export interface AuthErrorDetails {
  /** What to do next. */
  hint?: string | undefined;
  /** Which of several things is wrong, from 0. */
  index?: number | undefined;
  /** Seconds after which a repetition can succeed. */
  retryAfter?: number | undefined;
  /** For logs; not shown. */
  cause?: unknown;
}

/** An error with a code, a sentence and, where there is one, what to do next. None of them repeats a foreign text or a secret. */
export class AuthError extends Error {
  readonly code: AuthErrorCode;
  readonly hint: string | undefined;
  readonly index: number | undefined;
  readonly retryAfter: number | undefined;

  constructor(
    code: AuthErrorCode,
    message: string,
    { hint, index, retryAfter, cause }: AuthErrorDetails = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AuthError';
    this.code = code;
    this.hint = hint;
    this.index = index;
    this.retryAfter = retryAfter;
  }
}
