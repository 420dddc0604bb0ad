import type { Deps } from '../deps.ts';
import { listCredentialsBy, listIssuers } from '../store/principals.ts';
import { localAsker } from './events.ts';
import { endKey } from './keys.ts';

const BATCH = 100;

/**
 * Ends the keys and tokens of agents whose provider is not trusted any more: by this chore within a minute of the start with
 * the new configuration (S-95). Their registrations stay, so that they can come back by its word if it is trusted again;
 * meanwhile their assertions give nothing.
 */
export async function endDistrusted(deps: Deps, mayGoOn: () => boolean): Promise<void> {
  for (const issuer of await listIssuers(deps.db)) {
    if (deps.config.trustedIssuers.has(issuer)) continue;
    for (let count = BATCH; count === BATCH && mayGoOn(); ) {
      count = await deps.db.tx(async (tx) => {
        const live = await listCredentialsBy(tx, issuer, deps.clock(), BATCH);
        for (const key of live) await endKey(tx, deps, localAsker('distrust'), key);
        return live.length;
      });
    }
  }
}
