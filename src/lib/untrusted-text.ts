/** Texts that strangers chose, made harmless to show. */

/**
 * A name that a stranger chose, made harmless to show: one line, at most 64 visible characters, nothing that mail programs
 * turn into a link, no characters that hide or reorder others (S-14, S-43).
 */
export function displayName(name: string): string {
  const visible = visibleText(name)
    // "https://evil.example" and "evil.example" become clickable in most mail programs, some also with the dots
    // of other scripts; spaced out they do not.
    .replace(/[./:@\u2024\u3002\uff0e\uff0f\uff1a\uff20\uff61]+(?=\S)/gu, (mark) => `${mark} `)
    .trim();
  return clipped(visible, 64);
}

/**
 * A text of a stranger for a terminal or a log: one line, at most so many visible characters, nothing that moves the cursor,
 * hides or reorders. Links stay whole.
 */
export function oneLine(text: string, lettersMax: number): string {
  return clipped(visibleText(text.replace(/\s+/g, ' ')).trim(), lettersMax);
}

function visibleText(text: string): string {
  return (
    text
      .normalize('NFC')
      .replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, '')
      .replace(/\p{Zs}+/gu, ' ')
      // Marks without end pile up over the lines before; no script that is in use needs more on a letter.
      .replace(/^\p{M}+/u, '')
      .replace(/(\p{M}{4})\p{M}+/gu, '$1')
  );
}

function clipped(text: string, lettersMax: number): string {
  const letters = [...text];
  return letters.length > lettersMax ? `${letters.slice(0, lettersMax - 1).join('')}…` : text;
}
