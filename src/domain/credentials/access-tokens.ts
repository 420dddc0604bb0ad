import type { Deps } from '../../deps.ts';
import { formatScope } from '../../lib/scopes.ts';
import { newSecret } from '../../lib/secrets.ts';
import { epochSeconds } from '../../lib/time.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { Work } from '../../work.ts';
import type { Audience } from '../audiences/audience.ts';
import { listResourceServers } from '../audiences/resource-servers.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { newTokenId, storeAccessToken } from './issue.ts';
import { readPlacedAccess, toAuthorizationDetails } from './placed-access.ts';
import { signOwnToken } from './signing-keys.ts';

/** What an access token allows, at which audience, and until when. */
export interface AccessTokenTerms {
  agentId: string;
  /** The account whose data it gives access to: `sub`. */
  accountId: string;
  scopes: readonly string[];
  /** The one API or MCP server that accepts it (RFC 8707), and whether its tokens are opaque or signed. */
  audience: Pick<Audience, 'url' | 'tokens'>;
  /** Epoch ms, both. */
  issuedAt: number;
  expiresAt: number;
}

/** An issued access token. Of its value only the hash is stored. */
export interface IssuedToken {
  id: string;
  value: string;
  scopes: readonly string[];
  /** Epoch ms, both. */
  issuedAt: number;
  expiresAt: number;
}

/**
 * Computes when an access token that is issued now expires. A revoked opaque token stops working at once. An API that
 * verifies signed tokens without introspection does not learn of a revocation, so these live shorter.
 *
 * @param now epoch ms
 * @param endsAt epoch ms: when the agent's access ends; Infinity: it does not
 * @returns epoch ms
 */
export function tokenExpiry(
  deps: Pick<Deps, 'config'>,
  audience: Pick<Audience, 'tokens'>,
  now: number,
  endsAt: number,
): number {
  const { accessTokenTtlSeconds, signedTokenTtlSeconds } = deps.config.limits;
  const seconds = audience.tokens === 'jwt' ? signedTokenTtlSeconds : accessTokenTtlSeconds;
  return Math.min(now + seconds * 1000, endsAt);
}

/** Creates the id and the value of a token, without storing it: random, or a signed JWT (RFC 9068 section 2.2). */
export async function createToken(
  deps: Deps,
  grant: Omit<AccessTokenTerms, 'agentId'> & {
    /** Undefined: a token of an app. */
    agentId?: string;
    clientId: string;
    keyThumbprint?: string | undefined;
  },
): Promise<Pick<IssuedToken, 'id' | 'value'>> {
  const id = newTokenId(deps, grant.issuedAt);
  if (grant.audience.tokens === 'opaque') return { id, value: newSecret('at', deps.random) };
  const claims = {
    iss: deps.config.publicUrl,
    aud: grant.audience.url,
    sub: grant.accountId,
    client_id: grant.clientId,
    jti: id,
    iat: epochSeconds(grant.issuedAt),
    exp: epochSeconds(grant.expiresAt),
    scope: formatScope(grant.scopes),
    ...(grant.keyThumbprint !== undefined && { cnf: { jkt: grant.keyThumbprint } }),
    ...(await placesIn(deps, grant)),
  };
  return { id, value: await signOwnToken(deps, 'at+jwt', claims) };
}

/**
 * Reads where else than in its account a signed token of an agent may do what (RFC 9396 section 9.1). Whoever verifies it without
 * asking does not learn that a role changed: so without `workspaces.signed` it is for the account of the agent alone.
 */
async function placesIn(
  deps: Deps,
  { agentId, accountId, scopes, audience }: Parameters<typeof createToken>[1],
): Promise<object | undefined> {
  if (!deps.config.workspaces.signed || agentId === undefined) return undefined;
  const server = (await listResourceServers(deps)).find(({ url }) => url === audience.url);
  if (server === undefined) return undefined;
  const reach = {
    agentId,
    accountId,
    hasAgentPlaces: true,
    app: undefined,
    grants: undefined,
    narrowed: undefined,
    key: { id: '', isPlaced: false, createdAt: 0, scopes: [...scopes] },
  };
  const access = await readPlacedAccess(deps, reach, server, scopes);
  if (access === undefined) return undefined;
  const ownScopes = access.flatMap(({ actions }) => actions);
  return {
    ...toAuthorizationDetails(access, audience.url),
    scope: formatScope([...new Set(ownScopes)].sort()),
  };
}

/**
 * Issues an access token in the caller's transaction. Nothing else issues one, so that each counts against
 * `tokensPerAgent` and is in the audit (docs/adr/0005-keys-and-scopes.md).
 *
 * @param prepared the result of createToken() for the same grant, if the caller signed it before the transaction
 * @throws Failure `limited`
 */
export async function issueAccessToken(
  work: Work,
  grant: AccessTokenTerms,
  prepared?: Pick<IssuedToken, 'id' | 'value'>,
): Promise<IssuedToken> {
  const { tx, deps } = work;
  const { agentId, accountId, scopes, audience, issuedAt, expiresAt } = grant;
  await consumeLimits(work, [{ name: 'tokensPerAgent', key: agentId }]);
  // Read or create the signing key in this transaction: SQLite has one writer, so a second one would wait for this one.
  const depsInTransaction = {
    ...deps,
    db: { ...deps.db, ...tx, tx: <Result>(work: (tx: Tx) => Promise<Result>) => work(tx) },
  };
  const { id, value } = prepared ?? (await createToken(depsInTransaction, { ...grant, clientId: agentId }));
  await storeAccessToken(tx, {
    id,
    value,
    agentId,
    accountId,
    scopes,
    resource: audience.url,
    issuedAt,
    expiresAt,
  });
  await recordEvent(work, {
    kind: 'token.issued',
    subject: id,
    // Without `agentId`, which would list it among the agent's activity: there are too many for anybody to read.
    details: { agent: agentId, scope: formatScope(scopes), resource: audience.url },
  });
  return { id, value, scopes, issuedAt, expiresAt };
}
