import { endAppInWorkspace } from '../../domain/apps/placed-apps.ts';
import { endGrantInWorkspace } from '../../domain/permissions/grants.ts';
import { type Row, row } from '../server/table.ts';
import { buttonOperation } from './operations.ts';
import { workspacePath } from './present-workspace.ts';

/** Owners and admins end what apps, and requests of agents, were given in a workspace. */

/** Creates the rows. @param path of a workspace */
export function connectedAppRows(path: `/${string}`): Row[] {
  return [
    row('POST', `${path}/connected-apps/:app/end`, 'signedInUser', undefined, endApp),
    row('POST', `${path}/grants/:grant/end`, 'signedInUser', undefined, endGrant),
  ];
}

/** POST /workspaces/:id/connected-apps/:app/end: takes an app out of the workspace. */
const endApp = buttonOperation({
  summary: 'End what an app may do there',
  act: (deps, origin, accountId, { id, app }) => endAppInWorkspace(deps, origin, accountId, id!, app!),
  page: ({ id }) => workspacePath(id!),
  flash: 'appPlaceEnded',
});

/** POST /workspaces/:id/grants/:grant/end: ends what was granted there to a request of an agent. */
const endGrant = buttonOperation({
  summary: 'End what an agent was granted there',
  act: (deps, origin, accountId, { id, grant }) => endGrantInWorkspace(deps, origin, accountId, id!, grant!),
  page: ({ id }) => workspacePath(id!),
  flash: 'permissionsEnded',
});
