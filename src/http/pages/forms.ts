import { z } from 'zod';
import type { Failure } from '../../errors.ts';
import { normalizeCode } from '../../lib/code-text.ts';

/** Helpers that the forms of the pages share. */

/**
 * Creates the schema of a form: its own fields, `csrf`, which server/browser-session.ts checks, and `once`, the
 * random name of the rendered page (see repeated.ts).
 */
export function formSchema<Fields extends z.ZodRawShape>(fields: Fields) {
  return z.object({ csrf: z.string().max(64).optional(), once: z.string().max(64).optional(), ...fields });
}

/** A code as people type it, normalized: `123 456`, `123–456` and `１２３４５６` become `123456`. */
export const typedCode = z.string().max(64).default('').transform(normalizeCode);

/** What is wrong with a form, as a text of the catalogue. */
export interface Problem {
  key: string;
  values?: Readonly<Record<string, string | number>>;
  /** The field that it is about; undefined: the whole form. */
  field?: string;
}

/**
 * Returns what the page says of a wrong code while tries are left.
 *
 * @param isMailed whether the code was mailed, so that the human may have read an older mail
 */
export function wrongCodeText({ details }: Failure, isMailed: boolean): Problem {
  const count = details.attemptsRemaining ?? 0;
  return { key: isMailed ? 'error.wrongMailedCode' : 'error.wrongCode', values: { count }, field: 'code' };
}

/** Returns the names of the checkboxes of one kind that are on: `read` for `scope:read=on` and kind `scope`. */
export function checkedNames(body: Record<string, unknown>, kind: string): string[] {
  const prefix = `${kind}:`;
  return Object.keys(body)
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length));
}
