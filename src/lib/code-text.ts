/** Digits of every script that has them come in runs of ten, from a zero (Unicode Standard, section 4.6). */
const ANY_DIGIT = /\p{Nd}/gu;
/** What people and their keyboards put between the signs of a code, and what is not seen at all. */
const BETWEEN = /[\s\p{Dash}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * A code as it was meant: without spaces, dashes and invisible signs, full-width letters and digits in their plain form (NFKC),
 * digits of other scripts as 0 to 9.
 */
export function normalizeCode(text: string): string {
  return text.normalize('NFKC').replace(BETWEEN, '').replace(ANY_DIGIT, toPlainDigit);
}

function toPlainDigit(digit: string): string {
  let value = 0;
  const code = digit.codePointAt(0)!;
  while (value < 9 && /^\p{Nd}$/u.test(String.fromCodePoint(code - value - 1))) value += 1;
  return String(value);
}
