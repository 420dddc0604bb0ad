import { generateKeyPairSync, randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { type ClientAgent, type Host, newKey, signToken } from '../helpers/agent-client.ts';
import { type AgentWorld, fine, openAgentWorld, said } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { assertProperty } from '../helpers/property.ts';
import type { Reply } from '../helpers/service.ts';
import { signedEndpoints } from '../helpers/signed-endpoints.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });

onEveryEngine('tokens of hosts and agents', (engine, test) => {
  let world: AgentWorld;
  let host: Host;
  let agent: ClientAgent;
  test.before(async () => {
    world = await openAgentWorld(engine);
    host = world.client.newHost('the host');
    agent = await world.letIn(newMailbox(), {}, undefined, host);
  });
  test.after(() => world.stop());

  const { now, bearer, HOST_ENDPOINTS, AGENT_ENDPOINTS, OPEN_ENDPOINTS, refused, everyHostEndpoint } =
    signedEndpoints(() => ({
      world,
      host,
      agent,
    }));
  const hosts = () => world.count('hosts');

  test('a token that is right opens every endpoint', async (t) => {
    for (const [name, { ask, good }] of Object.entries(HOST_ENDPOINTS)) {
      t.is(said(await ask(world.client.hostToken(host))), good, name);
    }
    for (const [name, { ask, audience, good }] of Object.entries(AGENT_ENDPOINTS)) {
      t.is(said(await ask(world.client.agentToken(agent, audience()))), good, name);
    }
    for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
      t.is(said(await ask(world.client.hostToken(host))), '200', name);
      t.is(said(await ask(world.client.agentToken(agent, world.on.url))), '200', name);
      t.is(said(await ask()), '200', name);
    }
  });

  test('without a token nothing opens but what anybody may see; the refusal says where to begin', async (t) => {
    for (const [name, { ask }] of [...everyHostEndpoint(), ...Object.entries(AGENT_ENDPOINTS)]) {
      refused(t, await ask(), '401 authentication_required', name);
    }
  });

  test.describe('how a token is sent', (test) => {
    const headers: Record<string, string> = {
      'no token': 'Bearer',
      'only blanks': 'Bearer   ',
      'no scheme': 'eyJhbGciOiJFZERTQSJ9.e30.AA',
      'another scheme': 'Basic YTpi',
      'two tokens': 'Bearer a.b.c d.e.f',
      'a comma': 'Bearer a.b.c, Bearer d.e.f',
      quotes: 'Bearer "a.b.c"',
      'a word': 'Bearer rubbish',
      'a key of ours': 'Bearer sk_0000000000000000000000000000000000000000000',
    };
    for (const [about, Authorization] of Object.entries(headers)) {
      test(`${about}: 401 everywhere, also where anybody may ask without`, async (t) => {
        const { on } = world;
        const rows: [method: string, path: string][] = [
          ['POST', '/agent/register'],
          ['GET', `/agent/status?agent_id=${agent.id}`],
          ['POST', '/agent/request-capability'],
          ['POST', '/agent/reactivate'],
          ['POST', '/agent/revoke'],
          ['POST', '/agent/rotate-key'],
          ['POST', '/host/revoke'],
          ['POST', '/host/rotate-key'],
          ['POST', '/capability/execute'],
          ['GET', '/capability/list'],
          ['GET', '/capability/describe?name=read'],
        ];
        for (const [method, path] of rows) {
          const body = JSON.stringify({
            name: 'x',
            agent_id: agent.id,
            public_key: newKey().jwk,
            capability: 'whoami',
            capabilities: ['read'],
          });
          const reply = await on.request(method, path, {
            headers: { Authorization, 'Content-Type': 'application/json' },
            ...(method === 'POST' && { body }),
          });
          t.regex(said(reply), /^401 (invalid_jwt|authentication_required)$/, path);
          refused(t, reply, said(reply), path);
        }
      });
    }

    test('the scheme may be written in any case', async (t) => {
      const { client, on } = world;
      for (const scheme of ['bearer', 'BEARER']) {
        const Authorization = `${scheme} ${client.hostToken(host)}`;
        const path = `/agent/status?agent_id=${agent.id}`;
        const reply = await on.request('GET', path, { headers: { Authorization } });
        t.is(reply.status, 200, reply.text);
      }
    });

    test('what nobody can have signed and no database can look for is refused in order', async (t) => {
      const { client, on } = world;
      for (const text of ['\u0000', 'a\u0000b', '\ud800', '__proto__', 'x'.repeat(4000)]) {
        for (const claims of [{ iss: text }, { jti: text.slice(0, 200) }, { sub: text }]) {
          const raw = signToken(
            host.key,
            { alg: 'EdDSA', typ: 'host+jwt' },
            {
              iss: host.key.thumbprint,
              aud: on.url,
              iat: now(),
              exp: now() + 60,
              jti: randomUUID(),
              ...claims,
            },
          );
          const reply = await on.request('GET', `/agent/status?agent_id=${agent.id}`, {
            headers: bearer(raw),
          });
          t.true(reply.status === 401 || reply.status === 200, reply.text);
          const executed = await client.execute(agent, 'whoami', {}, { claims });
          t.true(executed.status === 401 || executed.status === 200, executed.text);
        }
        const path = `/agent/status?agent_id=${encodeURIComponent(text.toWellFormed())}`;
        const reply = await on.request('GET', path, { headers: bearer(client.hostToken(host)) });
        t.true(reply.status === 404 || reply.status === 400, `${reply.status} ${reply.text}`);
      }
    });
  });

  test.describe('random', (test) => {
    const value = fc.jsonValue({ stringUnit: 'binary' });
    const runs = { numRuns: 200 };
    const orderly = (t: ExecutionContext, reply: Reply, about: string) => {
      t.true(reply.status < 500, `${about}: ${reply.status} ${reply.text}`);
      if (reply.status >= 400) refused(t, reply, said(reply), about);
    };
    /** What each endpoint takes, beside who signs for it. */
    const BODIES: Record<string, { body: object; by: () => string }> = {
      '/agent/register': {
        body: {
          name: 'x',
          mode: 'delegated',
          capabilities: ['read'],
          reason: 'r',
          login_hint: 'a@example.com',
        },
        by: () => world.client.hostToken(host, {}, { agent_public_key: newKey().jwk }),
      },
      '/agent/reactivate': { body: { agent_id: 'x' }, by: () => world.client.hostToken(host) },
      '/agent/revoke': { body: { agent_id: 'agt_none' }, by: () => world.client.hostToken(host) },
      '/agent/rotate-key': {
        body: { agent_id: 'agt_none', public_key: newKey().jwk },
        by: () => world.client.hostToken(host),
      },
      '/host/rotate-key': { body: { public_key: { kty: 'OKP' } }, by: () => world.client.hostToken(host) },
      '/agent/request-capability': {
        body: {
          capabilities: [{ name: 'read', constraints: { seconds: { max: 1 } } }],
          binding_message: 'b',
        },
        by: () => world.client.agentToken(agent, world.on.url),
      },
      '/capability/execute': {
        body: { capability: 'read', arguments: { seconds: 60 } },
        by: () => world.client.agentToken(agent, world.client.executeAt()),
      },
    };

    test('bodies, rightly signed, get an orderly answer', async (t) => {
      const changed = fc
        .constantFrom(...Object.entries(BODIES))
        .chain(([path, { body, by }]) =>
          fc
            .tuple(fc.constantFrom(...Object.keys(body), 'more'), value)
            .map(([name, other]) => ({ path, by, body: { ...body, [name]: other } })),
        );
      await assertProperty(
        t,
        [changed],
        async (t, { path, by, body }) => {
          orderly(t, await world.on.post(path, body, bearer(by())), `${path} ${JSON.stringify(body)}`);
        },
        runs,
      );
    });

    test('constraints and arguments, rightly signed, get an orderly answer', async (t) => {
      const { client } = world;
      const field = fc.constantFrom('seconds', 'resource', 'toString', '');
      const constraint = fc.oneof(
        value,
        fc.dictionary(fc.constantFrom('max', 'min', 'in', 'not_in', 'eq', 'like'), value),
      );
      await assertProperty(
        t,
        [fc.dictionary(field, constraint), value],
        async (t, constraints, argument) => {
          const about = JSON.stringify([constraints, argument]);
          const capabilities = [{ name: 'write', constraints }];
          orderly(t, (await client.connect(host, { capabilities })).reply, about);
          const body = { arguments: { seconds: argument } };
          orderly(t, await client.execute(agent, 'read', undefined, { body }), about);
        },
        runs,
      );
    });

    test('claims and headers, rightly signed, get an orderly answer', async (t) => {
      const { client, on } = world;
      const names =
        'iss sub aud iat exp nbf jti capabilities host_name host_public_key agent_public_key'.split(' ');
      const claims = fc.dictionary(fc.constantFrom(...names), value, { minKeys: 1, maxKeys: 2 });
      const header = fc.dictionary(fc.constantFrom('alg', 'typ', 'kid', 'cty', 'jwk', 'x5u'), value, {
        maxKeys: 1,
      });
      await assertProperty(
        t,
        [claims, header],
        async (t, claimed, head) => {
          const about = JSON.stringify([claimed, head]);
          const change = { claims: claimed, header: head };
          orderly(t, (await client.connect(host, { capabilities: ['read'] }, change)).reply, about);
          orderly(t, await client.status(agent, change), about);
          orderly(t, await client.execute(agent, 'whoami', {}, change), about);
          orderly(t, await client.listAsAgent(agent, '', change), about);
          const heard = await world.introspect(client.agentToken(agent, on.url, change));
          t.is(heard.status, 200, `${about}: ${heard.text}`);
        },
        runs,
      );
    });

    test('queries get an orderly answer', async (t) => {
      const { client } = world;
      const text = fc
        .string({ unit: 'binary', maxLength: 60 })
        .map((each) => encodeURIComponent(each.toWellFormed()));
      await assertProperty(
        t,
        [text, text, text],
        async (t, one, two, three) => {
          for (const path of [
            `/capability/list?query=${one}&cursor=${two}&limit=${three}`,
            `/capability/describe?name=${one}`,
          ]) {
            orderly(t, await client.get(path, undefined), path);
          }
          const path = `/agent/status?agent_id=${one}`;
          orderly(t, await client.get(path, client.hostToken(host)), path);
        },
        runs,
      );
    });
  });

  test.describe('keys', (test) => {
    const OTHERS: Record<string, () => unknown> = {
      'P-256': () => P256.publicKey.export({ format: 'jwk' }),
      RSA: () => RSA.publicKey.export({ format: 'jwk' }),
      Ed448: () => generateKeyPairSync('ed448').publicKey.export({ format: 'jwk' }),
      X25519: () => generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }),
      'a secret': () => ({ kty: 'oct', k: 'AAAA' }),
      'Ed25519 for another algorithm': () => ({ ...newKey().jwk, alg: 'ES256' }),
    };
    const BAD: Record<string, () => unknown> = {
      'none at all': () => undefined,
      'a text': () => newKey().jwk.x,
      'a list': () => [newKey().jwk],
      'with its private part': () => newKey().privateKey.export({ format: 'jwk' }),
      'with a private part of its own': () => ({ ...newKey().jwk, d: '' }),
      'a byte short': () => ({ ...newKey().jwk, x: Buffer.alloc(31).toString('base64url') }),
      'a byte long': () => ({ ...newKey().jwk, x: Buffer.alloc(33).toString('base64url') }),
      'with bits beyond its end': () => ({ ...newKey().jwk, x: `${'A'.repeat(42)}B` }),
      'in base64': () => ({ ...newKey().jwk, x: `${Buffer.alloc(32).toString('base64')}` }),
    };
    const rows: [about: string, key: () => unknown, code: string][] = [
      ...Object.entries(OTHERS).map(([about, key]) => [about, key, 'unsupported_algorithm'] as const),
      ...Object.entries(BAD).map(([about, key]) => [about, key, 'invalid_public_key'] as const),
    ].map(([about, key, code]) => [about, key, code]);
    for (const [about, key, code] of rows) {
      test(`${about} is no key for an agent, nor to rotate to`, async (t) => {
        const { client } = world;
        const before = await world.count('hosted_agents');
        const claims = { agent_public_key: key() };
        const { reply } = await client.connect(host, { capabilities: ['read'] }, { claims });
        refused(t, reply, `400 ${code}`, 'register');
        t.is(await world.count('hosted_agents'), before);
        const body = { public_key: key() };
        const expected = `400 ${body.public_key === undefined ? 'invalid_request' : code}`;
        refused(t, await client.rotateAgentKey(agent, newKey(), { body }), expected, 'rotate-key');
        refused(t, await client.rotateHostKey(host, newKey(), { body }), expected, 'host/rotate-key');
        fine(await client.execute(agent, 'whoami'));
      });
    }

    test('a host’s old key is nobody’s, and never a new host; nobody rotates to it, nor to any other that is taken', async (t) => {
      const { client } = world;
      const mine = client.newHost();
      const { key: old } = mine;
      const own = await world.autonomous(mine);
      const current = newKey();
      fine(await client.rotateHostKey(mine, current));
      const rekeyed = { ...mine, key: current };
      const before = await hosts();
      refused(t, (await client.connect(mine, { mode: 'autonomous' })).reply, '401 invalid_jwt', 'register');
      refused(t, await client.status(own), '401 invalid_jwt', 'status');
      t.is(await hosts(), before);
      for (const taken of [old, current, host.key]) {
        refused(t, await client.rotateHostKey(rekeyed, taken), '400 invalid_public_key', 'rotate');
      }
      // Another host may not have it either.
      refused(t, await client.rotateHostKey(host, old), '400 invalid_public_key', 'another host');
      fine(await client.status(own, {}, rekeyed));
      // What its agents say of it follows the key.
      const { ask, audience } = AGENT_ENDPOINTS['POST /capability/execute']!;
      const iss = (key: string) => client.agentToken(own, audience(), { claims: { iss: key } });
      refused(t, await ask(iss(old.thumbprint)), '401 invalid_jwt', 'iss of old');
      fine(await ask(iss(current.thumbprint)));
    });

    test('an agent is rotated to no key that it or a sibling has; it may have one that an agent elsewhere has', async (t) => {
      const { client } = world;
      const sibling = await client.connect(host, { capabilities: ['read'] });
      for (const taken of [agent.key, sibling.agent.key]) {
        refused(t, await client.rotateAgentKey(agent, taken), '400 invalid_public_key', '');
      }
      const elsewhere = await world.autonomous();
      const reply = await client.register(client.newHost(), elsewhere.key, { mode: 'autonomous' });
      t.not(fine(reply).agent_id, elsewhere.id);
      fine(await client.execute(elsewhere, 'whoami'));
    });
  });
});
