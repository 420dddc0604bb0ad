import { LRUCache } from 'lru-cache';
import {
  type AuthorizationServerOptions,
  createAuthorizationServerClient,
} from './authorization-server-client.ts';
import { fitsShape, hasForeignShape, hashToken, isWellFormed, LENGTH_MAX } from './credentials.ts';
import { invalidToken } from './errors.ts';
import { type Cursor, follow, type ResourceEvent } from './follow-events.ts';
import { introspect } from './introspect.ts';
import { createProofCheck, type PresentedProof } from './proof.ts';
import { consumeQuota, type QuotaResult } from './quota.ts';
import { createServicePolicy } from './service-policy.ts';
import type { VerifiedToken } from './token.ts';

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
  /**
   * Called when a shared workspace was created: the moment to tell what every workspace begins with, see syncNodes(). Called again
   * if it throws, and as onMerge() after a restart.
   */
  onWorkspaceCreated?: (created: { workspace: string; eventId: string }) => Promise<void> | void;
  /**
   * Called when a workspace was deleted: what you keep of it can go. Called again if it throws, and as onMerge() after a restart.
   */
  onWorkspaceDeleted?: (deleted: { workspace: string; eventId: string }) => Promise<void> | void;
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
    onWorkspaceCreated,
    onWorkspaceDeleted,
    onError = () => {},
  } = options;
  checkOptions(options);
  const client = createAuthorizationServerClient(options);
  const readPolicy = createServicePolicy(client);
  const checkProof = createProofCheck(resource, options.proofNonceSecret);
  const cache = new LRUCache<string, CachedResult>({ max: cacheMax });
  const inFlight = new Map<string, { result: Promise<VerifiedToken | undefined>; isStale: boolean }>();

  async function introspectOnce(hash: string, token: string): Promise<VerifiedToken | undefined> {
    const running = inFlight.get(hash);
    if (running !== undefined && !running.isStale) return running.result;
    const started = { result: introspect(client, readPolicy, resource, token), isStale: false };
    inFlight.set(hash, started);
    try {
      const verified = await started.result;
      // A result from before a revocation must not be cached after it.
      const isKept = !started.isStale && cacheSeconds > 0 && verified?.actionHash === undefined;
      if (isKept) cache.set(hash, toCachedResult(verified, cacheSeconds));
      return verified;
    } finally {
      if (inFlight.get(hash) === started) inFlight.delete(hash);
    }
  }

  /** Reports whether a text is worth a request. What keys look like, where not as everywhere, the service says. */
  async function canBeCredential(token: string): Promise<boolean> {
    if (isWellFormed(token)) return true;
    if (!hasForeignShape(token)) return false;
    const { keys } = await readPolicy();
    return keys.some((shape) => fitsShape(shape, token));
  }

  async function introspectWellFormed(hash: string, token: string): Promise<VerifiedToken> {
    if (!(await canBeCredential(token))) throw invalidToken();
    const verified = await introspectOnce(hash, token).catch((error) => {
      onError(error);
      throw error;
    });
    if (verified === undefined) throw invalidToken();
    return verified;
  }

  const dropWorkspace = createWorkspaceDropper(cache);

  function invalidate(event: ResourceEvent): void {
    if (event.workspace !== undefined && event.type !== 'workspace_created') {
      // Whose answer is on its way is not known yet: it may name the workspace.
      for (const running of inFlight.values()) running.isStale = true;
      dropWorkspace(event.workspace);
    }
    for (const hash of event.token_hashes) {
      cache.delete(hash);
      const running = inFlight.get(hash);
      if (running !== undefined) running.isStale = true;
    }
  }

  async function handleEvent(event: ResourceEvent): Promise<void> {
    invalidate(event);
    if (event.type === 'workspace_created') {
      await onWorkspaceCreated?.({ workspace: event.workspace!, eventId: event.id });
    }
    if (event.type === 'workspace_deleted') {
      await onWorkspaceDeleted?.({ workspace: event.workspace!, eventId: event.id });
    }
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

/** How far apart two walks over the cache are, in ms: each takes some milliseconds of 100,000 entries. */
const WALK_PAUSE_MS = 100;

/** Creates a function that drops all cached results that name a workspace, at once or within WALK_PAUSE_MS. */
function createWorkspaceDropper(cache: LRUCache<string, CachedResult>): (workspace: string) => void {
  const waiting = new Set<string>();
  let pausedUntil = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  const walk = (): void => {
    clearTimeout(timer);
    timer = undefined;
    pausedUntil = Date.now() + WALK_PAUSE_MS;
    for (const [hash, { token }] of cache.entries()) {
      if (token?.access?.some((place) => waiting.has(place.workspace))) cache.delete(hash);
    }
    waiting.clear();
  };
  return (workspace) => {
    waiting.add(workspace);
    const pauseMs = pausedUntil - Date.now();
    if (pauseMs <= 0) walk();
    else {
      timer ??= setTimeout(walk, pauseMs);
      timer.unref();
    }
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
