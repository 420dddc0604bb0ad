import fc from 'fast-check';
import {
  type SecurityEventType,
  verifySecurityEvent,
} from '../../src/domain/providers/security-event-verification.ts';
import { FAKE_USER, type Overrides, REVOKED_EVENT, readToken } from '../helpers/issuer.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';
import { outcomeOf, PUBLIC_URL, startTrustWorld } from '../helpers/trust-world.ts';

/** Whose word is taken on what happened to a user (S-98; RFC 8935). */

const world = await startTrustWorld({ teardown: test.after });
const nowSeconds = () => Math.floor(world.clock() / 1000);
const sign = (type: SecurityEventType, overrides: Overrides = {}) =>
  type === 'secevent+jwt' ? world.provider.securityEvent(overrides) : world.provider.logout(overrides);
const outcome = (token: string, type: SecurityEventType = 'secevent+jwt') =>
  outcomeOf(verifySecurityEvent(world.deps, token, type));

for (const type of ['secevent+jwt', 'logout+jwt'] as const) {
  test(`a ${type} of a trusted issuer is taken as it was said`, async (t) => {
    const other = 'urn:example:else';
    const claims = { tenant: 'acme', events: { [REVOKED_EVENT]: {}, [other]: { a: 1 } } };
    const token = sign(type, { claims });
    const { jti, iat } = readToken(token)[1];
    t.deepEqual(await verifySecurityEvent(world.deps, token, type), {
      issuer: world.deps.config.trustedIssuers.get(world.provider.url),
      subject: FAKE_USER.sub,
      tenant: 'acme',
      jti,
      issuedAt: (iat as number) * 1000,
      events: [REVOKED_EVENT, other],
    });
  });

  const refused: [name: string, overrides: Overrides, fault: string][] = [
    ['by a stranger', { claims: { iss: 'https://stranger.example' } }, 'issuer'],
    ['in our own name', { claims: { iss: PUBLIC_URL } }, 'issuer'],
    ['by an unknown key', { header: { kid: 'unknown' } }, 'key'],
    ['by "none"', { header: { alg: 'none' } }, 'signature'],
    ['for somebody else', { claims: { aud: 'https://other.example' } }, 'audience'],
    ['for two', { claims: { aud: [PUBLIC_URL, 'https://other.example'] } }, 'audience'],
    ['without iat', { claims: { iat: undefined } }, 'malformed'],
    ['with a text for iat', { claims: { iat: '1700000000' } }, 'malformed'],
    ['without jti', { claims: { jti: undefined } }, 'malformed'],
    ['without sub', { claims: { sub: undefined } }, 'malformed'],
    ['with sub in sub_id alone', { claims: { sub: undefined, sub_id: { sub: 'user-1' } } }, 'malformed'],
    ['with no event', { claims: { events: {} } }, 'malformed'],
    ['with a list of events', { claims: { events: [REVOKED_EVENT] } }, 'malformed'],
    ['with null for events', { claims: { events: null } }, 'malformed'],
    ['with an event that is no URI', { claims: { events: { revoked: {} } } }, 'malformed'],
    ['that is expired', { claims: { exp: nowSeconds() - 61 } }, 'expired'],
    ['that is not valid yet', { claims: { nbf: nowSeconds() + 61 } }, 'expired'],
  ];
  for (const [name, overrides, fault] of refused) {
    test(`a ${type} ${name} is not`, async (t) => {
      t.is(await outcome(sign(type, overrides), type), fault);
    });
  }

  const ages: [seconds: number, outcome: string][] = [
    [59, 'accepted'],
    [61, 'expired'],
    [-86_399, 'accepted'],
    [-86_401, 'expired'],
  ];
  for (const [seconds, expected] of ages) {
    test(`a ${type} issued ${seconds} s from now: ${expected}`, async (t) => {
      t.is(await outcome(sign(type, { claims: { iat: nowSeconds() + seconds } }), type), expected);
    });
  }
}

test.describe('a token is taken as the one kind that it is (S-91)', (test) => {
  test('an event is no logout, a logout no event, an identity assertion neither', async (t) => {
    const { idJag, securityEvent, logout } = world.provider;
    t.is(await outcome(securityEvent(), 'logout+jwt'), 'malformed');
    t.is(await outcome(logout(), 'secevent+jwt'), 'malformed');
    const events = { [REVOKED_EVENT]: {} };
    for (const type of ['secevent+jwt', 'logout+jwt'] as const) {
      t.is(await outcome(idJag({ claims: { events } }), type), 'malformed');
      for (const typ of [undefined, 'JWT', type.toUpperCase(), `application/${type}`, `${type} `]) {
        t.is(await outcome(sign(type, { header: { typ } }), type), 'malformed', String(typ));
      }
    }
  });

  test('a logout says what happened by being one', async (t) => {
    const claims = { events: undefined };
    const token = sign('logout+jwt', { claims });
    t.deepEqual((await verifySecurityEvent(world.deps, token, 'logout+jwt')).events, []);
    t.is(await outcome(sign('secevent+jwt', { claims })), 'malformed');
  });
});

test('whatever is signed, the answer is an event or a refusal, and never another error', async (t) => {
  const name = fc.constantFrom('iss', 'sub', 'aud', 'jti', 'iat', 'exp', 'nbf', 'events', 'tenant');
  const claims = fc.dictionary(name, fc.jsonValue(), { minKeys: 1, maxKeys: 3 });
  await assertProperty(
    t,
    [claims, fc.constantFrom('secevent+jwt', 'logout+jwt')],
    (t, some, type) => t.notThrowsAsync(outcome(sign(type, { claims: some }), type)),
    { numRuns: 300 },
  );
});
