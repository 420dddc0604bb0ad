import { PAGES } from '../../lib/page-paths.ts';
import { oauth, oauthRegistration } from '../dialects/oauth.ts';
import { decideConsent } from '../pages/consent.ts';
import { decideDevice, devicePage } from '../pages/device.ts';
import { confirmEndSession, endSessionPage, postEndSession } from '../pages/end-session.ts';
import { interactionPage, switchAccount } from '../pages/interaction.ts';
import type { Pages } from '../pages/pages.ts';
import { PATHS } from '../server/paths.ts';
import { type Route, row, rows } from '../server/table.ts';
import { authorize, resumeAuthorization } from './authorize.ts';
import { authorizeDevice } from './authorize-device.ts';
import { pushRequest } from './push-request.ts';
import { deleteClient, readClient, registerClient, updateClient } from './register-client.ts';
import { userinfo } from './userinfo.ts';

/** The rows of the OAuth authorization server, beside those of every credential (app.ts). */

const none = undefined;

/** Creates the rows that apps call. */
export function appRoutes(): Route[] {
  const ofTokens = rows(oauth, [
    row('POST', PATHS.pushRequest, 'anyone', 'pushedRequestsPerIp', pushRequest),
    row('POST', PATHS.deviceAuthorization, 'anyone', 'deviceCodesPerIp', authorizeDevice),
    row('GET', PATHS.userinfo, 'anyone', none, userinfo),
  ]);
  const ofClients = rows(oauthRegistration, [
    row('POST', PATHS.registerClient, 'anyone', 'clientsPerIp', registerClient),
    row('POST', PATHS.registerClientAlias, 'anyone', 'clientsPerIp', registerClient),
    row('GET', `${PATHS.registerClient}/:client_id`, 'anyone', none, readClient),
    row('PUT', `${PATHS.registerClient}/:client_id`, 'anyone', none, updateClient),
    row('DELETE', `${PATHS.registerClient}/:client_id`, 'anyone', none, deleteClient),
  ]);
  return [...ofTokens, ...ofClients];
}

/** Creates the rows to which apps send people. */
export function consentRoutes(pages: Pages): Route[] {
  return rows(pages.dialect, [
    row('GET', PATHS.authorize, 'browser', none, authorize(pages)),
    row('GET', `${PATHS.authorize}/:uid`, 'browser', none, resumeAuthorization),
    row('GET', `${PATHS.interaction}/:uid`, 'browser', none, interactionPage(pages)),
    row('POST', `${PATHS.interaction}/:uid`, 'signedInUser', none, decideConsent(pages)),
    row('POST', `${PATHS.interaction}/:uid/switch`, 'signedInUser', none, switchAccount),
    row('GET', PAGES.reviewDevice, 'recentlyVerifiedUser', none, devicePage(pages)),
    row('POST', PAGES.reviewDevice, 'recentlyVerifiedUser', none, decideDevice(pages)),
    row('GET', PATHS.endSession, 'browser', none, endSessionPage(pages)),
    row('POST', PATHS.endSession, 'anyone', none, postEndSession),
    row('POST', `${PATHS.endSession}/confirm`, 'browser', none, confirmEndSession),
  ]);
}
