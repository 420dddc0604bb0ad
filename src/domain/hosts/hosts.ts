import type { Deps } from '../../deps.ts';
import type { PublicKey } from '../../lib/ed25519.ts';
import { newId } from '../../lib/ids.ts';
import { insertAgentAccount } from '../../store/accounts.ts';
import { findHostByThumbprint, type HostRow, insertHost, lockHost } from '../../store/hosts.ts';
import { insertRegistration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { hasHostEnded } from '../agents/agent-lifecycle.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { registrationLimits } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';
import { invalidJwt } from './protocol-errors.ts';

/** The signer of a host token: its key, and the row of its host as it was read before the transaction. */
interface HostSigner {
  host: HostRow | undefined;
  key: PublicKey;
  name: string | undefined;
}

/**
 * Runs a transaction with the locked host of a key. A host that is not known yet is created, with a registration that
 * expires unless a human owns the host in time.
 *
 * @returns what `act` returns
 * @throws Failure `limited`; `protocolRefused` if the host was revoked or changed its key meanwhile
 */
export async function withHost<Result>(
  deps: Deps,
  origin: RequestOrigin,
  signer: HostSigner,
  act: (work: Work, host: HostRow) => Promise<Result>,
): Promise<Result> {
  const counters = signer.host === undefined ? registrationLimits(origin.address) : [];
  for (let isRetry = false; ; isRetry = true) {
    let wasCreatedMeanwhile = false;
    try {
      return await useCase(deps, origin, { sharedLimits: counters }, async (work) => {
        const host = await lockOrCreateHost(work, signer);
        wasCreatedMeanwhile = host === undefined;
        if (host === undefined) throw invalidJwt('registered meanwhile');
        return act(work, host);
      });
    } catch (error) {
      // If two requests register one new key at once, the second finds the host of the first when it runs again.
      if (!wasCreatedMeanwhile || isRetry) throw error;
    }
  }
}

/** @returns undefined if another request has just created the host */
async function lockOrCreateHost(work: Work, signer: HostSigner): Promise<HostRow | undefined> {
  const { tx, deps } = work;
  const known = signer.host ?? (await findHostByThumbprint(tx, signer.key.thumbprint));
  if (known === undefined) {
    await work.consumeSharedLimits();
    return createHost(work, signer.key, signer.name);
  }
  const host = await lockHost(tx, known.id);
  const isSame = host !== undefined && host.thumbprint === signer.key.thumbprint;
  if (!isSame || hasHostEnded(deps, host)) throw invalidJwt('revoked or rotated meanwhile');
  return host;
}

async function createHost(
  work: Work,
  key: PublicKey,
  name: string | undefined,
): Promise<HostRow | undefined> {
  const { tx, now, deps } = work;
  const id = newId('hst', now, deps.random);
  const registrationId = newId('reg', now, deps.random);
  const accountId = newId('usr', now, deps.random);
  const { thumbprint, jwk: publicJwk } = key;
  await insertAgentAccount(tx, accountId, null, now);
  await insertRegistration(tx, {
    id: registrationId,
    kind: 'host',
    agentId: null,
    agentName: name ?? null,
    now,
    expiresAt: now + deps.config.limits.unclaimedTtlSeconds * 1000,
  });
  const isNew = await insertHost(tx, {
    id,
    registrationId,
    accountId,
    name: name ?? null,
    thumbprint,
    publicJwk,
    now,
  });
  if (!isNew) return undefined;
  await recordEvent(work, {
    kind: 'registration.created',
    subject: registrationId,
    details: { type: 'host', host: id },
  });
  return (await lockHost(tx, id))!;
}

/**
 * Returns the account in which the agents of a host work: its owner's, or the host's own while nobody owns the host.
 */
export function accountOfHost({ ownerId, accountId }: Pick<HostRow, 'ownerId' | 'accountId'>): string {
  return ownerId ?? accountId;
}
