import { once } from 'node:events';
import { createServer, request as httpRequest, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve as serveHono } from '@hono/node-server';
import { InvalidTokenError, ServerError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth as requireV1 } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { OAuthError, OAuthErrorCode, requireBearerAuth as requireV2 } from '@modelcontextprotocol/server';
import express from 'express';
import Fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import * as forExpress from '../../src/resource-server/express.ts';
import * as forFastify from '../../src/resource-server/fastify.ts';
import * as forFetch from '../../src/resource-server/fetch.ts';
import type { GuardOptions, VerifiedToken } from '../../src/resource-server/index.ts';
import * as forKoa from '../../src/resource-server/koa.ts';
import { tokenVerifier } from '../../src/resource-server/mcp.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The kit in front of real frameworks: each serves /data, for keys with `write`, and the metadata document. */

const RESOURCE = 'https://mcp.example.com/mcp';
const METADATA = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp';
const ABOUT = { resource: RESOURCE, scopes: ['read', 'write'], name: 'My MCP' };

interface Running {
  url: string;
  stop(): Promise<unknown>;
}
type Framework = (options: GuardOptions, issuer: string) => Promise<Running>;

async function listening(listener: RequestListener): Promise<Running> {
  const server = createServer(listener).listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://localhost:${port}`, stop: () => new Promise((resolve) => server.close(resolve)) };
}

const FRAMEWORKS: Record<string, Framework> = {
  async Koa(options, issuer) {
    const app = new Koa();
    app.use(forKoa.protectedResourceMetadata({ ...ABOUT, issuer }));
    app.use(forKoa.protect(options));
    app.use((ctx) => {
      ctx.body = { subject: (ctx.state.auth as VerifiedToken).subject };
    });
    return listening(app.callback());
  },
  async Express(options, issuer) {
    const app = express();
    app.use(forExpress.protectedResourceMetadata({ ...ABOUT, issuer }));
    app.get('/data', forExpress.protect(options), (req, res) => {
      res.json({ subject: (req as unknown as { auth: VerifiedToken }).auth.subject });
    });
    return listening(app);
  },
  async Fastify(options, issuer) {
    const app = Fastify();
    app.register(forFastify.protectedResourceMetadata({ ...ABOUT, issuer }));
    app.get('/data', { preHandler: forFastify.protect(options) }, async (request) => ({
      subject: (request as typeof request & { auth: VerifiedToken }).auth.subject,
    }));
    const url = await app.listen({ port: 0 });
    return { url, stop: () => app.close() };
  },
  async Hono(options, issuer) {
    const metadata = forFetch.protectedResourceMetadata({ ...ABOUT, issuer });
    const guard = forFetch.protect(options);
    const app = new Hono();
    app.use(async (c, next) => {
      const document = metadata(c.req.raw);
      if (document !== undefined) return document;
      return next();
    });
    app.get('/data', async (c) => {
      const auth = await guard(c.req.raw);
      return auth instanceof Response ? auth : c.json({ subject: auth.subject });
    });
    const server = serveHono({ fetch: app.fetch, port: 0 });
    if (!server.listening) await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return { url: `http://localhost:${port}`, stop: () => new Promise((resolve) => server.close(resolve)) };
  },
};

onEveryEngine('the kit in front of a framework', (engine, test) => {
  let on: TestService;
  let api: Api;
  let anonymous: string;
  let claimed: { credential: string; user_id: string };
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on, RESOURCE);
    anonymous = (await on.register()).credential;
    claimed = await on.claimed('owner@example.com');
  });
  test.after(() => on.stop());

  for (const [name, start] of Object.entries(FRAMEWORKS)) {
    test.describe(name, (test) => {
      let running: Running;
      test.before(async () => {
        const options = { verifier: api.verifier(), scopes: ['write'], realm: 'My MCP', apiKeyHeader: true };
        running = await start(options, on.url);
      });
      test.after(() => running.stop());
      const get = (path: string, headers: Record<string, string> = {}) =>
        fetch(running.url + path, { headers });

      test('a key with the scope gets through, and the handler knows whose it is', async (t) => {
        const ways: Record<string, string>[] = [
          { Authorization: `Bearer ${claimed.credential}` },
          { 'X-Api-Key': claimed.credential },
        ];
        for (const headers of ways) {
          const reply = await get('/data', headers);
          t.is(reply.status, 200);
          t.deepEqual(await reply.json(), { subject: claimed.user_id });
        }
      });

      test('no key is 401, and the challenge says where to get one, without naming an error', async (t) => {
        for (const [path, headers] of [
          ['/data', {}],
          [`/data?access_token=${claimed.credential}`, {}],
          ['/data', { Authorization: 'Basic abc' }],
          ['/data', { Cookie: `access_token=${claimed.credential}` }],
        ] as [string, Record<string, string>][]) {
          const reply = await get(path, headers);
          t.is(reply.status, 401, path);
          t.is(
            reply.headers.get('www-authenticate'),
            `Bearer realm="My MCP", resource_metadata="${METADATA}", scope="write"`,
          );
          t.regex(reply.headers.get('content-type') ?? '', /^application\/json/);
        }
      });

      test('a key that is no good is 401 invalid_token', async (t) => {
        const reply = await get('/data', { Authorization: 'Bearer sk_nobody' });
        t.is(reply.status, 401);
        const said = reply.headers.get('www-authenticate') ?? '';
        t.regex(said, /^Bearer realm="My MCP", resource_metadata="[^"]+", error="invalid_token", /);
        t.is(((await reply.json()) as { error: string }).error, 'invalid_token');
      });

      test('a key without the scope is 403 insufficient_scope, with all scopes that are needed', async (t) => {
        const reply = await get('/data', { Authorization: `Bearer ${anonymous}` });
        t.is(reply.status, 403);
        const said = reply.headers.get('www-authenticate') ?? '';
        t.regex(said, new RegExp(`resource_metadata="${METADATA}", error="insufficient_scope"`));
        t.regex(said, /scope="write"$/);
      });

      test('two keys are 400', async (t) => {
        const both = { Authorization: `Bearer ${claimed.credential}`, 'X-Api-Key': claimed.credential };
        t.is((await get('/data', both)).status, 400);
        t.true([400, 401].includes(await twice(running.url, claimed.credential)));
      });

      test('while nobody can say it is 503 with Retry-After, neither yes nor no', async (t) => {
        const away = api.verifier({ issuer: 'http://localhost:1' });
        const other = await start({ verifier: away, scopes: ['write'] }, on.url);
        const reply = await fetch(`${other.url}/data`, {
          headers: { Authorization: `Bearer ${claimed.credential}`, Connection: 'close' },
        });
        t.is(reply.status, 503);
        t.is(reply.headers.get('retry-after'), '1');
        await other.stop();
      });

      test('the metadata document is at the root and with the path behind it, for any web page', async (t) => {
        for (const path of [
          '/.well-known/oauth-protected-resource',
          '/.well-known/oauth-protected-resource/mcp',
        ]) {
          const reply = await get(path);
          t.is(reply.status, 200, path);
          t.is(reply.headers.get('access-control-allow-origin'), '*');
          t.deepEqual(await reply.json(), {
            resource: RESOURCE,
            authorization_servers: [on.url],
            bearer_methods_supported: ['header'],
            scopes_supported: ['read', 'write'],
            resource_name: 'My MCP',
            agent_registration: `Agents register for a key themselves, as ${on.url}/auth.md describes.`,
          });
        }
      });
    });
  }

  /** Sends two Authorization headers, which fetch cannot. */
  function twice(url: string, key: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const asked = httpRequest(`${url}/data`, {
        headers: { Authorization: [`Bearer ${key}`, `Bearer ${key}`] } as never,
      });
      asked.on('response', (reply) => {
        reply.resume();
        resolve(reply.statusCode!);
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  test.describe('the official MCP SDKs', (test) => {
    const outcome = async (call: Promise<{ status: number }>) => (await call).status;

    test('version 1: keys pass, a bad one is 401, a narrow one 403, an outage is no 401', async (t) => {
      const sdkErrors = {
        invalidToken: (message: string) => new InvalidTokenError(message),
        unavailable: (message: string) => new ServerError(message),
      };
      const serve = async (issuer: string) => {
        const app = express();
        const verifier = tokenVerifier(api.verifier({ issuer }), sdkErrors);
        app.use(requireV1({ verifier, requiredScopes: ['write'], resourceMetadataUrl: METADATA }));
        app.get('/', (req, res) => void res.json(req.auth?.extra));
        const running = await listening(app);
        t.teardown(() => running.stop());
        return (key: string) =>
          fetch(running.url, { headers: { Authorization: `Bearer ${key}`, Connection: 'close' } });
      };
      const ask = await serve(on.url);
      const passed = await ask(claimed.credential);
      t.is(passed.status, 200);
      t.is(((await passed.json()) as VerifiedToken).subject, claimed.user_id);
      t.is(await outcome(ask('sk_nobody')), 401);
      t.is(await outcome(ask(anonymous)), 403);
      const away = await serve('http://localhost:1');
      t.is(await outcome(away(claimed.credential)), 500);
    });

    test('version 2: the same', async (t) => {
      const sdkErrors = {
        invalidToken: (message: string) => new OAuthError(OAuthErrorCode.InvalidToken, message),
        unavailable: (message: string) => new OAuthError(OAuthErrorCode.ServerError, message),
      };
      const gateOf = (issuer: string) =>
        requireV2({
          verifier: tokenVerifier(api.verifier({ issuer }), sdkErrors),
          requiredScopes: ['write'],
          resourceMetadataUrl: METADATA,
        });
      const ask = (issuer: string, key: string) =>
        gateOf(issuer)(new Request(RESOURCE, { headers: { Authorization: `Bearer ${key}` } }));
      const passed = await ask(on.url, claimed.credential);
      if (passed instanceof Response) return t.fail(`${passed.status}`);
      t.deepEqual(passed.clientId, (await api.verifier().verify(claimed.credential)).agentId);
      const status = async (issuer: string, key: string) => ((await ask(issuer, key)) as Response).status;
      t.is(await status(on.url, 'sk_nobody'), 401);
      t.is(await status(on.url, anonymous), 403);
      t.is(await status('http://localhost:1', claimed.credential), 500);
    });
  });
});
