import type { Deps } from '../../deps.ts';
import { type HostRow, lockHost, updateHostKey } from '../../store/hosts.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { protocolError } from './protocol-errors.ts';
import { readPublicJwk } from './public-jwk.ts';

/**
 * Replaces the key of a host, at the host's own request. The old key is refused from now on.
 *
 * @param value the new public key, an Ed25519 JWK
 * @throws Failure `protocolRefused`
 */
export async function rotateHostKey(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  value: unknown,
): Promise<void> {
  const key = readPublicJwk(value);
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const locked = await lockHost(tx, host.id);
    const isUnchanged =
      locked !== undefined && locked.revokedAt === null && locked.thumbprint === host.thumbprint;
    const newKey = { thumbprint: key.thumbprint, publicJwk: key.jwk };
    if (!isUnchanged || !(await updateHostKey(tx, locked, newKey, now))) {
      throw protocolError('invalid_public_key', 'Rotate to a key that no host has or had.');
    }
    await recordEvent(work, {
      kind: 'host.rekeyed',
      accountId: host.ownerId ?? undefined,
      subject: host.id,
    });
  });
}
