import { z } from 'zod';
import type { Failure } from '../../errors.ts';
import { normalizeCode } from '../../lib/code-text.ts';

/** What the forms of the pages have in common. */

/** A form of ours: its own fields beside the token that server/browser-session.ts checks, and the name of the page that it was on. */
export function form<Fields extends z.ZodRawShape>(fields: Fields) {
  return z.object({ csrf: z.string().max(64).optional(), once: z.string().max(64).optional(), ...fields });
}

/** A code as people type it: `123 456`, `123–456` and `１２３４５６` are `123456`. */
export const typedCode = z.string().max(64).default('').transform(normalizeCode);

/**
 * What is said beside the field of a code that was wrong, while there are tries left.
 *
 * @param isMailed whether an older mail may be the reason
 */
export function wrongCodeText({ details }: Failure, isMailed: boolean): string {
  const left = details.attemptsRemaining ?? 0;
  const text = `The code is wrong. ${left === 1 ? 'One try is' : `${left} tries are`} left.`;
  return isMailed ? `${text} Only the code in the newest mail counts.` : text;
}

/** The boxes of a kind that are on in a form: of `scope:read=on` and kind `scope` it is `read`. */
export function chosen(body: Record<string, unknown>, kind: string): string[] {
  const start = `${kind}:`;
  return Object.keys(body)
    .filter((name) => name.startsWith(start))
    .map((name) => name.slice(start.length));
}
