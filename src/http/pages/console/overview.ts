import { listLatestEvents } from '../../../domain/operators/audit-entries.ts';
import { operation } from '../../server/table.ts';
import type { Pages } from '../pages.ts';
import { showConsole } from './show.ts';

const EVENTS_SHOWN = 10;

/** GET /console: where an operator begins. */
export function overviewPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'The console of operators',
    async handle({ deps, caller }) {
      const host = new URL(deps.config.publicUrl).host;
      const events = await listLatestEvents(deps, EVENTS_SHOWN);
      return showConsole(pages, caller, 'overview', 'overview', { host, events });
    },
  });
}
