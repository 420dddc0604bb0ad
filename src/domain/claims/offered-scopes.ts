import type { Config } from '../../config/load.ts';
import { Failure } from '../../errors.ts';
import { withImplied } from '../../lib/scopes.ts';

/** The scopes that the page of a claim offers, and what the human gives of them. */

type ScopeConfig = Pick<Config, 'scopes' | 'claimedScopes'>;

/** A scope that a claim can give. */
export interface OfferedScope {
  name: string;
  /** The other offered scopes that it implies: an API accepts it in their place, so they cannot be kept back from it. */
  implies: string[];
  /** Whether it, or a scope that it implies, is destructive: then it is given only if the human turns it on. */
  isDestructive: boolean;
}

/** Lists the scopes that a claim can give, in the order of the configuration. */
export function listOfferedScopes({ scopes, claimedScopes }: ScopeConfig): OfferedScope[] {
  const names = [...scopes.keys()].filter((name) => claimedScopes.includes(name));
  return names.map((name) => {
    const all = withImplied([name], scopes);
    return {
      name,
      implies: all.filter((scope) => scope !== name && claimedScopes.includes(scope)),
      isDestructive: all.some((scope) => scopes.get(scope)?.destructive === true),
    };
  });
}

/**
 * Returns the scopes that a human gives with a selection: those of it that are offered, and those that they imply, sorted.
 *
 * @throws Failure `badRequest` with the field `scopes` if none is selected
 */
export function scopesGivenBy(config: ScopeConfig, selected: readonly string[]): string[] {
  const chosen = listOfferedScopes(config).filter(({ name }) => selected.includes(name));
  const given = new Set(chosen.flatMap(({ name, implies }) => [name, ...implies]));
  if (given.size === 0) {
    throw new Failure('badRequest', 'Select at least one scope.', { field: 'scopes' });
  }
  return config.claimedScopes.filter((name) => given.has(name));
}
