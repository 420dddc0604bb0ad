import { tinysend } from '../dialects/tinysend.ts';
import { PATHS } from '../server/paths.ts';
import { type Route, row, rows } from '../server/table.ts';
import * as grants from './grants.ts';
import * as requests from './requests.ts';

/** Creates the routes of permission requests and grants, which session keys sign for. */
export function permissionRoutes(): Route[] {
  const none = undefined;
  return rows(tinysend, [
    row('POST', PATHS.permissions, 'agentIfAny', 'permissionsPerIp', requests.ask),
    row('GET', PATHS.permissions, 'sessionKey', none, grants.listGrants),
    row('DELETE', `${PATHS.permissionGrants}/:id`, 'sessionKey', none, grants.endGrant),
    row('GET', `${PATHS.permissions}/:id`, 'sessionKey', none, requests.showRequest),
    row('POST', `${PATHS.permissions}/:id/grant`, 'sessionKey', none, requests.grant),
    row('POST', `${PATHS.permissions}/:id/deny`, 'sessionKey', none, requests.deny),
    row('POST', PATHS.sessionKey, 'sessionKey', none, grants.changeKey),
  ]);
}
