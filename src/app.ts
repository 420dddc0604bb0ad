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
import { devMailboxJson, devMailboxPage } from './http/pages/dev-mailbox.ts';
import { type Route, route } from './http/route.ts';
import { createServe } from './http/serve.ts';
import type { DevMailbox } from './mail/dev-mailbox.ts';

/**
 * The map of the house: every route is one row, with who may call it and what limit meets it first. Budgets of mailboxes,
 * agents and codes are spent inside the use-cases; see domain/limits.ts.
 */
export function createRoutes(deps: Deps, devMailbox: DevMailbox | undefined): Route[] {
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
  return [...rows, ...discoveryRows(deps, rows), ...developmentRows(devMailbox)];
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
function developmentRows(devMailbox: DevMailbox | undefined): Route[] {
  if (devMailbox === undefined) return [];
  const row = { dialect: native, caller: 'anyone', summary: 'Mail that was caught on this machine' } as const;
  return [
    route('GET /dev/mailbox', { ...row, handler: devMailboxPage(devMailbox) }),
    route('GET /dev/mailbox.json', { ...row, handler: devMailboxJson(devMailbox) }),
  ];
}

/** The service as what Node's HTTP server calls for every request. */
export function createApp(
  deps: Deps,
  devMailbox: DevMailbox | undefined,
  isDraining: () => boolean,
): RequestListener {
  const serve = createServe(deps, createRoutes(deps, devMailbox), isDraining);
  return (request, response) => {
    serve(request, response).catch((error) => {
      // serve() renders whatever goes wrong; what arrives here went wrong while it wrote the answer.
      deps.log.error({ err: error }, 'an answer could not be written');
      response.destroy();
    });
  };
}
