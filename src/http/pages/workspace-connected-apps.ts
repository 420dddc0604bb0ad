import { endAppInWorkspace } from '../../domain/apps/placed-apps.ts';
import { endGrantInWorkspace } from '../../domain/permissions/grants.ts';
import { type Row, row } from '../server/table.ts';
import { formSchema } from './forms.ts';
import { formOperation } from './operations.ts';
import { redirect } from './pages.ts';
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
const endApp = formOperation({
  caller: 'signedInUser',
  summary: 'End what an app may do there',
  form: formSchema({}),
  async handle({ deps, origin, caller, params }) {
    await endAppInWorkspace(deps, origin, caller.session.accountId, params.id!, params.app!);
    return redirect(deps.config, workspacePath(params.id!), [], 'appPlaceEnded');
  },
});

/** POST /workspaces/:id/grants/:grant/end: ends what was granted there to a request of an agent. */
const endGrant = formOperation({
  caller: 'signedInUser',
  summary: 'End what an agent was granted there',
  form: formSchema({}),
  async handle({ deps, origin, caller, params }) {
    await endGrantInWorkspace(deps, origin, caller.session.accountId, params.id!, params.grant!);
    return redirect(deps.config, workspacePath(params.id!), [], 'permissionsEnded');
  },
});
