import type { RequestListener } from 'node:http';
import type { Deps } from './deps.ts';
import * as agentAuth from './http/agent-auth.ts';
import { native } from './http/dialects/native.ts';
import { oauth } from './http/dialects/oauth.ts';
import { createDocuments, jsonDocument, PATHS, textDocument } from './http/discovery.ts';
import * as me from './http/me.ts';
import * as introspection from './http/oauth/introspect.ts';
import * as revocation from './http/oauth/revoke.ts';
import { createOpenApi } from './http/openapi.ts';
import * as accountPages from './http/pages/account.ts';
import { asset } from './http/pages/assets.ts';
import * as claimPages from './http/pages/claim.ts';
import { devMailboxJson, devMailboxPage } from './http/pages/dev-mailbox.ts';
import { createPages, type Pages } from './http/pages/pages.ts';
import * as signInPages from './http/pages/sign-in.ts';
import { type Route, route } from './http/route.ts';
import { createServe } from './http/serve.ts';
import type { DevMailbox } from './mail/dev-mailbox.ts';

/**
 * The map of the house: every route is one row, with who may call it and what limit meets it first. Budgets of mailboxes,
 * agents and codes are spent inside the use-cases; see domain/limits.ts.
 */
export function createRoutes(
  deps: Deps,
  devMailbox: DevMailbox | undefined,
  pages = createPages(deps.config),
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
    }),
    route(`POST ${PATHS.claim}`, {
      dialect: native,
      caller: 'agentIfAny',
      limit: 'claimMailPerIp',
      summary: 'Mail a code to the human who should claim the agent',
      body: { media: 'json', schema: agentAuth.claimBody },
      answer: agentAuth.claimAnswer,
      handler: agentAuth.claim,
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

    // Resource servers, and whoever holds a key
    route(`POST ${PATHS.introspect}`, {
      dialect: oauth,
      caller: 'resourceServer',
      summary: 'Ask about a key that was presented (RFC 7662)',
      body: { media: 'form', schema: introspection.introspectBody },
      answer: introspection.introspectAnswer,
      handler: introspection.introspect,
    }),
    route(`POST ${PATHS.revoke}`, {
      dialect: oauth,
      caller: 'anyone',
      summary: 'Revoke the key that one holds (RFC 7009)',
      body: { media: 'form', schema: revocation.revokeBody },
      handler: revocation.revoke,
    }),
  ];
  return [...rows, ...pageRows(pages), ...discoveryRows(deps, rows), ...developmentRows(pages, devMailbox)];
}

/** For people at a browser. What they post must come from a page of ours: see http/visitor.ts. */
function pageRows(pages: Pages): Route[] {
  const page = { dialect: pages.dialect, caller: 'visitor' } as const;
  const own = { dialect: pages.dialect, caller: 'human' } as const;
  return [
    route('GET /claim', {
      ...page,
      summary: 'Review a claim',
      handler: claimPages.claimPage(pages),
    }),
    route('POST /claim', {
      ...page,
      limit: 'wrongPerIpHour',
      summary: 'Approve a claim with the mailed code, or by the mailed link',
      body: { media: 'form', schema: claimPages.approveForm },
      handler: claimPages.approve(pages),
    }),
    route('GET /claim/deny', {
      ...page,
      summary: 'Say that this was not me',
      handler: claimPages.denyPage(pages),
    }),
    route('POST /claim/deny', {
      ...page,
      summary: 'End a claim',
      body: { media: 'form', schema: claimPages.denyForm },
      handler: claimPages.deny,
    }),

    // Signing in
    route('GET /sign-in', {
      ...page,
      summary: 'Ask for a code to sign in with',
      handler: signInPages.signInPage(pages),
    }),
    route('POST /sign-in', {
      ...page,
      limit: 'claimMailPerIp',
      summary: 'Mail a code to sign in with',
      body: { media: 'form', schema: signInPages.signInForm },
      handler: signInPages.askForCode(pages),
    }),
    route('GET /sign-in/code', {
      ...page,
      summary: 'Type the code',
      handler: signInPages.codePage(pages),
    }),
    route('POST /sign-in/code', {
      ...page,
      limit: 'wrongPerIpHour',
      summary: 'Sign in with the mailed code',
      body: { media: 'form', schema: signInPages.signInCodeForm },
      handler: signInPages.signIn(pages),
    }),
    route('POST /sign-out', {
      ...page,
      summary: 'End this session',
      body: { media: 'form', schema: signInPages.signOutForm },
      handler: signInPages.signOut,
    }),

    // Whoever is signed in
    route('GET /account', {
      ...own,
      summary: 'My account and my sessions',
      handler: accountPages.accountPage(pages),
    }),
    route('POST /account/sessions/end', {
      ...own,
      summary: 'End one of my sessions',
      body: { media: 'form', schema: accountPages.endSessionForm },
      handler: accountPages.endOneSession,
    }),
    route('POST /account/mail', {
      ...own,
      summary: 'Have mail of agents sent, or not',
      body: { media: 'form', schema: accountPages.wantsMailForm },
      handler: accountPages.changeMail,
    }),

    ...[...pages.assets].map(([path, file]) =>
      route(`GET ${path as `/${string}`}`, {
        dialect: pages.dialect,
        caller: 'anyone',
        open: true,
        summary: 'How the pages look',
        handler: asset(file),
      }),
    ),
  ];
}

/** Documents that anybody may read and cache. */
function discoveryRows(deps: Deps, described: readonly Route[]): Route[] {
  const documents = createDocuments(deps.config);
  const document = (path: string, summary: string, handler: Route['handler']) =>
    route(`GET ${path as `/${string}`}`, { dialect: native, caller: 'anyone', open: true, summary, handler });
  return [
    document('/', 'Where to start', () => ({
      status: 303,
      headers: { Location: deps.config.publicUrl + PATHS.authMd },
      nothing: true,
    })),
    document(
      PATHS.authMd,
      'How agents use this',
      textDocument('text/markdown; charset=utf-8', documents.authMd),
    ),
    document(PATHS.llmsTxt, 'Where to read', textDocument('text/plain; charset=utf-8', documents.llmsTxt)),
    document(PATHS.openapi, 'OpenAPI 3.1', jsonDocument(createOpenApi(deps.config, described))),
    document(PATHS.authorizationServer, 'RFC 8414', jsonDocument(documents.authorizationServer)),
    ...[...documents.protectedResources].map(([path, content]) =>
      document(path, 'RFC 9728', jsonDocument(content)),
    ),
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
  const pages = createPages(deps.config);
  const serve = createServe(deps, createRoutes(deps, devMailbox, pages), pages.dialect, isDraining);
  return (request, response) => {
    serve(request, response).catch((error) => {
      // serve() renders whatever goes wrong; what arrives here went wrong while it wrote the answer.
      deps.log.error({ err: error }, 'an answer could not be written');
      response.destroy();
    });
  };
}
