import Koa from 'koa';
import type { Deps } from './deps.ts';
import type { Follow } from './domain/audiences/revocation-feed.ts';
import * as agentAuthProtocolAgents from './http/agent-auth-protocol/agents.ts';
import * as capabilities from './http/agent-auth-protocol/capabilities.ts';
import * as hosts from './http/agent-auth-protocol/hosts.ts';
import * as apiTokens from './http/api/api-tokens.ts';
import { showMe } from './http/api/me.ts';
import * as identity from './http/auth-md/identity.ts';
import * as identityClaim from './http/auth-md/identity-claim.ts';
import * as providerEvents from './http/auth-md/security-events.ts';
import * as auth from './http/auth-md/tinysend.ts';
import { agentAuthProtocol } from './http/dialects/agent-auth-protocol.ts';
import { authMd, authMdComplete } from './http/dialects/auth-md.ts';
import { oauth } from './http/dialects/oauth.ts';
import { securityEvents } from './http/dialects/security-events.ts';
import { tinysend } from './http/dialects/tinysend.ts';
import { createDocumentOperations } from './http/discovery/operations.ts';
import { introspect } from './http/oauth/introspect.ts';
import { publishKeys } from './http/oauth/jwks.ts';
import { revokeToken } from './http/oauth/revoke.ts';
import { appRoutes, consentRoutes } from './http/oauth/routes.ts';
import { exchangeToken } from './http/oauth/token.ts';
import { accountRows } from './http/pages/account-routes.ts';
import * as agents from './http/pages/agents.ts';
import { connectedAppRows } from './http/pages/apps.ts';
import { asset } from './http/pages/assets.ts';
import { changeAgentRows } from './http/pages/change-agent.ts';
import * as claim from './http/pages/claim.ts';
import { ownClientRows } from './http/pages/clients.ts';
import * as connect from './http/pages/connect.ts';
import { consoleRoutes } from './http/pages/console/routes.ts';
import * as devMail from './http/pages/dev-mailbox.ts';
import { frontPage } from './http/pages/front.ts';
import * as environments from './http/pages/hosts.ts';
import * as keys from './http/pages/keys.ts';
import { createPages, type Pages } from './http/pages/pages.ts';
import { permissionRows } from './http/pages/permissions.ts';
import { providerRows } from './http/pages/providers.ts';
import * as signIn from './http/pages/sign-in.ts';
import { workspaceRows } from './http/pages/workspace-routes.ts';
import { permissionRoutes } from './http/permissions/routes.ts';
import { followEvents } from './http/resource-servers/events.ts';
import * as nodes from './http/resource-servers/nodes.ts';
import { readPolicy } from './http/resource-servers/policy.ts';
import { consumeQuotaOperation } from './http/resource-servers/quota.ts';
import { logConnectionErrors, renderErrors } from './http/server/errors.ts';
import { PATHS } from './http/server/paths.ts';
import { requestLog } from './http/server/request-log.ts';
import {
  createDialectSelector,
  createRouters,
  groupByPath,
  type RouteTable,
  respondUnrouted,
} from './http/server/router.ts';
import { type Route, row, rows } from './http/server/table.ts';
import { checkTransport } from './http/server/transport.ts';
import { PAGES } from './lib/page-paths.ts';
import type { DevMailbox } from './mail/dev-mailbox.ts';

/** What createApp() needs besides the dependencies of the use cases. */
export interface AppOptions {
  /** Receives mail in development; undefined when no page shows it. */
  devMailbox: DevMailbox | undefined;
  /** Opens a revocation feed stream for a resource server. */
  follow: Follow;
  /** Whether the service is shutting down; each response then closes its connection. */
  isDraining: () => boolean;
}

/**
 * Creates the service as a Koa application: middleware in the order of the checks, then one router per protocol
 * (docs/adr/0001-koa.md).
 *
 * main.ts runs `app.callback()` in a server with connection limits; any other Node HTTP server can run it too.
 */
export function createApp(deps: Deps, options: AppOptions): Koa {
  const pages = createPages(deps);
  const table = createRoutes(deps, options, pages);
  const routers = createRouters(deps, table);
  const routesByPath = groupByPath(table);
  // `proxy` stays off: client-address.ts and request-target.ts read addresses and URLs by our own rules.
  const app = new Koa();
  app.on('error', logConnectionErrors(deps));
  app.use(requestLog(deps, options.isDraining));
  app.use(renderErrors(deps, createDialectSelector(routers, routesByPath, pages.dialect)));
  app.use(checkTransport(deps));
  for (const router of routers) app.use(router.routes());
  app.use(respondUnrouted(deps, routesByPath));
  return app;
}

/**
 * No limit per client address. The use cases check the limits per mailbox, agent and code (domain/limits/limits.ts).
 */
const none = undefined;

/**
 * Creates the route table: method, path, allowed caller and flood limit of every route. Request and response schemas
 * are in the operation, next to its handler.
 */
export function createRoutes(
  deps: Deps,
  { devMailbox, follow }: Pick<AppOptions, 'devMailbox' | 'follow'>,
  pages = createPages(deps),
): RouteTable {
  // OAuth endpoints (RFC 7662, RFC 7009, RFC 6749)
  const oauthRoutes = rows(oauth, [
    row('POST', PATHS.introspect, 'resourceServer', none, introspect),
    row('POST', PATHS.revoke, 'anyone', none, revokeToken),
    row('POST', PATHS.token, 'anyone', none, exchangeToken),
  ]);
  const resourceServers = rows(oauth, [
    row('GET', PATHS.resourceEvents, 'resourceServer', none, followEvents(follow)),
    row('GET', PATHS.resourcePolicy, 'resourceServer', none, readPolicy),
    row('POST', PATHS.resourceQuota, 'resourceServer', none, consumeQuotaOperation),
    row('GET', PATHS.resourceNodes, 'resourceServer', none, nodes.listNodes),
    row('PUT', PATHS.resourceNodes, 'resourceServer', none, nodes.tellNodes),
    row('POST', PATHS.resourceNodes, 'resourceServer', none, nodes.tellNodes),
    row('GET', PATHS.resourceWorkspaces, 'resourceServer', none, nodes.listWorkspaces),
  ]);
  // auth.md: the tinysend profile, and version 0.1 on the same paths
  const registration = rows(tinysend, [
    row('POST', PATHS.register, 'anyone', 'registerPerIp', auth.register),
    row('POST', PATHS.claim, 'agentIfAny', 'claimMailPerIp', auth.startClaim),
    row('POST', PATHS.complete, 'agentIfAny', 'wrongPerIpHour', auth.completeClaim),
    row('GET', PATHS.me, 'agent', none, showMe),
    row('GET', PATHS.tokens, 'agent', none, apiTokens.listTokens),
    row('POST', PATHS.tokens, 'agent', none, apiTokens.createToken),
    row('DELETE', `${PATHS.tokens}/:id`, 'agent', none, apiTokens.revokeToken),
  ]);
  // auth.md 0.2 to production: the use cases choose the registration limits by the type of the request
  const identities = [
    ...rows(authMd, [
      row('POST', PATHS.identity, 'anyone', none, identity.register),
      row('POST', PATHS.identityClaim, 'agentIfAny', 'claimMailPerIp', identityClaim.startClaim),
      row('POST', PATHS.revokeByLogout, 'anyone', none, providerEvents.revokeByLogout),
    ]),
    ...rows(authMdComplete, [
      row('POST', PATHS.identityComplete, 'agentIfAny', 'wrongPerIpHour', identityClaim.completeClaim),
    ]),
    ...rows(securityEvents, [row('POST', PATHS.events, 'anyone', none, providerEvents.receiveEvent)]),
  ];
  // Agent Auth Protocol: an unknown host counts against `registerPerIp` (http/agent-auth-protocol/signers.ts)
  const agent = agentAuthProtocolAgents;
  const hostsAndAgents = rows(agentAuthProtocol, [
    row('POST', PATHS.agentRegister, 'hostOrNewHost', none, agent.registerAgent),
    row('GET', PATHS.agentStatus, 'agentHost', none, agent.showStatus),
    row('POST', PATHS.agentRequest, 'hostedAgent', none, agent.requestCapabilities),
    row('POST', PATHS.agentReactivate, 'agentHost', none, agent.reactivateAgent),
    row('POST', PATHS.agentRevoke, 'agentHost', none, agent.revokeAgent),
    row('POST', PATHS.agentRotate, 'agentHost', none, agent.rotateAgentKeyOperation),
    row('POST', PATHS.hostRevoke, 'agentHost', none, hosts.revokeHostOperation),
    row('POST', PATHS.hostRotate, 'agentHost', none, hosts.rotateHostKeyOperation),
    row('GET', PATHS.capabilityList, 'hostOrAgentIfAny', none, capabilities.list),
    row('GET', PATHS.capabilityDescribe, 'hostOrAgentIfAny', none, capabilities.describeCapability),
    row('POST', PATHS.capabilityExecute, 'executingAgent', none, capabilities.execute),
    row('POST', PATHS.agentIntrospect, 'resourceServer', none, capabilities.introspectAgentToken),
  ]);
  const permissions = permissionRoutes();
  const apps = appRoutes();
  const documentedRoutes = [
    registration,
    identities,
    hostsAndAgents,
    permissions,
    oauthRoutes,
    apps,
    resourceServers,
  ];
  return [
    oauthRoutes,
    registration,
    identities,
    hostsAndAgents,
    permissions,
    resourceServers,
    apps,
    pageRoutes(pages),
    consoleRoutes(pages),
    consentRoutes(pages),
    discoveryRoutes(deps, documentedRoutes.flat(), pages),
    developmentRoutes(pages, devMailbox),
  ];
}

/**
 * Creates the routes of the HTML pages. http/server/browser-session.ts accepts a post only from one of them (S-71).
 */
function pageRoutes(pages: Pages): Route[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  return rows(pages.dialect, [
    row('GET', PAGES.claim, 'browser', none, claim.claimPage(pages)),
    row('POST', PAGES.claim, 'browser', 'wrongPerIpHour', claim.approve(pages)),
    row('GET', PAGES.claimState, 'browser', none, claim.claimState),
    row('GET', PAGES.denyClaim, 'browser', none, claim.denyPage(pages)),
    row('POST', PAGES.denyClaim, 'browser', none, claim.deny),

    // Connecting an agent of the Agent Auth Protocol
    row('GET', PAGES.connect, 'browser', none, connect.connectPage(pages)),
    row('POST', PAGES.connect, 'browser', 'wrongPerIpHour', connect.findByCode(pages)),
    row('GET', PAGES.denyConnection, 'browser', none, connect.denyPage(pages)),
    row('POST', PAGES.denyConnection, 'browser', none, connect.denyByMail(pages)),
    row('GET', PAGES.reviewConnection, recent, none, connect.reviewPage(pages)),
    row('POST', PAGES.reviewConnection, recent, none, connect.decide(pages)),

    // What agents and terminals ask for
    ...permissionRows(pages),

    // Signing in
    row('GET', PAGES.signIn, 'browser', none, signIn.signInPage(pages)),
    row('POST', PAGES.signIn, 'browser', 'signInMailPerIp', signIn.askForCode(pages)),
    row('GET', PAGES.signInAgain, user, none, signIn.againPage(pages)),
    row('POST', PAGES.signInAgain, user, none, signIn.askAgain),
    row('GET', PAGES.signInCode, 'browser', none, signIn.codePage(pages)),
    row('POST', PAGES.signInCode, 'browser', 'signInWrongPerIpHour', signIn.signIn(pages)),
    row('GET', PAGES.signInLink, 'browser', none, signIn.linkPage(pages)),
    row('POST', PAGES.signInLink, 'browser', none, signIn.signInByLink(pages)),
    row('POST', PAGES.signOut, 'browser', none, signIn.signOut(pages)),

    // The user's agents
    row('GET', PAGES.agents, user, none, agents.agentsPage(pages)),
    row('GET', `${PAGES.agents}/:id`, user, none, agents.agentPage(pages)),
    ...changeAgentRows(pages),
    row('GET', `${PAGES.hosts}/:id/revoke`, user, none, environments.revokeHostPage(pages)),
    row('POST', `${PAGES.hosts}/:id/revoke`, user, none, environments.revokeHost),

    // The user's API keys
    row('GET', PAGES.keys, user, none, keys.keysPage(pages)),
    row('GET', PAGES.newKey, recent, none, keys.newKeyPage(pages)),
    row('POST', PAGES.newKey, recent, none, keys.createKey(pages)),
    row('GET', `${PAGES.keys}/:id/revoke`, user, none, keys.revokeKeyPage(pages)),
    row('POST', `${PAGES.keys}/:id/revoke`, user, none, keys.revokeKey),

    // The apps that use the user's account, and the clients that the user registered
    ...connectedAppRows(pages),
    ...providerRows(pages),
    ...ownClientRows(pages),

    // The user's workspaces, and invitations to them
    ...workspaceRows(pages),

    ...accountRows(pages),

    ...[...pages.assets].map(([path, file]) => row('GET', path, 'anyone', none, asset(file))),
  ]);
}

/**
 * Creates the routes of the public documents. `*path` is the path of an audience: RFC 8414 section 3.1 and RFC 9728
 * section 3.1 insert it after the well-known path; clients of auth.md append the well-known path to it.
 */
function discoveryRoutes(deps: Deps, documentedRoutes: readonly Route[], pages: Pages): Route[] {
  const { authorizationServer, openidConfiguration, protectedResource: resource } = PATHS;
  const { document, documents, serverMetadata } = createDocumentOperations(deps, documentedRoutes);
  return rows(tinysend, [
    row('GET', '/', 'anyone', none, frontPage(pages)),
    row('GET', PATHS.authMd, 'anyone', none, document(PATHS.authMd, 'How agents use this')),
    row('GET', PATHS.llmsTxt, 'anyone', none, document(PATHS.llmsTxt, 'Where to read')),
    row('GET', PATHS.openapi, 'anyone', none, document(PATHS.openapi, 'OpenAPI 3.1')),
    row('GET', PATHS.jwks, 'anyone', none, publishKeys),
    row(
      'GET',
      PATHS.agentConfiguration,
      'anyone',
      none,
      document(PATHS.agentConfiguration, 'Agent Auth Protocol'),
    ),
    ...[authorizationServer, openidConfiguration].flatMap((path) => serverMetadata(path)),
    row('GET', resource, 'anyone', none, document(resource, 'RFC 9728')),
    row(
      'GET',
      `${resource}/*path`,
      'anyone',
      none,
      documents('RFC 9728', (path) => `${resource}/${path}`),
    ),
  ]);
}

/**
 * Creates the routes of the development mailbox, which replaces the mail server on a loopback PUBLIC_URL without
 * SMTP_URL.
 */
function developmentRoutes(pages: Pages, mailbox: DevMailbox | undefined): Route[] {
  if (mailbox === undefined) return [];
  return [
    ...rows(pages.dialect, [
      row('GET', '/dev/mailbox', 'browser', none, devMail.mailboxPage(pages, mailbox)),
      row('GET', '/dev/mailbox/:number', 'anyone', none, devMail.mailboxMail(mailbox)),
    ]),
    ...rows(tinysend, [row('GET', '/dev/mailbox.json', 'anyone', none, devMail.mailboxJson(mailbox))]),
  ];
}
