/** A name without what its writers differ in: `expiresIn`, `expires-in` and `EXPIRES_IN` are one word. */
export function normalized(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, '');
}

/**
 * The known name that is a slip or another spelling away: one letter in a short one, two in a longer one.
 *
 * @param word normalized
 * @returns undefined where none is near, and for words of less than three letters
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length < 3) return undefined;
  return known.find((each) => {
    const right = normalized(each);
    const slips = right.length < 4 ? 0 : right.length < 8 ? 1 : 2;
    return distance(word, right, slips) <= slips;
  });
}

/** How many letters must be added, taken, changed or swapped with their neighbor; past `max` any larger number. */
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
