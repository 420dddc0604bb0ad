import fc from 'fast-check';
import { JsonRefused, parseStrictJson } from '../../src/lib/strict-json.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';

test.describe('strict JSON', (test) => {
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

  test('an object within the limits is parsed as JSON.parse does it, however it is spaced', async (t) => {
    await assertProperty(t, [object, fc.constantFrom(undefined, 1, '\t', ' \n')], (t, value, space) => {
      const text = JSON.stringify(value, null, space);
      fc.pre(isWithinLimits(JSON.parse(text)));
      t.deepEqual(parse(text), JSON.parse(text));
    });
  });

  test('any text is accepted exactly if it is JSON of an object within the limits', async (t) => {
    const anything = fc.oneof(
      fc.json({ stringUnit: 'binary', maxDepth: 12 }),
      fc
        .dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }))
        .map((value) => JSON.stringify(value)),
      fc.string({ unit: fc.constantFrom(...'{}[]:,"\\ \n0aeu-.'), maxLength: 20 }),
    );
    await assertProperty(
      t,
      [anything],
      (t, text) => {
        let value: unknown;
        try {
          value = JSON.parse(text.toWellFormed());
        } catch {
          t.is(refusal(text), 'syntax');
          return;
        }
        const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
        if (!isObject) t.is(refusal(text), 'shape');
        else if (isWithinLimits(value) && !repeatsName(text)) t.deepEqual(parse(text), value);
        else t.is(refusal(text), 'shape');
      },
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

  test('a name given twice is refused wherever the two stand, also in another spelling', async (t) => {
    await assertProperty(
      t,
      [object, fc.string({ unit: fc.constantFrom(...'abcXYZ'), minLength: 1 }), fc.boolean()],
      (t, value, twice, nested) => {
        const escaped = [...twice]
          .map((each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
          .join('');
        const body = JSON.stringify(value).slice(1, -1);
        const inner = `{"${twice}":1${body === '' ? '' : `,${body}`},"${escaped}":2}`;
        t.is(refusal(nested ? `{"x":[0,${inner}]}` : inner), 'shape');
      },
    );
  });

  test('any bytes give an object or a refusal, never another error', async (t) => {
    await assertProperty(t, [fc.uint8Array({ maxLength: 64 })], (t, bytes) =>
      t.notThrows(() => refusal(Buffer.from(bytes).toString('latin1'))),
    );
    await assertProperty(t, [fc.uint8Array({ maxLength: 64 })], (t, bytes) => {
      try {
        t.is(typeof parseStrictJson(bytes), 'object');
      } catch (error) {
        t.true(error instanceof JsonRefused);
      }
    });
  });

  test('the longest body that is read is refused or parsed without a stack that ends', (t) => {
    for (const text of [
      '['.repeat(16_384),
      `{"a":${'['.repeat(8000)}${']'.repeat(8000)}}`,
      `{"a":"${'\\n'.repeat(8000)}"}`,
    ]) {
      t.truthy(refusal(text));
    }
    const long = 'a'.repeat(16_000);
    t.deepEqual(parse(`{"a":"${long}"}`), { a: long });
  });
});
