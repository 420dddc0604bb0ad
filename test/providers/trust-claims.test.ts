import fc from 'fast-check';
import { verifyIdJag } from '../../src/domain/providers/id-jag.ts';
import { readToken } from '../helpers/issuer.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';
import { outcomeOf, startTrustWorld } from '../helpers/trust-world.ts';

/** What a trusted issuer may say of a user, their mailbox, their login and its clients (draft-ietf-oauth-identity-assertion-authz-grant). */

const world = await startTrustWorld({ teardown: test.after });
const withClaims = (claims: Record<string, unknown>) => world.provider.idJag({ claims });

test.describe('what a token must say', (test) => {
  const long = 'x'.repeat(257);
  const bad: [name: string, claims: Record<string, unknown>, fault: string][] = [
    ...['sub', 'jti', 'tenant', 'client_id'].flatMap((name): [string, Record<string, unknown>, string][] => [
      [`an empty ${name}`, { [name]: '' }, 'malformed'],
      [`a number as ${name}`, { [name]: 7 }, 'malformed'],
      [`null as ${name}`, { [name]: null }, 'malformed'],
      [`a list as ${name}`, { [name]: ['x'] }, 'malformed'],
      [`a control character in ${name}`, { [name]: 'a\u0000b' }, 'malformed'],
    ]),
    ['no sub', { sub: undefined }, 'malformed'],
    ['no jti', { jti: undefined }, 'malformed'],
    ['no client_id', { client_id: undefined }, 'malformed'],
    ['257 characters of sub', { sub: long }, 'malformed'],
    ['257 characters of jti', { jti: long }, 'malformed'],
    ['257 characters of tenant', { tenant: long }, 'malformed'],
    ['a key it is bound to', { cnf: { jkt: 'x' } }, 'malformed'],
  ];
  for (const [name, claims, fault] of bad) {
    test(`not ${name}`, async (t) => t.is(await world.outcome(withClaims(claims)), fault));
  }

  test('256 characters are taken, and what only the audit would note never decides', async (t) => {
    const full = 'x'.repeat(256);
    const claims = { sub: full, jti: full, tenant: full, agent_platform: 7, agent_context_id: long };
    const verified = await verifyIdJag(world.deps, withClaims(claims));
    t.deepEqual([verified.subject, verified.jti, verified.tenant], [full, full, full]);
    t.true(!('agentPlatform' in verified) && !('agentContextId' in verified));
  });

  test('whatever is signed, the answer is a verified assertion or a refusal, and never another error', async (t) => {
    const [, good] = readToken(world.provider.idJag());
    const name = fc.constantFrom(...Object.keys(good), 'nbf', 'cnf', 'amr', 'tenant', 'agent_platform');
    const claims = fc.dictionary(name, fc.jsonValue(), { minKeys: 1, maxKeys: 3 });
    const header = fc.dictionary(fc.constantFrom('typ', 'alg', 'kid', 'crit', 'jwk'), fc.jsonValue(), {
      maxKeys: 1,
    });
    await assertProperty(
      t,
      [claims, header],
      (t, some, other) =>
        t.notThrowsAsync(world.outcome(world.provider.idJag({ claims: some, header: other }))),
      { numRuns: 500 },
    );
  });
});

test.describe('whose mailbox a token speaks of (S-37, S-95)', (test) => {
  const phone = { phone_number: '+12025550123', phone_number_verified: true };
  const contacts: [name: string, claims: Record<string, unknown>, outcome: string][] = [
    ['verified', {}, 'accepted'],
    ['verified as a text', { email_verified: 'true' }, 'contact'],
    ['verified as a number', { email_verified: 1 }, 'contact'],
    ['verified as an object', { email_verified: {} }, 'contact'],
    ['verified as null', { email_verified: null }, 'contact'],
    ['not verified', { email_verified: false }, 'contact'],
    ['not said to be verified', { email_verified: undefined }, 'contact'],
    ['not there', { email: undefined }, 'contact'],
    ['not there, but a verified telephone', { email: undefined, ...phone }, 'contact'],
    ['not verified, but a verified telephone', { email_verified: false, ...phone }, 'contact'],
    ['a list', { email: ['human@example.com'] }, 'contact'],
    ['no address', { email: 'human' }, 'contact'],
    ['two addresses', { email: 'human@example.com, other@example.com' }, 'contact'],
    ['of letters that fold into others', { email: 'human@example.\u212aom' }, 'contact'],
  ];
  for (const [name, claims, outcome] of contacts) {
    test(`${name}: ${outcome}`, async (t) => t.is(await world.outcome(withClaims(claims)), outcome));
  }

  test('an issuer that may speak for some domains speaks for no other', async (t) => {
    const own = await startTrustWorld(t, {
      issuer: { emailDomains: ['example.com', 'xn--mnchen-3ya.example'] },
    });
    const mailboxes: [email: string, outcome: string][] = [
      ['human@example.com', 'accepted'],
      ['human@EXAMPLE.com', 'accepted'],
      ['human@münchen.example', 'accepted'],
      ['human@sub.example.com', 'contact'],
      ['human@example.com.evil.example', 'contact'],
      ['human@notexample.com', 'contact'],
      ['human@example.org', 'contact'],
      ['human@example.com@evil.example', 'contact'],
    ];
    for (const [email, outcome] of mailboxes) {
      t.is(await own.outcome(own.provider.idJag({ claims: { email } })), outcome, email);
    }
  });
});

test('users log in as strongly as the operator demands, in every way at once', async (t) => {
  const own = await startTrustWorld(t, { issuer: { amr: ['mfa', 'hwk'] } });
  const ways: [amr: unknown, outcome: string][] = [
    [['mfa', 'hwk'], 'accepted'],
    [['pwd', 'hwk', 'mfa'], 'accepted'],
    [['mfa'], 'login'],
    [[], 'login'],
    [undefined, 'login'],
    ['mfa hwk', 'login'],
    [{ 0: 'mfa', 1: 'hwk' }, 'login'],
    [['MFA', 'hwk'], 'login'],
  ];
  for (const [amr, outcome] of ways) {
    t.is(await own.outcome(own.provider.idJag({ claims: { amr } })), outcome, JSON.stringify(amr));
  }
});

test.describe('whom an issuer speaks for', (test) => {
  const CLIENT = 'https://client.example/agent.json';

  test('those that are listed, and itself', async (t) => {
    const own = await startTrustWorld(t, { issuer: { clientIds: ['client-1', CLIENT] } });
    const clients = { 'client-1': 'accepted', [CLIENT]: 'accepted', [own.provider.url]: 'accepted' };
    const others = { 'client-2': 'client', 'https://other.example/a': 'client', constructor: 'client' };
    for (const [client_id, outcome] of Object.entries({ ...clients, ...others })) {
      t.is(await own.outcome(own.provider.idJag({ claims: { client_id } })), outcome, client_id);
    }
    t.deepEqual(own.strangersAsked, []);
  });

  test('where none is listed, those whose own document names its keys', async (t) => {
    const own = await startTrustWorld(t);
    const { jwksUri } = own.provider;
    const good = { client_id: CLIENT, client_name: 'Agent', jwks_uri: jwksUri };
    const documents: [name: string, document: unknown, outcome: string][] = [
      ['another id', { ...good, client_id: `${CLIENT}?` }, 'client'],
      ['no id', { ...good, client_id: undefined }, 'client'],
      ['a secret', { ...good, client_secret: 's' }, 'client'],
      ['the end of a secret', { ...good, client_secret_expires_at: 0 }, 'client'],
      ['a list', [good], 'client'],
      ['other keys', { ...good, jwks_uri: `${jwksUri}/` }, 'client'],
      ['keys within', { ...good, jwks_uri: undefined, jwks: { keys: own.provider.keys } }, 'client'],
      ['what it should', good, 'accepted'],
    ];
    const texts = new Set<string>();
    for (const [index, [name, document, outcome]] of documents.entries()) {
      const client_id = `${CLIENT}-${index}`;
      const moved = JSON.parse(JSON.stringify(document).replaceAll(CLIENT, client_id));
      own.publish(client_id, moved);
      const work = verifyIdJag(own.deps, own.provider.idJag({ claims: { client_id } }));
      await work.catch((error: Error) => texts.add(error.message));
      t.is(await outcomeOf(work), outcome, name);
    }
    const unknown = own.provider.idJag({ claims: { client_id: `${CLIENT}-nowhere` } });
    await verifyIdJag(own.deps, unknown).catch((error: Error) => texts.add(error.message));
    t.is(texts.size, 1, 'all are refused in the same words');
  });

  test('a client that is no https URL is never asked for', async (t) => {
    const own = await startTrustWorld(t);
    for (const client_id of ['http://client.example/a', 'client', 'file:///a', 'HTTPS://client.example/a']) {
      t.is(await own.outcome(own.provider.idJag({ claims: { client_id } })), 'client', client_id);
    }
    t.deepEqual(own.strangersAsked, []);
  });

  test('on this machine one beside the provider that the operator named, over http; one elsewhere is never asked for', async (t) => {
    const own = await startTrustWorld(t);
    const { url, jwksUri } = own.provider;
    const outcomes: [path: string, document: object | undefined, outcome: string][] = [
      ['/client.json', { jwks_uri: jwksUri }, 'accepted'],
      ['/other-keys.json', { jwks_uri: `${url}/elsewhere` }, 'client'],
      ['/nowhere.json', undefined, 'client'],
    ];
    for (const [path, document, outcome] of outcomes) {
      const client_id = `${url}${path}`;
      if (document !== undefined) own.provider.publishClient(path, { client_id, ...document });
      t.is(await own.outcome(own.provider.idJag({ claims: { client_id } })), outcome, path);
    }
    const before = own.provider.asked.length;
    const { port } = new URL(url);
    for (const client_id of [
      `http://localhost:${port}/client.json`, // another origin
      `http://127.0.0.1:${Number(port) + 1}/client.json`,
      `http://user@127.0.0.1:${port}/client.json`,
      `${url}/./client.json`,
      'http://client.example/a',
    ]) {
      const work = verifyIdJag(own.deps, own.provider.idJag({ claims: { client_id } }));
      await t.throwsAsync(
        work,
        { message: /an https URL whose document has the "jwks_uri" of the issuer/ },
        client_id,
      );
    }
    t.deepEqual(own.provider.asked.slice(before), []);
    t.deepEqual(own.strangersAsked, []);
  });

  test('a document is asked for once while it is fresh, and again at once where it was not there', async (t) => {
    const own = await startTrustWorld(t);
    const present = () => own.outcome(own.provider.idJag({ claims: { client_id: CLIENT } }));
    t.deepEqual([await present(), await present()], ['client', 'client']);
    t.is(own.strangersAsked.length, 2);
    own.publish(CLIENT, { client_id: CLIENT, jwks_uri: own.provider.jwksUri });
    t.deepEqual(await Promise.all(Array.from({ length: 50 }, present)), Array(50).fill('accepted'));
    t.is(own.strangersAsked.length, 3);
    own.clock.advance(61);
    t.is(await present(), 'accepted');
    t.is(own.strangersAsked.length, 4);
  });
});
