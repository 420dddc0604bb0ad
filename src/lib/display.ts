/** How things are shown to people, in mails and on pages. */

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

/** A time as people read it, UTC. */
export function formatTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** What happened, ready to be shown. */
export function presentHappening(happening: {
  text: string;
  at: number;
  agentName: string | undefined;
  keyName: string | undefined;
  origin: string | undefined;
}): { text: string; at: string; name: string | undefined; origin: string | undefined } {
  const { text, at, agentName, keyName, origin } = happening;
  const name = keyName ?? agentName;
  return { text, at: formatTime(at), name: name && displayName(name), origin };
}

/** A pause as people say it, rounded up. */
export function formatPause(seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  const [count, unit] = minutes < 90 ? [minutes, 'minute'] : [Math.ceil(minutes / 60), 'hour'];
  return count === 1 ? `a ${unit}` : `${count} ${unit}s`;
}
