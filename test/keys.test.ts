import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { revokeAgent } from '../src/domain/agents/end-agent.ts';
import { addResourceServer, removeResourceServer } from '../src/domain/audiences/resource-servers.ts';
import { localAsker } from '../src/domain/audit/audit-log.ts';
import { systemRandom } from '../src/lib/random.ts';
import { newSecret, wellFormed } from '../src/lib/secrets.ts';
import { confirm, newUser, openAuthMd, SIGNED_API, succeeded } from './helpers/auth-md.ts';
import { noting, watchCommits } from './helpers/commits.ts';
import { dumpOf } from './helpers/dump.ts';
import {
  basic,
  createTestClock,
  createTestDatabase,
  onEveryEngine,
  type Reply,
  startTestService,
  type TestService,
} from './helpers/service.ts';
import { assertHeaders, assertRefused } from './helpers/wire.ts';

const asker = localAsker('test');
const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });

interface Server {
  id: string;
  secret: string;
  ask(token: string): Promise<Reply>;
}

/** A resource server, and how it asks about keys. */
async function addServer(on: TestService, url: string, scopes?: string[]): Promise<Server> {
  const { server, secret } = await addResourceServer(on.service.deps, asker, { url, name: 'API', scopes });
  return {
    id: server.id,
    secret,
    ask: (token) => on.form('/oauth2/introspect', { token }, basic(server.id, secret)),
  };
}

/** Makes a key with a key; `data` of the answer. */
async function makeKey(on: TestService, maker: string, body: object) {
  const reply = await on.post('/api/tokens', body, bearer(maker));
  assert.equal(reply.status, 200, reply.text);
  return reply.body.data;
}

onEveryEngine('keys', (engine) => {
  let on: TestService;
  let api: Server;
  let boss: Awaited<ReturnType<TestService['claimed']>>;
  before(async () => {
    on = await startTestService(engine);
    api = await addServer(on, 'https://api.example.com');
    boss = await on.claimed('boss@example.com');
  });
  after(() => on.stop());
  const refused = (reply: Reply, status: number, code: string) =>
    assertRefused(on, reply, 'tinysend', status, code, code);

  describe('managing keys', () => {
    test('a key is shown once, in full, when it is made; afterwards only its start and its last four characters', async () => {
      const made = await makeKey(on, boss.credential, { name: 'helper', scope: 'read', expires_in: 3600 });
      assert.match(made.credential, /^sk_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$/);
      assert.ok(wellFormed('sk', made.credential));
      assert.equal(made.prefix, made.credential.slice(0, 7));
      assert.equal(made.last_four, made.credential.slice(-4));
      assert.equal(Date.parse(made.expires_at), on.clock() + 3_600_000);
      assert.deepEqual(Object.keys(made).sort(), [
        'created_at',
        'credential',
        'expires_at',
        'id',
        'last_four',
        'name',
        'prefix',
        'scopes',
      ]);

      for (const path of ['/api/tokens', '/api/me']) {
        for (const key of [boss.credential, made.credential]) {
          const reply = await on.get(path, key);
          assert.equal(reply.status, 200);
          assertHeaders(reply, path);
          for (const secret of [made.credential, boss.credential, boss.claim_token]) {
            assert.ok(!reply.text.includes(secret.slice(7, -4)), `${path} shows a secret`);
          }
        }
      }
      const listed = (await on.get('/api/tokens', boss.credential)).body.data.tokens;
      const { credential: _, ...shown } = made;
      assert.deepEqual(
        listed.find(({ id }: { id: string }) => id === made.id),
        shown,
      );
      const me = (await on.get('/api/me', made.credential)).body.data;
      assert.equal(me.key.id, made.id);
      assert.deepEqual(me.scopes, ['read']);
      assert.equal(me.user_id, boss.user_id);
    });

    test('an agent that nobody claimed manages no keys, and learns which scope it lacks', async () => {
      const { credential } = await on.register();
      const replies = [
        await on.get('/api/tokens', credential),
        await on.post('/api/tokens', { name: 'x', scope: 'read' }, bearer(credential)),
        await on.del('/api/tokens/key_0', credential),
      ];
      for (const reply of replies) {
        refused(reply, 403, 'insufficient_scope');
        const metadata = `${on.url}/.well-known/oauth-protected-resource`;
        assert.equal(
          reply.headers.get('www-authenticate'),
          `Bearer resource_metadata="${metadata}", error="insufficient_scope", scope="read write"`,
        );
      }
    });

    test('a key from before the claim manages nothing after it', async () => {
      const agent = await on.claimed('before@example.com'); // its new key is not used yet, so the old one still works
      assert.equal((await on.get('/api/me', agent.old)).status, 200);
      refused(await on.get('/api/tokens', agent.old), 403, 'insufficient_scope');
      refused(
        await on.post('/api/tokens', { name: 'x', scope: 'read' }, bearer(agent.old)),
        403,
        'insufficient_scope',
      );
      const { id } = (await on.get('/api/me', agent.old)).body.data.key;
      refused(await on.del(`/api/tokens/${id}`, agent.old), 403, 'insufficient_scope');
      assert.deepEqual((await on.get('/api/me', agent.old)).body.data.scopes, ['read']);
    });

    test('a key makes no wider one than itself: in scope, in resources, in life', async () => {
      const url = 'https://one.example.com/mcp';
      const narrow = await makeKey(on, boss.credential, {
        name: 'narrow',
        scope: 'read',
        resources: [url],
        expires_in: 600,
      });
      assert.deepEqual(narrow.resources, [url]);
      const ask = (body: object) =>
        on.post('/api/tokens', { name: 'x', scope: 'read', ...body }, bearer(narrow.credential));

      for (const wider of [{ scope: 'write' }, { scope: 'read write' }, { scope: 'read,write' }]) {
        const reply = await ask(wider);
        refused(reply, 403, 'insufficient_scope');
        assert.match(
          reply.headers.get('www-authenticate')!,
          /error="insufficient_scope", scope="[a-z ]*write"/,
        );
      }
      refused(await ask({ resources: ['https://two.example.com'] }), 403, 'insufficient_scope');
      refused(await ask({ resources: [url, 'https://two.example.com'] }), 403, 'insufficient_scope');

      // What is not said is as narrow as the maker; what is said is cut to its life.
      for (const body of [{}, { expires_in: 3600 }, { resources: [url] }]) {
        const { data } = (await ask(body)).body;
        assert.deepEqual(data.scopes, ['read']);
        assert.deepEqual(data.resources, [url]);
        assert.equal(data.expires_at, narrow.expires_at);
      }
      assert.equal(Date.parse((await ask({ expires_in: 60 })).body.data.expires_at), on.clock() + 60_000);
    });

    test('a scope that does not exist, or a resource that is no URL, is refused by name', async () => {
      const cases = [
        [{ scope: 'admin' }, 'scope'],
        [{ scope: 'read admin' }, 'scope'],
        [{ scope: ' , ' }, 'scope'],
        [{ resources: ['no url'] }, 'resources'],
        [{ resources: ['ftp://one.example.com'] }, 'resources'],
        [{ resources: ['https://one.example.com#part'] }, 'resources'],
        [{ resources: ['https://user@one.example.com'] }, 'resources'],
        [{ resources: ['/mcp'] }, 'resources'],
      ] as const;
      for (const [body, field] of cases) {
        const reply = await on.post(
          '/api/tokens',
          { name: 'x', scope: 'read', ...body },
          bearer(boss.credential),
        );
        refused(reply, 400, 'invalid_request');
        assert.equal(reply.body.error.field, field, JSON.stringify(body));
      }
    });

    test('a key ends itself and what is no wider, but not a wider one', async () => {
      const [reader, sibling, writer] = [
        await makeKey(on, boss.credential, { name: 'reader', scope: 'read' }),
        await makeKey(on, boss.credential, { name: 'sibling', scope: 'read' }),
        await makeKey(on, boss.credential, { name: 'writer', scope: 'write' }),
      ];
      const tied = await makeKey(on, boss.credential, {
        name: 'tied',
        scope: 'read',
        resources: ['https://one.example.com'],
      });
      refused(await on.del(`/api/tokens/${writer.id}`, reader.credential), 403, 'insufficient_scope');
      refused(await on.del(`/api/tokens/${reader.id}`, tied.credential), 403, 'insufficient_scope');
      assert.equal((await on.get('/api/me', writer.credential)).status, 200);

      assert.equal((await on.del(`/api/tokens/${tied.id}`, reader.credential)).status, 200);
      assert.equal((await on.del(`/api/tokens/${sibling.id}`, reader.credential)).status, 200);
      assert.equal((await on.del(`/api/tokens/${reader.id}`, reader.credential)).status, 200);
      for (const { credential } of [tied, sibling, reader]) {
        refused(await on.get('/api/me', credential), 401, 'invalid_token');
      }
    });

    test('revoking twice is one revocation, with one time', async () => {
      const { id } = await makeKey(on, boss.credential, { name: 'x', scope: 'read' });
      const first = await on.del(`/api/tokens/${id}`, boss.credential);
      assert.deepEqual(first.body.data, {
        id,
        revoked: true,
        revoked_at: new Date(on.clock()).toISOString(),
      });
      on.clock.advance(5);
      assert.deepEqual((await on.del(`/api/tokens/${id}`, boss.credential)).body, first.body);
      const events = await on.service.deps.db.all(
        `SELECT id FROM events WHERE kind = 'key.revoked' AND subject = ?`,
        [id],
      );
      assert.equal(events.length, 1);
    });

    test("another agent's key is 404, word for word like one that does not exist", async () => {
      const other = await on.claimed('other@example.com');
      const { id } = (await on.get('/api/me', other.credential)).body.data.key;
      const [foreign, missing] = [
        await on.del(`/api/tokens/${id}`, boss.credential),
        await on.del('/api/tokens/key_0', boss.credential),
      ];
      refused(foreign, 404, 'not_found');
      refused(missing, 404, 'not_found');
      assert.equal(foreign.body.error.message, missing.body.error.message);
      assert.equal((await on.get('/api/me', other.credential)).status, 200);
      const listed = (await on.get('/api/tokens', boss.credential)).text;
      assert.ok(!listed.includes(id));
    });

    test('agents of one owner do not see or end each other’s keys', async () => {
      const [first, second] = [
        await on.claimed('two@example.com', true),
        await on.claimed('two@example.com', true),
      ];
      const { id } = (await on.get('/api/me', second.credential)).body.data.key;
      refused(await on.del(`/api/tokens/${id}`, first.credential), 404, 'not_found');
      assert.ok(!(await on.get('/api/tokens', first.credential)).text.includes(id));
    });

    test('a key that ended leaves no successor', async () => {
      const maker = await makeKey(on, boss.credential, { name: 'maker', scope: 'read' });
      await on.del(`/api/tokens/${maker.id}`, boss.credential);
      refused(
        await on.post('/api/tokens', { name: 'x', scope: 'read' }, bearer(maker.credential)),
        401,
        'invalid_token',
      );
    });
  });

  describe('introspection', () => {
    const inactive = async (reply: Promise<Reply>, about: string) => {
      const { status, text, headers } = await reply;
      assert.equal(status, 200, about);
      assert.equal(text, '{"active":false}', about);
      assert.equal(headers.get('cache-control'), 'no-store', about);
      assert.equal(headers.get('content-type'), 'application/json; charset=utf-8', about);
    };

    test('an anonymous agent’s key: these members and no other', async () => {
      const agent = await on.register();
      const { key } = (await on.get('/api/me', agent.credential)).body.data;
      const reply = await api.ask(agent.credential);
      assertHeaders(reply, 'introspection');
      assert.deepEqual(reply.body, {
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
        agent_id: agent.agent_id,
      });
    });

    test('a merged agent’s key names the owner, the account it came from, and an end although it has none', async () => {
      const agent = await on.claimed('merged@example.com');
      const { key, merged_from } = (await on.get('/api/me', agent.credential)).body.data;
      assert.equal(key.expires_at, null);
      assert.deepEqual((await api.ask(agent.credential)).body, {
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
        agent_id: agent.agent_id,
        owner: agent.user_id,
        merged_from,
      });
      assert.notEqual(merged_from, agent.user_id);
    });

    test('a linked agent’s key names the owner beside its own account', async () => {
      const agent = await on.claimed('linked@example.com', true);
      const { body } = await api.ask(agent.credential);
      assert.equal(body.sub, agent.user_id);
      assert.match(body.owner, /^usr_/);
      assert.notEqual(body.owner, agent.user_id);
      assert.ok(!('merged_from' in body));
    });

    test('all that does not work is the same "not active"', async () => {
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
      for (const [what, token] of Object.entries(tokens)) await inactive(api.ask(token), what);
      assert.equal((await api.ask(boss.credential)).body.active, true);
    });

    test('a key narrowed to resources is active at those and at no other', async () => {
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
      assert.equal((await first.ask(one.credential)).body.aud, 'https://first.example.com/mcp');
      await inactive(second.ask(one.credential), 'foreign');
      await inactive(api.ask(one.credential), 'foreign');
      assert.equal((await first.ask(two.credential)).body.active, true);
      assert.equal((await second.ask(two.credential)).body.aud, 'https://second.example.com');
      await inactive(api.ask(two.credential), 'foreign');
    });

    test('a resource server is told of its own scopes only', async () => {
      const reader = await addServer(on, 'https://reader.example.com', ['read']);
      const writer = await addServer(on, 'https://writer.example.com', ['write']);
      assert.equal((await reader.ask(boss.credential)).body.scope, 'read');
      assert.equal((await writer.ask(boss.credential)).body.scope, 'write');
      const { credential } = await on.register(); // read alone
      assert.equal((await reader.ask(credential)).body.scope, 'read');
      await inactive(writer.ask(credential), 'no scope of a key is one of the server’s');
    });

    test('the resource server authenticates by Basic or in the body, and is 401 once it is removed', async () => {
      const server = await addServer(on, 'https://gone.example.com');
      const inBody = { client_id: server.id, client_secret: server.secret };
      assert.equal(
        (await on.form('/oauth2/introspect', { token: boss.credential, ...inBody })).body.active,
        true,
      );
      assert.equal((await server.ask(boss.credential)).body.active, true);
      await removeResourceServer(on.service.deps, asker, server.id);
      for (const reply of [
        await server.ask(boss.credential),
        await on.form('/oauth2/introspect', { token: 'x', ...inBody }),
      ]) {
        assertRefused(on, reply, 'oauth', 401, 'invalid_client', 'removed');
      }
    });

    test('the question is a form: as JSON it is refused', async () => {
      const reply = await on.post(
        '/oauth2/introspect',
        { token: boss.credential },
        basic(api.id, api.secret),
      );
      assertRefused(on, reply, 'oauth', 400, 'invalid_request', 'JSON');
    });

    test('unknown hints and parameters are ignored', async () => {
      const more = {
        token: boss.credential,
        token_type_hint: 'refresh_token',
        resource: 'https://x.example',
        x: 'y',
      };
      assert.equal((await on.form('/oauth2/introspect', more, basic(api.id, api.secret))).body.active, true);
    });
  });

  describe('revocation by whoever holds the key', () => {
    test('the key dies at once, everywhere, and the second time is 200 as well', async () => {
      const { credential } = await makeKey(on, boss.credential, { name: 'leaked', scope: 'read' });
      for (let time = 1; time <= 2; time += 1) {
        const reply = await on.form('/oauth2/revoke', { token: credential, token_type_hint: 'access_token' });
        assert.equal(reply.status, 200);
        assert.equal(reply.text, '');
        assertHeaders(reply, 'revocation');
        refused(await on.get('/api/me', credential), 401, 'invalid_token');
        assert.deepEqual((await api.ask(credential)).body, { active: false });
      }
    });

    test('junk is 200 and changes nothing; no token at all is 400', async () => {
      const agent = await on.register();
      for (const token of [
        'x',
        newSecret('sk', systemRandom),
        agent.claim_token,
        api.secret,
        `${agent.credential}x`,
      ]) {
        const reply = await on.form('/oauth2/revoke', { token });
        assert.deepEqual([reply.status, reply.text], [200, '']);
      }
      assert.equal((await on.get('/api/me', agent.credential)).status, 200);
      const started = await on.post('/agent/auth/claim', {
        claim_token: agent.claim_token,
        email: 'r@example.com',
      });
      assert.equal(started.status, 200);
      assert.equal((await api.ask(agent.credential)).body.active, true);
      assertRefused(on, await on.form('/oauth2/revoke', {}), 'oauth', 400, 'invalid_request', 'no token');
    });
  });
});

type Repeat = { 'Idempotency-Key': string };

onEveryEngine('keys at rest', (engine) => {
  test('the database holds hashes: no key, claim token, secret, code or Idempotency-Key in any table or file', async () => {
    const on = await startTestService(engine);
    try {
      const server = await addServer(on, 'https://api.example.com');
      const idempotency = `repeat-${Math.random().toString(36).slice(2)}`;
      const first = (await on.post('/agent/auth', { type: 'anonymous' }, { 'Idempotency-Key': idempotency }))
        .body.data;
      await on.post('/agent/auth/claim', { claim_token: first.claim_token, email: 'rest@example.com' });
      const otp = await on.codeFor('rest@example.com');
      const body = { claim_token: first.claim_token, otp };
      const { credential } = (
        await on.post('/agent/auth/claim/complete', body, { 'Idempotency-Key': `${idempotency}-2` })
      ).body.data;
      const made = await makeKey(on, credential, { name: 'helper', scope: 'read' });
      const pending = await on.register();
      await on.post('/agent/auth/claim', { claim_token: pending.claim_token, email: 'pending@example.com' });
      const pendingCode = await on.codeFor('pending@example.com');
      await server.ask(made.credential);

      const secrets = [
        first.credential,
        first.claim_token,
        credential,
        made.credential,
        pending.credential,
        pending.claim_token,
      ];
      const hidden = [
        ...secrets.map((secret) => secret.slice(3)),
        server.secret.slice(4),
        otp,
        pendingCode,
        idempotency,
      ];

      const { db } = on.service.deps;
      const tables = migrationTables();
      assert.ok(tables.includes('credentials') && tables.length >= 10);
      let texts = '';
      for (const table of tables) {
        for (const row of await db.all<Record<string, unknown>>(`SELECT * FROM ${table}`)) {
          for (const value of Object.values(row)) {
            if (typeof value === 'string') texts += `${value}\n`;
            // Whatever a column of bytes may hide: the bytes themselves, and those of a hexadecimal or base64 text.
            if (value instanceof Uint8Array) texts += `${Buffer.from(value).toString('latin1')}\n`;
          }
        }
      }
      assert.ok(texts.includes('rest@example.com'), 'the dump is not the one that was looked for');
      const hashes = await db.all<{ hash: Buffer }>('SELECT hash FROM credentials');
      for (const secret of [first.credential, credential, made.credential]) {
        const digest = createHash('sha256').update(secret).digest('hex');
        assert.ok(hashes.some(({ hash }) => Buffer.from(hash).toString('hex') === digest));
      }

      let bytes = '';
      if (engine === 'sqlite') {
        const file = on.database.url.slice('file:'.length);
        for (const each of readdirSync(dirname(file)))
          bytes += readFileSync(join(dirname(file), each)).toString('latin1');
        assert.ok(bytes.includes('rest@example.com') && existsSync(`${file}-wal`));
      }
      for (const secret of hidden) {
        assert.ok(!texts.includes(secret), `a table holds ${secret}`);
        assert.ok(!bytes.includes(secret), `a file holds ${secret}`);
      }
      for (const line of on.logged) {
        for (const secret of hidden) assert.ok(!line.includes(secret), `the log holds ${secret}: ${line}`);
      }
    } finally {
      await on.stop();
    }
  });

  test('nor an identity, a token, or what renews it; nor the codes of a claim, nor what we sign with, nor what a provider signed', async () => {
    const world = await openAuthMd(engine);
    try {
      const { on } = world;
      const [keyed, keyed2, keyed3] = [1, 2, 3].map((index) => ({
        'Idempotency-Key': `repeat-${index}-${Math.random().toString(36).slice(2)}`,
      })) as [Repeat, Repeat, Repeat];
      const agent = succeeded(await world.identity({ type: 'anonymous' }, keyed));
      const renewed = succeeded(await world.refresh(agent.identity.refresh_token.value)).identity;
      const opaque = await world.tokenFor(renewed.assertion);
      const signed = await world.tokenFor(renewed.assertion, { resource: SIGNED_API });
      const hinted = succeeded(
        await world.identity({ type: 'service_auth', login_hint: 'rest@example.com' }, keyed2),
      );
      const human = await world.visit(hinted.claim.verification_uri, 'rest@example.com');
      const readOut = await confirm(human);
      const { claim_token } = hinted;
      const done = succeeded(await world.complete({ claim_token, user_code: readOut }, keyed3)).identity;
      const mailed = succeeded(
        await on.post('/agent/auth', {
          type: 'identity_assertion',
          assertion_type: 'verified_email',
          assertion: 'mailed@example.com',
          requested_credential_type: 'access_token',
        }),
      );
      const otp = await confirm(await world.visit(await world.mailedPage('mailed@example.com')));
      const credential = succeeded(
        await on.post('/agent/auth/claim/complete', { claim_token: mailed.claim_token, otp }),
      ).credential;
      const [word, second] = [
        world.idJag(newUser('word@example.com')),
        world.idJag(newUser('word@example.com')),
      ];
      const known = succeeded(await world.present(word));
      const stepUp = (await world.present(second)).body;
      assert.equal(stepUp.error, 'interaction_required');
      for (const token of [opaque, signed, credential]) await world.introspected(token);

      const assertions = [
        agent.identity_assertion,
        renewed.assertion,
        done.assertion,
        known.identity_assertion,
        signed,
        word,
        second,
      ];
      const secrets = [
        agent.claim_token,
        agent.identity.refresh_token.value,
        renewed.refresh_token.value,
        done.refresh_token.value,
        claim_token,
        mailed.claim_token,
        stepUp.claim_token,
        opaque,
        credential,
      ];
      const codes = [hinted.claim.user_code, readOut, otp, stepUp.claim.user_code];
      const hidden = [
        ...assertions.map((assertion) => assertion.split('.')[2]!), // also where only the signature is kept
        ...secrets.map((secret) => secret.slice(secret.indexOf('_') + 1)),
        ...[keyed, keyed2, keyed3].map((each) => each['Idempotency-Key']),
      ];
      const dump = await dumpOf(on);
      assert.ok(dump.includes('rest@example.com'), 'the dump is not the one that was looked for');
      assert.ok(dump.includes('"crv":"P-256"'), 'the keys that we sign with are there');
      assert.ok(!/"d":"[\w-]{43}"/.test(dump), 'but for what signs');
      const log = on.logged.join('');
      for (const [where, text] of Object.entries({ database: dump, log })) {
        for (const secret of hidden) assert.ok(!text.includes(secret), `the ${where} holds ${secret}`);
        for (const code of codes) {
          assert.ok(
            !new RegExp(`(?<![0-9A-Za-z.])${code}(?![0-9A-Za-z])`).test(text),
            `the ${where} holds ${code}`,
          );
        }
      }
    } finally {
      await world.stop();
    }
  });

  test('last use is written behind, once however often a key was used, and survives a restart', async () => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const watch = watchCommits();
    const WRITE = /^\s*UPDATE credentials SET last_used_at/;
    try {
      const on = await startTestService(engine, { database, clock, wrapDb: watch.wrapDb });
      const api = await addServer(on, 'https://api.example.com');
      const agent = await on.claimed('use@example.com');
      const helper = await makeKey(on, agent.credential, { name: 'helper', scope: 'read' });
      const idle = await makeKey(on, agent.credential, { name: 'idle', scope: 'read' });
      for (let use = 0; use < 30; use += 1) {
        clock.advance(1);
        if (use % 2) await api.ask(helper.credential);
        else await on.get('/api/me', helper.credential);
      }
      const usedAt = new Date(clock()).toISOString();
      clock.advance(1);
      await api.ask(`${helper.credential}x`); // no use of it
      assert.equal(watch.committed(WRITE), 0, 'no request writes the time of use itself');
      await on.stop();
      assert.equal(watch.committed(WRITE), 2, 'once for each of the two keys that were used');

      const again = await startTestService(engine, { database, clock });
      const { tokens } = (await again.get('/api/tokens', agent.credential)).body.data;
      const lastUse = (id: string) => tokens.find((key: { id: string }) => key.id === id).last_used_at;
      assert.equal(lastUse(helper.id), usedAt);
      assert.equal(lastUse(idle.id), undefined);
      await again.stop();
    } finally {
      await database.drop();
    }
  });

  test('a malformed, mistyped or invented key is refused without a question to the database', async () => {
    const asked: string[] = [];
    const note = (sql: string) => {
      if (!/\boutbox\b/.test(sql)) asked.push(sql); // its worker looks on its own account
    };
    const on = await startTestService(engine, {
      wrapDb: (db) => ({
        ...db,
        get: (sql, params) => {
          note(sql);
          return db.get(sql, params);
        },
        all: (sql, params) => {
          note(sql);
          return db.all(sql, params);
        },
        tx: (work) => db.tx((tx) => work(noting(tx, note))),
      }),
    });
    try {
      const { id, secret } = await addServer(on, 'https://api.example.com');
      const { credential, claim_token } = await on.register();
      const mistyped = (text: string) => text.slice(0, -1) + (text.endsWith('0') ? '1' : '0');
      const own = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const exchange = {
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: own.identity_assertion,
      };
      const { access_token } = (await on.form('/oauth2/token', exchange)).body;
      const junk = [
        mistyped(credential),
        mistyped(access_token),
        'sk_x',
        `sk_${'a'.repeat(49)}`,
        `at_${'a'.repeat(49)}`,
        claim_token,
        own.claim_token,
        mistyped(own.identity.refresh_token.value),
        'eyJhbGciOiJub25lIn0.e30.',
        'eyJ.eyJ',
        `eyJ${'a'.repeat(1000)}.eyJ${'a'.repeat(1000)}.${'a'.repeat(86)}`,
        'x',
      ];
      for (const key of junk) {
        asked.length = 0;
        assert.equal((await on.get('/api/me', key)).status, 401);
        assert.equal((await on.form('/oauth2/revoke', { token: key })).status, 200);
        assert.equal(
          (await on.form('/oauth2/introspect', { token: key }, basic(id, mistyped(secret)))).status,
          401,
        );
        assert.deepEqual(asked, []);

        const reply = await on.form('/oauth2/introspect', { token: key }, basic(id, secret));
        assert.deepEqual(reply.body, { active: false });
        for (const sql of asked) assert.match(sql, /resource_servers/);
      }
      asked.length = 0;
      await on.get('/api/me', credential);
      assert.ok(
        asked.some((sql) => /FROM credentials/.test(sql)),
        'the test sees what a good key costs',
      );
    } finally {
      await on.stop();
    }
  });

  test('a configured brand stands in every new key, and keys from before keep working', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
    const database = await createTestDatabase(engine);
    try {
      const plain = await startTestService(engine, { database });
      const older = await plain.register();
      await plain.stop();

      const file = join(folder, 'config.json');
      writeFileSync(file, JSON.stringify({ service: { keyBrand: 'acme' } }));
      const on = await startTestService(engine, { database, env: { CONFIG: file } });
      const agent = await on.claimed('brand@example.com');
      const made = await makeKey(on, agent.credential, { name: 'x', scope: 'read' });
      for (const key of [agent.credential, agent.old, made.credential]) {
        assert.match(key, /^sk_acme_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$/);
      }
      assert.match(agent.claim_token, /^ct_[0-9A-Za-z]{49}$/);
      assert.equal(made.prefix, made.credential.slice(0, 'sk_acme_'.length + 4));
      for (const key of [made.credential, older.credential])
        assert.equal((await on.get('/api/me', key)).status, 200);
      await on.stop();
    } finally {
      await database.drop();
      rmSync(folder, { recursive: true });
    }
  });
});

/** Every table there is, from the migrations themselves. */
function migrationTables(): string[] {
  const folder = new URL('../db/migrations/', import.meta.url);
  const sql = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'));
  return [...sql.join('\n').matchAll(/CREATE TABLE (?:IF NOT EXISTS )?(\w+)/g)]
    .map(([, name]) => name!)
    .filter((name) => !sql.some((text) => text.includes(`ALTER TABLE ${name} RENAME`)));
}
