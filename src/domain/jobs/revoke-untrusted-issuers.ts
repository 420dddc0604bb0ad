import type { Deps } from '../../deps.ts';
import { findNextIssuer, listCredentialsOfIssuer, listPrincipalsOfIssuer } from '../../store/principals.ts';
import { localOrigin, type Work } from '../../work.ts';
import { endKey } from '../credentials/api-keys.ts';
import { useCase } from '../limits/use-case.ts';
import { createBatches } from './batches.ts';

const USERS = 200;
/** Looking through all users of a provider again and again finds nothing: the pauses grow from look to look, up to this. */
const PAUSE_MAX_MS = 3_600_000;
const PAUSE_FIRST_MS = 60_000;

/** Of each service: when the users of a provider are looked through next (epoch ms), and the pause that follows. */
const looks = new WeakMap<Deps, Map<string, { at: number; pauseMs: number }>>();

/**
 * Ends the keys and tokens of agents whose provider is not trusted any more: by this job within a minute of the start with
 * the new configuration (S-95). Their registrations stay, so that they can come back by its word if it is trusted again;
 * meanwhile their assertions give nothing. It is looked again, since another replica may still give by the old configuration.
 */
export async function revokeUntrustedIssuers(deps: Deps, mayGoOn: () => boolean): Promise<void> {
  const planned = looks.get(deps) ?? new Map<string, { at: number; pauseMs: number }>();
  looks.set(deps, planned);
  for (let issuer = await findNextIssuer(deps.db, ''); issuer !== undefined; ) {
    const plan = planned.get(issuer) ?? { at: 0, pauseMs: PAUSE_FIRST_MS / 2 };
    if (!deps.config.trustedIssuers.has(issuer) && plan.at <= deps.clock()) {
      const ended = await endAllOf(deps, issuer, mayGoOn);
      if (!mayGoOn()) return;
      const pauseMs = ended > 0 ? PAUSE_FIRST_MS / 2 : Math.min(PAUSE_MAX_MS, plan.pauseMs * 2);
      planned.set(issuer, { at: deps.clock() + pauseMs, pauseMs });
    }
    issuer = await findNextIssuer(deps.db, issuer);
  }
}

/** @returns how many keys and tokens were live */
async function endAllOf(deps: Deps, issuer: string, mayGoOn: () => boolean): Promise<number> {
  const batches = createBatches<Work>((act) => useCase(deps, localOrigin('distrust'), {}, act));
  let ended = 0;
  for (let after = ''; mayGoOn(); ) {
    const users = await listPrincipalsOfIssuer(deps.db, issuer, after, USERS);
    const last = users.at(-1)?.principal;
    if (last === undefined) break;
    const live = await listCredentialsOfIssuer(deps.db, issuer, { after, last }, deps.clock());
    for (let done = 0; done < live.length && mayGoOn(); ) {
      const { count } = await batches.next(async (work, rows) => {
        const some = live.slice(done, done + rows);
        for (const key of some) await endKey(work, key);
        return some.length;
      });
      done += count;
    }
    ended += live.length;
    after = last;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return ended;
}
