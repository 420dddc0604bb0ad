import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../src/lib/address.ts';
import { randomBase62, toBase62 } from '../src/lib/base62.ts';
import { displayName } from '../src/lib/display.ts';
import { firstIdAt, newId } from '../src/lib/ids.ts';
import { createKeyring } from '../src/lib/keyring.ts';
import { mailboxLimitKey, maskMailbox, parseMailbox } from '../src/lib/mailbox.ts';
import { systemRandom } from '../src/lib/random.ts';
import { hashSecret, hints, newSecret, type SecretPrefix, wellFormed } from '../src/lib/secrets.ts';
import { JsonRefused, parseStrictJson } from '../src/lib/strict-json.ts';

/** Guarantees of the leaves that hold for every input. fast-check prints the seed and the smallest input that breaks one. */

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

describe('strict JSON', () => {
  const parse = (text: string) => parseStrictJson(Buffer.from(text));
  const refusal = (text: string) => {
    try {
      parse(text);
    } catch (error) {
      if (error instanceof JsonRefused) return error.reason;
      throw error;
    }
    return undefined;
  };
  const name = fc.string({ unit: 'grapheme-ascii', maxLength: 12 });
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null)),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(name, tie('value'), { maxKeys: 3 }),
    ),
  })).value;
  const object = fc.dictionary(name, plain, { maxKeys: 6 });

  /** What parseStrictJson promises beyond JSON.parse, said over again as plainly as possible over the parsed value. */
  function isWithinLimits(root: unknown): boolean {
    let names = 0;
    const fine = (text: string) => text.isWellFormed() && !/\p{Cc}/u.test(text);
    const walk = (value: unknown, depth: number): boolean => {
      if (typeof value === 'string') return fine(value);
      if (typeof value !== 'object' || value === null) return true;
      if (depth > 8) return false;
      if (Array.isArray(value)) return value.every((each) => walk(each, depth + 1));
      return Object.entries(value).every(([key, each]) => {
        names += 1;
        return fine(key) && !['__proto__', 'constructor', 'prototype'].includes(key) && walk(each, depth + 1);
      });
    };
    return walk(root, 1) && names <= 64;
  }

  test('an object within the limits is parsed as JSON.parse does it, however it is spaced', () => {
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, '\t', ' \n'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        fc.pre(isWithinLimits(JSON.parse(text)));
        assert.deepEqual(parse(text), JSON.parse(text));
      }),
    );
  });

  test('any text is accepted exactly if it is JSON of an object within the limits', () => {
    const anything = fc.oneof(
      fc.json({ stringUnit: 'binary', maxDepth: 12 }),
      fc
        .dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }))
        .map((value) => JSON.stringify(value)),
      fc.string({ unit: fc.constantFrom(...'{}[]:,"\\ \n0aeu-.'), maxLength: 20 }),
    );
    fc.assert(
      fc.property(anything, (text) => {
        let value: unknown;
        try {
          value = JSON.parse(text.toWellFormed());
        } catch {
          assert.equal(refusal(text), 'syntax');
          return;
        }
        const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
        if (!isObject) assert.equal(refusal(text), 'shape');
        else if (isWithinLimits(value) && !repeatsName(text)) assert.deepEqual(parse(text), value);
        else assert.equal(refusal(text), 'shape');
      }),
      { numRuns: 2000 },
    );
  });

  /** Whether an object in the text has a name twice, found by letting JSON.parse itself tell every name it sees. */
  function repeatsName(text: string): boolean {
    const count = (value: unknown): number =>
      typeof value === 'object' && value !== null
        ? Object.values(value).reduce(
            (sum: number, each) => sum + count(each),
            Array.isArray(value) ? 0 : Object.keys(value).length,
          )
        : 0;
    // Outside of strings, each name is followed by the only colons there are.
    const colons = text.replace(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1;
    return colons !== count(JSON.parse(text));
  }

  test('a name given twice is refused wherever the two stand, also in another spelling', () => {
    fc.assert(
      fc.property(
        object,
        fc.string({ unit: fc.constantFrom(...'abcXYZ'), minLength: 1 }),
        fc.boolean(),
        (value, twice, nested) => {
          const escaped = [...twice]
            .map((each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
            .join('');
          const body = JSON.stringify(value).slice(1, -1);
          const inner = `{"${twice}":1${body === '' ? '' : `,${body}`},"${escaped}":2}`;
          assert.equal(refusal(nested ? `{"x":[0,${inner}]}` : inner), 'shape');
        },
      ),
    );
  });

  test('any bytes give an object or a refusal, never another error', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        (bytes) => void refusal(Buffer.from(bytes).toString('latin1')),
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          parseStrictJson(bytes);
        } catch (error) {
          assert.ok(error instanceof JsonRefused);
        }
      }),
    );
  });

  test('the longest body that is read is refused or parsed without a stack that ends', () => {
    for (const text of [
      '['.repeat(16_384),
      `{"a":${'['.repeat(8000)}${']'.repeat(8000)}}`,
      `{"a":"${'\\n'.repeat(8000)}"}`,
    ]) {
      assert.ok(refusal(text));
    }
    const long = 'a'.repeat(16_000);
    assert.deepEqual(parse(`{"a":"${long}"}`), { a: long });
  });
});

describe('secrets', () => {
  const prefix = fc.constantFrom<SecretPrefix>('sk', 'ct', 'rss');
  const brand = fc.string({ unit: fc.constantFrom(...'abcxyz019'), maxLength: 16 });

  test('every new secret is well formed, of its own type only', () => {
    fc.assert(
      fc.property(prefix, brand, (type, name) => {
        const secret = newSecret(type, systemRandom, type === 'sk' ? name : '');
        for (const other of ['sk', 'ct', 'rss'] as const)
          assert.equal(wellFormed(other, secret), other === type);
        assert.equal(hashSecret(secret).toString('hex'), createHash('sha256').update(secret).digest('hex'));
      }),
    );
  });

  test('a secret with any one character changed, dropped, doubled or added is not well formed', () => {
    const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code));
    fc.assert(
      fc.property(prefix, brand, fc.nat(), printable, (type, name, position, character) => {
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
          if (each !== secret) assert.equal(wellFormed(type, each), false, `${secret} ${each}`);
      }),
      { numRuns: 2000 },
    );
  });

  test('two neighbouring characters that differ cannot be swapped', () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 50 }), (at) => {
        const secret = newSecret('sk', systemRandom);
        const swapped = secret.slice(0, at) + secret[at + 1] + secret[at] + secret.slice(at + 2);
        assert.equal(wellFormed('sk', swapped), swapped === secret);
      }),
    );
  });

  test('the checksum is CRC-32 in base62, as the documentation says', () => {
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
      assert.equal(value, crc(secret.slice(0, -6)));
    }
  });

  test('ten thousand secrets are all different and draw evenly from their 62 characters', () => {
    const seen = new Set<string>();
    const counts = new Map<string, number>();
    for (let run = 0; run < 10_000; run += 1) {
      const random = newSecret('ct', systemRandom).slice(3, 46);
      seen.add(random);
      for (const character of random) counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    assert.equal(seen.size, 10_000);
    assert.equal(counts.size, 62);
    const expected = 430_000 / 62;
    const chiSquare = [...counts.values()].reduce(
      (sum, count) => sum + (count - expected) ** 2 / expected,
      0,
    );
    assert.ok(chiSquare < 150, `chi square ${chiSquare} with 61 degrees of freedom`); // p < 1e-8 for an even source
  });

  test('what is shown of a secret is four of its first characters and its last four', () => {
    assert.deepEqual(hints(`sk_${'a1B2'}${'x'.repeat(41)}wxyz`), { prefix: 'sk_a1B2', lastFour: 'wxyz' });
    assert.equal(hints(newSecret('sk', systemRandom, 'acme')).prefix.length, 'sk_acme_'.length + 4);
  });
});

describe('base62 and ids', () => {
  test('random text has the asked length and alphabet, whatever the source of bytes', () => {
    fc.assert(
      fc.property(fc.nat({ max: 200 }), (length) => {
        assert.match(randomBase62(length, systemRandom), new RegExp(`^[0-9A-Za-z]{${length}}$`));
      }),
    );
  });

  test('bytes that would favour a character are thrown away', () => {
    const fills = [255, 248, 61];
    const source = (size: number) => Buffer.alloc(size, fills.shift());
    assert.equal(randomBase62(4, source), 'zzzz');
    assert.deepEqual(fills, []);
  });

  test('a number in base62 reads back as itself', () => {
    fc.assert(
      fc.property(fc.nat({ max: 0xffffffff }), (value) => {
        const text = toBase62(value, 6);
        assert.equal(text.length, 6);
        assert.equal(
          [...text].reduce((sum, digit) => sum * 62 + BASE62.indexOf(digit), 0),
          value,
        );
      }),
    );
  });

  test('ids made later sort later, and all are different', () => {
    fc.assert(
      fc.property(fc.nat({ max: 4e12 }), fc.integer({ min: 1, max: 1e9 }), (now, passed) => {
        const [earlier, later] = [newId('key', now, systemRandom), newId('key', now + passed, systemRandom)];
        assert.ok(earlier < firstIdAt('key', now + passed) && firstIdAt('key', now + passed) < later);
        assert.notEqual(earlier, later);
        assert.match(earlier, /^key_[0-9a-z]{12}[0-9A-Za-z]{12}$/);
      }),
    );
  });
});

describe('mailboxes', () => {
  const local = fc.string({
    unit: fc.constantFrom(..."abcXYZ09.!#$%&'*+/=?^_`{|}~-"),
    minLength: 1,
    maxLength: 64,
  });
  const label = fc.string({ unit: fc.constantFrom(...'abcXYZ09-äöéß中яıſK😀'), minLength: 1, maxLength: 12 });
  const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const address = fc.tuple(local, domain).map(([left, right]) => `${left}@${right}`);

  test('the canonical form of a canonical form is itself', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(address, fc.emailAddress(), fc.string({ unit: 'binary' })), (text) => {
        const mailbox = parseMailbox(text);
        if (mailbox === undefined) return;
        accepted += 1;
        assert.equal(parseMailbox(mailbox), mailbox);
        assert.equal(parseMailbox(` ${mailbox.toUpperCase()}\n`), mailbox);
        assert.match(mailbox, /^[\x21-\x7e]+@[a-z0-9.-]+\.[a-z0-9-]+$/);
        assert.ok(mailbox.length <= 254);
        assert.doesNotMatch(mailbox, /[\s"<>(),;:\\[\]\p{Lu}]/u);
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 200, `only ${accepted} of the tried were mailboxes at all`);
  });

  test('an ordinary address is accepted whatever its case', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (text) => {
        fc.pre(text.slice(0, text.lastIndexOf('@')).length <= 64 && text.length <= 254);
        assert.equal(parseMailbox(text), text.toLowerCase());
      }),
    );
  });

  test('letters that only look like or fold into others never lead to the mailbox of those', () => {
    const mailbox = 'admin@kiss.example';
    const twins = {
      a: 'аａ',
      d: 'ｄ',
      m: 'ｍ',
      i: 'ıі',
      n: 'ｎ',
      k: '\u212aｋ',
      s: 'ſѕ',
      e: 'е℮',
      x: 'х',
      p: 'р',
      l: 'ⅼ',
      '.': '。．',
    };
    for (const [letter, lookalikes] of Object.entries(twins)) {
      for (const twin of lookalikes) {
        for (const at of [...mailbox].flatMap((each, index) => (each === letter ? [index] : []))) {
          const text = mailbox.slice(0, at) + twin + mailbox.slice(at + 1);
          assert.notEqual(parseMailbox(text), mailbox, text);
        }
      }
    }
  });

  test('budgets count a mailbox once, however it is tagged, and never mix two', () => {
    fc.assert(
      fc.property(
        fc.emailAddress(),
        fc.string({ unit: fc.constantFrom(...'abc+09'), maxLength: 8 }),
        (text, tag) => {
          const mailbox = parseMailbox(text);
          fc.pre(mailbox !== undefined && text.indexOf('@') < 50);
          const [left, right] = mailbox.split('@') as [string, string];
          assert.equal(mailboxLimitKey(`${left}+${tag}@${right}`), mailboxLimitKey(mailbox));
          assert.notEqual(mailboxLimitKey(`x${left}@${right}`), mailboxLimitKey(mailbox));
          assert.equal(mailboxLimitKey(mailboxLimitKey(mailbox)), mailboxLimitKey(mailbox));
        },
      ),
    );
    assert.equal(mailboxLimitKey('j.o.e+x@googlemail.com'), mailboxLimitKey('joe@gmail.com'));
    assert.notEqual(mailboxLimitKey('j.o.e@example.com'), mailboxLimitKey('joe@example.com'));
  });

  test('a masked mailbox shows one letter of its local part', () => {
    assert.equal(maskMailbox('human@example.com'), 'h***@example.com');
    assert.equal(maskMailbox('h@example.com'), 'h***@example.com');
  });
});

describe('client addresses', () => {
  test('an IPv4 address counts as itself, in every spelling', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const address = parseAddress(text);
        assert.deepEqual([address.text, address.limitKey], [text, text]);
        assert.deepEqual(parseAddress(`::ffff:${text}`), address);
        assert.equal(address.coarse, `${text.split('.').slice(0, 2).join('.')}.x.x`);
      }),
    );
  });

  test('an IPv6 address counts as its /64: what the host may choose itself changes nothing', () => {
    const group = fc.integer({ min: 1, max: 0xffff }).map((value) => value.toString(16));
    const half = fc.tuple(group, group, group, group).map((groups) => groups.join(':'));
    fc.assert(
      fc.property(half, half, half, (network, host, other) => {
        const address = parseAddress(`${network}:${host}`);
        assert.equal(address.limitKey, `${network}::/64`);
        assert.equal(parseAddress(`${network}:${other}`.toUpperCase()).limitKey, address.limitKey);
        const next = (Number.parseInt(network.split(':')[3]!, 16) ^ 1).toString(16);
        const neighbour = [...network.split(':').slice(0, 3), next].join(':');
        assert.notEqual(parseAddress(`${neighbour}:${host}`).limitKey, address.limitKey);
      }),
    );
  });

  test('what is no address is unknown, and never an error', () => {
    for (const text of [
      undefined,
      '',
      'localhost',
      '1.2.3.4, 5.6.7.8',
      '1.2.3.4:80',
      '[::1]',
      '<script>',
      '::1\r\n',
      'a'.repeat(1000),
    ]) {
      assert.equal(parseAddress(text).text, 'unknown', text);
    }
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseAddress(text)));
  });
});

describe('the keyring', () => {
  const secret = () => randomBytes(32);
  const old = secret();
  const ring = createKeyring([secret(), old], systemRandom);
  const text = fc.string({ unit: 'grapheme' });

  test('what was sealed opens under its purpose and context, and under nothing else', () => {
    fc.assert(
      fc.property(text, text, text, (purpose, context, plain) => {
        const sealed = ring.seal(purpose, context, plain);
        assert.equal(ring.open(purpose, context, sealed), plain);
        assert.equal(ring.open(`${purpose}x`, context, sealed), undefined);
        assert.equal(ring.open(purpose, `${context}x`, sealed), undefined);
        assert.equal(createKeyring([secret()], systemRandom).open(purpose, context, sealed), undefined);
        if (plain.length > 3) assert.ok(!Buffer.from(sealed).includes(Buffer.from(plain)));
      }),
    );
  });

  test('a changed, cut or empty seal does not open, and is no error', () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.integer({ min: 1, max: 255 }), (plain, position, change) => {
        const sealed = ring.seal('test', 'context', plain);
        const at = position % sealed.length;
        const changed = Buffer.from(sealed);
        changed[at]! ^= change;
        assert.equal(ring.open('test', 'context', changed), undefined);
        assert.equal(ring.open('test', 'context', sealed.subarray(0, at)), undefined);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => ring.open('test', '', bytes) === undefined),
    );
  });

  test('what an older secret sealed opens while it is listed, and new work uses the newest', () => {
    const before = createKeyring([old], systemRandom);
    assert.equal(ring.open('test', '', before.seal('test', '', 'kept')), 'kept');
    assert.notEqual(ring.currentId, before.currentId);
    assert.equal(before.open('test', '', ring.seal('test', '', 'new')), undefined);
    assert.deepEqual(
      ring.derive(before.currentId, 'code', 'x'),
      before.derive(before.currentId, 'code', 'x'),
    );
    assert.equal(before.derive(ring.currentId, 'code', 'x'), undefined);
  });
});

describe('names that strangers choose', () => {
  /** What mail programs turn into links, all of which need one of these marks before a letter or digit. */
  const LINK = /[./:@\u2024\u3002\uff0e\uff0f\uff1a\uff20\uff61][\p{L}\p{N}\p{M}]/u;
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;

  function assertHarmless(name: string): void {
    const shown = displayName(name);
    assert.doesNotMatch(shown, LINK, JSON.stringify(name));
    assert.doesNotMatch(shown, HIDDEN, JSON.stringify(name));
    assert.ok([...shown].length <= 64, JSON.stringify(name));
    assert.ok(shown.isWellFormed(), JSON.stringify(name));
    assert.equal(shown, shown.trim());
  }

  test('no hostile name becomes a link, hides or reorders letters, or grows', () => {
    const hostile = [
      'https://evil.example/claim?code=1',
      'HTTPS://EVIL.EXAMPLE',
      'www.evil.example',
      'evil.example',
      'evil。example',
      'evil．example',
      'evil｡example',
      'ｅｖｉｌ．ｅｘａｍｐｌｅ',
      'https:／／evil.example',
      'h\u200bttps://evil.ex\u200bample',
      'evil\u2024example',
      'evil․com',
      'mailto:evil@evil.example',
      'evil@evil.example',
      'evil＠evil.example',
      'javascript:alert(1)',
      'tel:+123456',
      '192.0.2.1',
      'http://2130706433',
      '<a href="https://evil.example">click</a>',
      '<script>alert(1)</script>',
      '<img src=x onerror=alert(1)>',
      'Bob\r\nBcc: other@example.com',
      'Bob\u2028Subject: x',
      'Bob\u0085x',
      'gpj.\u202eexe',
      '\u2066\u2067\u2068\u2069\u061c\u200e\u200f',
      '\u200b\u200c\u200d\ufeff\u2060\u00ad',
      'a\u034fb\u115fc\u1160d\u17b4e\u3164f\uffa0g\u180bh\ufe0f',
      '\u{e0041}\u{e0042}tags',
      'Z\u0351\u0343\u0315\u035c'.repeat(200),
      '\ud800',
      'x'.repeat(5000),
      '👨‍👩‍👧‍👦'.repeat(100),
      '. . . . .',
      '....@@@@////',
      '',
    ];
    for (const name of hostile) assertHarmless(name);
  });

  test('nor does any other', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'https://',
        'www.',
        '.',
        '@',
        '/',
        ':',
        'evil',
        '.com',
        '\u200b',
        '\u202e',
        '．',
        ' ',
        '\n',
        '<b>',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
        assertHarmless,
      ),
      { numRuns: 2000 },
    );
  });

  test('an ordinary name is shown as it is', () => {
    for (const name of [
      'Robin',
      'My agent',
      'Zoë’s helper (v2)',
      '研究助手',
      'مساعد',
      "O'Neil & co",
      'R2-D2 🤖',
    ]) {
      assert.equal(displayName(name), name);
    }
  });
});
