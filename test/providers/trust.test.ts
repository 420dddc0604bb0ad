import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { verifyIdJag } from '../../src/domain/providers/id-jag.ts';
import { Failure } from '../../src/errors.ts';
import { selfSignedCertificate } from '../helpers/certificate.ts';
import {
  compact,
  FAKE_USER,
  hmacToken,
  newSigningKey,
  type Overrides,
  readToken,
  type SigningKey,
  signatureBy,
  signToken,
} from '../helpers/issuer.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';
import { PUBLIC_URL, RESOURCE_URL, startTrustWorld } from '../helpers/trust-world.ts';

/** Whose word is taken on who a user is, and whose is not (draft-ietf-oauth-identity-assertion-authz-grant). */

const ALGORITHMS = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'] as const;

const world = await startTrustWorld({ teardown: test.after }, { algorithms: [...ALGORITHMS] });

const nowSeconds = () => Math.floor(world.clock() / 1000);
const keyOf = (alg: (typeof ALGORITHMS)[number]) => world.provider.keys.find((key) => key.alg === alg)!;
const withClaims = (claims: Record<string, unknown>) => world.provider.idJag({ claims });
const withHeader = (header: Record<string, unknown>) => world.provider.idJag({ header });

test('what a trusted issuer signed for us is taken as it was said, by every algorithm that is allowed', async (t) => {
  for (const alg of ALGORITHMS) {
    const claims = {
      email: 'Human@Example.COM',
      tenant: 'acme',
      agent_platform: 'Fake',
      agent_context_id: '7',
      scope: 'write read',
    };
    const assertion = world.provider.idJag({ claims, key: keyOf(alg) });
    const { jti, iat, exp } = readToken(assertion)[1];
    t.deepEqual(await verifyIdJag(world.deps, assertion), {
      issuer: world.deps.config.trustedIssuers.get(world.provider.url),
      subject: FAKE_USER.sub,
      tenant: 'acme',
      jti,
      mailbox: 'human@example.com',
      clientId: world.provider.url,
      scopes: ['read', 'write'],
      agentPlatform: 'Fake',
      agentContextId: '7',
      issuedAt: (iat as number) * 1000,
      expiresAt: (exp as number) * 1000,
    });
  }
  const plain = await verifyIdJag(world.deps, world.provider.idJag());
  t.is(plain.tenant, '');
  t.is(plain.scopes, undefined);
  t.false('agentPlatform' in plain);
});

test.describe('no forged token passes (S-89, S-90)', (test) => {
  /** The parts of a good token, to be signed in another way. */
  const parts = (header: Record<string, unknown> = {}) => {
    const [good, claims] = readToken(world.provider.idJag());
    return [{ ...good, ...header }, claims] as const;
  };
  const stranger = newSigningKey('ES256');
  const posing = (alg: (typeof ALGORITHMS)[number]): SigningKey => ({
    ...newSigningKey(alg),
    kid: keyOf(alg).kid,
  });
  const publicPem = (alg: (typeof ALGORITHMS)[number]) =>
    createPublicKey(keyOf(alg).privateKey).export({ type: 'spki', format: 'pem' });

  const forged: [name: string, token: () => string, fault: string][] = [
    ['unsigned, as "none"', () => compact(...parts({ alg: 'none' }), () => Buffer.of(0)), 'signature'],
    ['unsigned, as "nOnE"', () => compact(...parts({ alg: 'nOnE' }), () => Buffer.of(0)), 'signature'],
    ['with an empty signature', () => compact(...parts({ alg: 'none' }), () => Buffer.alloc(0)), 'malformed'],
    ['with no signature at all', () => world.provider.idJag().split('.').slice(0, 2).join('.'), 'malformed'],
    [
      'by HS256 with the public key for a secret',
      () => hmacToken(...parts({ alg: 'HS256' }), publicPem('ES256')),
      'signature',
    ],
    ['by HS256 with the published key for a secret', hmacByJwk, 'signature'],
    ['by HMAC that says ES256', () => hmacToken(...parts(), publicPem('ES256')), 'signature'],
    ['by an RSA key that is named as ES256', () => signToken(...parts(), keyOf('RS256')), 'signature'],
    ['by an EC key that is named as RS256', () => confused('ES256', 'RS256'), 'signature'],
    ['by RS256 with a key that is for PS256', () => confused('PS256', 'RS256'), 'signature'],
    ['by an algorithm that is not allowed', () => confused('RS256', 'RS512'), 'signature'],
    [
      'by a stranger under the name of a published key',
      () => world.provider.idJag({ key: posing('ES256') }),
      'signature',
    ],
    [
      'by a stranger under the name of a published RSA key',
      () => world.provider.idJag({ key: posing('RS256') }),
      'signature',
    ],
    [
      'by a stranger under the name of a published Ed25519 key',
      () => world.provider.idJag({ key: posing('EdDSA') }),
      'signature',
    ],
    ['by a stranger under their own name', () => world.provider.idJag({ key: stranger }), 'key'],
    [
      'with its key in "jwk"',
      () => world.provider.idJag({ key: stranger, header: { jwk: stranger.jwk } }),
      'key',
    ],
    ['with the URL of its key in "jku"', () => byHeader('jku'), 'signature'],
    ['with the URL of its certificate in "x5u"', () => byHeader('x5u'), 'signature'],
    ['with a certificate in "x5c"', () => byHeader('x5c', [selfSigned()]), 'signature'],
    ['with "crit"', () => withHeader({ crit: ['exp'], exp: 1 }), 'malformed'],
    ['with an empty "crit"', () => withHeader({ crit: [] }), 'malformed'],
    ['with "b64": false', () => withHeader({ crit: ['b64'], b64: false }), 'malformed'],
    ['with "b64": true', () => withHeader({ b64: true }), 'malformed'],
    [
      'with a signature in DER',
      () => compact(...parts(), (input) => signatureBy(keyOf('ES256'), input, 'der')),
      'signature',
    ],
    ['with a signature of zeros', () => compact(...parts(), () => Buffer.alloc(64)), 'signature'],
    ['with a signature that is longer by a byte', () => compact(...parts(), longer), 'signature'],
    [
      'whose payload was changed',
      () => spliced(({ ...claims }) => ({ ...claims, sub: 'user-2' })),
      'signature',
    ],
    ['in five parts', () => `${world.provider.idJag()}.a.b`, 'malformed'],
    ['with padding', () => `${world.provider.idJag()}==`, 'malformed'],
    ['with a line feed', () => `${world.provider.idJag()}\n`, 'malformed'],
    ['of more than 8 KB', () => withClaims({ filling: 'x'.repeat(8192) }), 'malformed'],
    ['with a claim twice', () => twice('sub'), 'malformed'],
    ['that is empty', () => '', 'malformed'],
    ['that is JSON', () => JSON.stringify({ payload: '', signatures: [] }), 'malformed'],
  ];

  /** A certificate, as "x5c" has it: in base64 without its frame (RFC 7515 4.1.6). */
  function selfSigned(): string {
    return selfSignedCertificate('stranger.example').cert.replace(/-----.*-----|\n/g, '');
  }
  function hmacByJwk(): string {
    return hmacToken(...parts({ alg: 'HS256', kid: keyOf('RS256').kid }), String(keyOf('RS256').jwk.n));
  }
  /** Signed by the key of one algorithm, named as of another. */
  function confused(signing: (typeof ALGORITHMS)[number], named: string): string {
    const key = keyOf(signing);
    return signToken(...parts({ alg: named, kid: key.kid }), key);
  }
  function byHeader(name: string, value: unknown = `${world.provider.url}/elsewhere`): string {
    return world.provider.idJag({ key: posing('ES256'), header: { [name]: value } });
  }
  function longer(input: Buffer): Buffer {
    return Buffer.concat([signatureBy(keyOf('ES256'), input), Buffer.of(0)]);
  }
  function spliced(change: (claims: Record<string, unknown>) => object): string {
    const [header, claims, signature] = world.provider.idJag().split('.') as [string, string, string];
    const changed = change(JSON.parse(Buffer.from(claims, 'base64url').toString()));
    return [header, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
  }
  function twice(name: string): string {
    const key = keyOf('ES256');
    const [header, claims] = parts();
    const text = `${JSON.stringify(claims).slice(0, -1)},"${name}":"user-2"}`;
    const input = [JSON.stringify(header), text]
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.');
    return `${input}.${signatureBy(key, Buffer.from(input)).toString('base64url')}`;
  }

  for (const [name, token, fault] of forged) {
    test(`${name}`, async (t) => {
      const asked = world.provider.asked.length;
      t.is(await world.outcome(token()), fault);
      const since = world.provider.asked.slice(asked);
      t.false(since.includes('/elsewhere'), 'a URL in the header was followed');
    });
  }

  test('a token with any one character changed', async (t) => {
    const good = world.provider.idJag();
    const character = fc.constantFrom(
      ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=',
    );
    await assertProperty(
      t,
      [fc.nat({ max: good.length - 1 }), character],
      async (t, at, other) => {
        fc.pre(good[at] !== other);
        t.not(await world.outcome(good.slice(0, at) + other + good.slice(at + 1)), 'accepted');
      },
      { numRuns: 500 },
    );
    t.is(await world.outcome(good), 'accepted');
  });

  test('a key of 1024 bits is none', async (t) => {
    const own = await startTrustWorld(t, { algorithms: ['RS256'] });
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const weak = { ...own.provider.keys[0]!, kid: 'weak', privateKey };
    weak.jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'weak', alg: 'RS256', use: 'sig' };
    own.provider.keys.push(weak);
    t.is(await own.outcome(own.provider.idJag({ key: weak })), 'key');
    t.is(await own.outcome(own.provider.idJag()), 'accepted');
  });
});

test.describe('a token is of one kind (S-91)', (test) => {
  const kinds: [typ: unknown, outcome: string][] = [
    ['oauth-id-jag+jwt', 'accepted'],
    ['OAuth-ID-JAG+JWT', 'accepted'],
    ['application/oauth-id-jag+jwt', 'accepted'],
    [undefined, 'malformed'],
    ['', 'malformed'],
    ['JWT', 'malformed'],
    ['at+jwt', 'malformed'],
    ['secevent+jwt', 'malformed'],
    ['logout+jwt', 'malformed'],
    ['text/oauth-id-jag+jwt', 'malformed'],
    ['oauth-id-jag+jwt;a=b', 'malformed'],
    [['oauth-id-jag+jwt'], 'malformed'],
  ];
  for (const [typ, outcome] of kinds) {
    test(`${JSON.stringify(typ)} for an identity assertion: ${outcome}`, async (t) => {
      t.is(await world.outcome(withHeader({ typ })), outcome);
    });
  }
});

test.describe('only trusted issuers are listened to, and others learn nothing (S-97)', (test) => {
  const issuers: [name: string, iss: unknown][] = [
    ['a stranger', 'https://stranger.example'],
    ['one that looks like it', 'with-slash'],
    ['in capitals', 'capitals'],
    ['ourselves', PUBLIC_URL],
    ['ourselves with a slash', `${PUBLIC_URL}/`],
    ['nobody', undefined],
    ['a number', 7],
    ['a list', ['listed']],
    ['a member of every object', 'constructor'],
    ['no URL', '../../etc/passwd'],
    ['a machine inside', 'http://169.254.169.254/latest'],
  ];
  for (const [name, given] of issuers) {
    test(`${name}: refused alike, and nothing is asked of anybody`, async (t) => {
      const own = await startTrustWorld(t);
      const { url } = own.provider;
      const like: Record<string, unknown> = { 'with-slash': `${url}/`, capitals: url.toUpperCase() };
      const iss = Array.isArray(given) ? [url] : (like[String(given)] ?? given);
      const trusted = own.deps.config.trustedIssuers;
      if (name.startsWith('ourselves')) trusted.set(String(iss), trusted.get(url)!);
      const failure = (await verifyIdJag(own.deps, own.provider.idJag({ claims: { iss } })).catch(
        (error) => error,
      )) as Failure;
      t.is(failure.message, 'The issuer of the token is not trusted by this service.');
      t.deepEqual(failure.details, { fault: 'issuer' });
      t.deepEqual([own.provider.asked, own.strangersAsked], [[], []]);
    });
  }

  test('nor is anything asked for a token that is refused before its signature is looked at', async (t) => {
    const own = await startTrustWorld(t);
    const { idJag } = own.provider;
    for (const header of [{ typ: 'JWT' }, { alg: 'none' }, { alg: 'HS256' }, { crit: [] }, { kid: 1 }]) {
      t.not(await own.outcome(idJag({ header })), 'accepted');
    }
    t.deepEqual(own.provider.asked, []);
  });
});

test.describe('a token is for us alone (S-92)', (test) => {
  const audiences: [aud: unknown, outcome: string][] = [
    [PUBLIC_URL, 'accepted'],
    [`${PUBLIC_URL}/`, 'accepted'],
    [[PUBLIC_URL], 'accepted'],
    [RESOURCE_URL, 'accepted'],
    [[RESOURCE_URL], 'accepted'],
    [undefined, 'audience'],
    ['', 'audience'],
    [[], 'audience'],
    [[[PUBLIC_URL]], 'audience'],
    [{ 0: PUBLIC_URL, length: 1 }, 'audience'],
    [`${PUBLIC_URL}//`, 'audience'],
    [`${PUBLIC_URL}/oauth2/token`, 'audience'],
    [`${PUBLIC_URL}/agent/identity`, 'audience'],
    [`${PUBLIC_URL}0`, 'audience'],
    [`${PUBLIC_URL}.evil.example`, 'audience'],
    [PUBLIC_URL.toUpperCase(), 'audience'],
    [`${RESOURCE_URL}/`, 'audience'],
    ['https://api.example.com', 'audience'],
    [[PUBLIC_URL, RESOURCE_URL], 'audience'],
    [[PUBLIC_URL, 'https://other.example'], 'audience'],
  ];
  for (const [aud, outcome] of audiences) {
    test(`aud ${JSON.stringify(aud)}: ${outcome}`, async (t) => {
      t.is(await world.outcome(withClaims({ aud })), outcome);
    });
  }
});

test.describe('a token holds now (S-93)', (test) => {
  /** Claims by seconds from now. */
  const shifted: [name: string, seconds: number, outcome: string, claims: (at: number) => object][] = [
    ['exp', -59, 'accepted', (exp) => ({ exp, iat: exp - 100 })],
    ['exp', -61, 'expired', (exp) => ({ exp, iat: exp - 100 })],
    ['iat', 59, 'accepted', (iat) => ({ iat, exp: iat + 100 })],
    ['iat', 61, 'expired', (iat) => ({ iat, exp: iat + 100 })],
    ['nbf', 59, 'accepted', (nbf) => ({ nbf })],
    ['nbf', 61, 'expired', (nbf) => ({ nbf })],
    ['auth_time', 59, 'accepted', (at) => ({ auth_time: at })],
    ['auth_time', 61, 'loginRequired', (at) => ({ auth_time: at })],
    ['auth_time', -3659, 'accepted', (at) => ({ auth_time: at })],
    ['auth_time', -3661, 'loginRequired', (at) => ({ auth_time: at })],
    ['exp, iat being now,', 600, 'accepted', (exp) => ({ exp })],
    ['exp, iat being now,', 601, 'malformed', (exp) => ({ exp })],
    ['exp, iat being now,', 0, 'malformed', (exp) => ({ exp })],
  ];
  for (const [name, seconds, outcome, claims] of shifted) {
    test(`${name} ${seconds} s from now: ${outcome}`, async (t) => {
      t.is(await world.outcome(withClaims(claims(nowSeconds() + seconds) as never)), outcome);
    });
  }

  for (const name of ['exp', 'iat', 'nbf', 'auth_time']) {
    for (const value of [1e18, Number.MAX_VALUE, -1, null, true, 'now', 'float', [1]]) {
      test(`${name} is no time as ${JSON.stringify(value)}`, async (t) => {
        const special: Record<string, unknown> = { now: String(nowSeconds()), float: nowSeconds() + 0.5 };
        const given = typeof value === 'string' ? special[value] : value;
        t.is(await world.outcome(withClaims({ [name]: given })), 'malformed');
      });
    }
  }

  test('exp and iat must be there; without auth_time the user must log in, and is told how recently', async (t) => {
    for (const name of ['exp', 'iat']) {
      t.is(await world.outcome(withClaims({ [name]: undefined })), 'malformed', name);
    }
    const own = await startTrustWorld(t, { issuer: { maxAgeSeconds: 600 } });
    for (const at of [undefined, Math.floor(own.clock() / 1000) - 661]) {
      const assertion = own.provider.idJag({ claims: { auth_time: at } });
      const failure = await verifyIdJag(own.deps, assertion).catch((error) => error);
      t.true(failure instanceof Failure);
      t.is(failure.kind, 'loginRequired');
      t.deepEqual(failure.details, { maxAgeSeconds: 600 });
    }
  });

  test('a token ends by our clock, and by nobody else’s', async (t) => {
    const own = await startTrustWorld(t);
    const assertion = own.provider.idJag();
    own.clock.advance(359);
    t.is(await own.outcome(assertion), 'accepted');
    own.clock.advance(2);
    t.is(await own.outcome(assertion), 'expired');
  });
});

test('one provider cannot sign for another', async (t) => {
  const first = await startTrustWorld(t);
  const second = await startTrustWorld(t, { others: [first.provider.entry()] });
  const { url } = first.provider;
  const overrides: Overrides[] = [
    { claims: { iss: url, client_id: url } },
    { claims: { iss: url, client_id: url }, header: { kid: first.provider.keys[0]!.kid } },
  ];
  for (const each of overrides) {
    t.regex(await second.outcome(second.provider.idJag(each)), /^(key|signature)$/);
  }
  t.is(await second.outcome(second.provider.idJag()), 'accepted');
});
