import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a fake service answers at a path: an object is sent as JSON. A function does what it likes. */
export type Page =
  | { status?: number; type?: string; headers?: Record<string, string>; body?: string | object }
  | ((request: IncomingMessage, response: ServerResponse) => void);

/** What sites answer at every path. */
export const HTML = { type: 'text/html', body: '<!doctype html><title>Fake</title>' } satisfies Page;
export const hang: Page = () => {};
export const text = (body: string, type = 'text/markdown'): Page => ({ type, body });
export const challenge = (header: string): Page => ({ status: 401, headers: { 'WWW-Authenticate': header } });
/** Sends as long as somebody reads. */
export const endless: Page = (_, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  const more = () => {
    while (!response.destroyed && response.write(' '.repeat(10_000)));
  };
  response.on('drain', more);
  more();
};
export const redirect = (to: string): Page => ({ status: 302, headers: { Location: to } });

/** A service of somebody else, made of documents that a test may change. */
export interface Site {
  origin: string;
  /** By method and path. */
  pages: Map<string, Page>;
  // biome-ignore-start lint/suspicious/noExplicitAny: tests write what no type would let them
  /** The document of RFC 9728, of RFC 8414, its block agent_auth, and the JWK Set. */
  resource: any;
  issuer: any;
  block: any;
  keys: any;
  // biome-ignore-end lint/suspicious/noExplicitAny: until here
  /** Every request so far: method, path and body. */
  seen: string[];
  /** Their headers. */
  headers: IncomingHttpHeaders[];
  stop(): Promise<void>;
}

const AUTH_MD =
  '# auth.md: how agents get access\n\nRegister with one request:\n\n```sh\n# comment\ncurl …\n```\n';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const CLAIM = 'urn:workos:agent-auth:grant-type:claim';
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
export const ROOT_METADATA = '/.well-known/oauth-protected-resource';
export const METADATA = `${ROOT_METADATA}/mcp`;
export const ISSUER_METADATA = '/.well-known/oauth-authorization-server';

export const { privateKey: PRIVATE_JWK, publicKey: PUBLIC_JWK } = makeKey();

function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privateKey: { ...privateKey.export({ format: 'jwk' }), kid: 'one' },
    publicKey: { ...publicKey.export({ format: 'jwk' }), kid: 'one' },
  };
}

/** A service that does everything right, in every version of auth.md; its resource is at /mcp, its issuer at the root. */
export async function startSite(): Promise<Site> {
  const site = await listen();
  const { origin, pages } = site;
  const at = (path: string) => origin + path;
  site.resource = {
    resource: at('/mcp'),
    authorization_servers: [origin],
    scopes_supported: ['read'],
    bearer_methods_supported: ['header'],
  };
  site.block = {
    skill: at('/auth.md'),
    register_uri: at('/agent/auth'),
    claim_uri: at('/agent/auth/claim'),
    identity_endpoint: at('/agent/identity'),
    claim_endpoint: at('/agent/identity/claim'),
    events_endpoint: at('/agent/event/notify'),
    identity_types_supported: ['anonymous', 'identity_assertion', 'service_auth'],
    anonymous: { credential_types_supported: ['api_key'] },
    identity_assertion: {
      assertion_types_supported: [ID_JAG, 'verified_email'],
      credential_types_supported: ['access_token'],
    },
    events_supported: ['https://schemas.workos.com/events/agent/auth/identity/assertion/revoked'],
  };
  site.issuer = {
    issuer: origin,
    resource: at('/mcp'),
    token_endpoint: at('/oauth2/token'),
    revocation_endpoint: at('/oauth2/revoke'),
    jwks_uri: at('/jwks.json'),
    response_types_supported: [],
    grant_types_supported: [JWT_BEARER, CLAIM],
    agent_auth: site.block,
  };
  site.keys = { keys: [PUBLIC_JWK] };
  const refusal: Page = { status: 400, body: { error: 'invalid_request', message: 'Send a type.' } };
  pages.set('GET /auth.md', { type: 'text/markdown; charset=utf-8', body: AUTH_MD });
  pages.set('GET /llms.txt', { type: 'text/plain', body: '# Fake\n' });
  pages.set('GET /.well-known/agent-configuration', {
    body: {
      version: '1.0-draft',
      provider_name: 'example',
      description: 'An example.',
      issuer: origin,
      algorithms: ['Ed25519'],
      modes: ['delegated', 'autonomous'],
      approval_methods: ['device_authorization', 'ciba'],
      endpoints: {
        register: '/agent/register',
        capabilities: '/capability/list',
        execute: `${origin}/capability/execute`,
        status: '/agent/status',
      },
    },
  });
  pages.set('GET /capability/list', { body: { capabilities: [] } });
  for (const path of [METADATA, ROOT_METADATA]) pages.set(`GET ${path}`, { body: site.resource });
  pages.set(`GET ${ISSUER_METADATA}`, { body: site.issuer });
  pages.set('GET /jwks.json', { type: 'application/jwk-set+json', body: site.keys });
  pages.set('GET /mcp', {
    status: 401,
    headers: { 'WWW-Authenticate': `Bearer resource_metadata="${at(METADATA)}"` },
    body: { error: 'unauthorized' },
  });
  pages.set('POST /agent/auth', refusal);
  // Of a service that also speaks what runs in production, whose errors have a code.
  pages.set('POST /agent/identity', {
    status: 400,
    body: { error: 'invalid_request', code: 'invalid_request', message: 'Send a type.' },
  });
  return site;
}

/** Documents as the reference sample of v0.1 had them, which knew neither `issuer` nor OAuth. */
export async function startOldSite(): Promise<Site> {
  const site = await startSite();
  for (const member of Object.keys(site.issuer)) {
    if (!['agent_auth', 'resource'].includes(member)) delete site.issuer[member];
  }
  for (const member of ['identity_endpoint', 'claim_endpoint', 'events_endpoint']) delete site.block[member];
  site.block.revocation_uri = `${site.origin}/agent/auth/revoke`;
  site.block.identity_types_supported = ['anonymous', 'identity_assertion'];
  site.pages.delete('POST /agent/identity');
  return site;
}

/** Documents as the dialect in production has them: no register_uri, no credential types, one grant. */
export async function startProductionSite(): Promise<Site> {
  const site = await startSite();
  for (const member of ['register_uri', 'claim_uri', 'anonymous', 'identity_assertion'])
    delete site.block[member];
  site.block.identity_types_supported = ['anonymous', 'service_auth'];
  site.issuer.grant_types_supported = [JWT_BEARER];
  site.pages.delete('POST /agent/auth');
  return site;
}

async function listen(): Promise<Site> {
  const pages: Site['pages'] = new Map();
  const seen: string[] = [];
  const headers: Site['headers'] = [];
  const server = createServer(async (request, response) => {
    let sent = '';
    for await (const part of request) sent += part;
    headers.push(request.headers);
    seen.push(`${request.method} ${request.url} ${sent}`.trim());
    const page: Page = pages.get(`${request.method} ${request.url}`) ?? {
      status: 404,
      body: { error: 'not_found' },
    };
    if (typeof page === 'function') return page(request, response);
    const { status = 200, type = 'application/json', headers: own = {}, body = '' } = page;
    response.writeHead(status, { 'Content-Type': type, ...own });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pages,
    resource: undefined,
    issuer: undefined,
    block: undefined,
    keys: undefined,
    seen,
    headers,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
