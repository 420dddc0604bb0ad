import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { issuerOf, providerOf } from '../../lib/principals.ts';
import { formatScope, parseScope } from '../../lib/scopes.ts';
import { DAY_MS } from '../../lib/time.ts';
import { lockAccount } from '../../store/accounts.ts';
import {
  deleteLinkRequestOfPrincipal,
  findLinkRequest,
  findLinkRequestOfPrincipal,
  insertLinkRequest,
  type LinkRequestRow,
  listOpenLinkRequests,
  updateLinkRequestDeclined,
} from '../../store/link-requests.ts';
import { lockOrCreatePrincipal, updatePrincipalLinked } from '../../store/principals.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { findClient } from '../apps/clients.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * Requests to link a user of a provider to the account that has their mailbox. No provider opens an account that exists: a
 * client that presents its word is refused until the owner of the account allowed it at a page (S-37, S-95).
 */

/** How long the owner has to decide, and how long a provider that was declined does not ask again. */
const OPEN_MS = 7 * DAY_MS;
const DECLINED_MS = 30 * DAY_MS;
const LISTED_MAX = 20;

/** Who asks to be linked, and for which app. */
export interface LinkRequest {
  id: string;
  /** The name of the provider, chosen by the operator. */
  provider: string;
  /** The client as it names itself; undefined: it has no name. */
  appName: string | undefined;
  scopes: string[];
  /** The URL of the API. */
  resource: string;
  createdAt: number;
  isDeclined: boolean;
}

/**
 * Asks the owner of an account to link a user of a provider, in the caller's transaction, which has locked the principal.
 * While it is asked, or was declined, the owner is not asked again.
 *
 * @returns the failure for the client; the caller commits before it throws it
 */
export async function askForLink(
  work: Work,
  asked: Pick<LinkRequestRow, 'principal' | 'accountId' | 'clientId' | 'resource'> & {
    scopes: readonly string[];
  },
): Promise<Failure> {
  const { tx, now, deps } = work;
  const { scopes, ...request } = asked;
  const { principal, accountId, clientId } = asked;
  const before = await findLinkRequestOfPrincipal(tx, principal);
  if (before !== undefined && before.accountId === accountId && before.expiresAt > now) {
    return refusal(deps, before);
  }
  const id = newId('lnk', now, deps.random);
  await deleteLinkRequestOfPrincipal(tx, principal);
  const row = { id, ...request, scope: formatScope(scopes), createdAt: now, expiresAt: now + OPEN_MS };
  await lockAccount(tx, accountId);
  await insertLinkRequest(tx, row);
  const details = { client: clientId, issuer: issuerOf(principal) };
  await recordAndNotify(work, accountId, { kind: 'app.asked', subject: id, details });
  return refusal(deps, { id, declinedAt: null });
}

function refusal(
  { config }: Pick<Deps, 'config'>,
  { id, declinedAt }: Pick<LinkRequestRow, 'id' | 'declinedAt'>,
): Failure {
  const verificationUri = `${config.publicUrl}${PAGES.links}/${id}`;
  return declinedAt === null
    ? new Failure(
        'linkRequired',
        'The mailbox has an account here. Its owner was mailed, and decides at error_uri whether this provider may act for it.',
        { verificationUri },
      )
    : new Failure(
        'claimDenied',
        'The owner of the account declined to let this provider act for it. They can change that at error_uri.',
        { verificationUri },
      );
}

/** Lists what the owner of an account is asked. */
export async function listLinkRequests(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  accountId: string,
): Promise<LinkRequest[]> {
  const rows = await listOpenLinkRequests(deps.db, accountId, deps.clock(), LISTED_MAX);
  const described = await Promise.all(rows.map((row) => describe(deps, row)));
  return described.filter((each) => each !== undefined);
}

/**
 * Finds what the owner of an account is asked, or was and declined.
 *
 * @throws Failure `notFound`, also for that of another account (S-29), once it has expired, and when provider or client ended
 */
export async function findLinkRequestTo(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  accountId: string,
  id: string,
): Promise<LinkRequest> {
  const row = await findLinkRequest(deps.db, id);
  const isOpen = row !== undefined && row.accountId === accountId && row.expiresAt > deps.clock();
  const found = isOpen ? await describe(deps, row) : undefined;
  if (found === undefined) throw notFound();
  return found;
}

/** @returns undefined when the provider is not trusted any more, or the client has ended: there is nothing to decide */
async function describe(
  deps: Pick<Deps, 'db' | 'config'>,
  { principal, clientId, scope, declinedAt, ...row }: LinkRequestRow,
): Promise<LinkRequest | undefined> {
  const client = await findClient(deps, clientId);
  if (client === undefined || !deps.config.trustedIssuers.has(issuerOf(principal))) return undefined;
  return {
    id: row.id,
    provider: providerOf(deps.config, principal)!,
    appName: client.name ?? undefined,
    scopes: parseScope(scope),
    resource: row.resource,
    createdAt: row.createdAt,
    isDeclined: declinedAt !== null,
  };
}

/**
 * Decides a request of a provider to act for an account. Allowed, every client for which the provider vouches for this user gets
 * a token without asking; declined, the client is told so for a month.
 *
 * @throws Failure as findLinkRequestTo()
 */
export async function decideLinkRequest(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  { id, allows }: { id: string; allows: boolean },
): Promise<void> {
  await findLinkRequestTo(deps, accountId, id);
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const found = await findLinkRequest(tx, id);
    if (found === undefined) throw notFound();
    const issuer = issuerOf(found.principal);
    const principal = await lockOrCreatePrincipal(tx, found.principal, issuer, now);
    // Before the lock, the user may have been linked to another account, or the provider may have taken its word back.
    const asked = await findLinkRequest(tx, id);
    const isFree = principal.accountId === null || principal.accountId === accountId;
    if (asked === undefined || !isFree || !(await lockAccount(tx, accountId))) throw notFound();
    const client = { client: asked.clientId, issuer };
    if (!allows) {
      const times = { declinedAt: now, expiresAt: now + DECLINED_MS };
      if ((await updateLinkRequestDeclined(tx, id, times)) !== 1) return;
      await recordEvent(work, { kind: 'app.declined', accountId, subject: id, details: client });
      return;
    }
    await deleteLinkRequestOfPrincipal(tx, asked.principal);
    await updatePrincipalLinked(tx, asked.principal, accountId, now);
    await recordEvent(work, { kind: 'principal.linked', accountId, subject: id, details: client });
  });
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such request to your account, or it is over.');
}
