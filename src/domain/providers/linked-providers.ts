import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { sha256 } from '../../lib/hash.ts';
import { issuerOf, providerOf } from '../../lib/principals.ts';
import { lockAccount } from '../../store/accounts.ts';
import { listPrincipalsOfAccount, lockPrincipal, updatePrincipalUnlinked } from '../../store/principals.ts';
import type { RequestOrigin } from '../../work.ts';
import { endConsentsOfPrincipal } from '../apps/asserted-consents.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/** Providers that may act for an account through one of their users: the delegations of its owner. */

export interface LinkedProvider {
  id: string;
  /** The name of the provider, chosen by the operator. */
  name: string;
  linkedAt: number;
}

/** Lists the providers that may act for an account. */
export async function listLinkedProviders(
  { db, config }: Pick<Deps, 'db' | 'config'>,
  accountId: string,
): Promise<LinkedProvider[]> {
  return (await listPrincipalsOfAccount(db, accountId)).map(({ principal, linkedAt }) => ({
    id: idOf(principal),
    name: providerOf(config, principal)!,
    linkedAt,
  }));
}

/** Finds a provider that may act for an account. @throws Failure `notFound`, also for that of another account (S-29) */
export async function findLinkedProvider(
  deps: Pick<Deps, 'db' | 'config'>,
  accountId: string,
  id: string,
): Promise<LinkedProvider> {
  const found = (await listLinkedProviders(deps, accountId)).find((each) => each.id === id);
  if (found === undefined) throw notFound();
  return found;
}

/**
 * Ends what lets a provider act for an account, and all that it let apps do. Its next assertion asks the owner. Agents that came
 * by its word stay: their owner ends each.
 *
 * @throws Failure as findLinkedProvider()
 */
export async function unlinkProvider(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const found = (await listPrincipalsOfAccount(tx, accountId)).find(
      ({ principal }) => idOf(principal) === id,
    );
    if (found === undefined) throw notFound();
    const { principal } = found;
    await lockPrincipal(tx, principal);
    await lockAccount(tx, accountId);
    await endConsentsOfPrincipal(work, principal, 'owner');
    await updatePrincipalUnlinked(tx, principal);
    const details = { issuer: issuerOf(principal) };
    await recordEvent(work, { kind: 'principal.unlinked', accountId, subject: id, details });
  });
}

/** The name of a principal in URLs and in the audit log, where the user of a provider is not named. */
function idOf(principal: string): string {
  return sha256(principal).toString('hex').slice(0, 32);
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such provider among yours.');
}
