import type { Deps } from '../../deps.ts';
import { formatScope } from '../../lib/scopes.ts';
import { newSecret } from '../../lib/secrets.ts';
import { epochSeconds } from '../../lib/time.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { Work } from '../../work.ts';
import type { Audience } from '../audiences/audience.ts';
import { record } from '../audit/audit-log.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { insertToken, newTokenId } from './issue.ts';
import { sign } from './signing-keys.ts';

/** What an access token is to be good for. */
export interface TokenGrant {
  agentId: string;
  /** Whose data it opens. */
  accountId: string;
  scopes: readonly string[];
  /** The one API or MCP server that takes it (RFC 8707), and whether its tokens are looked up or signed. */
  audience: Pick<Audience, 'url' | 'tokens'>;
  /** Epoch ms, both. */
  issuedAt: number;
  expiresAt: number;
}

/** An access token; its value is nowhere else. */
export interface IssuedToken {
  id: string;
  value: string;
  scopes: readonly string[];
  /** Epoch ms, both. */
  issuedAt: number;
  expiresAt: number;
}

/**
 * When a token ends that is made now: opaque ones hear of a revocation at once, signed ones not where an API verifies them
 * alone, so they are short.
 *
 * @param endsAt epoch ms: when what it is made from ends
 * @returns epoch ms
 */
export function tokenEnd(
  deps: Pick<Deps, 'config'>,
  audience: Pick<Audience, 'tokens'>,
  now: number,
  endsAt: number,
): number {
  const { accessTokenTtlSeconds, signedTokenTtlSeconds } = deps.config.limits;
  const seconds = audience.tokens === 'jwt' ? signedTokenTtlSeconds : accessTokenTtlSeconds;
  return Math.min(now + seconds * 1000, endsAt);
}

/** The name and the text of a token that is still to be issued: random, or signed (RFC 9068 section 2.2). */
export async function makeToken(deps: Deps, grant: TokenGrant): Promise<Pick<IssuedToken, 'id' | 'value'>> {
  const id = newTokenId(deps, grant.issuedAt);
  if (grant.audience.tokens === 'opaque') return { id, value: newSecret('at', deps.random) };
  const claims = {
    iss: deps.config.publicUrl,
    aud: grant.audience.url,
    sub: grant.accountId,
    client_id: grant.agentId,
    jti: id,
    iat: epochSeconds(grant.issuedAt),
    exp: epochSeconds(grant.expiresAt),
    scope: formatScope(grant.scopes),
  };
  return { id, value: await sign(deps, 'at+jwt', claims) };
}

/**
 * Issues an access token in the caller's transaction: the only place where one comes into being, so each counts against
 * `tokensPerAgent` and is in the audit.
 *
 * @param made what makeToken made of the same grant, where signing was not to hold the transaction up
 * @throws Failure `limited`
 */
export async function issueAccessToken(
  work: Work,
  grant: TokenGrant,
  made?: Pick<IssuedToken, 'id' | 'value'>,
): Promise<IssuedToken> {
  const { tx, deps } = work;
  const { agentId, accountId, scopes, audience, issuedAt, expiresAt } = grant;
  await consumeLimits(work, [{ name: 'tokensPerAgent', key: agentId }]);
  // The key to sign with is read, or made, in this transaction: SQLite has one writer, which is us.
  const inside = {
    ...deps,
    db: { ...deps.db, ...tx, tx: <Result>(work: (tx: Tx) => Promise<Result>) => work(tx) },
  };
  const { id, value } = made ?? (await makeToken(inside, grant));
  await insertToken(tx, {
    id,
    value,
    agentId,
    accountId,
    scopes,
    resource: audience.url,
    issuedAt,
    expiresAt,
  });
  await record(work, {
    kind: 'token.issued',
    subject: id,
    // Not as the agent's own event: there are too many for anybody to read.
    details: { agent: agentId, scope: formatScope(scopes), resource: audience.url },
  });
  return { id, value, scopes, issuedAt, expiresAt };
}
