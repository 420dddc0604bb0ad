import { LRUCache } from 'lru-cache';
import {
  type AuthorizationServerClient,
  type AuthorizationServerOptions,
  createAuthorizationServerClient,
} from './authority.ts';
import { hashToken, isWellFormed, LENGTH_MAX } from './credentials.ts';
import { invalidToken, unavailable } from './errors.ts';
import { type Cursor, follow, type ResourceEvent } from './follow.ts';
import { consumeQuota, type QuotaResult } from './quota.ts';

import type { VerifiedToken } from './token.ts';
export interface VerifierOptions extends AuthorizationServerOptions {
  /** The URL that names this resource server, as it was added at the authority. */
  resource: string;
  /** How long an answer is used again; at most 60, the default. 0: ask each time. */
  cacheSeconds?: number;
  /** How many are kept; default 100,000. */
  cacheMax?: number;
  /** Whether to follow the authority's events, so that a revoked key stops working within a second; default true. */
  follow?: boolean;
  /**
   * An agent was merged: its data belongs to another account from now on. Called again if it throws; after a restart with
   * `cursor` perhaps for merges of its last seconds, too: know them by `eventId`.
   */
  onMerge?: (merge: { from: string; to: string; agentId: string; eventId: string }) => Promise<void> | void;
  /** Where to go on after a restart, so that no merge is missed. */
  cursor?: Cursor;
  /** Told what is wrong between here and the authority; default: nobody. */
  onError?: (error: unknown) => void;
}

export interface Verifier {
  readonly issuer: string;
  readonly resource: string;
  /**
   * Who stands behind a credential.
   *
   * @throws VerificationError `invalid_token` (401), or `unavailable` (503) while nobody can say: that is neither yes nor no
   */
  verify(token: string): Promise<VerifiedToken>;
  /**
   * Counts one action of the account behind a credential; the quotas stand in the authority's configuration.
   *
   * @throws VerificationError `unavailable` while nobody can count
   */
  consumeQuota(token: VerifiedToken, action: string): Promise<QuotaResult>;
  /** Stops following; the verifier goes on working, with answers up to `cacheSeconds` old. */
  close(): void;
}

/** An invented key is asked about once in so long. */
const UNKNOWN_MS = 2000;
const CACHE_SECONDS_MAX = 60;

/** An answer, and until when it is used again (epoch ms); without a token it was no. */
interface Known {
  token: VerifiedToken | undefined;
  until: number;
}

/**
 * A verifier for one resource: what it remembers first; of anything else the checksum, and then one question to the authority,
 * however many callers wait for it (S-102, S-103, R-29).
 *
 * @throws Error for options that cannot be right
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
  const authority = createAuthorizationServerClient(options);
  const known = new LRUCache<string, Known>({ max: cacheMax });
  const asking = new Map<string, { answer: Promise<VerifiedToken | undefined>; isStale: boolean }>();

  async function ask(hash: string, token: string): Promise<VerifiedToken | undefined> {
    const waiting = asking.get(hash);
    if (waiting !== undefined && !waiting.isStale) return waiting.answer;
    const mine = { answer: introspect(authority, resource, token), isStale: false };
    asking.set(hash, mine);
    try {
      const verified = await mine.answer;
      // What was said before a revocation is no longer true after it.
      if (!mine.isStale && cacheSeconds > 0) known.set(hash, remember(verified, cacheSeconds));
      return verified;
    } finally {
      if (asking.get(hash) === mine) asking.delete(hash);
    }
  }

  async function askAbout(hash: string, token: string): Promise<VerifiedToken> {
    if (!isWellFormed(token)) throw invalidToken();
    const verified = await ask(hash, token).catch((error) => {
      onError(error);
      throw error;
    });
    if (verified === undefined) throw invalidToken();
    return verified;
  }

  function drop(event: ResourceEvent): void {
    for (const hash of event.token_hashes) {
      known.delete(hash);
      const waiting = asking.get(hash);
      if (waiting !== undefined) waiting.isStale = true;
    }
  }

  async function handle(event: ResourceEvent): Promise<void> {
    drop(event);
    if (event.type !== 'account_merged') return;
    await onMerge?.({
      from: event.merged_from!,
      to: event.user_id!,
      agentId: event.agent_id!,
      eventId: event.id,
    });
  }

  /** What was remembered before the stream stood may have ended unheard. */
  function begin(): void {
    known.clear();
    for (const waiting of asking.values()) waiting.isStale = true;
  }

  const handlers = { begin, handle, report: onError };
  const following = options.follow === false ? undefined : follow(authority, options.cursor, handlers);

  return {
    issuer: options.issuer.replace(/\/$/, ''),
    resource,
    verify(token) {
      // What is remembered needs no second look at its checksum; all that is asked about does.
      const hash = token.length <= LENGTH_MAX ? hashToken(token) : '';
      const found = known.get(hash);
      if (found === undefined || found.until <= Date.now()) return askAbout(hash, token);
      return found.token === undefined ? Promise.reject(invalidToken()) : Promise.resolve(found.token);
    },
    consumeQuota: (token, action) => consumeQuota(authority, token, action),
    close: () => following?.stop(),
  };
}

function checkOptions({ issuer, resource, clientId, clientSecret, cacheSeconds = 0 }: VerifierOptions): void {
  if (!URL.canParse(issuer)) throw new Error('issuer must be the URL of the authority.');
  if (!URL.canParse(resource)) throw new Error('resource must be the URL that names this resource server.');
  if (!clientId || !clientSecret)
    throw new Error('clientId and clientSecret are what "vouchsafe resource add" printed.');
  if (!(cacheSeconds >= 0 && cacheSeconds <= CACHE_SECONDS_MAX)) {
    throw new Error(`cacheSeconds must be from 0 to ${CACHE_SECONDS_MAX}.`);
  }
}

function remember(verified: VerifiedToken | undefined, cacheSeconds: number): Known {
  const now = Date.now();
  if (verified === undefined) return { token: undefined, until: now + UNKNOWN_MS };
  return { token: verified, until: Math.min(now + cacheSeconds * 1000, verified.expiresAt * 1000) };
}

/** One question (RFC 7662). Undefined: not active, or not for this resource. */
async function introspect(
  authority: AuthorizationServerClient,
  resource: string,
  token: string,
): Promise<VerifiedToken | undefined> {
  const answer = await authority.post('/oauth2/introspect', { token });
  if (answer.active === false) return undefined;
  const { sub, scope, aud, exp, jti, agent_id, owner, merged_from } = answer;
  const isShaped =
    answer.active === true &&
    typeof sub === 'string' &&
    typeof scope === 'string' &&
    typeof aud === 'string' &&
    typeof jti === 'string' &&
    Number.isInteger(exp);
  if (!isShaped) throw unavailable(new Error('the answer of the authority has not the shape of RFC 7662'));
  if (aud !== resource || (exp as number) * 1000 <= Date.now()) return undefined;
  return Object.freeze({
    subject: sub,
    agentId: text(agent_id),
    keyId: jti,
    scopes: Object.freeze(scope.split(' ').filter((word) => word !== '')),
    audience: aud,
    expiresAt: exp as number,
    ...(text(owner) !== undefined && { owner: owner as string }),
    ...(text(merged_from) !== undefined && { mergedFrom: merged_from as string }),
  });
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
