import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { type Changes, type ClientAgent, type Host, newKey } from '../helpers/agent-client.ts';
import { type AgentWorld, fine, openAgentWorld, said } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { signedEndpoints, tampered } from '../helpers/signed-endpoints.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { send } from '../helpers/wire.ts';

/** The tokens that hosts and agents sign, one for each request (Agent Auth Protocol 1.0-draft, sections 4 and 8): each rule, and its edges. */

const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');

const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });

onEveryEngine('faults of tokens of hosts and agents', (engine, test) => {
  let world: AgentWorld;
  let host: Host;
  let agent: ClientAgent;
  test.before(async () => {
    world = await openAgentWorld(engine);
    host = world.client.newHost('the host');
    agent = await world.letIn(newMailbox(), {}, undefined, host);
  });
  test.after(() => world.stop());

  const { now, everyHostEndpoint, AGENT_ENDPOINTS, OPEN_ENDPOINTS, refused } = signedEndpoints(() => ({
    world,
    host,
    agent,
  }));
  const hosts = () => world.count('hosts');

  /** What is wrong with both kinds of tokens, in the same way. */
  const FAULTS: Record<string, () => Changes> = {
    'no typ': () => ({ header: { typ: undefined } }),
    'typ JWT': () => ({ header: { typ: 'JWT' } }),
    'no alg': () => ({ header: { alg: undefined } }),
    'alg none, though signed': () => ({ header: { alg: 'none' } }),
    'alg HS256, though signed': () => ({ header: { alg: 'HS256' } }),
    'alg ES256, though signed': () => ({ header: { alg: 'ES256' } }),
    'extensions that nobody knows': () => ({ header: { crit: ['exp'] } }),
    'no aud': () => ({ claims: { aud: undefined } }),
    'the issuer with a slash as aud': () => ({ claims: { aud: `${world.on.url}/` } }),
    'another host as aud': () => ({ claims: { aud: 'https://id.other.example' } }),
    'another name of this machine as aud': () => ({
      claims: { aud: world.on.url.replace('localhost', '127.0.0.1') },
    }),
    'the issuer in capitals as aud': () => ({ claims: { aud: world.on.url.toUpperCase() } }),
    'several audiences': () => ({ claims: { aud: [world.on.url, 'https://id.other.example'] } }),
    'no iat': () => ({ claims: { iat: undefined } }),
    'iat in the future': () => ({ claims: { iat: now() + 31, exp: now() + 60 } }),
    'iat as a text': () => ({ claims: { iat: String(now()) } }),
    'no exp': () => ({ claims: { exp: undefined } }),
    'exp in the past': () => ({ claims: { iat: now() - 60, exp: now() - 30 } }),
    'exp before iat': () => ({ claims: { exp: now() - 3600 } }),
    'exp as a text': () => ({ claims: { exp: String(now() + 60) } }),
    'an iat that is long ago, however long it says to live': () => ({
      claims: { iat: now() - 90, exp: now() + 3600 },
    }),
    'not yet valid': () => ({ claims: { nbf: now() + 31 } }),
    'no jti': () => ({ claims: { jti: undefined } }),
    'an empty jti': () => ({ claims: { jti: '' } }),
    'a jti that is no text': () => ({ claims: { jti: 7 } }),
    'a jti without end': () => ({ claims: { jti: 'x'.repeat(257) } }),
    'the signature of another key': () => ({ signer: newKey() }),
  };

  /** What is wrong with a token as a text. */
  const MANGLED: Record<string, (token: string) => string> = {
    'a signature that was tampered with': tampered,
    'no signature': (token) => token.slice(0, token.lastIndexOf('.') + 1),
    'half a signature': (token) => token.slice(0, -43),
    'a signature with more behind it': (token) => `${token}AA`,
    'two parts': (token) => token.slice(0, token.lastIndexOf('.')),
    'four parts': (token) => `${token}.AA`,
    'claims of another token': (token) => {
      const [header, , signature] = token.split('.');
      return [header, encode({ ...claimsOf(token), jti: randomUUID() }), signature].join('.');
    },
    'claims that are no object': (token) => {
      const [header, , signature] = token.split('.');
      return [header, encode(['x']), signature].join('.');
    },
    'alg none and no signature': (token) =>
      `${encode({ ...headerOf(token), alg: 'none' })}.${middle(token)}.`,
    'HS256 with the public key for a secret': (token) => {
      const content = `${encode({ ...headerOf(token), alg: 'HS256' })}.${middle(token)}`;
      const mac = createHmac('sha256', Buffer.from(host.key.jwk.x!, 'base64url')).update(content);
      return `${content}.${mac.digest('base64url')}`;
    },
    'ES256 with a key of that kind': (token) => {
      const content = `${encode({ ...headerOf(token), alg: 'ES256' })}.${middle(token)}`;
      const signer = { key: P256.privateKey, dsaEncoding: 'ieee-p1363' } as const;
      return `${content}.${sign('sha256', Buffer.from(content), signer).toString('base64url')}`;
    },
    'more than eight thousand characters': (token) => `${token.slice(0, -1)}${'A'.repeat(8192)}`,
    'a word': () => 'rubbish',
  };
  const partOf = (token: string, index: number) =>
    JSON.parse(Buffer.from(token.split('.')[index]!, 'base64url').toString('utf8'));
  const headerOf = (token: string) => partOf(token, 0);
  const claimsOf = (token: string) => partOf(token, 1);
  const middle = (token: string) => token.split('.')[1];

  test.describe('a token of a host', (test) => {
    for (const [about, change] of Object.entries(FAULTS)) {
      test(`is refused everywhere with ${about}`, async (t) => {
        for (const [name, { ask }] of everyHostEndpoint()) {
          refused(t, await ask(world.client.hostToken(host, change())), '401 invalid_jwt', name);
        }
      });
    }

    for (const [about, mangle] of Object.entries(MANGLED)) {
      test(`is refused everywhere with ${about}`, async (t) => {
        for (const [name, { ask }] of everyHostEndpoint()) {
          refused(t, await ask(mangle(world.client.hostToken(host))), '401 invalid_jwt', name);
        }
      });
    }

    test('is no token of an agent, and the other way round', async (t) => {
      for (const [name, { ask }] of everyHostEndpoint()) {
        refused(t, await ask(world.client.agentToken(agent, world.on.url)), '401 invalid_jwt', name);
        const renamed = world.client.hostToken(host, { header: { typ: 'agent+jwt' } });
        refused(t, await ask(renamed), '401 invalid_jwt', name);
      }
      for (const [name, { ask, audience }] of Object.entries(AGENT_ENDPOINTS)) {
        const claims = { aud: audience(), sub: agent.id };
        refused(t, await ask(world.client.hostToken(host, { claims })), '401 invalid_jwt', name);
        const renamed = world.client.agentToken(agent, audience(), { header: { typ: 'host+jwt' } });
        refused(t, await ask(renamed), '401 invalid_jwt', name);
      }
    });

    test('is for the service as a whole, and not for the place where capabilities are used', async (t) => {
      const claims = { aud: `${world.on.url}/capability/execute` };
      for (const [name, { ask }] of everyHostEndpoint()) {
        refused(t, await ask(world.client.hostToken(host, { claims })), '401 invalid_jwt', name);
      }
    });

    test('names the key that signed it as `iss`, and that one alone', async (t) => {
      const other = await world.autonomous();
      const wrong: Record<string, Changes> = {
        'no iss': { claims: { iss: undefined } },
        'an iss that is no text': { claims: { iss: 7 } },
        'an iss that nobody has': { claims: { iss: newKey().thumbprint } },
        'the iss of another host': { claims: { iss: other.host.key.thumbprint } },
        'the iss of another host, and its key': {
          claims: { iss: other.host.key.thumbprint, host_public_key: other.host.key.jwk },
        },
        'the iss of another host, and a key with its kid': {
          header: { kid: other.host.key.thumbprint },
          claims: {
            iss: other.host.key.thumbprint,
            host_public_key: { ...host.key.jwk, kid: other.host.key.thumbprint },
          },
        },
        'the URL of the service as iss': { claims: { iss: world.on.url } },
      };
      const before = await hosts();
      for (const [about, change] of Object.entries(wrong)) {
        for (const [name, { ask }] of everyHostEndpoint()) {
          refused(t, await ask(world.client.hostToken(host, change)), '401 invalid_jwt', `${about}: ${name}`);
        }
      }
      t.is(await hosts(), before);
    });

    test('of a known host needs no key with it; one that is with it is that of `iss`, and public', async (t) => {
      const { client } = world;
      const claims = { host_public_key: undefined };
      t.is(said(await client.status(agent, { claims })), '200');
      const secret = host.key.privateKey.export({ format: 'jwk' });
      for (const key of [newKey().jwk, secret, { ...host.key.jwk, d: 'x' }, 'x', {}]) {
        const reply = await client.status(agent, { claims: { host_public_key: key } });
        t.regex(said(reply), /^40[01] invalid_(jwt|public_key)$/, JSON.stringify(key));
      }
    });

    test('of a host that nobody knows opens registration alone, lists as anybody does, and leaves nothing behind', async (t) => {
      const { client } = world;
      const stranger = client.newHost();
      const before = await hosts();
      for (const [name, { ask }] of everyHostEndpoint()) {
        if (name === 'POST /agent/register') continue;
        refused(t, await ask(client.hostToken(stranger)), '401 invalid_jwt', name);
      }
      for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
        const spent = await world.count('spent_tokens');
        t.is(said(await ask(client.hostToken(stranger))), '200', name);
        // Anybody may make such tokens, without end.
        t.is(await world.count('spent_tokens'), spent, name);
        refused(t, await ask(client.hostToken(stranger, { signer: newKey() })), '401 invalid_jwt', name);
      }
      t.is(await hosts(), before);
    });

    test('of a new host carries the key that its `iss` is the thumbprint of', async (t) => {
      const { client } = world;
      const before = await hosts();
      const stranger = client.newHost();
      const { x } = P256.publicKey.export({ format: 'jwk' });
      const wrong: Record<string, Changes> = {
        'no key': { claims: { host_public_key: undefined } },
        'another key': { claims: { host_public_key: newKey().jwk } },
        'another iss': { claims: { iss: newKey().thumbprint } },
        'its key with the private part': {
          claims: { host_public_key: stranger.key.privateKey.export({ format: 'jwk' }) },
        },
        'a key of another kind': { claims: { host_public_key: P256.publicKey.export({ format: 'jwk' }) } },
        'a key that is no key': { claims: { host_public_key: { ...stranger.key.jwk, x } } },
        'a text for a key': { claims: { host_public_key: stranger.key.jwk.x } },
      };
      for (const [about, change] of Object.entries(wrong)) {
        const reply = await client.connect(stranger, { mode: 'autonomous' }, change);
        t.regex(said(reply.reply), /^40[01] (invalid_jwt|invalid_public_key|unsupported_algorithm)$/, about);
      }
      t.is(await hosts(), before);
      t.is(said((await client.connect(stranger, { mode: 'autonomous' })).reply), '200');
      t.is(await hosts(), before + 1);
    });

    test('of a key whose `kid` is the name of another host attaches to nothing of that host (6.6)', async (t) => {
      const { client } = world;
      const { host_id } = fine(await client.status(agent));
      const thief = client.newHost('the host');
      const kid = host.key.thumbprint;
      const change = { header: { kid }, claims: { sub: kid, host_public_key: { ...thief.key.jwk, kid } } };
      const { reply, agent: mine } = await client.connect(thief, { mode: 'autonomous' }, change);
      t.not(fine(reply).host_id, host_id);
      t.is(reply.body.user_id, undefined);
      t.is(said(await client.status(agent, change, thief)), '403 unauthorized');
      t.is(said(await client.status(mine)), '200');
    });

    test('with a URL in the place of keys is refused, also beside keys (8.12)', async (t) => {
      const { client } = world;
      const before = await hosts();
      const url = 'https://keys.example.com/jwks.json';
      for (const claims of [
        { host_jwks_url: url, host_public_key: undefined },
        { host_jwks_url: url },
        { agent_jwks_url: url, agent_kid: 'a', agent_public_key: undefined },
        { agent_jwks_url: url, agent_kid: 'a' },
      ]) {
        for (const each of [host, client.newHost()]) {
          const { reply } = await client.connect(each, { capabilities: ['read'] }, { claims });
          refused(t, reply, '400 invalid_public_key', JSON.stringify(claims));
        }
      }
      for (const [name, { ask }] of everyHostEndpoint()) {
        const claims = { host_jwks_url: url };
        refused(t, await ask(client.hostToken(host, { claims })), '400 invalid_public_key', name);
      }
      t.is(await hosts(), before);
    });
  });

  test.describe('a token of an agent', (test) => {
    for (const [about, change] of Object.entries(FAULTS)) {
      test(`is refused everywhere with ${about}`, async (t) => {
        for (const [name, { ask, audience }] of Object.entries(AGENT_ENDPOINTS)) {
          const token = world.client.agentToken(agent, audience(), change());
          refused(t, await ask(token), '401 invalid_jwt', name);
        }
        for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
          refused(
            t,
            await ask(world.client.agentToken(agent, world.on.url, change())),
            '401 invalid_jwt',
            name,
          );
        }
        const { introspect, client, on } = world;
        t.deepEqual(fine(await introspect(client.agentToken(agent, on.url, change()))), {
          active: false,
        });
      });
    }

    for (const [about, mangle] of Object.entries(MANGLED)) {
      test(`is refused everywhere with ${about}`, async (t) => {
        for (const [name, { ask, audience }] of Object.entries(AGENT_ENDPOINTS)) {
          refused(t, await ask(mangle(world.client.agentToken(agent, audience()))), '401 invalid_jwt', name);
        }
        for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
          refused(
            t,
            await ask(mangle(world.client.agentToken(agent, world.on.url))),
            '401 invalid_jwt',
            name,
          );
        }
        const token = mangle(world.client.agentToken(agent, world.on.url));
        const heard = await world.introspect(token);
        // A body may not say more than the longest token.
        if (token.length > 8192) t.is(said(heard), '400 invalid_request');
        else t.deepEqual(fine(heard), { active: false });
      });
    }

    test('for the service is of no use where capabilities are used, nor the other way round', async (t) => {
      const { client, on } = world;
      const { ask: execute } = AGENT_ENDPOINTS['POST /capability/execute']!;
      const { ask: request } = AGENT_ENDPOINTS['POST /agent/request-capability']!;
      const place = `${on.url}/capability/execute`;
      refused(t, await execute(client.agentToken(agent, on.url)), '401 invalid_jwt', 'execute');
      refused(t, await execute(client.agentToken(agent, `${place}/`)), '401 invalid_jwt', 'execute');
      refused(t, await execute(client.agentToken(agent, `${place}?x=1`)), '401 invalid_jwt', 'execute');
      refused(t, await request(client.agentToken(agent, place)), '401 invalid_jwt', 'request');
      for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
        refused(t, await ask(client.agentToken(agent, place)), '401 invalid_jwt', name);
      }
    });

    test('does not go by the Host header (8.18)', async (t) => {
      const { client, on } = world;
      const { port } = new URL(on.url);
      const other = `http://127.0.0.1:${port}`;
      for (const [path, aud] of [
        ['/agent/request-capability', other],
        ['/capability/execute', `${other}/capability/execute`],
      ] as const) {
        const token = client.agentToken(agent, aud);
        const body = JSON.stringify({ capability: 'whoami', capabilities: ['write'] });
        const headers = [
          ['Host', `127.0.0.1:${port}`],
          ['Authorization', `Bearer ${token}`],
          ['Content-Type', 'application/json'],
        ] as const;
        refused(t, await send(on, 'POST', path, headers, body), '401 invalid_jwt', path);
      }
      const token = client.hostToken(host, { claims: { aud: other } });
      const headers = [
        ['Host', `127.0.0.1:${port}`],
        ['Authorization', `Bearer ${token}`],
      ] as const;
      const reply = await send(on, 'GET', `/agent/status?agent_id=${agent.id}`, headers);
      refused(t, reply, '401 invalid_jwt', 'status');
    });

    test('names its agent as `sub`, and as `iss` nothing, or the key that its host has now', async (t) => {
      const { client } = world;
      const other = await world.autonomous();
      const sibling = fine((await client.connect(host, { capabilities: ['read'] })).reply).agent_id;
      const wrong: Record<string, Record<string, unknown>> = {
        'no sub': { sub: undefined },
        'a sub that is no text': { sub: 7 },
        'an empty sub': { sub: '' },
        'a sub that nobody has': { sub: 'agt_0000000000000000' },
        'a sub in two words': { sub: `${agent.id} ` },
        'the sub of another agent': { sub: other.id },
        'the sub of another agent of the same host': { sub: sibling },
        'the iss of another host': { iss: other.host.key.thumbprint },
        'an iss that nobody has': { iss: newKey().thumbprint },
        'its own key as iss': { iss: agent.key.thumbprint },
        'an iss that is no text': { iss: 7 },
        'null as iss': { iss: null },
      };
      for (const [about, claims] of Object.entries(wrong)) {
        for (const [name, { ask, audience }] of Object.entries(AGENT_ENDPOINTS)) {
          const token = client.agentToken(agent, audience(), { claims });
          refused(t, await ask(token), '401 invalid_jwt', `${about}: ${name}`);
        }
      }
      const claims = { iss: host.key.thumbprint };
      t.is(said(await client.execute(agent, 'whoami', {}, { claims })), '200');
    });

    test('that names capabilities is for those alone; what is no list of names is refused', async (t) => {
      const { client } = world;
      const claims = (capabilities: unknown) => ({ claims: { capabilities } });
      t.is(said(await client.execute(agent, 'read', {}, claims(['read', 'whoami']))), '200');
      t.is(said(await client.execute(agent, 'read', {}, claims(undefined))), '200');
      for (const names of [['whoami'], [], ['READ'], ['read ', 'write'], ['*']]) {
        const reply = await client.execute(agent, 'read', {}, claims(names));
        refused(t, reply, '403 capability_not_granted', JSON.stringify(names));
      }
      for (const names of ['read', ['read', 7], { read: true }, null]) {
        const reply = await client.execute(agent, 'read', {}, claims(names));
        refused(t, reply, '401 invalid_jwt', JSON.stringify(names));
      }
    });
  });

  test.describe('the times of a token', (test) => {
    const EDGES: [about: string, iat: number, exp: number, isGood: boolean][] = [
      ['half a minute from the future', 30, 90, true],
      ['a second more', 31, 91, false],
      ['over for 29 seconds', -89, -29, true],
      ['over for half a minute', -90, -30, false],
      ['short and over for 29 seconds', -30, -29, true],
      ['short and over for half a minute', -31, -30, false],
      ['a long life, a minute and 29 seconds after its beginning', -89, 3600, true],
      ['a long life, a second later', -90, 3600, false],
      ['a life of a year, right at its beginning', 0, 31_536_000, true],
    ];
    for (const [about, iat, exp, isGood] of EDGES) {
      test(`${about}: it is ${isGood ? 'taken' : 'refused'}`, async (t) => {
        const { client, on, introspect } = world;
        const changes = () => ({ claims: { iat: now() + iat, exp: now() + exp } });
        const expected = isGood ? '200' : '401 invalid_jwt';
        t.is(said(await client.status(agent, changes())), expected);
        t.is(said(await client.execute(agent, 'whoami', {}, changes())), expected);
        const heard = fine(await introspect(client.agentToken(agent, on.url, changes())));
        t.is(heard.active, isGood);
      });
    }
  });
});
