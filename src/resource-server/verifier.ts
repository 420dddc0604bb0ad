import { LRUCache } from 'lru-cache';
import {
  type AuthorizationServerClient,
  type AuthorizationServerOptions,
  createAuthorizationServerClient,
} from './authorization-server-client.ts';
import { hashToken, isWellFormed, LENGTH_MAX } from './credentials.ts';
import { invalidToken, unavailable } from './errors.ts';
import { type Cursor, follow, type ResourceEvent } from './follow-events.ts';
import { createProofCheck, type PresentedProof } from './proof.ts';
import { consumeQuota, type QuotaResult } from './quota.ts';
import { createServiceVersion, SAYS_KINDS } from './service-version.ts';
import { CREDENTIAL_FORMS, CREDENTIAL_KINDS, type VerifiedToken } from './token.ts';

/** The options of createVerifier(). */
export interface VerifierOptions extends AuthorizationServerOptions {
  /** The URL of this resource server, as it was added by `vouchsafe resource add`. */
  resource: string;
  /** How many seconds a verified credential is cached: 0 to 60, default 60. With 0 none is cached. */
  cacheSeconds?: number;
  /** How many results are cached; default 100,000. */
  cacheMax?: number;
  /**
   * Whether to follow the events of the authorization server; default true. A revoked key then stops working within a second.
   * Without the events, or while the stream is broken, it may work for `cacheSeconds`.
   */
  follow?: boolean;
  /**
   * Called when an agent was merged: the data of account `from` belongs to account `to` from now on. Called again if it throws.
   * After a restart with `cursor`, it may be called again for merges of the last seconds: recognize those by `eventId`.
   */
  onMerge?: (merge: { from: string; to: string; agentId: string; eventId: string }) => Promise<void> | void;
  /** Stores the position in the events, so that no merge is missed during a restart. */
  cursor?: Cursor;
  /** Called, for your log, when a request to the authorization server, the event stream, `onMerge` or `cursor` fails. */
  onError?: (error: unknown) => void;
  /**
   * With it, a proof of a key (DPoP, RFC 9449) must carry a nonce of this resource server, which clients get with the first
   * refusal: 32 random characters or more, the same on all replicas. Without it, a proof is taken once by each process.
   */
  proofNonceSecret?: string;
}

/** Verifies credentials for one resource. */
export interface Verifier {
  /** The URL of the authorization server, without a trailing slash. */
  readonly issuer: string;
  /** The URL of this resource server. */
  readonly resource: string;
  /**
   * Verifies a credential, from the cache or by introspection (RFC 7662).
   *
   * @param token a key or access token, without the word `Bearer`
   * @param presented the proof, of a token that was presented by the scheme `DPoP`; without it, a token that is bound to a key
   * is invalid
   * @throws VerificationError `invalid_token` (401), or `unavailable` (503) while the authorization server cannot be asked; the
   * credential is then neither valid nor invalid; `invalid_dpop_proof` and `use_dpop_nonce` (401) only with `presented`
   */
  verify(token: string, presented?: PresentedProof): Promise<VerifiedToken>;
  /**
   * Consumes one use of a quota of the account behind a credential. Quotas are configured at the authorization server.
   *
   * @param action the name of the quota
   * @returns whether the action is allowed, and how many are left or what to respond
   * @throws VerificationError `unavailable` if the use cannot be counted, or no quota has this name
   */
  consumeQuota(token: VerifiedToken, action: string): Promise<QuotaResult>;
  /** Stops following events. The verifier still works, but revocations take effect within `cacheSeconds` only. */
  close(): void;
}

/** How long an invalid credential is cached: it is introspected at most once in this time. */
const UNKNOWN_MS = 2000;
const CACHE_SECONDS_MAX = 60;

/** A cached result, and until when it is used (epoch ms). Without a token, the credential is invalid. */
interface CachedResult {
  token: VerifiedToken | undefined;
  until: number;
}

/**
 * Creates a verifier for one resource. It answers from its cache if it can. Otherwise it checks the checksum of the credential,
 * and sends one introspection request, which concurrent calls share (S-102, S-103, R-29).
 *
 * @throws Error if an option is not valid
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const {
    resource,
    cacheSeconds = CACHE_SECONDS_MAX,
    cacheMax = 100_000,
    onMerge,
    onError = () => {},
  } = options;
  checkOptions(options);
  const client = createAuthorizationServerClient(options);
  const versionOfService = createServiceVersion(client);
  const checkProof = createProofCheck(resource, options.proofNonceSecret);
  const cache = new LRUCache<string, CachedResult>({ max: cacheMax });
  const inFlight = new Map<string, { result: Promise<VerifiedToken | undefined>; isStale: boolean }>();

  async function introspectOnce(hash: string, token: string): Promise<VerifiedToken | undefined> {
    const running = inFlight.get(hash);
    if (running !== undefined && !running.isStale) return running.result;
    const started = { result: introspect(client, versionOfService, resource, token), isStale: false };
    inFlight.set(hash, started);
    try {
      const verified = await started.result;
      // A result from before a revocation must not be cached after it.
      if (!started.isStale && cacheSeconds > 0) cache.set(hash, toCachedResult(verified, cacheSeconds));
      return verified;
    } finally {
      if (inFlight.get(hash) === started) inFlight.delete(hash);
    }
  }

  async function introspectWellFormed(hash: string, token: string): Promise<VerifiedToken> {
    if (!isWellFormed(token)) throw invalidToken();
    const verified = await introspectOnce(hash, token).catch((error) => {
      onError(error);
      throw error;
    });
    if (verified === undefined) throw invalidToken();
    return verified;
  }

  function invalidate(event: ResourceEvent): void {
    for (const hash of event.token_hashes) {
      cache.delete(hash);
      const running = inFlight.get(hash);
      if (running !== undefined) running.isStale = true;
    }
  }

  async function handleEvent(event: ResourceEvent): Promise<void> {
    invalidate(event);
    if (event.type !== 'account_merged') return;
    await onMerge?.({
      from: event.merged_from!,
      to: event.user_id!,
      agentId: event.agent_id!,
      eventId: event.id,
    });
  }

  /** Drops what was cached before the stream opened: a revocation may have been missed. */
  function clearCache(): void {
    cache.clear();
    for (const running of inFlight.values()) running.isStale = true;
  }

  const handlers = { begin: clearCache, handle: handleEvent, report: onError };
  const following = options.follow === false ? undefined : follow(client, options.cursor, handlers);

  return {
    issuer: options.issuer.replace(/\/$/, ''),
    resource,
    async verify(token, presented) {
      // The checksum of a cached credential needs no second check; introspectWellFormed() checks the others.
      const hash = token.length <= LENGTH_MAX ? hashToken(token) : '';
      const found = cache.get(hash);
      const isCached = found !== undefined && found.until > Date.now();
      const verified = isCached ? found.token : await introspectWellFormed(hash, token);
      if (verified === undefined) throw invalidToken();
      if (verified.keyThumbprint !== undefined || presented !== undefined) {
        await checkProof(token, verified.keyThumbprint, presented);
      }
      return verified;
    },
    consumeQuota: (token, action) => consumeQuota(client, token, action),
    close: () => following?.stop(),
  };
}

function checkOptions(options: VerifierOptions): void {
  const { issuer, resource, clientId, clientSecret, cacheSeconds = 0, proofNonceSecret } = options;
  if (!URL.canParse(issuer)) throw new Error('issuer must be the URL of the authority.');
  if (!URL.canParse(resource)) throw new Error('resource must be the URL that names this resource server.');
  if (!clientId || !clientSecret)
    throw new Error('clientId and clientSecret are what "vouchsafe resource add" printed.');
  if (!(cacheSeconds >= 0 && cacheSeconds <= CACHE_SECONDS_MAX)) {
    throw new Error(`cacheSeconds must be from 0 to ${CACHE_SECONDS_MAX}.`);
  }
  if (proofNonceSecret !== undefined && proofNonceSecret.length < 32) {
    throw new Error('proofNonceSecret must have 32 random characters or more.');
  }
}

function toCachedResult(verified: VerifiedToken | undefined, cacheSeconds: number): CachedResult {
  const now = Date.now();
  if (verified === undefined) return { token: undefined, until: now + UNKNOWN_MS };
  return { token: verified, until: Math.min(now + cacheSeconds * 1000, verified.expiresAt * 1000) };
}

/** Introspects a token (RFC 7662 section 2). @returns undefined if it is not active, or not for this resource */
async function introspect(
  client: AuthorizationServerClient,
  versionOfService: () => Promise<number>,
  resource: string,
  token: string,
): Promise<VerifiedToken | undefined> {
  const response = await client.post('/oauth2/introspect', { token });
  if (response.active === false) return undefined;
  const { sub, scope, aud, exp, jti, agent_id, owner, merged_from, credential_kind, credential_form } =
    response;
  const isShaped =
    response.active === true &&
    typeof sub === 'string' &&
    typeof scope === 'string' &&
    typeof aud === 'string' &&
    typeof jti === 'string' &&
    Number.isInteger(exp);
  if (!isShaped) throw unavailable(new Error('the answer of the authority has not the shape of RFC 7662'));
  // A token that is bound in a way that this kit does not know is no bearer token.
  const keyThumbprint = readThumbprint(response.cnf);
  if (response.cnf !== undefined && keyThumbprint === undefined) return undefined;
  if (aud !== resource || (exp as number) * 1000 <= Date.now()) return undefined;
  // What this kit does not know it cannot judge.
  const kind = CREDENTIAL_KINDS.find((each) => each === credential_kind);
  const form = CREDENTIAL_FORMS.find((each) => each === credential_form);
  if (credential_kind !== undefined && kind === undefined) return undefined;
  if (credential_form !== undefined && form === undefined) return undefined;
  const isTold = kind !== undefined && form !== undefined;
  if (!isTold && (await versionOfService()) >= SAYS_KINDS) return undefined;
  return Object.freeze({
    subject: sub,
    agentId: text(agent_id),
    keyId: jti,
    scopes: Object.freeze(scope.split(' ').filter((word) => word !== '')),
    audience: aud,
    expiresAt: exp as number,
    ...(kind !== undefined && { kind }),
    ...(form !== undefined && { form }),
    ...(kind === 'app' && { clientId: text(response.client_id)! }),
    ...(keyThumbprint !== undefined && { keyThumbprint }),
    ...(text(owner) !== undefined && { owner: owner as string }),
    ...(text(merged_from) !== undefined && { mergedFrom: merged_from as string }),
  });
}

/** Reads the thumbprint of the key that a token is bound to (RFC 9449 section 6.2). */
function readThumbprint(cnf: unknown): string | undefined {
  if (typeof cnf !== 'object' || cnf === null || Object.keys(cnf).join() !== 'jkt') return undefined;
  return text((cnf as { jkt: unknown }).jkt);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
