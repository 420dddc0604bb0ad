/** How deep a text may be, and how many names it may have. Schemas bound the length of texts. */
export interface JsonShape {
  depthMax: number;
  namesMax: number;
  /** Accept control characters but NUL. Only where the reader checks each text, and shows none as it is. */
  allowControls?: boolean;
}

/** What request bodies may be (docs/security.md). */
const BODY_SHAPE: JsonShape = { depthMax: 8, namesMax: 64 };

/** Why a body is rejected. `syntax`: it is not JSON. `shape`: it is JSON, but of a kind that no client needs. */
export class JsonRefused extends Error {
  readonly reason: 'syntax' | 'shape';

  constructor(reason: 'syntax' | 'shape', message: string) {
    super(message);
    this.reason = reason;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses bytes as a JSON object. Rejects what `JSON.parse` accepts and what causes faults later:
 *
 * - bytes that are not UTF-8, control characters, lone surrogates
 * - nesting that makes `JSON.stringify` throw
 * - duplicate names, because parsers disagree on which one counts
 * - names that reach prototypes
 *
 * @throws JsonRefused with a public message
 */
export function parseStrictJson(bytes: Uint8Array, shape: JsonShape = BODY_SHAPE): Record<string, unknown> {
  const [first, second, third] = bytes;
  if (first === 0xef && second === 0xbb && third === 0xbf) {
    throw new JsonRefused(
      'syntax',
      'The body begins with a byte order mark. Send it without (RFC 8259 section 8.1).',
    );
  }
  if ((first === 0xfe && second === 0xff) || (first === 0xff && second === 0xfe)) {
    throw new JsonRefused('shape', 'The body is UTF-16. Send it as UTF-8 (RFC 8259 section 8.1).');
  }
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new JsonRefused('shape', 'The body is not valid UTF-8.');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new JsonRefused('syntax', 'The body is not valid JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new JsonRefused('shape', 'The body must be a JSON object.');
  }
  checkContent(text, shape);
  return value as Record<string, unknown>;
}

// JSON.parse has checked the syntax already, so one pass over the strings and the punctuation is enough.
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g;

function checkContent(text: string, { depthMax, namesMax, allowControls = false }: JsonShape): void {
  const open: (Set<string> | null)[] = []; // the names seen in each open object; null for an array
  let names = 0;
  let nameExpected = false;
  for (const [token] of text.matchAll(TOKEN)) {
    const first = token.charCodeAt(0);
    if (first === 0x22) {
      const content = JSON.parse(token) as string;
      checkText(content, allowControls ? NUL : CONTROL);
      const seen = open.at(-1);
      if (!nameExpected || !seen) continue;
      nameExpected = false;
      if (FORBIDDEN_NAMES.has(content))
        throw new JsonRefused('shape', 'The body has a name that is not allowed.');
      if (seen.has(content))
        throw new JsonRefused('shape', 'The body has the same name twice in one object.');
      seen.add(content);
      names += 1;
      if (names > namesMax) throw new JsonRefused('shape', `The body has more than ${namesMax} names.`);
    } else if (first === 0x7b || first === 0x5b) {
      open.push(first === 0x7b ? new Set() : null);
      nameExpected = first === 0x7b;
      if (open.length > depthMax) {
        throw new JsonRefused('shape', `The body is nested deeper than ${depthMax} levels.`);
      }
    } else if (first === 0x7d || first === 0x5d) {
      open.pop();
    } else if (first === 0x2c) {
      nameExpected = open.at(-1) !== null;
    }
  }
}

const FORBIDDEN_NAMES = new Set(['__proto__', 'constructor', 'prototype']);
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: PostgreSQL stores no NUL
const NUL = /\u0000/;

function checkText(content: string, forbidden: RegExp): void {
  if (forbidden.test(content) || !content.isWellFormed()) {
    throw new JsonRefused('shape', 'A text in the body has a control character or half of a surrogate pair.');
  }
}
