import type { Deps } from '../../deps.ts';
import { listPrincipalsWithOAuthGrant } from '../../store/oauth-grants.ts';
import { findNextIssuer, listCredentialsOfIssuer, listPrincipalsOfIssuer } from '../../store/principals.ts';
import { localOrigin, type Work } from '../../work.ts';
import { endConsentsOfPrincipal } from '../apps/asserted-consents.ts';
import { revokeCredential } from '../credentials/revoke-credential.ts';
import { useCase } from '../limits/use-case.ts';
import { createBatches } from './batches.ts';

const USERS_PER_PAGE = 200;
/**
 * Repeated scans of the users of a provider find little: the pause doubles after each scan that revoked nothing, up to
 * this.
 */
const PAUSE_MAX_MS = 3_600_000;
const PAUSE_FIRST_MS = 60_000;

/** For each service and issuer: when the users are scanned next (epoch ms), and the pause before that scan. */
const scansOf = new WeakMap<Deps, Map<string, { at: number; pauseMs: number }>>();

/**
 * Revokes the keys and tokens of agents whose provider is not trusted any more, and what it let apps do, within a minute
 * of the start with the new configuration (S-95). Their registrations stay, so that the agents can return once the provider is trusted again.
 * Until then their assertions yield no credential. The scan is repeated, since another replica may still issue by the
 * old configuration.
 *
 * @param mayGoOn checked before each batch: false stops the job
 */
export async function revokeUntrustedIssuers(deps: Deps, mayGoOn: () => boolean): Promise<void> {
  const scans = scansOf.get(deps) ?? new Map<string, { at: number; pauseMs: number }>();
  scansOf.set(deps, scans);
  for (let issuer = await findNextIssuer(deps.db, ''); issuer !== undefined; ) {
    const scan = scans.get(issuer) ?? { at: 0, pauseMs: PAUSE_FIRST_MS / 2 };
    if (!deps.config.trustedIssuers.has(issuer) && scan.at <= deps.clock()) {
      const revoked = await revokeAllOf(deps, issuer, mayGoOn);
      if (!mayGoOn()) return;
      const pauseMs = revoked > 0 ? PAUSE_FIRST_MS / 2 : Math.min(PAUSE_MAX_MS, scan.pauseMs * 2);
      scans.set(issuer, { at: deps.clock() + pauseMs, pauseMs });
    }
    issuer = await findNextIssuer(deps.db, issuer);
  }
}

/** Revokes the keys, tokens and consents of apps that rest on an issuer. @returns how many of them were live */
async function revokeAllOf(deps: Deps, issuer: string, mayGoOn: () => boolean): Promise<number> {
  const batches = createBatches<Work>((act) => useCase(deps, localOrigin('distrust'), {}, act));
  let revoked = 0;
  for (let after = ''; mayGoOn(); ) {
    const users = await listPrincipalsOfIssuer(deps.db, issuer, after, USERS_PER_PAGE);
    const last = users.at(-1)?.principal;
    if (last === undefined) break;
    const live = await listCredentialsOfIssuer(deps.db, issuer, { after, last }, deps.clock());
    for (let done = 0; done < live.length && mayGoOn(); ) {
      const { count } = await batches.next(async (work, rows) => {
        const batch = live.slice(done, done + rows);
        for (const key of batch) await revokeCredential(work, key);
        return batch.length;
      });
      done += count;
    }
    revoked += live.length;
    const givers = await listPrincipalsWithOAuthGrant(deps.db, issuer, { after, last }, deps.clock());
    for (let done = 0; done < givers.length && mayGoOn(); ) {
      const { count } = await batches.next(async (work, rows) => {
        const batch = givers.slice(done, done + rows);
        for (const { principal } of batch) await endConsentsOfPrincipal(work, principal, 'provider');
        return batch.length;
      });
      done += count;
    }
    revoked += givers.length;
    after = last;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return revoked;
}
