import type { Deps } from '../../deps.ts';
import {
  type ConnectedApp,
  countConnectedApps,
  findConnectedApp,
  listConnectedApps,
} from '../../domain/apps/connected-apps.ts';
import { revokeConsent } from '../../domain/apps/consents.ts';
import { OPTIONAL_OPENID_SCOPES } from '../../domain/apps/offers.ts';
import { endOwnAppIn } from '../../domain/apps/placed-apps.ts';
import { listAudiences } from '../../domain/audiences/audience.ts';
import { listLinkRequests } from '../../domain/providers/link-requests.ts';
import { listLinkedProviders } from '../../domain/providers/linked-providers.ts';
import { listPlacesOfHolders, type NamedPlace } from '../../domain/workspaces/pick-places.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../server/table.ts';
import { presentLastUse } from './last-use.ts';
import { presentSearchedList, readListQuery } from './lists.ts';
import { buttonOperation } from './operations.ts';
import type { Pages } from './pages.ts';
import { presentPlaces } from './present-places.ts';

/** The pages of the apps that a human let use their account. */

const none = undefined;

/** Creates the rows of these pages. */
export function connectedAppRows(pages: Pages): Row[] {
  return [
    row('GET', PAGES.apps, 'signedInUser', none, appsPage(pages)),
    row('GET', `${PAGES.apps}/:id/revoke`, 'signedInUser', none, revokeAppPage(pages)),
    row('POST', `${PAGES.apps}/:id/revoke`, 'signedInUser', none, revokeApp),
    row('POST', `${PAGES.apps}/:id/workspaces/:workspace/end`, 'signedInUser', none, endPlace),
  ];
}

/** GET /apps: lists the apps that may use the account. */
function appsPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Apps that use my account',
    async handle({ deps, caller, query }) {
      const { accountId } = caller.session;
      const wanted = readListQuery(query);
      const [counts, page, names, requests, providers] = await Promise.all([
        countConnectedApps(deps, accountId, wanted),
        listConnectedApps(deps, accountId, wanted),
        resourceNames(deps),
        listLinkRequests(deps, accountId),
        listLinkedProviders(deps, accountId),
      ]);
      const places = await listPlacesOfHolders(
        deps,
        page.items.map(({ id }) => id),
      );
      return pages.show(caller, 'apps', {
        apps: page.items.map((app) => presentApp(app, names, places.get(app.id))),
        requests: requests.map(({ appName, ...each }) => ({ ...each, appName: displayName(appName ?? '') })),
        providers,
        ...presentSearchedList(PAGES.apps, query, wanted, counts, page),
      });
    },
  });
}

/** GET /apps/:id/revoke: asks whether to revoke an app. */
function revokeAppPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Whether to revoke one',
    async handle({ deps, caller, params }) {
      const app = await findConnectedApp(deps, caller.session.accountId, params.id!);
      const places = (await listPlacesOfHolders(deps, [app.id])).get(app.id);
      return pages.show(caller, 'revoke-app', { app: presentApp(app, await resourceNames(deps), places) });
    },
  });
}

/** POST /apps/:id/revoke: revokes an app. */
const revokeApp = buttonOperation({
  summary: 'Revoke one',
  act: (deps, origin, accountId, { id }) => revokeConsent(deps, origin, accountId, id!),
  page: () => PAGES.apps,
  flash: 'appRevoked',
});

/** POST /apps/:id/workspaces/:workspace/end: takes an app out of one workspace, or out of one's own things. */
const endPlace = buttonOperation({
  summary: 'End what one may do in a workspace',
  act: (deps, origin, accountId, { workspace, id }) => endOwnAppIn(deps, origin, accountId, workspace!, id!),
  page: () => PAGES.apps,
  flash: 'appPlaceEnded',
});

/** The names of the APIs by URL; none where there is one only, which need not be named. */
async function resourceNames(deps: Deps): Promise<Map<string, string>> {
  const audiences = await listAudiences(deps);
  return new Map(audiences.length > 1 ? audiences.map(({ url, name }) => [url, name]) : []);
}

/** Prepares an app for a template. */
function presentApp(
  app: ConnectedApp,
  names: ReadonlyMap<string, string>,
  places: readonly NamedPlace[] | undefined,
) {
  return {
    ...app,
    name: app.name === undefined ? '' : displayName(app.name),
    /** What a human can recognize: the others only say how the app signs in and stays connected. */
    scopes: [...app.scopes, ...app.openidScopes.filter((scope) => OPTIONAL_OPENID_SCOPES.has(scope))],
    resource: app.resource && names.get(app.resource),
    /** Undefined: it works in one's own things, as where there are no workspaces. */
    places: places && presentPlaces(places),
    workspaces: workspacesOf(places ?? []),
    lastUse: app.lastUse && presentLastUse(app.lastUse.at, app.lastUse.from),
  };
}

/** The workspaces of places, each once: what can be ended by itself. Without a name it is one's own things. */
function workspacesOf(places: readonly NamedPlace[]) {
  const names = places.map(({ workspaceId, workspaceName }) => [workspaceId, workspaceName] as const);
  return [...new Map(names)].map(([id, name]) => ({
    id,
    name: name === null ? undefined : displayName(name),
  }));
}
