import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { sweep } from '../src/domain/jobs/retention.ts';
import {
  type Changes,
  type ClientAgent,
  type Host,
  newKey,
  openAgentClient,
  signToken,
} from './helpers/agent-client.ts';
import { type AgentWorld, fine, newMailbox, openAgentWorld, said } from './helpers/agent-world.ts';
import { addApi } from './helpers/api.ts';
import {
  basic,
  createTestClock,
  createTestDatabase,
  onEveryEngine,
  type Reply,
  startTestService,
} from './helpers/service.ts';
import { assertRefused, send } from './helpers/wire.ts';

/** The tokens that hosts and agents sign, one for each request (agent-auth-protocol.md 4, 8): each rule, and its edges. */

const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');

/** One character of a token's third part, changed: what stays is well-formed. */
function tampered(token: string): string {
  const at = token.lastIndexOf('.') + 10;
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
}

const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });

onEveryEngine('tokens of hosts and agents', (engine) => {
  let world: AgentWorld;
  let host: Host;
  let agent: ClientAgent;
  before(async () => {
    world = await openAgentWorld(engine);
    host = world.client.newHost('the host');
    agent = await world.letIn(newMailbox(), {}, undefined, host);
  });
  after(() => world.stop());

  const now = () => Math.floor(world.on.clock() / 1000);
  const bearer = (token: string | undefined) =>
    token === undefined ? ({} as Record<string, string>) : { Authorization: `Bearer ${token}` };
  const hosts = () => world.count('hosts');

  /** What each endpoint of hosts says to a token that is right; what is sent there does no harm. */
  const HOST_ENDPOINTS: Record<string, { ask: (token?: string) => Promise<Reply>; good: string }> = {
    'POST /agent/register': {
      ask: (token) => world.on.post('/agent/register', { name: 'x', capabilities: ['read'] }, bearer(token)),
      good: '400 invalid_public_key', // it comes without the key of an agent
    },
    'GET /agent/status': {
      ask: (token) =>
        world.on.request('GET', `/agent/status?agent_id=${agent.id}`, { headers: bearer(token) }),
      good: '200',
    },
    'POST /agent/reactivate': {
      ask: (token) => world.on.post('/agent/reactivate', { agent_id: agent.id }, bearer(token)),
      good: '200',
    },
    'POST /agent/revoke': {
      ask: (token) => world.on.post('/agent/revoke', { agent_id: 'agt_none' }, bearer(token)),
      good: '404 agent_not_found',
    },
    'POST /agent/rotate-key': {
      ask: (token) =>
        world.on.post('/agent/rotate-key', { agent_id: 'agt_none', public_key: newKey().jwk }, bearer(token)),
      good: '404 agent_not_found',
    },
    'POST /host/rotate-key': {
      ask: (token) => world.on.post('/host/rotate-key', { public_key: {} }, bearer(token)),
      good: '400 unsupported_algorithm',
    },
  };
  /** Does harm where it is right. */
  const REVOKE_HOST = (token?: string) =>
    world.on.request('POST', '/host/revoke', { headers: bearer(token) });
  const everyHostEndpoint = () =>
    Object.entries({ ...HOST_ENDPOINTS, 'POST /host/revoke': { ask: REVOKE_HOST, good: '' } });

  const AGENT_ENDPOINTS: Record<
    string,
    { ask: (token?: string) => Promise<Reply>; audience: () => string; good: string }
  > = {
    'POST /agent/request-capability': {
      ask: (token) => world.on.post('/agent/request-capability', { capabilities: ['read'] }, bearer(token)),
      audience: () => world.on.url,
      good: '409 already_granted',
    },
    'POST /capability/execute': {
      ask: (token) => world.on.post('/capability/execute', { capability: 'whoami' }, bearer(token)),
      audience: () => `${world.on.url}/capability/execute`,
      good: '200',
    },
  };
  /** Where anybody may ask, too. */
  const OPEN_ENDPOINTS: Record<string, (token?: string) => Promise<Reply>> = {
    'GET /capability/list': (token) =>
      world.on.request('GET', '/capability/list', { headers: bearer(token) }),
    'GET /capability/describe': (token) =>
      world.on.request('GET', '/capability/describe?name=read', { headers: bearer(token) }),
  };

  const refused = (reply: Reply, expected: string, about: string) => {
    const [status, code] = expected.split(' ');
    assertRefused(world.on, reply, 'agent protocol', Number(status), code!, about);
  };

  test('a token that is right opens every endpoint', async () => {
    for (const [name, { ask, good }] of Object.entries(HOST_ENDPOINTS)) {
      assert.equal(said(await ask(world.client.hostToken(host))), good, name);
    }
    for (const [name, { ask, audience, good }] of Object.entries(AGENT_ENDPOINTS)) {
      assert.equal(said(await ask(world.client.agentToken(agent, audience()))), good, name);
    }
    for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
      assert.equal(said(await ask(world.client.hostToken(host))), '200', name);
      assert.equal(said(await ask(world.client.agentToken(agent, world.on.url))), '200', name);
      assert.equal(said(await ask()), '200', name);
    }
  });

  test('without a token nothing opens but what anybody may see; the refusal says where to begin', async () => {
    for (const [name, { ask }] of [...everyHostEndpoint(), ...Object.entries(AGENT_ENDPOINTS)]) {
      refused(await ask(), '401 authentication_required', name);
    }
  });

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

  describe('a token of a host', () => {
    for (const [about, change] of Object.entries(FAULTS)) {
      test(`is refused everywhere with ${about}`, async () => {
        for (const [name, { ask }] of everyHostEndpoint()) {
          refused(await ask(world.client.hostToken(host, change())), '401 invalid_jwt', name);
        }
      });
    }

    for (const [about, mangle] of Object.entries(MANGLED)) {
      test(`is refused everywhere with ${about}`, async () => {
        for (const [name, { ask }] of everyHostEndpoint()) {
          refused(await ask(mangle(world.client.hostToken(host))), '401 invalid_jwt', name);
        }
      });
    }

    test('is no token of an agent, and the other way round', async () => {
      for (const [name, { ask }] of everyHostEndpoint()) {
        refused(await ask(world.client.agentToken(agent, world.on.url)), '401 invalid_jwt', name);
        const renamed = world.client.hostToken(host, { header: { typ: 'agent+jwt' } });
        refused(await ask(renamed), '401 invalid_jwt', name);
      }
      for (const [name, { ask, audience }] of Object.entries(AGENT_ENDPOINTS)) {
        const claims = { aud: audience(), sub: agent.id };
        refused(await ask(world.client.hostToken(host, { claims })), '401 invalid_jwt', name);
        const renamed = world.client.agentToken(agent, audience(), { header: { typ: 'host+jwt' } });
        refused(await ask(renamed), '401 invalid_jwt', name);
      }
    });

    test('is for the service as a whole, and not for the place where capabilities are used', async () => {
      const claims = { aud: `${world.on.url}/capability/execute` };
      for (const [name, { ask }] of everyHostEndpoint()) {
        refused(await ask(world.client.hostToken(host, { claims })), '401 invalid_jwt', name);
      }
    });

    test('names the key that signed it as `iss`, and that one alone', async () => {
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
          refused(await ask(world.client.hostToken(host, change)), '401 invalid_jwt', `${about}: ${name}`);
        }
      }
      assert.equal(await hosts(), before);
    });

    test('of a known host needs no key with it; one that is with it is that of `iss`, and public', async () => {
      const { client } = world;
      const claims = { host_public_key: undefined };
      assert.equal(said(await client.status(agent, { claims })), '200');
      const secret = host.key.privateKey.export({ format: 'jwk' });
      for (const key of [newKey().jwk, secret, { ...host.key.jwk, d: 'x' }, 'x', {}]) {
        const reply = await client.status(agent, { claims: { host_public_key: key } });
        assert.match(said(reply), /^40[01] invalid_(jwt|public_key)$/, JSON.stringify(key));
      }
    });

    test('of a host that nobody knows opens registration alone, lists as anybody does, and leaves nothing behind', async () => {
      const { client } = world;
      const stranger = client.newHost();
      const before = await hosts();
      for (const [name, { ask }] of everyHostEndpoint()) {
        if (name === 'POST /agent/register') continue;
        refused(await ask(client.hostToken(stranger)), '401 invalid_jwt', name);
      }
      for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
        const spent = await world.count('spent_tokens');
        assert.equal(said(await ask(client.hostToken(stranger))), '200', name);
        // Anybody may make such tokens, without end.
        assert.equal(await world.count('spent_tokens'), spent, name);
        refused(await ask(client.hostToken(stranger, { signer: newKey() })), '401 invalid_jwt', name);
      }
      assert.equal(await hosts(), before);
    });

    test('of a new host carries the key that its `iss` is the thumbprint of', async () => {
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
        assert.match(
          said(reply.reply),
          /^40[01] (invalid_jwt|invalid_public_key|unsupported_algorithm)$/,
          about,
        );
      }
      assert.equal(await hosts(), before);
      assert.equal(said((await client.connect(stranger, { mode: 'autonomous' })).reply), '200');
      assert.equal(await hosts(), before + 1);
    });

    test('of a key whose `kid` is the name of another host attaches to nothing of that host (6.6)', async () => {
      const { client } = world;
      const { host_id } = fine(await client.status(agent));
      const thief = client.newHost('the host');
      const kid = host.key.thumbprint;
      const change = { header: { kid }, claims: { sub: kid, host_public_key: { ...thief.key.jwk, kid } } };
      const { reply, agent: mine } = await client.connect(thief, { mode: 'autonomous' }, change);
      assert.notEqual(fine(reply).host_id, host_id);
      assert.equal(reply.body.user_id, undefined);
      assert.equal(said(await client.status(agent, change, thief)), '403 unauthorized');
      assert.equal(said(await client.status(mine)), '200');
    });

    test('with a URL in the place of keys is refused, also beside keys (8.12)', async () => {
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
          refused(reply, '400 invalid_public_key', JSON.stringify(claims));
        }
      }
      for (const [name, { ask }] of everyHostEndpoint()) {
        const claims = { host_jwks_url: url };
        refused(await ask(client.hostToken(host, { claims })), '400 invalid_public_key', name);
      }
      assert.equal(await hosts(), before);
    });
  });

  describe('a token of an agent', () => {
    for (const [about, change] of Object.entries(FAULTS)) {
      test(`is refused everywhere with ${about}`, async () => {
        for (const [name, { ask, audience }] of Object.entries(AGENT_ENDPOINTS)) {
          const token = world.client.agentToken(agent, audience(), change());
          refused(await ask(token), '401 invalid_jwt', name);
        }
        for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
          refused(await ask(world.client.agentToken(agent, world.on.url, change())), '401 invalid_jwt', name);
        }
        const { introspect, client, on } = world;
        assert.deepEqual(fine(await introspect(client.agentToken(agent, on.url, change()))), {
          active: false,
        });
      });
    }

    for (const [about, mangle] of Object.entries(MANGLED)) {
      test(`is refused everywhere with ${about}`, async () => {
        for (const [name, { ask, audience }] of Object.entries(AGENT_ENDPOINTS)) {
          refused(await ask(mangle(world.client.agentToken(agent, audience()))), '401 invalid_jwt', name);
        }
        for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
          refused(await ask(mangle(world.client.agentToken(agent, world.on.url))), '401 invalid_jwt', name);
        }
        const token = mangle(world.client.agentToken(agent, world.on.url));
        const heard = await world.introspect(token);
        // A body may not say more than the longest token.
        if (token.length > 8192) assert.equal(said(heard), '400 invalid_request');
        else assert.deepEqual(fine(heard), { active: false });
      });
    }

    test('for the service is of no use where capabilities are used, nor the other way round', async () => {
      const { client, on } = world;
      const { ask: execute } = AGENT_ENDPOINTS['POST /capability/execute']!;
      const { ask: request } = AGENT_ENDPOINTS['POST /agent/request-capability']!;
      const place = `${on.url}/capability/execute`;
      refused(await execute(client.agentToken(agent, on.url)), '401 invalid_jwt', 'execute');
      refused(await execute(client.agentToken(agent, `${place}/`)), '401 invalid_jwt', 'execute');
      refused(await execute(client.agentToken(agent, `${place}?x=1`)), '401 invalid_jwt', 'execute');
      refused(await request(client.agentToken(agent, place)), '401 invalid_jwt', 'request');
      for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
        refused(await ask(client.agentToken(agent, place)), '401 invalid_jwt', name);
      }
    });

    test('does not go by the Host header (8.18)', async () => {
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
        refused(await send(on, 'POST', path, headers, body), '401 invalid_jwt', path);
      }
      const token = client.hostToken(host, { claims: { aud: other } });
      const headers = [
        ['Host', `127.0.0.1:${port}`],
        ['Authorization', `Bearer ${token}`],
      ] as const;
      const reply = await send(on, 'GET', `/agent/status?agent_id=${agent.id}`, headers);
      refused(reply, '401 invalid_jwt', 'status');
    });

    test('names its agent as `sub`, and as `iss` nothing, or the key that its host has now', async () => {
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
          refused(await ask(token), '401 invalid_jwt', `${about}: ${name}`);
        }
      }
      const claims = { iss: host.key.thumbprint };
      assert.equal(said(await client.execute(agent, 'whoami', {}, { claims })), '200');
    });

    test('that names capabilities is for those alone; what is no list of names is refused', async () => {
      const { client } = world;
      const claims = (capabilities: unknown) => ({ claims: { capabilities } });
      assert.equal(said(await client.execute(agent, 'read', {}, claims(['read', 'whoami']))), '200');
      assert.equal(said(await client.execute(agent, 'read', {}, claims(undefined))), '200');
      for (const names of [['whoami'], [], ['READ'], ['read ', 'write'], ['*']]) {
        const reply = await client.execute(agent, 'read', {}, claims(names));
        refused(reply, '403 capability_not_granted', JSON.stringify(names));
      }
      for (const names of ['read', ['read', 7], { read: true }, null]) {
        const reply = await client.execute(agent, 'read', {}, claims(names));
        refused(reply, '401 invalid_jwt', JSON.stringify(names));
      }
    });
  });

  describe('the times of a token', () => {
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
      test(`${about}: it is ${isGood ? 'taken' : 'refused'}`, async () => {
        const { client, on, introspect } = world;
        const changes = () => ({ claims: { iat: now() + iat, exp: now() + exp } });
        const expected = isGood ? '200' : '401 invalid_jwt';
        assert.equal(said(await client.status(agent, changes())), expected);
        assert.equal(said(await client.execute(agent, 'whoami', {}, changes())), expected);
        const heard = fine(await introspect(client.agentToken(agent, on.url, changes())));
        assert.equal(heard.active, isGood);
      });
    }
  });

  describe('a token is taken once', () => {
    test('on every endpoint', async () => {
      const { client } = world;
      for (const [name, { ask, good }] of Object.entries(HOST_ENDPOINTS)) {
        const token = client.hostToken(host);
        assert.equal(said(await ask(token)), good, name);
        refused(await ask(token), '401 invalid_jwt', name);
      }
      for (const [name, { ask, audience, good }] of Object.entries(AGENT_ENDPOINTS)) {
        const token = client.agentToken(agent, audience());
        assert.equal(said(await ask(token)), good, name);
        refused(await ask(token), '401 invalid_jwt', name);
      }
      for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
        for (const token of [client.hostToken(host), client.agentToken(agent, world.on.url)]) {
          assert.equal(said(await ask(token)), '200', name);
          refused(await ask(token), '401 invalid_jwt', name);
        }
      }
    });

    test('and then on no other endpoint', async () => {
      const { client, introspect, on } = world;
      const first = client.hostToken(host);
      fine(await HOST_ENDPOINTS['GET /agent/status']!.ask(first));
      for (const [name, { ask }] of everyHostEndpoint()) refused(await ask(first), '401 invalid_jwt', name);
      const second = client.agentToken(agent, on.url);
      assert.equal(fine(await introspect(second)).active, true);
      refused(await AGENT_ENDPOINTS['POST /agent/request-capability']!.ask(second), '401 invalid_jwt', '');
    });

    test('a new token with an old jti is an old token; the jti of somebody else is not', async () => {
      const { client, on } = world;
      const jti = randomUUID();
      const claims = { jti };
      fine(await client.status(agent, { claims }));
      on.clock.advance(1);
      refused(await client.status(agent, { claims }), '401 invalid_jwt', 'again');
      const other = await world.autonomous();
      fine(await client.status(other, { claims }));
      fine(await client.execute(agent, 'whoami', {}, { claims }));
      fine(await client.execute(other, 'whoami', {}, { claims }));
    });

    test('as long as its times would let it be taken, also when it is swept meanwhile', async () => {
      const { client, on } = world;
      for (const [iat, seconds] of [
        [0, 89],
        [30, 119],
      ] as const) {
        const token = client.hostToken(host, { claims: { iat: now() + iat, exp: now() + iat + 60 } });
        const { ask } = HOST_ENDPOINTS['GET /agent/status']!;
        fine(await ask(token));
        on.clock.advance(seconds);
        await sweep(on.service.deps);
        refused(await ask(token), '401 invalid_jwt', `after ${seconds} seconds`);
        on.clock.advance(1);
        refused(await ask(token), '401 invalid_jwt', 'when it is over');
      }
    });

    test('by one of many that bring it at the same moment', async () => {
      const { client } = world;
      const { ask } = HOST_ENDPOINTS['GET /agent/status']!;
      const token = client.hostToken(host);
      const replies = await Promise.all(Array.from({ length: 50 }, () => ask(token)));
      const answers = replies.map(said).sort();
      assert.deepEqual(answers, ['200', ...Array.from({ length: 49 }, () => '401 invalid_jwt')]);

      const place = AGENT_ENDPOINTS['POST /capability/execute']!;
      const second = client.agentToken(agent, place.audience());
      const others = await Promise.all(Array.from({ length: 50 }, () => place.ask(second)));
      assert.equal(others.filter(({ status }) => status === 200).length, 1);
      assert.equal(others.filter(({ status }) => status === 401).length, 49);
    });

    test('one that is forged uses up nobody’s jti', async () => {
      const { client, introspect, on } = world;
      for (const spoil of [tampered, (token: string) => token.slice(0, -43)]) {
        const ofHost = client.hostToken(host);
        for (const [name, { ask }] of everyHostEndpoint()) {
          refused(await ask(spoil(ofHost)), '401 invalid_jwt', name);
        }
        fine(await HOST_ENDPOINTS['GET /agent/status']!.ask(ofHost));
        const { ask, audience } = AGENT_ENDPOINTS['POST /capability/execute']!;
        const ofAgent = client.agentToken(agent, audience());
        refused(await ask(spoil(ofAgent)), '401 invalid_jwt', 'execute');
        assert.deepEqual(fine(await introspect(spoil(ofAgent))), { active: false });
        fine(await ask(ofAgent));
      }
      const claims = { jti: randomUUID() };
      const token = client.agentToken(agent, on.url, { claims });
      const { ask } = HOST_ENDPOINTS['GET /agent/status']!;
      refused(await ask(client.hostToken(host, { claims, signer: newKey() })), '401 invalid_jwt', '');
      assert.equal(fine(await introspect(token)).active, true);
    });

    test('what is refused for the state of its agent is taken once that has changed', async () => {
      const { client, answer } = world;
      const { agent: waiting, reply } = await client.connect(client.newHost(), { capabilities: ['whoami'] });
      const { ask, audience } = AGENT_ENDPOINTS['POST /capability/execute']!;
      const token = client.agentToken(waiting, audience());
      refused(await ask(token), '403 agent_pending', 'before');
      await answer(fine(reply).approval.verification_uri_complete, newMailbox());
      fine(await ask(token));
    });

    test('what another resource server shows, for which it is not, is not spent by it', async () => {
      const { client, introspect, api, on } = world;
      const other = await addApi(on, 'https://elsewhere.example.com');
      const token = client.agentToken(agent, api.resource);
      assert.deepEqual(fine(await introspect(token, other)), { active: false });
      assert.equal(fine(await introspect(token)).active, true);
    });
  });

  describe('how a token is sent', () => {
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
      test(`${about}: 401 everywhere, also where anybody may ask without`, async () => {
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
          assert.match(said(reply), /^401 (invalid_jwt|authentication_required)$/, path);
          refused(reply, said(reply), path);
        }
      });
    }

    test('the scheme may be written in any case', async () => {
      const { client, on } = world;
      for (const scheme of ['bearer', 'BEARER']) {
        const Authorization = `${scheme} ${client.hostToken(host)}`;
        const path = `/agent/status?agent_id=${agent.id}`;
        fine(await on.request('GET', path, { headers: { Authorization } }));
      }
    });

    test('what nobody can have signed and no database can look for is refused in order', async () => {
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
          assert.ok(reply.status === 401 || reply.status === 200, reply.text);
          const executed = await client.execute(agent, 'whoami', {}, { claims });
          assert.ok(executed.status === 401 || executed.status === 200, executed.text);
        }
        const path = `/agent/status?agent_id=${encodeURIComponent(text.toWellFormed())}`;
        const reply = await on.request('GET', path, { headers: bearer(client.hostToken(host)) });
        assert.ok(reply.status === 404 || reply.status === 400, `${reply.status} ${reply.text}`);
      }
    });
  });

  describe('random', () => {
    const value = fc.jsonValue({ stringUnit: 'binary' });
    const runs = { numRuns: 200 };
    const orderly = (reply: Reply, about: string) => {
      assert.ok(reply.status < 500, `${about}: ${reply.status} ${reply.text}`);
      if (reply.status >= 400) refused(reply, said(reply), about);
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

    test('bodies, rightly signed, get an orderly answer', async () => {
      const changed = fc
        .constantFrom(...Object.entries(BODIES))
        .chain(([path, { body, by }]) =>
          fc
            .tuple(fc.constantFrom(...Object.keys(body), 'more'), value)
            .map(([name, other]) => ({ path, by, body: { ...body, [name]: other } })),
        );
      await fc.assert(
        fc.asyncProperty(changed, async ({ path, by, body }) => {
          orderly(await world.on.post(path, body, bearer(by())), `${path} ${JSON.stringify(body)}`);
        }),
        runs,
      );
    });

    test('constraints and arguments, rightly signed, get an orderly answer', async () => {
      const { client } = world;
      const field = fc.constantFrom('seconds', 'resource', 'toString', '');
      const constraint = fc.oneof(
        value,
        fc.dictionary(fc.constantFrom('max', 'min', 'in', 'not_in', 'eq', 'like'), value),
      );
      await fc.assert(
        fc.asyncProperty(fc.dictionary(field, constraint), value, async (constraints, argument) => {
          const about = JSON.stringify([constraints, argument]);
          const capabilities = [{ name: 'write', constraints }];
          orderly((await client.connect(host, { capabilities })).reply, about);
          const body = { arguments: { seconds: argument } };
          orderly(await client.execute(agent, 'read', undefined, { body }), about);
        }),
        runs,
      );
    });

    test('claims and headers, rightly signed, get an orderly answer', async () => {
      const { client, on } = world;
      const names =
        'iss sub aud iat exp nbf jti capabilities host_name host_public_key agent_public_key'.split(' ');
      const claims = fc.dictionary(fc.constantFrom(...names), value, { minKeys: 1, maxKeys: 2 });
      const header = fc.dictionary(fc.constantFrom('alg', 'typ', 'kid', 'cty', 'jwk', 'x5u'), value, {
        maxKeys: 1,
      });
      await fc.assert(
        fc.asyncProperty(claims, header, async (claimed, head) => {
          const about = JSON.stringify([claimed, head]);
          const change = { claims: claimed, header: head };
          orderly((await client.connect(host, { capabilities: ['read'] }, change)).reply, about);
          orderly(await client.status(agent, change), about);
          orderly(await client.execute(agent, 'whoami', {}, change), about);
          orderly(await client.listAsAgent(agent, '', change), about);
          const heard = await world.introspect(client.agentToken(agent, on.url, change));
          assert.equal(heard.status, 200, `${about}: ${heard.text}`);
        }),
        runs,
      );
    });

    test('queries get an orderly answer', async () => {
      const { client } = world;
      const text = fc
        .string({ unit: 'binary', maxLength: 60 })
        .map((each) => encodeURIComponent(each.toWellFormed()));
      await fc.assert(
        fc.asyncProperty(text, text, text, async (one, two, three) => {
          for (const path of [
            `/capability/list?query=${one}&cursor=${two}&limit=${three}`,
            `/capability/describe?name=${one}`,
          ]) {
            orderly(await client.get(path, undefined), path);
          }
          const path = `/agent/status?agent_id=${one}`;
          orderly(await client.get(path, client.hostToken(host)), path);
        }),
        runs,
      );
    });
  });

  describe('keys', () => {
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
      test(`${about} is no key for an agent, nor to rotate to`, async () => {
        const { client } = world;
        const before = await world.count('hosted_agents');
        const claims = { agent_public_key: key() };
        const { reply } = await client.connect(host, { capabilities: ['read'] }, { claims });
        refused(reply, `400 ${code}`, 'register');
        assert.equal(await world.count('hosted_agents'), before);
        const body = { public_key: key() };
        const expected = `400 ${body.public_key === undefined ? 'invalid_request' : code}`;
        refused(await client.rotateAgentKey(agent, newKey(), { body }), expected, 'rotate-key');
        refused(await client.rotateHostKey(host, newKey(), { body }), expected, 'host/rotate-key');
        fine(await client.execute(agent, 'whoami'));
      });
    }

    test('a host’s old key is nobody’s, and never a new host; nobody rotates to it, nor to any other that is taken', async () => {
      const { client } = world;
      const mine = client.newHost();
      const { key: old } = mine;
      const own = await world.autonomous(mine);
      const current = newKey();
      fine(await client.rotateHostKey(mine, current));
      const rekeyed = { ...mine, key: current };
      const before = await hosts();
      refused((await client.connect(mine, { mode: 'autonomous' })).reply, '401 invalid_jwt', 'register');
      refused(await client.status(own), '401 invalid_jwt', 'status');
      assert.equal(await hosts(), before);
      for (const taken of [old, current, host.key]) {
        refused(await client.rotateHostKey(rekeyed, taken), '400 invalid_public_key', 'rotate');
      }
      // Another host may not have it either.
      refused(await client.rotateHostKey(host, old), '400 invalid_public_key', 'another host');
      fine(await client.status(own, {}, rekeyed));
      // What its agents say of it follows the key.
      const { ask, audience } = AGENT_ENDPOINTS['POST /capability/execute']!;
      const iss = (key: string) => client.agentToken(own, audience(), { claims: { iss: key } });
      refused(await ask(iss(old.thumbprint)), '401 invalid_jwt', 'iss of old');
      fine(await ask(iss(current.thumbprint)));
    });

    test('an agent is rotated to no key that it or a sibling has; it may have one that an agent elsewhere has', async () => {
      const { client } = world;
      const sibling = await client.connect(host, { capabilities: ['read'] });
      for (const taken of [agent.key, sibling.agent.key]) {
        refused(await client.rotateAgentKey(agent, taken), '400 invalid_public_key', '');
      }
      const elsewhere = await world.autonomous();
      const reply = await client.register(client.newHost(), elsewhere.key, { mode: 'autonomous' });
      assert.notEqual(fine(reply).agent_id, elsewhere.id);
      fine(await client.execute(elsewhere, 'whoami'));
    });
  });
});

onEveryEngine('tokens of hosts and agents, at several processes', (engine) => {
  test('a token that one took is taken by no other', async (t) => {
    const database = await createTestDatabase(engine);
    t.after(() => database.drop());
    const clock = createTestClock(Math.floor(Date.now() / 1000) * 1000);
    const one = await startTestService(engine, { database, clock });
    t.after(() => one.stop());
    const two = await startTestService(engine, { database, clock, env: { PUBLIC_URL: one.url } });
    t.after(() => two.stop());
    const [first, second] = [openAgentClient(one), openAgentClient(two, one.url)];
    const host = first.newHost();
    const { agent, reply } = await first.connect(host, { mode: 'autonomous' });
    fine(reply);

    const ofHost = first.hostToken(host);
    const path = `/agent/status?agent_id=${agent.id}`;
    fine(await first.get(path, ofHost));
    assert.equal(said(await second.get(path, ofHost)), '401 invalid_jwt');
    fine(await second.get(path, second.hostToken(host)));

    const ofAgent = second.agentToken(agent, second.executeAt());
    fine(await second.post('/capability/execute', ofAgent, { capability: 'whoami' }));
    const again = await first.post('/capability/execute', ofAgent, { capability: 'whoami' });
    assert.equal(said(again), '401 invalid_jwt');

    const api = await addApi(one);
    const introspect = (on: typeof one, token: string) =>
      on.post('/agent/introspect', { token }, basic(api.clientId, api.clientSecret));
    const shown = first.agentToken(agent, api.resource);
    assert.equal(fine(await introspect(two, shown)).active, true);
    assert.equal(fine(await introspect(one, shown)).active, false);

    const token = first.hostToken(host);
    const replies = await Promise.all(
      Array.from({ length: 32 }, (_, index) => (index % 2 ? first : second).get(path, token)),
    );
    assert.equal(replies.filter(({ status }) => status === 200).length, 1);
    assert.equal(replies.filter(({ status }) => status === 401).length, 31);
  });
});
