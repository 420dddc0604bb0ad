import type { RequestListener } from 'node:http';
import type { Deps } from './deps.ts';
import * as agentAuth from './http/agent-auth.ts';
import * as v01 from './http/agent-auth-v01.ts';
import * as identity from './http/agent-identity.ts';
import * as hosted from './http/agent-protocol/agents.ts';
import * as capabilities from './http/agent-protocol/capabilities.ts';
import { agentProtocol } from './http/dialects/agent-protocol.ts';
import { authMd, authMdComplete } from './http/dialects/auth-md.ts';
import { native } from './http/dialects/native.ts';
import { oauth } from './http/dialects/oauth.ts';
import { securityEvents } from './http/dialects/security-events.ts';
import { createDocuments } from './http/discovery/documents.ts';
import { PATHS } from './http/discovery.ts';
import * as answers from './http/identity-answers.ts';
import * as identityClaims from './http/identity-claims.ts';
import { keySet } from './http/jwks.ts';
import * as me from './http/me.ts';
import * as introspection from './http/oauth/introspect.ts';
import * as revocation from './http/oauth/revoke.ts';
import * as tokens from './http/oauth/token.ts';
import * as account from './http/pages/account.ts';
import * as agents from './http/pages/agents.ts';
import { asset } from './http/pages/assets.ts';
import * as second from './http/pages/authenticator.ts';
import * as claimPages from './http/pages/claim.ts';
import * as connect from './http/pages/connect.ts';
import { devMailboxJson, devMailboxPage } from './http/pages/dev-mailbox.ts';
import { frontPage } from './http/pages/front.ts';
import * as keys from './http/pages/keys.ts';
import { createPages, type Pages } from './http/pages/pages.ts';
import * as signIn from './http/pages/sign-in.ts';
import * as resourceEvents from './http/resource-events.ts';
import * as resourceRules from './http/resource-rules.ts';
import { json, pageRoutes, type Route, route } from './http/route.ts';
import * as notices from './http/security-events.ts';
import { createServe } from './http/serve.ts';
import type { DevMailbox } from './mail/dev-mailbox.ts';

/**
 * The map of the house: every route is one row, with who may call it and what limit meets it first. Budgets of mailboxes,
 * agents and codes are spent inside the use-cases; see domain/limits.ts.
 */
export function createRoutes(
  deps: Deps,
  devMailbox: DevMailbox | undefined,
  pages = createPages(deps.config, deps.random),
): Route[] {
  const rows = [
    // Agents: the tinysend profile of auth.md
    route(`POST ${PATHS.register}`, {
      dialect: native,
      caller: 'anyone',
      limit: 'registerPerIp',
      repeatable: true,
      summary: 'Register an agent, anonymously or with the mailbox of its human',
      body: { media: 'json', schema: agentAuth.registerBody },
      answer: agentAuth.registerAnswer,
      handler: agentAuth.register,
      versions: [v01.registerVersion],
    }),
    route(`POST ${PATHS.claim}`, {
      dialect: native,
      caller: 'agentIfAny',
      limit: 'claimMailPerIp',
      summary: 'Mail a code to the human who should claim the agent',
      body: { media: 'json', schema: agentAuth.claimBody },
      answer: agentAuth.claimAnswer,
      handler: agentAuth.claim,
      versions: [v01.claimVersion],
    }),
    route(`POST ${PATHS.complete}`, {
      dialect: native,
      caller: 'agentIfAny',
      limit: 'wrongPerIpHour',
      repeatable: true,
      summary: 'Complete the claim with the mailed code and get a key with more scope',
      body: { media: 'json', schema: agentAuth.completeBody },
      answer: agentAuth.completeAnswer,
      handler: agentAuth.complete,
      versions: [v01.completeVersion],
    }),
    route(`GET ${PATHS.me}`, {
      dialect: native,
      caller: 'agent',
      summary: 'Who the bearer of this key is, and how far its claim has come',
      answer: me.meAnswer,
      handler: me.me,
    }),
    route(`GET ${PATHS.tokens}`, {
      dialect: native,
      caller: 'agent',
      summary: 'The keys of a claimed agent',
      answer: me.tokensAnswer,
      handler: me.listTokens,
    }),
    route(`POST ${PATHS.tokens}`, {
      dialect: native,
      caller: 'agent',
      summary: 'Make another key for a claimed agent, no wider than the one that asks',
      body: { media: 'json', schema: me.createTokenBody },
      answer: me.createTokenAnswer,
      handler: me.createToken,
    }),
    route(`DELETE ${PATHS.tokens}/:id`, {
      dialect: native,
      caller: 'agent',
      summary: 'Revoke a key for good',
      answer: me.revokeTokenAnswer,
      handler: me.revokeToken,
    }),

    ...identityRows(),
    ...agentProtocolRows(),

    // Resource servers, and whoever holds a key
    route(`POST ${PATHS.introspect}`, {
      dialect: oauth,
      caller: 'resourceServer',
      summary: 'Ask about a key that was presented (RFC 7662)',
      body: { media: 'form', schema: introspection.introspectBody },
      answer: introspection.introspectAnswer,
      handler: introspection.introspect,
    }),
    route(`GET ${PATHS.resourceEvents}`, {
      dialect: oauth,
      caller: 'resourceServer',
      summary: 'Follow revocations, changes and merges: as server-sent events, or in JSON after an id',
      answer: resourceEvents.eventsAnswer,
      handler: resourceEvents.events,
    }),
    route(`GET ${PATHS.resourcePolicy}`, {
      dialect: oauth,
      caller: 'resourceServer',
      summary: 'Scopes, presets, the rules of tools and the quotas, as the operator wrote them',
      answer: resourceRules.policyAnswer,
      handler: resourceRules.policy,
    }),
    route(`POST ${PATHS.resourceQuota}`, {
      dialect: oauth,
      caller: 'resourceServer',
      summary: 'Count one action of the account behind a key',
      body: { media: 'form', schema: resourceRules.quotaBody },
      answer: resourceRules.quotaAnswer,
      handler: resourceRules.quota,
    }),
    route(`POST ${PATHS.revoke}`, {
      dialect: oauth,
      caller: 'anyone',
      cors: true,
      summary: 'Revoke the key that one holds (RFC 7009)',
      body: { media: 'form', schema: revocation.revokeBody },
      handler: revocation.revoke,
    }),
  ];
  return [
    ...rows,
    ...pageRows(pages),
    ...discoveryRows(deps, rows, pages),
    ...developmentRows(pages, devMailbox),
  ];
}

/** auth.md 0.2 to 0.7, and production: identities, and tokens for them. Registration spends its own budgets by what is asked. */
function identityRows(): Route[] {
  return [
    route(`POST ${PATHS.identity}`, {
      dialect: authMd,
      caller: 'anyone',
      repeatable: true,
      summary: 'Register an agent that gets an identity, or renew one',
      body: { media: 'json', schema: identity.identityBody },
      answer: answers.identityAnswer,
      handler: identity.identify,
      versions: [identity.refreshVersion],
    }),
    route(`POST ${PATHS.identityClaim}`, {
      dialect: authMd,
      caller: 'agentIfAny',
      limit: 'claimMailPerIp',
      summary: 'Ask the human to vouch for the agent',
      body: { media: 'json', schema: identityClaims.claimBody },
      answer: answers.claimAnswer,
      handler: identityClaims.claim,
      versions: [identityClaims.assertedClaimVersion, identityClaims.productionClaimVersion],
    }),
    route(`POST ${PATHS.identityComplete}`, {
      dialect: authMdComplete,
      caller: 'agentIfAny',
      limit: 'wrongPerIpHour',
      repeatable: true,
      summary: 'Complete the claim with the code that the human read out',
      body: { media: 'json', schema: identityClaims.completeBody },
      answer: answers.completeAnswer,
      handler: identityClaims.complete,
      versions: [identityClaims.productionCompleteVersion],
    }),
    route(`POST ${PATHS.token}`, {
      dialect: oauth,
      caller: 'anyone',
      cors: true,
      summary: 'Exchange an identity, or a claim that the human approved, for an access token',
      body: { media: 'formOrJson', schema: tokens.tokenBody },
      answer: tokens.tokenAnswer,
      handler: tokens.token,
    }),
    route(`POST ${PATHS.events}`, {
      dialect: securityEvents,
      caller: 'anyone',
      summary: 'Tell that an agent provider takes its word for a user back (RFC 8935)',
      body: { media: 'securityEvent', schema: notices.eventBody },
      handler: notices.notify,
    }),
    route(`POST ${PATHS.revokeByLogout}`, {
      dialect: authMd,
      caller: 'anyone',
      summary: 'The same, as of auth.md 0.1',
      body: { media: 'logoutToken', schema: notices.eventBody },
      answer: notices.revokedAnswer,
      handler: notices.revoke,
    }),
  ];
}

/**
 * The Agent Auth Protocol: hosts and agents sign each request. Only who comes for the first time spends the budget of
 * newcomers, see signers.ts; what is mailed spends its own.
 */
function agentProtocolRows(): Route[] {
  const dialect = agentProtocol;
  return [
    route(`POST ${PATHS.agentRegister}`, {
      dialect,
      caller: 'newAgentHost',
      summary: 'Register an agent under the host that signs',
      body: json(hosted.registerBody),
      answer: hosted.agentAnswer,
      handler: hosted.register,
    }),
    route(`GET ${PATHS.agentStatus}`, {
      dialect,
      caller: 'agentHost',
      summary: 'How far an agent has come, and what it may do',
      answer: hosted.agentAnswer,
      handler: hosted.status,
    }),
    route(`POST ${PATHS.agentRequest}`, {
      dialect,
      caller: 'hostedAgent',
      summary: 'Ask for more capabilities',
      body: json(hosted.requestBody),
      answer: hosted.agentAnswer,
      handler: hosted.request,
    }),
    route(`POST ${PATHS.agentReactivate}`, {
      dialect,
      caller: 'agentHost',
      summary: 'Begin an agent anew that has expired',
      body: json(hosted.agentBody),
      answer: hosted.agentAnswer,
      handler: hosted.reactivate,
    }),
    route(`POST ${PATHS.agentRevoke}`, {
      dialect,
      caller: 'agentHost',
      summary: 'End an agent',
      body: json(hosted.agentBody),
      answer: hosted.endAnswer,
      handler: hosted.revoke,
    }),
    route(`POST ${PATHS.agentRotate}`, {
      dialect,
      caller: 'agentHost',
      summary: 'Give an agent another key',
      body: json(hosted.rotateBody),
      answer: hosted.endAnswer,
      handler: hosted.rotate,
    }),
    route(`POST ${PATHS.hostRevoke}`, {
      dialect,
      caller: 'agentHost',
      summary: 'End this host and all of its agents',
      answer: hosted.hostEndAnswer,
      handler: hosted.revokeHost,
    }),
    route(`POST ${PATHS.hostRotate}`, {
      dialect,
      caller: 'agentHost',
      summary: 'Give this host another key',
      body: json(hosted.rotateHostBody),
      answer: hosted.hostAnswer,
      handler: hosted.rotateHost,
    }),
    route(`GET ${PATHS.capabilityList}`, {
      dialect,
      caller: 'hostOrAgentIfAny',
      summary: 'What agents can be allowed',
      answer: capabilities.listAnswer,
      handler: capabilities.list,
    }),
    route(`GET ${PATHS.capabilityDescribe}`, {
      dialect,
      caller: 'hostOrAgentIfAny',
      summary: 'One of them, with its input',
      answer: capabilities.describeAnswer,
      handler: capabilities.describe,
    }),
    route(`POST ${PATHS.capabilityExecute}`, {
      dialect,
      caller: 'executingAgent',
      summary: 'Use a capability',
      body: json(capabilities.executeBody),
      answer: capabilities.executeAnswer,
      handler: capabilities.execute,
    }),
    route(`POST ${PATHS.agentIntrospect}`, {
      dialect,
      caller: 'resourceServer',
      summary: 'Ask about a token that an agent signed, which is spent by it',
      body: json(capabilities.introspectBody),
      answer: capabilities.introspectAnswer,
      handler: capabilities.introspect,
    }),
  ];
}

/** For people at a browser. What they post must come from a page of ours: see http/visitor.ts. */
function pageRows(pages: Pages): Route[] {
  const { dialect } = pages;
  const { see, post } = pageRoutes(dialect);
  const { approve, approveForm, deny, denyForm } = claimPages;
  return [
    see('/claim', 'visitor', 'Review a claim', claimPages.claimPage(pages)),
    post('/claim', 'visitor', 'Approve a claim', approveForm, approve(pages), 'wrongPerIpHour'),
    see('/claim/deny', 'visitor', 'Say that this was not me', claimPages.denyPage(pages)),
    post('/claim/deny', 'visitor', 'End a claim', denyForm, deny),

    // Letting an agent in that signs its requests
    see('/connect', 'visitor', 'Find what an agent asks for', connect.connectPage(pages)),
    post('/connect', 'visitor', 'By its code', connect.codeForm, connect.findByCode(pages), 'wrongPerIpHour'),
    see('/connect/deny', 'visitor', 'Say that this was not me', connect.refusePage(pages)),
    post('/connect/deny', 'visitor', 'Turn the agent away', connect.refuseForm, connect.refuse(pages)),
    see('/connect/review', 'freshHuman', 'Review it', connect.reviewPage(pages)),
    post(
      '/connect/review',
      'freshHuman',
      'Let the agent in, or not',
      connect.decideForm,
      connect.decide(pages),
    ),
    post('/hosts/:id/revoke', 'human', 'End a host and its agents', connect.hostForm, connect.revokeHost),

    // Signing in
    see('/sign-in', 'visitor', 'Ask for a code to sign in with', signIn.signInPage(pages)),
    post('/sign-in', 'visitor', 'Mail one', signIn.signInForm, signIn.askForCode(pages), 'signInMailPerIp'),
    see('/sign-in/again', 'human', 'Confirm that it is you', signIn.againPage(pages)),
    post('/sign-in/again', 'human', 'Mail a code', signIn.againForm, signIn.askAgain),
    see('/sign-in/code', 'visitor', 'Type the code, and then that of the app', signIn.codePage(pages)),
    post(
      '/sign-in/code',
      'visitor',
      'Sign in',
      signIn.signInCodeForm,
      signIn.signIn(pages),
      'signInWrongPerIpHour',
    ),
    see('/sign-in/link', 'visitor', 'Sign in by a mailed link', signIn.linkPage(pages)),
    post('/sign-in/link', 'visitor', 'Use it', signIn.signInLinkForm, signIn.signInByLink),
    post('/sign-out', 'visitor', 'End this session', signIn.signOutForm, signIn.signOut),

    // Whoever is signed in: their agents
    see('/agents', 'human', 'My agents', agents.agentsPage(pages)),
    see('/agents/:id', 'human', 'One of them', agents.agentPage(pages)),
    post('/agents/:id/rename', 'human', 'Give it another name', agents.renameForm, agents.rename),
    post('/agents/:id/narrow', 'human', 'Leave it fewer scopes', agents.narrowForm, agents.narrow),
    post('/agents/:id/unlink', 'human', 'Let a linked one go', agents.agentForm, agents.unlink),
    post('/agents/:id/undo', 'human', 'Undo a merge', agents.agentForm, agents.undo),
    post('/agents/:id/revoke', 'human', 'End it and its keys', agents.agentForm, agents.revoke),

    // Their keys
    see('/keys', 'human', 'My keys', keys.keysPage(pages)),
    see('/keys/new', 'freshHuman', 'What a key can be for', keys.newKeyPage(pages)),
    post('/keys/new', 'freshHuman', 'Make a key', keys.newKeyForm, keys.createKey(pages)),
    post('/keys/:id/revoke', 'human', 'End one for good', keys.revokeKeyForm, keys.revokeKey),

    // Their account
    see('/account', 'human', 'My account and my sessions', account.accountPage(pages)),
    see('/account/activity', 'human', 'What happened in it', account.activityPage(pages)),
    see('/account/export', 'human', 'All of it as JSON', account.exportAccount),
    post('/account/sessions/end', 'human', 'End a session', account.endSessionForm, account.endOneSession),
    post('/account/mail', 'human', 'Have mail of agents, or not', account.wantsMailForm, account.changeMail),
    see('/account/authenticator', 'freshHuman', 'My second factor', second.authenticatorPage(pages)),
    post('/account/authenticator', 'freshHuman', 'Set it up', second.addForm, second.add(pages)),
    post(
      '/account/authenticator/codes',
      'freshHuman',
      'New codes',
      second.plainForm,
      second.renewCodes(pages),
    ),
    post('/account/authenticator/remove', 'freshHuman', 'Remove it', second.plainForm, second.remove),
    see('/account/delete', 'freshHuman', 'What deleting it means', account.deletePage(pages)),
    post('/account/delete', 'freshHuman', 'Delete it', account.deleteForm, account.deleteMine(pages)),

    ...[...pages.assets].map(([path, file]) =>
      route(`GET ${path as `/${string}`}`, {
        dialect,
        caller: 'anyone',
        open: true,
        summary: 'How the pages look',
        handler: asset(file),
      }),
    ),
  ];
}

/** Documents that anybody may read and cache. */
function discoveryRows(deps: Deps, described: readonly Route[], pages: Pages): Route[] {
  const documentAt = createDocuments(deps, described);
  const open = (
    path: string,
    row: { summary: string; handler: Route['handler']; exists?: Route['exists'] },
  ) => route(`GET ${path as `/${string}`}`, { dialect: native, caller: 'anyone', open: true, ...row });
  const document = (path: string, summary: string) =>
    open(path, { summary, handler: async () => (await documentAt(path))! });
  /** Those of each audience, below its path. */
  const documents = (path: string, summary: string, pathOf: (audience: string) => string) => {
    const at = async ({ path: audience = '' }: Record<string, string>) => documentAt(pathOf(audience));
    const exists: Route['exists'] = async (params) => (await at(params)) !== undefined;
    return open(path, { summary, exists, handler: async ({ params }) => (await at(params))! });
  };
  const { authorizationServer, protectedResource } = PATHS;
  return [
    open('/', {
      summary: 'Where to start',
      handler: frontPage(pages),
    }),
    document(PATHS.authMd, 'How agents use this'),
    document(PATHS.llmsTxt, 'Where to read'),
    document(PATHS.openapi, 'OpenAPI 3.1'),
    open(PATHS.jwks, { summary: 'RFC 7517', handler: keySet }),
    document(PATHS.agentConfiguration, 'Agent Auth Protocol'),
    document(authorizationServer, 'RFC 8414'),
    document(`/${authorizationServer}`, 'RFC 8414'),
    documents(`${authorizationServer}/:path(.+)`, 'RFC 8414', (path) => `${authorizationServer}/${path}`),
    documents(`/:path(.+)${authorizationServer}`, 'RFC 8414', (path) => `/${path}${authorizationServer}`),
    document(protectedResource, 'RFC 9728'),
    documents(`${protectedResource}/:path(.+)`, 'RFC 9728', (path) => `${protectedResource}/${path}`),
  ];
}

/** Only on a developer's machine without SMTP: there a mailbox stands in for the mail server. */
function developmentRows(pages: Pages, devMailbox: DevMailbox | undefined): Route[] {
  if (devMailbox === undefined) return [];
  const summary = 'Mail that was caught on this machine';
  return [
    route('GET /dev/mailbox', {
      dialect: pages.dialect,
      caller: 'visitor',
      summary,
      handler: devMailboxPage(pages, devMailbox),
    }),
    route('GET /dev/mailbox.json', {
      dialect: native,
      caller: 'anyone',
      summary,
      handler: devMailboxJson(devMailbox),
    }),
  ];
}

/** The service as what Node's HTTP server calls for every request. */
export function createApp(
  deps: Deps,
  devMailbox: DevMailbox | undefined,
  isDraining: () => boolean,
): RequestListener {
  const pages = createPages(deps.config, deps.random);
  const serve = createServe(deps, createRoutes(deps, devMailbox, pages), pages.dialect, isDraining);
  return (request, response) => {
    serve(request, response).catch((error) => {
      // serve() renders whatever goes wrong; what arrives here went wrong while it wrote the answer.
      deps.log.error({ err: error }, 'an answer could not be written');
      response.destroy();
    });
  };
}
