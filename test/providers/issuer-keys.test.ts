import { verifyIdJag } from '../../src/domain/providers/id-jag.ts';
import { Failure } from '../../src/errors.ts';
import { type KeySetAnswer, newSigningKey } from '../helpers/issuer.ts';
import { test } from '../helpers/suite.ts';
import { startTrustWorld, type TrustWorld } from '../helpers/trust-world.ts';

/** How the keys of providers are fetched, kept and asked for again (S-90, R-28). */

const MINUTE = 60;
const HOUR = 3600;

const present = ({ outcome, provider }: TrustWorld) => outcome(provider.idJag());
const presentUnknown = ({ outcome, provider }: TrustWorld, kid: unknown) =>
  outcome(provider.idJag({ header: { kid } }));

test.describe('a kid is looked up and nothing else', (test) => {
  const kids: [name: string, kid: unknown][] = [
    ['a path', '../../x'],
    ['SQL', "' OR 1"],
    ['a member of every object', '__proto__'],
    ['another', 'constructor'],
    ['129 characters', 'x'.repeat(129)],
    ['a URL', 'https://evil.example/keys'],
    ['a number', 0],
    ['a list', ['a']],
    ['null', null],
    ['nothing', undefined],
    ['no text', ''],
  ];
  for (const [name, kid] of kids) {
    test(`${name} names no key`, async (t) => {
      const world = await startTrustWorld(t);
      t.regex(await presentUnknown(world, kid), /^(key|malformed)$/);
      const isWorthAQuestion = typeof kid === 'string' && kid.length <= 128;
      t.is(world.provider.fetches(), isWorthAQuestion ? 1 : 0);
      t.is(await present(world), 'accepted');
      t.is(world.provider.fetches(), 1);
    });
  }

  test('10 KB of it are not even read', async (t) => {
    const world = await startTrustWorld(t);
    t.is(await presentUnknown(world, 'x'.repeat(10_240)), 'malformed');
    t.is(world.provider.fetches(), 0);
  });
});

test.describe('an unknown kid has the keys fetched again once a minute at most', (test) => {
  test('a thousand unknown kids cost one fetch, one after the other or at once', async (t) => {
    for (const isAtOnce of [false, true]) {
      const world = await startTrustWorld(t);
      const kids = Array.from({ length: 1000 }, (_, index) => `unknown-${index}`);
      if (isAtOnce) await Promise.all(kids.map((kid) => presentUnknown(world, kid)));
      else for (const kid of kids) t.is(await presentUnknown(world, kid), 'key');
      t.is(world.provider.fetches(), 1);

      world.clock.advance(MINUTE);
      await Promise.all(kids.map((kid) => presentUnknown(world, kid)));
      t.is(world.provider.fetches(), 2);
      t.is(await present(world), 'accepted');
    }
  });

  test('new keys of a provider are found, and what its old ones sign is refused from then on', async (t) => {
    const world = await startTrustWorld(t);
    const { provider } = world;
    t.is(await present(world), 'accepted');
    const [old] = provider.keys;
    provider.rotateKeys();
    t.is(await present(world), 'key', 'the keys were fetched less than a minute ago');
    world.clock.advance(MINUTE);
    const all = await Promise.all(Array.from({ length: 50 }, () => present(world)));
    t.deepEqual(new Set(all), new Set(['accepted']));
    t.is(await world.outcome(provider.idJag({ key: old! })), 'key');
    t.is(provider.fetches(), 2);
  });

  test('a failure does not have it asked more often, nor does it cost the keys that are kept', async (t) => {
    const world = await startTrustWorld(t);
    const { provider, clock } = world;
    t.is(await present(world), 'accepted');
    clock.advance(MINUTE);
    provider.answerWith('failure');
    for (let run = 0; run < 100; run += 1) t.is(await presentUnknown(world, `unknown-${run}`), 'key');
    t.is(provider.fetches(), 2);
    t.is(await present(world), 'accepted');
  });

  test('a key that is known is not asked for again for being misused', async (t) => {
    const world = await startTrustWorld(t);
    t.is(await present(world), 'accepted');
    world.clock.advance(MINUTE);
    const posing = { ...newSigningKey('RS256'), kid: world.provider.keys[0]!.kid };
    t.is(await world.outcome(world.provider.idJag({ key: posing })), 'signature');
    t.is(world.provider.fetches(), 1);
  });
});

test.describe('keys are kept as long as their server says, within bounds', (test) => {
  const lifetimes: [cacheControl: string | undefined, seconds: number][] = [
    [undefined, 10 * MINUTE],
    ['no-store', 10 * MINUTE],
    ['max-age=0', 10 * MINUTE],
    ['max-age=599', 10 * MINUTE],
    ['public, max-age=3600', HOUR],
    ['max-age=86400', 24 * HOUR],
    ['max-age=31536000', 24 * HOUR],
  ];
  for (const [cacheControl, seconds] of lifetimes) {
    test(`with Cache-Control ${cacheControl} for ${seconds} s`, async (t) => {
      const world = await startTrustWorld(t);
      world.provider.setCacheControl(cacheControl);
      t.is(await present(world), 'accepted');
      world.clock.advance(seconds - 1);
      t.is(await present(world), 'accepted');
      t.is(world.provider.fetches(), 1);
      world.clock.advance(1);
      t.is(await present(world), 'accepted');
      t.is(world.provider.fetches(), 2);
    });
  }

  test('a key that its provider has taken back is refused when the lifetime ends', async (t) => {
    const world = await startTrustWorld(t);
    const { provider, clock } = world;
    const [old] = provider.keys;
    t.is(await present(world), 'accepted');
    provider.rotateKeys();
    clock.advance(10 * MINUTE);
    t.is(await world.outcome(provider.idJag({ key: old! })), 'key');
  });

  test('while their server is down they serve on, for a day after they were fetched and no longer', async (t) => {
    const world = await startTrustWorld(t);
    const { provider, clock } = world;
    t.is(await present(world), 'accepted');
    provider.answerWith('failure');
    clock.advance(24 * HOUR - 2 * MINUTE);
    for (let run = 0; run < 10; run += 1) t.is(await present(world), 'accepted');
    t.is(provider.fetches(), 2);
    clock.advance(2 * MINUTE);
    t.is(await present(world), 'key');
    provider.answerWith('keys');
    clock.advance(10);
    t.is(await present(world), 'accepted');
  });
});

test.describe('a provider that does not answer as it should', (test) => {
  const answers: KeySetAnswer[] = ['failure', 'redirect', 'oversized', 'garbage', 'no-keys', 'html'];
  for (const answer of answers) {
    test(`${answer}: is refused, asked again after ten seconds, and forgiven`, async (t) => {
      const world = await startTrustWorld(t);
      const { provider, clock } = world;
      provider.answerWith(answer);
      for (let run = 0; run < 10; run += 1) t.is(await present(world), 'key');
      provider.answerWith('keys');
      t.is(await present(world), 'key');
      t.deepEqual(provider.asked, ['/.well-known/jwks.json']);
      clock.advance(10);
      t.is(await present(world), 'accepted');
      t.is(provider.fetches(), 2);
    });
  }

  test('the refusal says to come back, and gives no reason but in its cause', async (t) => {
    const world = await startTrustWorld(t);
    const texts = new Set<string>();
    for (const answer of answers) {
      world.provider.answerWith(answer);
      world.clock.advance(10);
      for (const time of ['at first', 'and again']) {
        const failure = await verifyIdJag(world.deps, world.provider.idJag()).catch((error) => error);
        t.true(failure instanceof Failure && failure.cause instanceof Error, time);
        texts.add(JSON.stringify([failure.message, failure.details]));
      }
    }
    t.is(texts.size, 1);
    t.regex([...texts][0]!, /"fault":"key","retryAfterSeconds":60/);
  });

  test('silence ends with the timeout, for all who wait at once, and holds up no other provider', async (t) => {
    const other = await startTrustWorld(t);
    const world = await startTrustWorld(t, { timeoutMs: 500, others: [other.provider.entry()] });
    world.provider.answerWith('silence');
    const waiting = Promise.all(Array.from({ length: 50 }, () => present(world)));
    await world.provider.whenFetched(1);
    t.is(await world.outcome(other.provider.idJag()), 'accepted');
    t.deepEqual(new Set(await waiting), new Set(['key']));
    t.is(world.provider.fetches(), 1);
  });

  test('fifty tokens at once cost one fetch', async (t) => {
    const world = await startTrustWorld(t);
    const all = await Promise.all(Array.from({ length: 50 }, () => present(world)));
    t.deepEqual(new Set(all), new Set(['accepted']));
    t.is(world.provider.fetches(), 1);
  });
});

test.describe('which published keys are used', (test) => {
  const unusable: [name: string, change: Record<string, unknown>][] = [
    ['for encryption', { use: 'enc' }],
    ['for other operations', { key_ops: ['encrypt'] }],
    ['with operations that are no list', { key_ops: 'verify' }],
    ['for an algorithm that is not its own', { alg: 'RS256' }],
    ['for an algorithm that is not allowed', { alg: 'ES512' }],
    ['of another curve', { crv: 'P-521', alg: undefined }],
    ['with a point that is not on the curve', { x: 'AAAA' }],
    ['with its private half', { d: 'AAAA' }],
    ['that is symmetric', { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }],
    ['with a number for a name', { kid: 7 }],
    ['without a name', { kid: undefined }],
  ];
  for (const [name, change] of unusable) {
    test(`none ${name}, and that one beside it does no harm`, async (t) => {
      const world = await startTrustWorld(t);
      const bad = newSigningKey('ES256');
      bad.jwk = { ...bad.jwk, ...change };
      world.provider.keys.unshift(bad);
      t.is(await world.outcome(world.provider.idJag({ key: bad })), 'key');
      const good = world.provider.keys[1]!;
      t.is(await world.outcome(world.provider.idJag({ key: good })), 'accepted');
    });
  }

  test('one that names no algorithm is for the one of its kind', async (t) => {
    const world = await startTrustWorld(t, { algorithms: ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256'] });
    const outcomes: Record<string, string> = {};
    for (const key of world.provider.keys) delete key.jwk.alg;
    for (const key of world.provider.keys) {
      outcomes[key.alg] = await world.outcome(world.provider.idJag({ key }));
    }
    const accepted = { ES256: 'accepted', ES384: 'accepted', EdDSA: 'accepted', RS256: 'accepted' };
    t.deepEqual(outcomes, { ...accepted, PS256: 'signature' });
  });

  test('of two of one name, the one for the algorithm', async (t) => {
    const world = await startTrustWorld(t, { algorithms: ['RS256', 'ES256'] });
    for (const key of world.provider.keys) {
      key.kid = 'same';
      key.jwk.kid = 'same';
    }
    for (const key of world.provider.keys) {
      t.is(await world.outcome(world.provider.idJag({ key })), 'accepted');
    }
  });
});
