import { type Route, rows } from '../../server/table.ts';
import type { Pages } from '../pages.ts';
import { accountRows } from './accounts.ts';
import { agentRows } from './agents.ts';
import { auditLogRows } from './audit-log.ts';
import { endPermissionRows } from './end-permission.ts';
import { keyRows } from './keys.ts';
import { mailRows } from './mail.ts';
import { oauthClientRows } from './oauth-clients.ts';
import { overviewRows } from './overview.ts';
import { resourceServerRows } from './resource-servers.ts';
import { settingsRows } from './settings.ts';
import { suppressedRows } from './suppressed.ts';
import { trustedIssuerRows } from './trusted-issuers.ts';
import { workspaceRows } from './workspaces.ts';

/** Creates the routes of the operator's console. Whoever is no operator gets 404 at each of them. */
export function consoleRoutes(pages: Pages): Route[] {
  return rows(pages.dialect, [
    ...overviewRows(pages),
    ...agentRows(pages),
    ...endPermissionRows(pages),
    ...accountRows(pages),
    ...keyRows(pages),
    ...workspaceRows(pages),
    ...resourceServerRows(pages),
    ...oauthClientRows(pages),
    ...trustedIssuerRows(pages),
    ...mailRows(pages),
    ...suppressedRows(pages),
    ...auditLogRows(pages),
    ...settingsRows(pages),
  ]);
}
