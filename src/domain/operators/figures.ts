import type { Deps } from '../../deps.ts';
import { countHumans } from '../../store/account-search.ts';
import { countAgents } from '../../store/agent-search.ts';

/** Figures for operators. Rows are counted up to COUNT_MAX, so that no page reads a table of a million rows. */

export const COUNT_MAX = 100_000;

/** A count, and whether there are more. */
export interface Figure {
  count: number;
  isMore: boolean;
}

/** Counts all agents. */
export async function countAllAgents({ db }: Pick<Deps, 'db'>): Promise<Figure> {
  return toFigure(await countAgents(db, '', COUNT_MAX + 1));
}

/** Counts the accounts of humans. */
export async function countAllHumans({ db }: Pick<Deps, 'db'>): Promise<Figure> {
  return toFigure(await countHumans(db, '', COUNT_MAX + 1));
}

/** @param count up to one more than `max` */
export function toFigure(count: number, max = COUNT_MAX): Figure {
  return { count: Math.min(count, max), isMore: count > max };
}
