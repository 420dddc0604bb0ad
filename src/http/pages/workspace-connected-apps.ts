import { z } from 'zod';
import { endAppInWorkspace, type PlacedApp } from '../../domain/apps/placed-apps.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { type Row, row } from '../server/table.ts';
import { formSchema } from './forms.ts';
import { presentLastUse } from './last-use.ts';
import { formOperation } from './operations.ts';
import { redirect } from './pages.ts';
import { workspacePath } from './present-workspace.ts';
import { presentPlaces } from './where.ts';

/** The apps that work in a workspace, as its owners and admins see and end them. */

/** Creates the rows. @param path of a workspace */
export function connectedAppRows(path: `/${string}`): Row[] {
  return [row('POST', `${path}/end-app`, 'signedInUser', undefined, endApp)];
}

/** POST /workspaces/:id/end-app: takes an app out of the workspace. */
const endApp = formOperation({
  caller: 'signedInUser',
  summary: 'End what an app may do there',
  form: formSchema({ app: z.string().max(80).default('') }),
  async handle({ deps, origin, caller, body, params }) {
    await endAppInWorkspace(deps, origin, caller.session.accountId, params.id!, body.app);
    return redirect(deps.config, workspacePath(params.id!), [], 'appPlaceEnded');
  },
});

/** Prepares an app for the page of the workspace. */
export function presentPlacedApp(app: PlacedApp) {
  return {
    id: app.id,
    name: app.name === undefined ? '' : displayName(app.name),
    host: app.hosts[0],
    mailbox: app.mailbox,
    isYou: app.isYou,
    places: presentPlaces(app.places),
    scopes: [...new Set(app.places.flatMap(({ actions }) => actions.split(' ')))],
    createdAt: app.createdAt,
    expiresAt: app.expiresAt,
    lastUse: app.lastUse && presentLastUse(app.lastUse.at, app.lastUse.from),
  };
}
