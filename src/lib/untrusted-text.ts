/** Makes texts that third parties chose safe to show. */

/**
 * Makes a name that a third party chose safe to show: one line, at most 64 visible characters, nothing that mail programs turn
 * into a link, no characters that hide or reorder others (S-14, S-43).
 */
export function displayName(name: string): string {
  const visible = visibleText(name)
    // Most mail programs make "https://evil.example" and "evil.example" clickable, some also with the dots of other
    // scripts. A space after the punctuation prevents that.
    .replace(/[./:@\u2024\u3002\uff0e\uff0f\uff1a\uff20\uff61]+(?=\S)/gu, (mark) => `${mark} `)
    .trim();
  return clip(visible, 64);
}

/**
 * Makes a text of a third party safe for a terminal or a log: one line, at most `charactersMax` visible characters, nothing that
 * moves the cursor, hides or reorders. Links stay intact.
 */
export function singleLine(text: string, charactersMax: number): string {
  return clip(visibleText(text.replace(/\s+/g, ' ')).trim(), charactersMax);
}

function visibleText(text: string): string {
  return (
    text
      .normalize('NFC')
      .replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, '')
      .replace(/\p{Zs}+/gu, ' ')
      // Many combining marks on one letter cover the lines above. No living script needs more than four.
      .replace(/^\p{M}+/u, '')
      .replace(/(\p{M}{4})\p{M}+/gu, '$1')
  );
}

function clip(text: string, charactersMax: number): string {
  const characters = [...text];
  return characters.length > charactersMax ? `${characters.slice(0, charactersMax - 1).join('')}…` : text;
}
