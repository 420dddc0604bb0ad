import { endAppInWorkspace } from '../../domain/apps/placed-apps.ts';
import { type Row, row } from '../server/table.ts';
import { formSchema } from './forms.ts';
import { formOperation } from './operations.ts';
import { redirect } from './pages.ts';
import { workspacePath } from './present-workspace.ts';

/** Owners and admins end apps that work in a workspace. */

/** Creates the rows. @param path of a workspace */
export function connectedAppRows(path: `/${string}`): Row[] {
  return [row('POST', `${path}/connected-apps/:app/end`, 'signedInUser', undefined, endApp)];
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
