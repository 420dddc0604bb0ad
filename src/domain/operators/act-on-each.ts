import type { Deps } from '../../deps.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * Acts on several things in one transaction, all or none. They come without repetitions and in one order for all, so
 * that two operators do not wait for each other in a circle.
 *
 * @returns the ids for which `act` returned true
 */
export function actOnEach(
  deps: Deps,
  origin: RequestOrigin,
  ids: readonly string[],
  act: (work: Work, id: string) => Promise<boolean>,
): Promise<string[]> {
  return useCase(deps, origin, {}, async (work) => {
    const acted: string[] = [];
    for (const id of [...new Set(ids)].sort()) if (await act(work, id)) acted.push(id);
    return acted;
  });
}
