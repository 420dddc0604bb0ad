import type { Deps } from '../../deps.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { DAY_MS } from '../../lib/time.ts';
import { countHumans } from '../../store/account-search.ts';
import { countAgents } from '../../store/agent-search.ts';
import { countAgentsBetween, countApprovals, insertAgentDay, listAgentDays } from '../../store/figures.ts';
import { countActiveKeys } from '../../store/key-search.ts';
import { EXPIRING_MS } from './keys.ts';

/** Figures for operators. Rows are counted up to a maximum, so that no page reads a table of a million rows. */

const COUNT_MAX = 50_000;

/** A day that is over is counted to its end, once. */
const DAY_MAX = 10_000_000;

/** Keys are counted up to fewer: whether one works is in its row and in no index. */
const KEYS_MAX = 10_000;
const APPROVAL_EVENTS_MAX = 10_000;
const WEEK_MS = 7 * DAY_MS;

/** How many days figures look back. */
export const FIGURE_DAYS = 30;

/** A count, and whether there are more. */
export interface Figure {
  count: number;
  isMore: boolean;
}

/** The figures of the overview. */
export interface Figures {
  agents: Figure;
  newAgents: Figure;
  accounts: Figure;
  newAccounts: Figure;
  activeKeys: Figure;
  expiringKeys: Figure;
  /** Of the agents that asked within 30 days, what part was approved, 0 to 1; undefined: none asked. */
  approvalRate: number | undefined;
}

/** Counts what the overview shows. */
export async function readFigures({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<Figures> {
  const now = clock();
  const max = COUNT_MAX + 1;
  const [agents, newAgents, accounts, newAccounts, keys, approvals] = await Promise.all([
    countAgents(db, '', max),
    countAgents(db, firstIdAt('agt', now - WEEK_MS), max),
    countHumans(db, '', max),
    countHumans(db, firstIdAt('usr', now - WEEK_MS), max),
    countActiveKeys(db, now, now + EXPIRING_MS, KEYS_MAX + 1),
    countApprovals(db, firstIdAt('evt', now - FIGURE_DAYS * DAY_MS), APPROVAL_EVENTS_MAX),
  ]);
  const isMore = keys.looked > KEYS_MAX;
  return {
    agents: toFigure(agents),
    newAgents: toFigure(newAgents),
    accounts: toFigure(accounts),
    newAccounts: toFigure(newAccounts),
    activeKeys: { count: keys.active, isMore },
    expiringKeys: { count: keys.expiring, isMore },
    approvalRate: approvals.asked === 0 ? undefined : approvals.approved / approvals.asked,
  };
}

/** Counts all agents. */
export async function countAllAgents({ db }: Pick<Deps, 'db'>): Promise<Figure> {
  return toFigure(await countAgents(db, '', COUNT_MAX + 1));
}

/** Counts the accounts of humans. */
export async function countAllHumans({ db }: Pick<Deps, 'db'>): Promise<Figure> {
  return toFigure(await countHumans(db, '', COUNT_MAX + 1));
}

/** How many agents registered on a day. */
export interface AgentDay {
  /** When the day began in UTC, epoch ms. */
  at: number;
  agents: number;
}

/**
 * Counts the agents that registered on each of the last days, the current one last. The count of a day that is over is
 * kept, so that each is counted once.
 */
export async function countAgentsByDay({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<AgentDay[]> {
  const today = Math.floor(clock() / DAY_MS);
  const first = today - FIGURE_DAYS + 1;
  const known = await listAgentDays(db, first);
  const days: AgentDay[] = [];
  for (let day = first; day <= today; day += 1) {
    const at = day * DAY_MS;
    let agents = known.get(day);
    if (agents === undefined) {
      agents = await countAgentsBetween(
        db,
        firstIdAt('agt', at),
        firstIdAt('agt', at + DAY_MS),
        day < today ? DAY_MAX : COUNT_MAX,
      );
      const counted = agents;
      if (day < today) await db.tx((tx) => insertAgentDay(tx, day, counted));
    }
    days.push({ at, agents });
  }
  return days;
}

/** @param count up to one more than `max` */
export function toFigure(count: number, max = COUNT_MAX): Figure {
  return { count: Math.min(count, max), isMore: count > max };
}
