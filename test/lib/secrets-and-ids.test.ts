import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { randomBase62, toBase62 } from '../../src/lib/base62.ts';
import { firstIdAt, newId } from '../../src/lib/ids.ts';
import { createKeyring } from '../../src/lib/keyring.ts';
import { systemRandom } from '../../src/lib/random.ts';
import {
  hashSecret,
  isWellFormedSecret,
  newSecret,
  type SecretPrefix,
  secretHints,
} from '../../src/lib/secrets.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';

/** Guarantees of the leaves that hold for every input. fast-check prints the seed and the smallest input that breaks one. */

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

test.describe('secrets', (test) => {
  const prefix = fc.constantFrom<SecretPrefix>('sk', 'ct', 'rss');
  const brand = fc.string({ unit: fc.constantFrom(...'abcxyz019'), maxLength: 16 });

  test('every new secret is well formed, of its own type only', async (t) => {
    await assertProperty(t, [prefix, brand], (t, type, name) => {
      const secret = newSecret(type, systemRandom, type === 'sk' ? name : '');
      for (const other of ['sk', 'ct', 'rss'] as const)
        t.is(isWellFormedSecret(other, secret), other === type);
      t.is(hashSecret(secret).toString('hex'), createHash('sha256').update(secret).digest('hex'));
    });
  });

  test('a secret with any one character changed, dropped, doubled or added is not well formed', async (t) => {
    const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code));
    await assertProperty(
      t,
      [prefix, brand, fc.nat(), printable],
      (t, type, name, position, character) => {
        const secret = newSecret(type, systemRandom, type === 'sk' ? name : '');
        const at = position % secret.length;
        const [head, tail] = [secret.slice(0, at), secret.slice(at + 1)];
        const changed = [
          head + character + tail,
          head + tail,
          head + secret[at] + character + tail,
          ` ${secret}`,
          `${secret}\n`,
        ];
        for (const each of changed)
          if (each !== secret) t.false(isWellFormedSecret(type, each), `${secret} ${each}`);
      },
      { numRuns: 2000 },
    );
  });

  test('two neighbouring characters that differ cannot be swapped', async (t) => {
    await assertProperty(t, [fc.integer({ min: 3, max: 50 })], (t, at) => {
      const secret = newSecret('sk', systemRandom);
      const swapped = secret.slice(0, at) + secret[at + 1] + secret[at] + secret.slice(at + 2);
      t.is(isWellFormedSecret('sk', swapped), swapped === secret);
    });
  });

  test('the checksum is CRC-32 in base62, as the documentation says', (t) => {
    // The polynomial said over again, bit by bit.
    const crc = (text: string) => {
      let sum = 0xffffffff;
      for (const byte of Buffer.from(text)) {
        sum ^= byte;
        for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
      }
      return (sum ^ 0xffffffff) >>> 0;
    };
    for (let run = 0; run < 100; run += 1) {
      const secret = newSecret('sk', systemRandom, run % 2 ? 'acme' : '');
      const value = [...secret.slice(-6)].reduce((sum, digit) => sum * 62 + BASE62.indexOf(digit), 0);
      t.is(value, crc(secret.slice(0, -6)));
    }
  });

  test('ten thousand secrets are all different and draw evenly from their 62 characters', (t) => {
    const seen = new Set<string>();
    const counts = new Map<string, number>();
    for (let run = 0; run < 10_000; run += 1) {
      const random = newSecret('ct', systemRandom).slice(3, 46);
      seen.add(random);
      for (const character of random) counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    t.is(seen.size, 10_000);
    t.is(counts.size, 62);
    const expected = 430_000 / 62;
    const chiSquare = [...counts.values()].reduce(
      (sum, count) => sum + (count - expected) ** 2 / expected,
      0,
    );
    t.true(chiSquare < 150, `chi square ${chiSquare} with 61 degrees of freedom`); // p < 1e-8 for an even source
  });

  test('what is shown of a secret is four of its first characters and its last four', (t) => {
    t.deepEqual(secretHints(`sk_${'a1B2'}${'x'.repeat(41)}wxyz`), { prefix: 'sk_a1B2', lastFour: 'wxyz' });
    t.is(secretHints(newSecret('sk', systemRandom, 'acme')).prefix.length, 'sk_acme_'.length + 4);
  });
});

test.describe('base62 and ids', (test) => {
  test('random text has the asked length and alphabet, whatever the source of bytes', async (t) => {
    await assertProperty(t, [fc.nat({ max: 200 })], (t, length) => {
      t.regex(randomBase62(length, systemRandom), new RegExp(`^[0-9A-Za-z]{${length}}$`));
    });
  });

  test('bytes that would favour a character are thrown away', (t) => {
    const fills = [255, 248, 61];
    const source = (size: number) => Buffer.alloc(size, fills.shift());
    t.is(randomBase62(4, source), 'zzzz');
    t.deepEqual(fills, []);
  });

  test('a number in base62 reads back as itself', async (t) => {
    await assertProperty(t, [fc.nat({ max: 0xffffffff })], (t, value) => {
      const text = toBase62(value, 6);
      t.is(text.length, 6);
      t.is(
        [...text].reduce((sum, digit) => sum * 62 + BASE62.indexOf(digit), 0),
        value,
      );
    });
  });

  test('ids made later sort later, and all are different', async (t) => {
    await assertProperty(t, [fc.nat({ max: 4e12 }), fc.integer({ min: 1, max: 1e9 })], (t, now, passed) => {
      const [earlier, later] = [newId('key', now, systemRandom), newId('key', now + passed, systemRandom)];
      t.true(earlier < firstIdAt('key', now + passed) && firstIdAt('key', now + passed) < later);
      t.not(earlier, later);
      t.regex(earlier, /^key_[0-9a-z]{12}[0-9A-Za-z]{12}$/);
    });
  });
});

test.describe('the keyring', (test) => {
  const secret = () => randomBytes(32);
  const old = secret();
  const ring = createKeyring([secret(), old], systemRandom);
  const text = fc.string({ unit: 'grapheme' });

  test('what was sealed opens under its purpose and context, and under nothing else', async (t) => {
    await assertProperty(t, [text, text, text], (t, purpose, context, plain) => {
      const sealed = ring.seal(purpose, context, plain);
      t.is(ring.open(purpose, context, sealed), plain);
      t.is(ring.open(`${purpose}x`, context, sealed), undefined);
      t.is(ring.open(purpose, `${context}x`, sealed), undefined);
      t.is(createKeyring([secret()], systemRandom).open(purpose, context, sealed), undefined);
      if (plain.length > 3) t.false(Buffer.from(sealed).includes(Buffer.from(plain)));
    });
  });

  test('a changed, cut or empty seal does not open, and is no error', async (t) => {
    await assertProperty(
      t,
      [text, fc.nat(), fc.integer({ min: 1, max: 255 })],
      (t, plain, position, change) => {
        const sealed = ring.seal('test', 'context', plain);
        const at = position % sealed.length;
        const changed = Buffer.from(sealed);
        changed[at]! ^= change;
        t.is(ring.open('test', 'context', changed), undefined);
        t.is(ring.open('test', 'context', sealed.subarray(0, at)), undefined);
      },
    );
    await assertProperty(t, [fc.uint8Array({ maxLength: 80 })], (t, bytes) =>
      t.true(ring.open('test', '', bytes) === undefined),
    );
  });

  test('what an older secret sealed opens while it is listed, and new work uses the newest', (t) => {
    const before = createKeyring([old], systemRandom);
    t.is(ring.open('test', '', before.seal('test', '', 'kept')), 'kept');
    t.not(ring.currentId, before.currentId);
    t.is(before.open('test', '', ring.seal('test', '', 'new')), undefined);
    t.deepEqual(ring.derive(before.currentId, 'code', 'x'), before.derive(before.currentId, 'code', 'x'));
    t.is(before.derive(ring.currentId, 'code', 'x'), undefined);
  });
});
