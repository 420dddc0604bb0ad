import { operation } from '../../server/table.ts';
import type { Pages } from '../pages.ts';
import { showConsole } from './show.ts';

/** GET /console: where an operator begins. */
export function overviewPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'The console of operators',
    handle({ deps, caller }) {
      return showConsole(pages, caller, 'overview', 'overview', {
        host: new URL(deps.config.publicUrl).host,
      });
    },
  });
}
