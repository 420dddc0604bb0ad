/**
 * Writes JSON that a terminal shows as it is: what controls terminals, or hides or reorders other characters, is written as
 * `\uXXXX`. The value stays the same.
 */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE, escapeUnits);
}

// White space between members is written by JSON.stringify itself, so line feeds outside texts remain.
const UNSAFE = /(?!\n)[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

function escapeUnits(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}
