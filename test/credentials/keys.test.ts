import type { ExecutionContext } from 'ava';
import { isWellFormedSecret } from '../../src/lib/secrets.ts';
import { addServer, makeKey } from '../helpers/api-keys.ts';
import { bearer } from '../helpers/common.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertHeaders, assertRefused } from '../helpers/wire.ts';

onEveryEngine('keys', (engine, test) => {
  let on: TestService;
  let boss: Awaited<ReturnType<TestService['claimed']>>;
  test.before(async () => {
    on = await startTestService(engine);
    await addServer(on, 'https://api.example.com');
    boss = await on.claimed('boss@example.com');
  });
  test.after(() => on.stop());
  const refused = (t: ExecutionContext, reply: Reply, status: number, code: string) =>
    assertRefused(t, on, reply, 'tinysend', status, code, code);

  test.describe('managing keys', (test) => {
    test('a key is shown once, in full, when it is made; afterwards only its start and its last four characters', async (t) => {
      const made = await makeKey(on, boss.credential, { name: 'helper', scope: 'read', expires_in: 3600 });
      t.regex(made.credential, /^sk_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$/);
      t.true(isWellFormedSecret('sk', made.credential));
      t.is(made.prefix, made.credential.slice(0, 7));
      t.is(made.last_four, made.credential.slice(-4));
      t.is(Date.parse(made.expires_at), on.clock() + 3_600_000);
      t.deepEqual(Object.keys(made).sort(), [
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
          t.is(reply.status, 200);
          assertHeaders(t, reply, path);
          for (const secret of [made.credential, boss.credential, boss.claim_token]) {
            t.false(reply.text.includes(secret.slice(7, -4)), `${path} shows a secret`);
          }
        }
      }
      const listed = (await on.get('/api/tokens', boss.credential)).body.data.tokens;
      const { credential: _, ...shown } = made;
      t.deepEqual(
        listed.find(({ id }: { id: string }) => id === made.id),
        shown,
      );
      const me = (await on.get('/api/me', made.credential)).body.data;
      t.is(me.key.id, made.id);
      t.deepEqual(me.scopes, ['read']);
      t.is(me.user_id, boss.user_id);
    });

    test('an agent that nobody claimed manages no keys, and learns which scope it lacks', async (t) => {
      const { credential } = await on.register();
      const replies = [
        await on.get('/api/tokens', credential),
        await on.post('/api/tokens', { name: 'x', scope: 'read' }, bearer(credential)),
        await on.del('/api/tokens/key_0', credential),
      ];
      for (const reply of replies) {
        refused(t, reply, 403, 'insufficient_scope');
        const metadata = `${on.url}/.well-known/oauth-protected-resource`;
        t.is(
          reply.headers.get('www-authenticate'),
          `Bearer resource_metadata="${metadata}", error="insufficient_scope", scope="read write"`,
        );
      }
    });

    test('a key from before the claim manages nothing after it', async (t) => {
      const agent = await on.claimed('before@example.com'); // its new key is not used yet, so the old one still works
      t.is((await on.get('/api/me', agent.old)).status, 200);
      refused(t, await on.get('/api/tokens', agent.old), 403, 'insufficient_scope');
      refused(
        t,
        await on.post('/api/tokens', { name: 'x', scope: 'read' }, bearer(agent.old)),
        403,
        'insufficient_scope',
      );
      const { id } = (await on.get('/api/me', agent.old)).body.data.key;
      refused(t, await on.del(`/api/tokens/${id}`, agent.old), 403, 'insufficient_scope');
      t.deepEqual((await on.get('/api/me', agent.old)).body.data.scopes, ['read']);
    });

    test('a key makes no wider one than itself: in scope, in resources, in life', async (t) => {
      const url = 'https://one.example.com/mcp';
      const narrow = await makeKey(on, boss.credential, {
        name: 'narrow',
        scope: 'read',
        resources: [url],
        expires_in: 600,
      });
      t.deepEqual(narrow.resources, [url]);
      const ask = (body: object) =>
        on.post('/api/tokens', { name: 'x', scope: 'read', ...body }, bearer(narrow.credential));

      for (const wider of [{ scope: 'write' }, { scope: 'read write' }, { scope: 'read,write' }]) {
        const reply = await ask(wider);
        refused(t, reply, 403, 'insufficient_scope');
        t.regex(reply.headers.get('www-authenticate')!, /error="insufficient_scope", scope="[a-z ]*write"/);
      }
      refused(t, await ask({ resources: ['https://two.example.com'] }), 403, 'insufficient_scope');
      refused(t, await ask({ resources: [url, 'https://two.example.com'] }), 403, 'insufficient_scope');

      // What is not said is as narrow as the maker; what is said is cut to its life.
      for (const body of [{}, { expires_in: 3600 }, { resources: [url] }]) {
        const { data } = (await ask(body)).body;
        t.deepEqual(data.scopes, ['read']);
        t.deepEqual(data.resources, [url]);
        t.is(data.expires_at, narrow.expires_at);
      }
      t.is(Date.parse((await ask({ expires_in: 60 })).body.data.expires_at), on.clock() + 60_000);
    });

    test('a scope that does not exist, or a resource that is no URL, is refused by name', async (t) => {
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
        refused(t, reply, 400, 'invalid_request');
        t.is(reply.body.error.field, field, JSON.stringify(body));
      }
    });

    test('a key ends itself and what is no wider, but not a wider one', async (t) => {
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
      refused(t, await on.del(`/api/tokens/${writer.id}`, reader.credential), 403, 'insufficient_scope');
      refused(t, await on.del(`/api/tokens/${reader.id}`, tied.credential), 403, 'insufficient_scope');
      t.is((await on.get('/api/me', writer.credential)).status, 200);

      t.is((await on.del(`/api/tokens/${tied.id}`, reader.credential)).status, 200);
      t.is((await on.del(`/api/tokens/${sibling.id}`, reader.credential)).status, 200);
      t.is((await on.del(`/api/tokens/${reader.id}`, reader.credential)).status, 200);
      for (const { credential } of [tied, sibling, reader]) {
        refused(t, await on.get('/api/me', credential), 401, 'invalid_token');
      }
    });

    test('revoking twice is one revocation, with one time', async (t) => {
      const { id } = await makeKey(on, boss.credential, { name: 'x', scope: 'read' });
      const first = await on.del(`/api/tokens/${id}`, boss.credential);
      t.deepEqual(first.body.data, {
        id,
        revoked: true,
        revoked_at: new Date(on.clock()).toISOString(),
      });
      on.clock.advance(5);
      t.deepEqual((await on.del(`/api/tokens/${id}`, boss.credential)).body, first.body);
      const events = await on.service.deps.db.all(
        `SELECT id FROM events WHERE kind = 'key.revoked' AND subject = ?`,
        [id],
      );
      t.is(events.length, 1);
    });

    test("another agent's key is 404, word for word like one that does not exist", async (t) => {
      const other = await on.claimed('other@example.com');
      const { id } = (await on.get('/api/me', other.credential)).body.data.key;
      const [foreign, missing] = [
        await on.del(`/api/tokens/${id}`, boss.credential),
        await on.del('/api/tokens/key_0', boss.credential),
      ];
      refused(t, foreign, 404, 'not_found');
      refused(t, missing, 404, 'not_found');
      t.is(foreign.body.error.message, missing.body.error.message);
      t.is((await on.get('/api/me', other.credential)).status, 200);
      const listed = (await on.get('/api/tokens', boss.credential)).text;
      t.false(listed.includes(id));
    });

    test('agents of one owner do not see or end each other’s keys', async (t) => {
      const [first, second] = [
        await on.claimed('two@example.com', true),
        await on.claimed('two@example.com', true),
      ];
      const { id } = (await on.get('/api/me', second.credential)).body.data.key;
      refused(t, await on.del(`/api/tokens/${id}`, first.credential), 404, 'not_found');
      t.false((await on.get('/api/tokens', first.credential)).text.includes(id));
    });

    test('a key that ended leaves no successor', async (t) => {
      const maker = await makeKey(on, boss.credential, { name: 'maker', scope: 'read' });
      await on.del(`/api/tokens/${maker.id}`, boss.credential);
      refused(
        t,
        await on.post('/api/tokens', { name: 'x', scope: 'read' }, bearer(maker.credential)),
        401,
        'invalid_token',
      );
    });
  });
});
