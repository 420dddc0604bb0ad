/** A value that has a canonical form: no `null`, no fractions. Members that are `undefined` are not there. */
export type CanonicalValue =
  | string
  | number
  | boolean
  | readonly CanonicalValue[]
  | { readonly [name: string]: CanonicalValue | undefined };

/**
 * Writes a value in its canonical form (RFC 8785): members sorted by UTF-16 code units, no white space.
 *
 * The rules of RFC 8785 for numbers reduce to those of `JSON.stringify`, since artifacts have no numbers but whole ones.
 *
 * @throws TypeError for what has no canonical form here: `null`, numbers but 0 to 2^53-1, names that are not ASCII, texts that
 * are not well-formed or not in NFC
 */
export function canonicalJson(value: CanonicalValue): string {
  if (typeof value === 'string') return writeText(value);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) {
      throw new TypeError('a number is not whole, or negative');
    }
    return String(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) throw new TypeError('a value is neither text nor list');
  const members = Object.entries(value).filter((member): member is [string, CanonicalValue] => {
    return member[1] !== undefined;
  });
  return `{${members.toSorted(byName).map(writeMember).join(',')}}`;
}

/** Compares texts by UTF-16 code units. */
export function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function byName([left]: [string, unknown], [right]: [string, unknown]): number {
  return compareTexts(left, right);
}

function writeMember([name, value]: [string, CanonicalValue]): string {
  if (!/^[\x20-\x7e]+$/.test(name)) throw new TypeError('a name is not ASCII');
  return `${JSON.stringify(name)}:${canonicalJson(value)}`;
}

function writeText(text: string): string {
  if (!text.isWellFormed() || text !== text.normalize('NFC')) throw new TypeError('a text is not in NFC');
  return JSON.stringify(text);
}
