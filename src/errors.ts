/**
 * Failures, independent of any protocol.
 *
 * A Failure is thrown where the cause is known. Its message is public: it says what to do next, and repeats no input
 * and no secret. Its `cause` is only logged. Each dialect in http/dialects/ has one total table from kind to status and
 * code.
 */

const KINDS = [
  'badJson',
  'badRequest',
  'badEmail',
  'bodyTooLarge',
  'wrongMediaType',
  'wrongEncoding',
  'notFound',
  'wrongMethod',
  'misdirected',
  'unauthenticated',
  'signInRequired',
  'invalidToken',
  'invalidClient',
  'insufficientScope',
  'forbidden',
  'invalidClaimToken',
  'claimExpired',
  'claimSuperseded',
  'claimDenied',
  'approvalPending',
  'alreadyClaimed',
  'codeNotIssued',
  'wrongCode',
  'codeExpired',
  'notConfirmed',
  'methodDisabled',
  'claimRevoked',
  'interactionRequired',
  'linkRequired',
  'loginRequired',
  'invalidAssertion',
  'invalidRefreshToken',
  'invalidGrant',
  'invalidTarget',
  'invalidScope',
  'unsupportedGrant',
  'invalidDetails',
  'invalidNode',
  'invalidParent',
  'invalidPath',
  'tooMany',
  'lastOwner',
  'staleSequence',
  'confirmNeeded',
  'invitationVoid',
  'wrongService',
  'unsupportedVersion',
  'invalidSignature',
  'unknownService',
  'unknownAction',
  'grantNotAllowed',
  'keyInUse',
  'requestDecided',
  'requestExpired',
  'tooManyOpen',
  'pollTooFast',
  'protocolRefused',
  'idempotencyMismatch',
  'inProgress',
  'limited',
  'tooManyAttempts',
  'unavailable',
  'internal',
] as const;

/** The kind of a failure. */
export type FailureKind = (typeof KINDS)[number];

/**
 * What is wrong with a token that an agent provider signed (auth.md v0.1, POST /agent/auth; auth.md v0.5, ID-JAG
 * verification).
 */
export type AssertionFault =
  | 'malformed'
  | 'issuer'
  | 'signature'
  | 'key'
  | 'audience'
  | 'expired'
  | 'client'
  | 'contact'
  | 'login'
  | 'replayed';

/** The error codes that only the Agent Auth Protocol defines (Agent Auth Protocol 1.0-draft, section 5.13). */
export type ProtocolCode =
  | 'invalid_jwt'
  | 'authentication_required'
  | 'invalid_public_key'
  | 'unsupported_algorithm'
  | 'unsupported_mode'
  | 'invalid_capabilities'
  | 'unknown_constraint_operator'
  | 'agent_exists'
  | 'already_granted'
  | 'agent_not_found'
  | 'capability_not_found'
  | 'capability_not_granted'
  | 'constraint_violated'
  | 'agent_pending'
  | 'agent_expired'
  | 'agent_revoked'
  | 'agent_rejected'
  | 'agent_claimed'
  | 'absolute_lifetime_exceeded'
  | 'host_revoked'
  | 'unauthorized'
  | 'execution_failed';

/** What a dialect may add to the error response beside its code. All of it is public. */
export interface FailureDetails {
  /** Seconds after which a repetition can succeed; rendered as Retry-After (RFC 9110 section 10.2.3). */
  retryAfterSeconds?: number;
  /** The member of the request that is wrong. */
  field?: string;
  /** How many characters it may have, if it is too long. */
  maximum?: number;
  /** The scopes that the refused operation requires, space-separated (RFC 6750 section 3). */
  scope?: string;
  /** Guesses left for the code. */
  attemptsRemaining?: number;
  /** The path on this service that a browser is redirected to. */
  location?: string;
  /** What a page says in place of the message, as a text of the catalogue. */
  hint?: string;
  /** Values of Set-Cookie headers. */
  cookies?: readonly string[];
  /** The URL of the page on which the owner of the mailbox continues. */
  verificationUri?: string;
  /** The error code of the Agent Auth Protocol, and the members that its error body requires. */
  protocol?: { code: ProtocolCode; members?: Record<string, unknown> };
  /** What is wrong with the agent provider's token. */
  fault?: AssertionFault;
  /** The maximum age of the user's login at the agent provider. */
  maxAgeSeconds?: number;
  /** The number of the last batch of a tree that was taken. */
  last?: number;
  /** How many nodes a batch would end. */
  deleting?: number;
  /** The methods that the path supports, comma-separated; rendered as Allow (RFC 9110 section 10.2.1). */
  allow?: string;
  /** The limit that is exhausted; rendered as RateLimit. */
  budget?: Budget;
}

/** The state of one rate limit: how many of `max` remain in the window, and in how many seconds a new window starts. */
export interface Budget {
  name: string;
  max: number;
  remaining: number;
  windowSeconds: number;
  resetSeconds: number;
}

/** An error with a kind, which each dialect renders in its own form. */
export class Failure extends Error {
  readonly kind: FailureKind;
  readonly details: FailureDetails;

  constructor(kind: FailureKind, message: string, details: FailureDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Failure';
    this.kind = kind;
    this.details = details;
  }
}

/**
 * Returns the failure for a request that the database cannot process now; nothing was written.
 *
 * @param cause for the log
 */
export function unavailable(cause: unknown, retryAfterSeconds = 2): Failure {
  return new Failure(
    'unavailable',
    'The service cannot answer now. Nothing was changed; repeat the request later.',
    { retryAfterSeconds },
    cause,
  );
}

/** A setting is missing or invalid; the message names it and says what it should be. */
export class ConfigError extends Error {}

/** The database cannot be opened or brought up to date; the message names DATABASE_URL and says why. */
export class DatabaseError extends Error {
  /** Whether a retry may succeed soon: the server is still starting, or its name is not in the DNS yet. */
  readonly isPassing: boolean;

  constructor(
    message: string,
    { isPassing = false, ...options }: ErrorOptions & { isPassing?: boolean } = {},
  ) {
    super(message, options);
    this.isPassing = isPassing;
  }
}
