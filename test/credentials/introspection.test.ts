import type { ExecutionContext } from 'ava';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { removeResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { newSecret } from '../../src/lib/secrets.ts';
import { addServer, asker, makeKey, type Server } from '../helpers/api-keys.ts';
import { basic, type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertHeaders, assertRefused } from '../helpers/wire.ts';

onEveryEngine('introspection and revocation of keys', (engine, test) => {
  let on: TestService;
  let api: Server;
  let boss: Awaited<ReturnType<TestService['claimed']>>;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addServer(on, 'https://api.example.com');
    boss = await on.claimed('boss@example.com');
  });
  test.after(() => on.stop());
  const refused = (t: ExecutionContext, reply: Reply, status: number, code: string) =>
    assertRefused(t, on, reply, 'tinysend', status, code, code);

  test.describe('introspection', (test) => {
    const inactive = async (t: ExecutionContext, reply: Promise<Reply>, about: string) => {
      const { status, text, headers } = await reply;
      t.is(status, 200, about);
      t.is(text, '{"active":false}', about);
      t.is(headers.get('cache-control'), 'no-store', about);
      t.is(headers.get('content-type'), 'application/json; charset=utf-8', about);
    };

    test('an anonymous agent’s key: these members and no other', async (t) => {
      const agent = await on.register();
      const { key } = (await on.get('/api/me', agent.credential)).body.data;
      const reply = await api.ask(agent.credential);
      assertHeaders(t, reply, 'introspection');
      t.deepEqual(reply.body, {
        active: true,
        sub: agent.user_id,
        client_id: agent.agent_id,
        scope: 'read',
        aud: 'https://api.example.com',
        iss: on.url,
        iat: Math.floor(Date.parse(key.created_at) / 1000),
        exp: Math.floor(Date.parse(key.expires_at) / 1000),
        token_type: 'Bearer',
        jti: key.id,
        credential_kind: 'anonymous',
        credential_form: 'key',
        agent_id: agent.agent_id,
      });
    });

    test('a merged agent’s key names the owner, the account it came from, and an end although it has none', async (t) => {
      const agent = await on.claimed('merged@example.com');
      const { key, merged_from } = (await on.get('/api/me', agent.credential)).body.data;
      t.is(key.expires_at, null);
      t.deepEqual((await api.ask(agent.credential)).body, {
        active: true,
        sub: agent.user_id,
        client_id: agent.agent_id,
        scope: 'read write',
        aud: 'https://api.example.com',
        iss: on.url,
        iat: Math.floor(Date.parse(key.created_at) / 1000),
        exp: Math.floor(on.clock() / 1000) + 300,
        token_type: 'Bearer',
        jti: key.id,
        credential_kind: 'claimed',
        credential_form: 'key',
        agent_id: agent.agent_id,
        owner: agent.user_id,
        merged_from,
      });
      t.not(merged_from, agent.user_id);
    });

    test('a linked agent’s key names the owner beside its own account', async (t) => {
      const agent = await on.claimed('linked@example.com', true);
      const { body } = await api.ask(agent.credential);
      t.is(body.sub, agent.user_id);
      t.regex(body.owner, /^usr_/);
      t.not(body.owner, agent.user_id);
      t.false('merged_from' in body);
    });

    test('all that does not work is the same "not active"', async (t) => {
      const registered = await on.register();
      const short = await makeKey(on, boss.credential, { name: 'x', scope: 'read', expires_in: 1 });
      const revoked = await makeKey(on, boss.credential, { name: 'x', scope: 'read' });
      const ended = await on.register();
      await revokeAgent(on.service.deps, asker, ended.agent_id);
      await on.del(`/api/tokens/${revoked.id}`, boss.credential);
      on.clock.advance(1);
      const tokens = {
        'a claim token': registered.claim_token,
        'a resource server’s secret': api.secret,
        'an unknown key': newSecret('sk', systemRandom),
        'a mistyped key': `${boss.credential.slice(0, -1)}${boss.credential.endsWith('0') ? '1' : '0'}`,
        'an expired key': short.credential,
        'a revoked key': revoked.credential,
        'the key of a revoked agent': ended.credential,
        'a JWT': 'eyJhbGciOiJub25lIn0.e30.',
        'a word': 'x',
        'a key with a space behind it': `${boss.credential} `,
        'an id of a key': revoked.id,
        'other letters': 'ключ 鍵 😀',
      };
      for (const [what, token] of Object.entries(tokens)) await inactive(t, api.ask(token), what);
      t.true((await api.ask(boss.credential)).body.active);
    });

    test('a key narrowed to resources is active at those and at no other', async (t) => {
      const [first, second] = [
        await addServer(on, 'https://first.example.com/mcp'),
        await addServer(on, 'https://second.example.com'),
      ];
      const one = await makeKey(on, boss.credential, {
        name: 'x',
        scope: 'read',
        resources: ['https://first.example.com/mcp'],
      });
      const two = await makeKey(on, boss.credential, {
        name: 'x',
        scope: 'read',
        resources: ['https://second.example.com/', 'https://first.example.com/mcp'],
      });
      t.is((await first.ask(one.credential)).body.aud, 'https://first.example.com/mcp');
      await inactive(t, second.ask(one.credential), 'foreign');
      await inactive(t, api.ask(one.credential), 'foreign');
      t.true((await first.ask(two.credential)).body.active);
      t.is((await second.ask(two.credential)).body.aud, 'https://second.example.com');
      await inactive(t, api.ask(two.credential), 'foreign');
    });

    test('a resource server is told of its own scopes only', async (t) => {
      const reader = await addServer(on, 'https://reader.example.com', ['read']);
      const writer = await addServer(on, 'https://writer.example.com', ['write']);
      t.is((await reader.ask(boss.credential)).body.scope, 'read');
      t.is((await writer.ask(boss.credential)).body.scope, 'write');
      const { credential } = await on.register(); // read alone
      t.is((await reader.ask(credential)).body.scope, 'read');
      await inactive(t, writer.ask(credential), 'no scope of a key is one of the server’s');
    });

    test('the resource server authenticates by Basic or in the body, and is 401 once it is removed', async (t) => {
      const server = await addServer(on, 'https://gone.example.com');
      const inBody = { client_id: server.id, client_secret: server.secret };
      t.true((await on.form('/oauth2/introspect', { token: boss.credential, ...inBody })).body.active);
      t.true((await server.ask(boss.credential)).body.active);
      await removeResourceServer(on.service.deps, asker, server.id);
      for (const reply of [
        await server.ask(boss.credential),
        await on.form('/oauth2/introspect', { token: 'x', ...inBody }),
      ]) {
        assertRefused(t, on, reply, 'oauth', 401, 'invalid_client', 'removed');
      }
    });

    test('the question is a form: as JSON it is refused', async (t) => {
      const reply = await on.post(
        '/oauth2/introspect',
        { token: boss.credential },
        basic(api.id, api.secret),
      );
      assertRefused(t, on, reply, 'oauth', 400, 'invalid_request', 'JSON');
    });

    test('unknown hints and parameters are ignored', async (t) => {
      const more = {
        token: boss.credential,
        token_type_hint: 'refresh_token',
        resource: 'https://x.example',
        x: 'y',
      };
      t.true((await on.form('/oauth2/introspect', more, basic(api.id, api.secret))).body.active);
    });
  });

  test.describe('revocation by whoever holds the key', (test) => {
    test('the key dies at once, everywhere, and the second time is 200 as well', async (t) => {
      const { credential } = await makeKey(on, boss.credential, { name: 'leaked', scope: 'read' });
      for (let time = 1; time <= 2; time += 1) {
        const reply = await on.form('/oauth2/revoke', { token: credential, token_type_hint: 'access_token' });
        t.is(reply.status, 200);
        t.is(reply.text, '');
        assertHeaders(t, reply, 'revocation');
        refused(t, await on.get('/api/me', credential), 401, 'invalid_token');
        t.deepEqual((await api.ask(credential)).body, { active: false });
      }
    });

    test('junk is 200 and changes nothing; no token at all is 400', async (t) => {
      const agent = await on.register();
      for (const token of [
        'x',
        newSecret('sk', systemRandom),
        agent.claim_token,
        api.secret,
        `${agent.credential}x`,
      ]) {
        const reply = await on.form('/oauth2/revoke', { token });
        t.deepEqual([reply.status, reply.text], [200, '']);
      }
      t.is((await on.get('/api/me', agent.credential)).status, 200);
      const started = await on.post('/agent/auth/claim', {
        claim_token: agent.claim_token,
        email: 'r@example.com',
      });
      t.is(started.status, 200);
      t.true((await api.ask(agent.credential)).body.active);
      assertRefused(t, on, await on.form('/oauth2/revoke', {}), 'oauth', 400, 'invalid_request', 'no token');
    });
  });
});
