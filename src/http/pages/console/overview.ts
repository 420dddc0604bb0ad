import { findAttention } from '../../../domain/operators/attention.ts';
import { listLatestEvents } from '../../../domain/operators/audit-entries.ts';
import { countAgentsByDay, FIGURE_DAYS, readFigures } from '../../../domain/operators/figures.ts';
import { readHealth } from '../../../domain/operators/health.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { VERSION } from '../../../lib/version.ts';
import { operation, type Row, row } from '../../server/table.ts';
import type { Pages } from '../pages.ts';
import { drawChart } from './chart.ts';
import { showConsole } from './show.ts';

const EVENTS_SHOWN = 10;

export function overviewRows(pages: Pages): Row[] {
  return [row('GET', CONSOLE.overview, 'operator', undefined, overviewPage(pages))];
}

/** GET /console: the figures, what needs attention, new agents a day, health and the latest events. */
function overviewPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'The console of operators',
    async handle({ deps, caller }) {
      const [figures, days, health, events] = await Promise.all([
        readFigures(deps),
        countAgentsByDay(deps),
        readHealth(deps),
        listLatestEvents(deps, EVENTS_SHOWN),
      ]);
      const attention = await findAttention(deps, health);
      return showConsole(pages, caller, 'overview', 'overview', {
        host: new URL(deps.config.publicUrl).host,
        version: VERSION,
        lastDays: FIGURE_DAYS,
        figures,
        attention,
        days,
        chart: drawChart(days),
        health,
        events,
      });
    },
  });
}
