import fc from 'fast-check';
import { type CanonicalValue, canonicalJson } from '../../src/lib/artifacts/canonical-json.ts';
import { printableJson } from '../../src/lib/artifacts/printable-json.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';

const name = fc
  .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 8 })
  .filter((text) => text !== '__proto__');
const text = fc.string({ unit: 'binary', maxLength: 12 }).map((each) => each.toWellFormed().normalize('NFC'));
const value = fc.letrec<{ value: CanonicalValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

/** The same value with the members of each object in another order. */
function shuffled(value: CanonicalValue): CanonicalValue {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, each]) => [name, shuffled(each!)] as const)
      .toReversed(),
  );
}

test('the canonical form is JSON of the same value, without white space, whatever the order of members', async (t) => {
  await assertProperty(t, [value], (t, value) => {
    const form = canonicalJson(value);
    t.deepEqual(JSON.parse(form), value);
    t.is(canonicalJson(shuffled(value)), form);
    t.is(canonicalJson(JSON.parse(form)), form);
  });
});

test('members are sorted by UTF-16 code units, at every depth', (t) => {
  t.is(canonicalJson({ b: 1, a: { d: [], c: 'x' }, B: true }), '{"B":true,"a":{"c":"x","d":[]},"b":1}');
  t.is(canonicalJson({ a: undefined, b: 'é\n"' }), '{"b":"é\\n\\""}');
});

test('what has no canonical form here is refused', (t) => {
  for (const bad of [null, 1.5, -1, 2 ** 53, Number.NaN, -0, '\ud800', 'e\u0301', { é: 1 }, { a: [null] }]) {
    t.throws(() => canonicalJson(bad as never), { instanceOf: TypeError }, String(bad));
  }
});

test('printable JSON is the same value, and nothing in it moves a cursor, hides or reorders', async (t) => {
  const anything = fc.string({ unit: 'binary' }).map((each) => each.toWellFormed());
  await assertProperty(t, [anything, fc.constantFrom(undefined, 2)], (t, text, indent) => {
    const printed = printableJson({ text, list: [text] }, indent);
    t.deepEqual(JSON.parse(printed), { text, list: [text] });
    t.notRegex(printed.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\u2028\u2029]/u);
    if (indent === undefined) t.false(printed.includes('\n'));
  });
  t.is(printableJson('\u001b]8;;\u009b2J\u202e'), '"\\u001b]8;;\\u009b2J\\u202e"');
});
