/** Reduces a name to its lowercase letters, so that `expiresIn`, `expires-in` and `EXPIRES_IN` are equal. */
export function normalizeName(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, '');
}

/**
 * Finds a known name that differs from a word by spelling only, or by few typos: one in a name of four to seven letters, two in
 * a longer one.
 *
 * @param word normalized
 * @returns undefined if none is near, or the word has fewer than three letters
 */
export function suggestName(word: string, known: readonly string[]): string | undefined {
  if (word.length < 3) return undefined;
  return known.find((each) => {
    const candidate = normalizeName(each);
    const typosMax = candidate.length < 4 ? 0 : candidate.length < 8 ? 1 : 2;
    return distance(word, candidate, typosMax) <= typosMax;
  });
}

/** Counts the letters to insert, delete, replace or swap with a neighbor; above `max`, returns any larger number. */
function distance(left: string, right: string, max: number): number {
  if (Math.abs(left.length - right.length) > max) return max + 1;
  const rows = Array.from({ length: left.length + 1 }, (_, row) => [row]);
  for (let column = 1; column <= right.length; column += 1) rows[0]![column] = column;
  for (let row = 1; row <= left.length; row += 1) {
    for (let column = 1; column <= right.length; column += 1) {
      const isSame = left[row - 1] === right[column - 1];
      const isSwapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      rows[row]![column] = Math.min(
        rows[row - 1]![column]! + 1,
        rows[row]![column - 1]! + 1,
        rows[row - 1]![column - 1]! + (isSame ? 0 : 1),
        ...(isSwapped ? [rows[row - 2]![column - 2]! + 1] : []),
      );
    }
  }
  return rows[left.length]![right.length]!;
}
