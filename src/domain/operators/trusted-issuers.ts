import type { TrustedIssuer } from '../../config/issuers.ts';
import type { Deps } from '../../deps.ts';
import { causeMessage } from '../../lib/cause-message.ts';
import { COUNT_MAX } from '../../lib/list-pages.ts';
import { countAgentsOfIssuer, findNextIssuer } from '../../store/principals.ts';
import { type Figure, toFigure } from './figures.ts';

/** The agent providers that vouch for agents here, as operators see them. Whom to trust is in the configuration. */

/** An agent provider that the configuration trusts. */
export interface FoundIssuer extends TrustedIssuer {
  /** The agents that came, or were claimed, by its word. */
  agents: Figure;
  /** When this process last fetched its keys, epoch ms, and why that failed; undefined: not since its start. */
  lastFetch: { at: number; fault: string | undefined } | undefined;
}

/** One that the configuration trusts no more; what its agents held has ended. */
export interface FormerIssuer {
  issuer: string;
  agents: Figure;
}

/** How many are looked for that are not trusted any more. */
const FORMER_MAX = 50;

/** Lists the trusted providers as they are configured, and those that are trusted no more and still have users here. */
export async function findIssuers(
  deps: Pick<Deps, 'db' | 'config' | 'providerDocuments'>,
): Promise<{ trusted: FoundIssuer[]; former: FormerIssuer[] }> {
  const trusted = await Promise.all(
    [...deps.config.trustedIssuers.values()].map(async (issuer) => ({
      ...issuer,
      agents: await countAgents(deps, issuer.issuer),
      lastFetch: lastFetchOf(deps, issuer),
    })),
  );
  return { trusted, former: await findFormerIssuers(deps) };
}

/** Fetches the keys of all trusted providers, unless that was done just now. What comes of it, findIssuers() tells. */
export async function fetchIssuerKeys({
  config,
  providerDocuments,
}: Pick<Deps, 'config' | 'providerDocuments'>): Promise<void> {
  // Any `kid` makes keyFor() fetch the key set; it throws when that fails.
  await Promise.allSettled(
    [...config.trustedIssuers.values()].map((issuer) =>
      providerDocuments.keysOf(issuer).keyFor({ kid: 'operator' }),
    ),
  );
}

async function findFormerIssuers(deps: Pick<Deps, 'db' | 'config'>): Promise<FormerIssuer[]> {
  const former: FormerIssuer[] = [];
  let issuer = await findNextIssuer(deps.db, '');
  while (issuer !== undefined && former.length < FORMER_MAX) {
    if (!deps.config.trustedIssuers.has(issuer)) {
      former.push({ issuer, agents: await countAgents(deps, issuer) });
    }
    issuer = await findNextIssuer(deps.db, issuer);
  }
  return former;
}

async function countAgents({ db }: Pick<Deps, 'db'>, issuer: string): Promise<Figure> {
  return toFigure(await countAgentsOfIssuer(db, issuer, COUNT_MAX + 1), COUNT_MAX);
}

function lastFetchOf(
  { providerDocuments }: Pick<Deps, 'providerDocuments'>,
  issuer: TrustedIssuer,
): FoundIssuer['lastFetch'] {
  const last = providerDocuments.keysOf(issuer).lastFetch();
  return last && { at: last.at, fault: last.failure === undefined ? undefined : causeMessage(last.failure) };
}
