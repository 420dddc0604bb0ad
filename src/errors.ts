/**
 * What can go wrong, before any wire has spelled it.
 *
 * A Failure is thrown where the fact is known. Its message is public: it says what to do next and repeats no
 * input and no secret. Its `cause` is for the log alone. Each dialect in http/dialects/ has one total table from kind to
 * status and code.
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
  'loginRequired',
  'invalidAssertion',
  'invalidRefreshToken',
  'invalidGrant',
  'invalidTarget',
  'invalidScope',
  'unsupportedGrant',
  'pollTooFast',
  'protocolRefused',
  'idempotencyMismatch',
  'inProgress',
  'limited',
  'tooManyAttempts',
  'unavailable',
  'internal',
] as const;

export type Kind = (typeof KINDS)[number];

/** What is wrong with a token that an agent provider signed (auth.md 2a.1, 2b.1). */
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

/** What the Agent Auth Protocol has names of its own for (Agent Auth Protocol 1.0-draft, section 5.13). */
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

/** What a dialect may add to the answer beside its code. All of it is public. */
export interface FailureDetails {
  /** Seconds until it is worth asking again; rendered as Retry-After. */
  retryAfterSeconds?: number;
  /** The member of the request that is wrong. */
  field?: string;
  /** The scopes that the refused operation needs, space-separated. */
  scope?: string;
  /** Guesses left on the code. */
  attemptsRemaining?: number;
  /** Where a browser is led instead: a path of ours. */
  location?: string;
  /** Set-Cookie lines that go with it. */
  cookies?: readonly string[];
  /** The page on which the owner of the mailbox goes on. */
  verificationUri?: string;
  /** The name that the Agent Auth Protocol has for it, and the members that it wants beside. */
  protocol?: { code: ProtocolCode; members?: Record<string, unknown> };
  /** What is wrong with the assertion. */
  fault?: AssertionFault;
  /** How old a login at the agent's provider may be. */
  maxAgeSeconds?: number;
  /** The methods that the path knows; rendered as Allow. */
  allow?: string;
  /** The budget that was spent; rendered as RateLimit. */
  budget?: Budget;
}

/** One counter's standing after it was asked: how many of how many are left, and when it starts anew. */
export interface Budget {
  name: string;
  max: number;
  remaining: number;
  windowSeconds: number;
  resetSeconds: number;
}

export class Failure extends Error {
  readonly kind: Kind;
  readonly details: FailureDetails;

  constructor(kind: Kind, message: string, details: FailureDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Failure';
    this.kind = kind;
    this.details = details;
  }
}

/** The database cannot take the request now; nothing was written. */
export function unavailable(cause: unknown, retryAfterSeconds = 2): Failure {
  return new Failure(
    'unavailable',
    'The service cannot answer now. Nothing was changed; repeat the request later.',
    { retryAfterSeconds },
    cause,
  );
}

/** A setting that cannot be used; the message names it and says what it should be. */
export class ConfigError extends Error {}

/** The database cannot be opened or brought up to date; the message names DATABASE_URL and says why. */
export class DatabaseError extends Error {
  /** Whether it may be there in a moment: a server that is still starting, a name that is not known yet. */
  readonly isPassing: boolean;

  constructor(
    message: string,
    { isPassing = false, ...options }: ErrorOptions & { isPassing?: boolean } = {},
  ) {
    super(message, options);
    this.isPassing = isPassing;
  }
}
