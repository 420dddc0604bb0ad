import type { ExecutionContext } from 'ava';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { CLAIM_GRANT, ID_JAG, JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { PATHS } from '../../src/http/server/paths.ts';
import type { Route } from '../../src/http/server/table.ts';
import { localOrigin } from '../../src/work.ts';
import { newKey, openAgentClient } from '../helpers/agent-client.ts';
import { confirm, openAuthMd, SIGNED_API, typeCode } from '../helpers/auth-md.ts';
import { routesOf } from '../helpers/bad-input.ts';
import { RESOURCES, startWith, TRUSTED } from '../helpers/configured-service.ts';
import { mismatches } from '../helpers/schema.ts';
import { basic, type Reply, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

type Schema = Record<string, unknown>;
interface Operation {
  operationId: string;
  requestBody: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
interface OpenApi extends Schema {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

test.describe('the OpenAPI document', (test) => {
  let on: TestService;
  let routes: Route[];
  test.before(async () => {
    on = await startWith({ service: { name: 'Acme' }, resources: RESOURCES, trustedIssuers: [TRUSTED] });
    routes = routesOf(on).routes;
  });
  test.after(() => on.stop());

  const document = async (t: ExecutionContext, path: string) => {
    const reply = await on.get(path);
    t.is(reply.status, 200, path);
    return reply;
  };

  test.describe('the OpenAPI description', (test) => {
    let api: OpenApi;
    test.before(async (t) => {
      api = (await document(t, PATHS.openapi)).body;
    });

    const operationOf = (method: string, path: string) => api.paths[path]![method.toLowerCase()]!;
    const checkReply = (
      t: ExecutionContext,
      described: OpenApi,
      method: string,
      path: string,
      reply: Reply,
    ): Reply => {
      const { responses } = described.paths[path]![method.toLowerCase()]!;
      const { content } = responses[reply.status] ?? responses.default!;
      if (content === undefined) {
        t.is(reply.text, '', `${method} ${path} is to answer nothing`);
        return reply;
      }
      const { schema } = content['application/json']!;
      const found = mismatches(schema, reply.body, described);
      t.deepEqual(found, [], `${method} ${path} answers ${reply.text}`);
      return reply;
    };

    test('describes every route that takes or gives something, and neither pages nor any other', (t) => {
      t.is(api.openapi, '3.1.0');
      const described = Object.entries(api.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      );
      const served = routes
        .filter((row) => row.body !== undefined || row.answer !== undefined)
        .filter((row) => row.dialect.name !== 'page')
        .map((row) => `${row.method} ${row.path.replace(/:(\w+)/g, '{$1}')}`);
      t.deepEqual(described.sort(), served.sort());
      const ids = Object.values(api.paths).flatMap((methods) =>
        Object.values(methods).map(({ operationId }) => operationId),
      );
      t.is(new Set(ids).size, ids.length, 'an operationId is there twice');
    });

    test('real answers and refusals are as it says', async (t) => {
      const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
        url: 'https://api.example.com/mcp',
        name: 'API',
        scopes: undefined,
      });
      const check = (method: string, path: string, reply: Reply) => checkReply(t, api, method, path, reply);
      /** Sends a body that the description allows, and checks what comes back. */
      const post = async (path: string, body: object, key?: string): Promise<Reply> => {
        const { requestBody } = operationOf('POST', path);
        const { schema } = requestBody.content['application/json']!;
        t.deepEqual(mismatches(schema, body, api), [], `POST ${path} with ${JSON.stringify(body)}`);
        return check('POST', path, await on.post(path, body, key ? { Authorization: `Bearer ${key}` } : {}));
      };
      const get = async (path: string, key: string) => check('GET', path, await on.get(path, key));
      const ask = async (token: string, auth = secret) =>
        check(
          'POST',
          '/oauth2/introspect',
          await on.form('/oauth2/introspect', { token }, basic(server.id, auth)),
        );

      const { credential, claim_token } = (
        await post('/agent/auth', { type: 'anonymous', agent_name: 'Robin' })
      ).body.data;
      await get('/api/me', credential);
      await post('/agent/auth/claim', { claim_token, email: 'api@example.com' });
      const otp = await on.codeFor('api@example.com');
      await get('/api/me', credential);
      const poll = await post('/agent/auth/claim/complete', { claim_token });
      t.is(poll.body.error.code, 'authorization_pending');
      check(
        'POST',
        '/agent/auth/claim/complete',
        await on.post('/agent/auth/claim/complete', {
          claim_token,
          otp: otp === '000000' ? '000001' : '000000',
        }),
      );
      const claimed = (await post('/agent/auth/claim/complete', { claim_token, otp })).body.data;
      await post('/agent/auth/claim/complete', { claim_token, otp });
      await get('/api/me', claimed.credential);
      const more = {
        name: 'helper',
        scope: 'read',
        expires_in: 60,
        resources: ['https://api.example.com/mcp'],
      };
      const made = (await post('/api/tokens', more, claimed.credential)).body.data;
      await get('/api/tokens', claimed.credential);
      await get('/api/tokens', credential);
      for (const token of [claimed.credential, made.credential, 'junk']) await ask(token);
      await ask('junk', 'wrong');
      check('DELETE', '/api/tokens/{id}', await on.del(`/api/tokens/${made.id}`, claimed.credential));
      check('DELETE', '/api/tokens/{id}', await on.del('/api/tokens/key_0', claimed.credential));
      await post('/agent/auth', {
        type: 'identity_assertion',
        assertions: [{ type: 'verified_email', email: 'api@example.com' }],
        link: true,
      });
      check('POST', '/agent/auth', await on.post('/agent/auth', {}));
    });

    test("those of auth.md's own versions are as it says, too", async (t) => {
      const world = await openAuthMd('sqlite');
      t.teardown(() => world.stop());
      const described: OpenApi = (await world.on.get(PATHS.openapi)).body;
      const FORM = 'application/x-www-form-urlencoded';
      const check = (path: string, reply: Reply, status: number): Reply => {
        t.is(reply.status, status, `POST ${path}: ${reply.text}`);
        return checkReply(t, described, 'POST', path, reply);
      };
      /** Sends a body that the description allows, and checks what comes back. */
      const post = async (
        path: string,
        body: Record<string, string>,
        status = 200,
        type = 'application/json',
      ) => {
        const { schema } = described.paths[path]!.post!.requestBody.content[type]!;
        t.deepEqual(mismatches(schema, body, described), [], `POST ${path} with ${JSON.stringify(body)}`);
        return check(path, await (type === FORM ? world.on.form : world.on.post)(path, body), status);
      };
      const identity = (body: Record<string, string>, status?: number) =>
        post('/agent/identity', body, status);

      // By identity, in the way of 0.6 and that of production
      const agent = (await identity({ type: 'anonymous', agent_name: 'Robin' })).body;
      await identity({ type: 'refresh', refresh_token: agent.identity.refresh_token.value });
      await identity({ type: 'refresh', refresh_token: 'art_none' }, 400);
      const grant = { grant_type: JWT_BEARER, assertion: agent.identity_assertion };
      for (const type of [FORM, 'application/json']) {
        await post('/oauth2/token', { ...grant, resource: SIGNED_API, scope: 'read' }, 200, type);
        await post('/oauth2/token', { ...grant, scope: 'write' }, 400, type);
      }
      const hinted = (await identity({ type: 'service_auth', login_hint: 'typed@example.com' })).body;
      const poll = { grant_type: CLAIM_GRANT, claim_token: hinted.claim_token };
      await post('/oauth2/token', poll, 400, FORM);
      const typing = await world.visit(hinted.claim.verification_uri, 'typed@example.com');
      await typeCode(typing, hinted.claim.user_code);
      await post('/oauth2/token', poll, 200, FORM);
      const { claim_token } = agent;
      const asked = { type: 'service_auth', claim_token, login_hint: 'shown@example.com' };
      const { attempt } = (await post('/agent/identity/claim', asked)).body;
      const complete = (code: Record<string, string>, status: number) =>
        post('/agent/identity/claim/complete', { claim_token, ...code }, status);
      await complete({ user_code: 'BCDF-GHJK' }, 409);
      const user_code = await confirm(await world.visit(attempt.verification_uri, 'shown@example.com'));
      await complete({ user_code: 'BBBB-BBBB' }, 401);
      await complete({ user_code }, 200);
      await complete({ user_code }, 409);
      await post('/agent/identity/claim', asked, 409);

      // By a mailed link, in the ways of 0.2 and 0.1
      const mailed = {
        type: 'identity_assertion',
        assertion_type: 'verified_email',
        assertion: 'b1@example.com',
      };
      const b1 = (await identity(mailed)).body;
      await world.mailedPage('b1@example.com');
      await post('/agent/identity/claim', { claim_token: b1.claim_token, email: 'b1@example.com' });
      await post('/agent/identity/claim', { claim_token: 'clm_none', email: 'b1@example.com' }, 401);
      const otp = await confirm(await world.visit(await world.mailedPage('b1@example.com', 1)));
      await post('/agent/identity/claim/complete', { claim_token: b1.claim_token, otp });
      await post('/agent/identity/claim/complete', { claim_token: b1.claim_token, otp }, 409);
      const register = { ...mailed, assertion: 'a@example.com', requested_credential_type: 'access_token' };
      const a = (await post('/agent/auth', register)).body;
      const sixDigits = await confirm(await world.visit(await world.mailedPage('a@example.com')));
      const done = { claim_token: a.claim_token, otp: sixDigits };
      await post(
        '/agent/auth/claim/complete',
        { ...done, otp: '1'.padEnd(6, sixDigits[0] === '1' ? '2' : '1') },
        401,
      );
      await post('/agent/auth/claim/complete', done);
      await post('/agent/auth/claim/complete', done, 409);
      const key = (await post('/agent/auth', { type: 'anonymous', requested_credential_type: 'api_key' }))
        .body;
      await post('/agent/auth/claim', { claim_token: key.claim_token, email: 'a2@example.com' });
      const widened = await confirm(await world.visit(await world.mailedPage('a2@example.com')));
      await post('/agent/auth/claim/complete', { claim_token: key.claim_token, otp: widened });
      await post('/agent/auth', { ...register, assertion: 'nobody' }, 400);

      // By the word of an agent provider
      const user = { sub: 'user-1', email: 'word@example.com' };
      const word = (assertion: string) => ({ type: 'identity_assertion', assertion_type: ID_JAG, assertion });
      await identity(word(world.idJag(user)));
      await identity(word(world.idJag({ sub: 'user-2', email: 'word@example.com' })), 401);
      await identity(word(world.idJag(user, { aud: 'https://elsewhere.example' })), 400);
      await identity(word(world.idJag(user, { auth_time: 1 })), 401);
      const known = { ...word(world.idJag(user)), requested_credential_type: 'api_key' };
      await post('/agent/auth', known);
      await post(
        '/agent/auth',
        { ...known, assertion: world.idJag({ sub: 'user-3', email: user.email }) },
        401,
      );
      const other = (await identity({ type: 'anonymous' })).body;
      const asserted = (assertion: string) => ({
        type: 'identity_assertion',
        claim_token: other.claim_token,
        assertion,
      });
      await post('/agent/identity/claim', asserted(world.idJag({ sub: 'user-4', email: user.email })));
      await post('/agent/identity/claim', asserted(world.idJag({ sub: 'user-5', email: 'new@example.com' })));
      const notices: [path: string, type: string, token: string, status: number][] = [
        ['/agent/event/notify', 'application/secevent+jwt', world.securityEvent(user), 202],
        ['/agent/event/notify', 'application/secevent+jwt', 'x', 400],
        ['/agent/auth/revoke', 'application/logout+jwt', world.logout(user), 200],
        ['/agent/auth/revoke', 'application/logout+jwt', 'x', 400],
      ];
      for (const [path, type, token, status] of notices) {
        const { schema } = described.paths[path]!.post!.requestBody.content[type]!;
        t.deepEqual(mismatches(schema, token, described), []);
        const reply = await world.on.request('POST', path, {
          body: token,
          headers: { 'Content-Type': type },
        });
        check(path, reply, status);
      }
    });

    test('those of the Agent Auth Protocol are as it says, and their lists and schemas, too', async (t) => {
      const client = openAgentClient(on);
      const check = (method: string, path: string, reply: Reply, status = 200): Reply => {
        t.is(reply.status, status, `${method} ${path}: ${reply.text}`);
        return checkReply(t, api, method, path, reply);
      };
      const bodyOf = (path: string, body: object) => {
        const { schema } = operationOf('POST', path).requestBody.content['application/json']!;
        t.deepEqual(mismatches(schema, body, api), [], `POST ${path} with ${JSON.stringify(body)}`);
        return body;
      };
      const [host, key] = [client.newHost(), newKey()];
      const ask = { mode: 'autonomous', name: 'bot', capabilities: ['read', 'write'] } as const;
      bodyOf(PATHS.agentRegister, { ...ask, host_name: 'box', reason: 'why' });
      const registered = check(
        'POST',
        PATHS.agentRegister,
        await client.register(host, key, { ...ask, capabilities: [...ask.capabilities] }),
      );
      const agent = { id: registered.body.agent_id, key, host };
      const asked = [{ name: 'write', constraints: { seconds: { max: 60 } } }];
      bodyOf(PATHS.agentRegister, { name: 'helper', capabilities: asked, login_hint: 'a@example.com' });
      const waiting = await client.connect(host, { capabilities: asked });
      check('POST', PATHS.agentRegister, waiting.reply);
      check('POST', PATHS.agentRegister, (await client.connect(host, { capabilities: ['fly'] })).reply, 400);
      check('GET', PATHS.agentStatus, await client.status(agent));
      check('GET', PATHS.agentStatus, await client.status({ ...agent, id: 'agt_none' }), 404);
      check('GET', PATHS.agentStatus, await client.status(agent, { token: 'x' }), 401);
      bodyOf(PATHS.agentRequest, { capabilities: asked });
      check('POST', PATHS.agentRequest, await client.request(agent, { capabilities: ['write'] }));
      for (const reply of [
        await client.list(undefined),
        await client.list(host, '?limit=1'),
        await client.listAsAgent(agent),
      ]) {
        check('GET', PATHS.capabilityList, reply);
      }
      for (const name of ['whoami', 'read']) {
        check('GET', PATHS.capabilityDescribe, await client.describe(name, agent));
      }
      check('GET', PATHS.capabilityDescribe, await client.describe('fly'), 404);
      bodyOf(PATHS.capabilityExecute, { capability: 'read', arguments: { seconds: 60 } });
      check('POST', PATHS.capabilityExecute, await client.execute(agent, 'read'));
      check('POST', PATHS.capabilityExecute, await client.execute(agent, 'write'), 403);
      check('POST', PATHS.agentReactivate, await client.reactivate(agent));
      check('POST', PATHS.agentRotate, await client.rotateAgentKey(agent, newKey()));
      check('POST', PATHS.agentRevoke, await client.disconnect(agent));
      const next = { ...host, key: newKey() };
      check('POST', PATHS.hostRotate, await client.rotateHostKey(host, next.key));
      check('POST', PATHS.hostRevoke, await client.revokeHost(next));
    });

    test('the checker of this test sees what is wrong', async (t) => {
      const { responses } = operationOf('GET', '/api/me');
      const { schema } = responses[200]!.content!['application/json']!;
      const { body } = await on.get('/api/me', (await on.register()).credential);
      t.deepEqual(mismatches(schema, body, api), []);
      t.notDeepEqual(mismatches(schema, { ...body, data: { ...body.data, user_id: 1 } }, api), []);
      t.notDeepEqual(mismatches(schema, { ...body, data: { ...body.data, more: 1 } }, api), []);
      t.notDeepEqual(
        mismatches(schema, { ...body, data: { ...body.data, claim: { status: 'unclaimed' } } }, api),
        [],
      );
    });
  });
});
