import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { formatScope } from '../../lib/scopes.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { DAY_MS } from '../../lib/time.ts';
import { lockAccount } from '../../store/accounts.ts';
import { updateTokensOfOAuthClientRevoked } from '../../store/app-tokens.ts';
import {
  findOAuthClient,
  type OAuthClientRow,
  updateOAuthClientMetadata,
  updateOAuthClientSecret,
  updateOAuthClientSuspended,
} from '../../store/oauth-clients.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { type EventKind, recordEvent } from '../audit/audit-log.ts';
import { type OperatorAct, type OperatorEventKind, recordOperatorEvent } from '../audit/operator-acts.ts';
import { useCase } from '../limits/use-case.ts';
import { allowBound, setBound } from './client-bounds.ts';
import {
  endClient,
  endConsentsOfChangedClient,
  endConsentsOutsideBound,
  identityOf,
  type OAuthClient,
  toOAuthClient,
} from './clients.ts';
import { type NewClient, toMetadata } from './create-client.ts';
import { BATCHES_PER_REQUEST, endConsentsOfEndedClient, enderOf } from './end-consents.ts';

/** What people do with the clients that they registered, and the operator with all. */

/** Who acts: the human who registered the client, or the operator, who may act on every client. */
export type ClientActor = { owner: string } | { operator: OperatorAct };

/**
 * Finds a client that a human registered, also while it is suspended.
 *
 * @throws Failure `notFound`, also for a client of somebody else (S-29), and after it has ended
 */
export async function findOwnClient(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  id: string,
): Promise<OAuthClient> {
  const row = await findOAuthClient(db, id);
  if (row?.owner !== accountId || row.endedAt !== null) throw notFound();
  return toOAuthClient(row);
}

/** What can be changed of a client; how it signs in and what it may do stay. */
export type ClientChange = Pick<
  NewClient,
  'name' | 'redirectUris' | 'scopes' | 'jwks' | 'jwksUri' | 'places'
>;

/**
 * Changes what was said of a client. Where its redirects or keys change, it loses what people let it do: they gave it to
 * another one. It loses what they let it do in places where it may not work any more, too.
 *
 * @param to without `places`: they stay
 * @throws Failure `badRequest` with the `field` that is wrong; `notFound`
 */
export async function changeClient(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  to: ClientChange,
  by: ClientActor,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const owner = 'owner' in by ? by.owner : undefined;
    // Workspaces are locked before the client.
    const places = to.places && (await allowBound(work, owner, to.places));
    const row = await lockClient(work, id, by);
    const before = JSON.parse(row.metadata) as OAuthClient['metadata'];
    const metadata = toMetadata(deps, {
      ...to,
      authMethod: before.token_endpoint_auth_method as NewClient['authMethod'],
      grantTypes: before.grant_types as NewClient['grantTypes'],
    });
    const text = JSON.stringify(metadata);
    const scope = to.scopes === undefined ? null : formatScope(to.scopes);
    if (text === row.metadata && scope === row.scope && places === undefined) return;
    if (places !== undefined) await setBound(work, { id, accountId: row.accountId! }, owner, places);
    await updateOAuthClientMetadata(tx, id, { name: metadata.client_name, metadata: text, scope });
    await recordClientEvent(work, 'client.changed', row, by);
    if (identityOf(before) !== identityOf(metadata)) await endConsentsOfChangedClient(work, id);
    else if (places !== undefined) await endConsentsOutsideBound(work, id);
  });
}

/** The longest overlap of two secrets. */
export const SECRET_OVERLAP_MAX_MS = 30 * DAY_MS;

/**
 * Gives a client a new secret. The one so far works for another `overlapMs`; one from before that ends at once.
 *
 * @param overlapMs 0: the secret so far ends now; at most SECRET_OVERLAP_MAX_MS
 * @returns the client, and its new secret, of which only the hash is stored
 * @throws Failure `notFound`; `badRequest` for an overlap that is too long, and for a client without a secret
 */
export function rotateClientSecret(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  overlapMs: number,
  by: ClientActor,
): Promise<{ client: OAuthClient; secret: string }> {
  if (overlapMs > SECRET_OVERLAP_MAX_MS) {
    throw new Failure('badRequest', 'Two secrets overlap for 30 days at most.');
  }
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const row = await lockClient(work, id, by);
    const secret = newSecret('cs', deps.random);
    const previousEndsAt = overlapMs === 0 ? null : now + overlapMs;
    if ((await updateOAuthClientSecret(tx, id, hashSecret(secret), previousEndsAt)) !== 1) {
      throw new Failure('badRequest', 'This client has no secret.');
    }
    await recordClientEvent(work, 'client.rotated', row, by, {
      overlap_seconds: Math.round(overlapMs / 1000),
    });
    await recordOperatorAct(work, 'operator.client_rotated', id, by);
    return { client: toOAuthClient((await findOAuthClient(tx, id))!), secret };
  });
}

/**
 * Removes a client with its own tokens and all that people let it do. The people are mailed.
 *
 * @throws Failure `notFound`
 */
export async function removeClient(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  by: ClientActor,
): Promise<void> {
  const ender = await useCase(deps, origin, {}, async (work) => {
    const row = await lockClient(work, id, by);
    await endClient(work, id, { accountId: row.owner ?? undefined, details: detailsOf(by) });
    await recordOperatorAct(work, 'operator.client_removed', id, by);
    return enderOf({ ...row, endedAt: work.now });
  });
  await endConsentsOfEndedClient(deps, origin, id, ender, BATCHES_PER_REQUEST);
}

/**
 * Suspends a client: until it is resumed it gets nothing, and what people let it do ends, with its own tokens.
 *
 * @returns false if it is suspended already
 * @throws Failure `notFound`
 */
export async function suspendClient(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  act: OperatorAct,
): Promise<boolean> {
  const isChanged = await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const by = { operator: act };
    const row = await lockClient(work, id, by);
    if ((await updateOAuthClientSuspended(tx, id, now)) !== 1) return false;
    await updateTokensOfOAuthClientRevoked(tx, id, now);
    await recordClientEvent(work, 'client.suspended', row, by);
    await recordOperatorAct(work, 'operator.client_suspended', id, by);
    return true;
  });
  if (isChanged) await endConsentsOfEndedClient(deps, origin, id, 'operator', BATCHES_PER_REQUEST);
  return isChanged;
}

/**
 * Lets a suspended client act again; people have to approve it anew.
 *
 * @returns false if it is not suspended
 * @throws Failure `notFound`
 */
export async function resumeClient(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  act: OperatorAct,
): Promise<boolean> {
  const known = await findOAuthClient(deps.db, id);
  // What was given to it before must have ended: else it would live again.
  if (known?.suspendedAt != null) await endConsentsOfEndedClient(deps, origin, id, 'operator');
  return useCase(deps, origin, {}, async (work) => {
    const by = { operator: act };
    const row = await lockClient(work, id, by);
    if ((await updateOAuthClientSuspended(work.tx, id, null)) !== 1) return false;
    await recordClientEvent(work, 'client.resumed', row, by);
    await recordOperatorAct(work, 'operator.client_resumed', id, by);
    return true;
  });
}

/** Locks the account of the owner, and finds the client that the actor may act on. */
async function lockClient({ tx }: Work, id: string, by: ClientActor): Promise<OAuthClientRow> {
  if ('owner' in by && !(await lockAccount(tx, by.owner))) {
    throw new Failure('signInRequired', 'Sign in first.');
  }
  const row = await findOAuthClient(tx, id);
  const mayAct = row !== undefined && row.endedAt === null && (!('owner' in by) || row.owner === by.owner);
  if (!mayAct) throw notFound();
  return row;
}

/** What the owner sees: neither which operator it was, nor why. */
function detailsOf(by: ClientActor): Record<string, string> {
  return { by: 'owner' in by ? 'owner' : 'operator' };
}

async function recordOperatorAct(
  work: Work,
  kind: Extract<OperatorEventKind, `operator.client_${string}`>,
  subject: string,
  by: ClientActor,
): Promise<void> {
  if ('operator' in by) await recordOperatorEvent(work, by.operator, { kind, subject });
}

async function recordClientEvent(
  work: Work,
  kind: Extract<EventKind, `client.${string}`>,
  row: OAuthClientRow,
  by: ClientActor,
  details: Record<string, string | number> = {},
): Promise<void> {
  await recordEvent(work, {
    kind,
    accountId: row.owner ?? undefined,
    subject: row.id,
    details: { ...details, ...detailsOf(by) },
  });
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such client.');
}
