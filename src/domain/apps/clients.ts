import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { parseScope } from '../../lib/scopes.ts';
import { hashSecret } from '../../lib/secrets.ts';
import { updateTokensOfOAuthClientRevoked } from '../../store/app-tokens.ts';
import {
  findOAuthClient,
  insertOAuthClient,
  lockOAuthClient,
  type OAuthClientRow,
  updateOAuthClientEnded,
  updateOAuthClientSaid,
} from '../../store/oauth-clients.ts';
import { listLiveOAuthGrantsOfClient } from '../../store/oauth-grants.ts';
import { listPlacesOf } from '../../store/places.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { clientLimits } from '../limits/limits.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { isWithinBound } from './consent-places.ts';
import { endConsent } from './consents.ts';

/** The clients of the OAuth authorization server: apps that humans let use their account. */

/** A client, without its secret. */
export interface OAuthClient extends Omit<OAuthClientRow, 'metadata' | 'endedAt'> {
  /** RFC 7591 section 2. */
  metadata: Record<string, unknown>;
}

/** Finds a client that may act: one that has not ended, and is not suspended. */
export async function findClient({ db }: Pick<Deps, 'db'>, id: string): Promise<OAuthClient | undefined> {
  const row = await findOAuthClient(db, id);
  const mayAct = row !== undefined && row.endedAt === null && row.suspendedAt === null;
  return mayAct ? toOAuthClient(row) : undefined;
}

/** Converts a row to a client. */
export function toOAuthClient({ endedAt: _, metadata, ...rest }: OAuthClientRow): OAuthClient {
  return { ...rest, metadata: JSON.parse(metadata) as Record<string, unknown> };
}

/**
 * Returns the hashes of the secrets that a client may present, the current one first.
 *
 * @param now epoch ms
 */
export function liveSecretHashes(
  { secretHash, previousSecretHash, previousEndsAt }: OAuthClient,
  now: number,
): Buffer[] {
  const isOverlapping = previousEndsAt !== null && previousEndsAt > now;
  return [secretHash, isOverlapping ? previousSecretHash : null].filter((hash) => hash !== null);
}

/**
 * Saves what a client says of itself (RFC 7591, RFC 7592), in the caller's transaction. A client whose redirects, keys or
 * authentication changed loses the consents that it has: humans gave them to another one.
 *
 * @param metadata without the secret
 * @param secret undefined: it has none; a hash: it keeps the one it has
 * @throws Failure `limited` for too many new clients; `notFound` if the client has ended
 */
export async function saveClient(
  work: Work,
  client: {
    id: string;
    origin: OAuthClientRow['origin'];
    metadata: Record<string, unknown>;
    secret: string | Buffer | undefined;
  },
): Promise<void> {
  const { tx, now, origin } = work;
  const { id, metadata, secret } = client;
  let known = await lockOAuthClient(tx, id);
  if (known === undefined && client.origin === 'dynamic') {
    await consumeLimits(work, clientLimits(origin.address));
  }
  const text = JSON.stringify(metadata);
  const said = {
    id,
    name: typeof metadata.client_name === 'string' ? metadata.client_name : null,
    metadata: text,
    secretHash: typeof secret === 'string' ? hashSecret(secret) : (secret ?? null),
  };
  if (known === undefined) {
    const rest = { origin: client.origin, owner: null, accountId: null, scope: null, createdAt: now };
    if ((await insertOAuthClient(tx, { ...said, ...rest })) === 1) {
      const details = { origin: client.origin };
      await recordEvent(work, { kind: 'client.registered', subject: id, details });
      return;
    }
    known = await lockOAuthClient(tx, id); // another replica fetched the same document at the same time
  }
  if ((await updateOAuthClientSaid(tx, said)) !== 1)
    throw new Failure('notFound', 'There is no such client.');
  if (known === undefined || known.metadata === text) return;
  await recordEvent(work, { kind: 'client.changed', subject: id });
  if (identityOf(JSON.parse(known.metadata)) !== identityOf(metadata))
    await endConsentsOfChangedClient(work, id);
}

/** Returns what a human trusts in when they consent: where the client is answered, and how it proves that it is this one. */
export function identityOf(metadata: Record<string, unknown>): string {
  const { redirect_uris, token_endpoint_auth_method, jwks, jwks_uri } = metadata;
  return JSON.stringify([redirect_uris, token_endpoint_auth_method, jwks, jwks_uri]);
}

/**
 * Ends a client and its own tokens, in the caller's transaction. From then on nothing works that humans let it do; the
 * caller ends that after the commit, by endConsentsOfEndedClient(). A client that has ended stays as it is.
 *
 * @param accountId under whose account it is in the audit, with `details`
 */
export async function endClient(
  work: Work,
  id: string,
  { accountId, details }: { accountId?: string | undefined; details?: Record<string, string> } = {},
): Promise<void> {
  if ((await updateOAuthClientEnded(work.tx, id, work.now)) !== 1) return;
  await updateTokensOfOAuthClientRevoked(work.tx, id, work.now);
  await recordEvent(work, { kind: 'client.removed', accountId, subject: id, ...(details && { details }) });
}

/** Ends what humans let a client do where it may not work any more, in the caller's transaction. */
export async function endConsentsOutsideBound(work: Work, id: string): Promise<void> {
  const { tx, now } = work;
  for (const consent of await listLiveOAuthGrantsOfClient(tx, id, now, Number.MAX_SAFE_INTEGER)) {
    const places = await listPlacesOf(tx, consent.id);
    const given = { ...consent, scopes: parseScope(consent.scope) };
    if (!(await isWithinBound(tx, given, places))) await endConsent(work, consent, 'client');
  }
}

/** Ends all that humans let a client do that became another one, in the caller's transaction. */
export async function endConsentsOfChangedClient(work: Work, id: string): Promise<void> {
  const consents = await listLiveOAuthGrantsOfClient(work.tx, id, work.now, Number.MAX_SAFE_INTEGER);
  for (const consent of consents) await endConsent(work, consent, 'client');
}
