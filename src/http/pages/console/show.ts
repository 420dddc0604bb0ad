import { CONSOLE, type ConsoleSection } from '../../../lib/page-paths.ts';
import type { Call, HandlerResult } from '../../server/table.ts';
import type { Pages } from '../pages.ts';

/** What the pages of the operator's console share: their frame with its navigation. */

/** A request of an operator. */
export type OperatorCall<Body = unknown> = Call<Body, 'operator'>;

/** The navigation, in its order: the icon of each section; its text is `console.NAME.title`. */
const ICONS: Record<ConsoleSection, string> = {
  overview: 'layout-dashboard',
  agents: 'bot',
  accounts: 'users',
  keys: 'key-round',
  workspaces: 'folder-kanban',
  resourceServers: 'server',
  oauthClients: 'app-window',
  trustedIssuers: 'shield-check',
  mail: 'mail',
  auditLog: 'scroll-text',
  settings: 'settings-2',
};

/**
 * Renders the template `templates/pages/console-NAME.eta` in the frame of the console.
 *
 * @param section the current item of the navigation
 */
export function showConsole(
  pages: Pages,
  caller: OperatorCall['caller'],
  section: ConsoleSection,
  name: string,
  values: object,
): HandlerResult {
  const sections = Object.entries(ICONS).map(([each, icon]) => ({
    icon,
    key: `console.${each}.title`,
    path: CONSOLE[each as ConsoleSection],
    isCurrent: each === section,
  }));
  const frame = {
    frame: 'console',
    sections,
    sectionPath: CONSOLE[section],
    sectionKey: `console.${section}.title`,
  };
  return pages.show(caller, `console-${name}`, { ...frame, ...values });
}
