/** A decimal digit of any script. Each script has ten of them in a row, from zero (Unicode Standard, section 4.6). */
const ANY_DIGIT = /\p{Nd}/gu;
/** Separators that people and keyboards insert into a code, and invisible characters. */
const SEPARATORS = /[\s\p{Dash}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * Normalizes a code that a person typed. Removes spaces, dashes and invisible characters, replaces full-width letters and
 * digits with plain ones (NFKC), and digits of other scripts with 0 to 9.
 */
export function normalizeCode(text: string): string {
  return text.normalize('NFKC').replace(SEPARATORS, '').replace(ANY_DIGIT, toAsciiDigit);
}

/** Normalizes a code of letters and digits that a person typed, in any case and spacing. */
export function normalizeUserCode(text: string): string {
  return normalizeCode(text)
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '');
}

function toAsciiDigit(digit: string): string {
  let value = 0;
  const code = digit.codePointAt(0)!;
  while (value < 9 && /^\p{Nd}$/u.test(String.fromCodePoint(code - value - 1))) value += 1;
  return String(value);
}
