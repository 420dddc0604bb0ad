import { AuthError, EXIT_CODES } from '../../lib/artifacts/auth-error.ts';
import { printableJson } from '../../lib/artifacts/printable-json.ts';
import { causeMessage } from '../../lib/cause-message.ts';
import { singleLine } from '../../lib/untrusted-text.ts';

/**
 * Reports an error on stderr: one line `CODE: sentence (hint)`, or JSON.
 *
 * @returns the exit code
 */
export function reportError(error: unknown, isJson: boolean): number {
  const { code, message, hint, retryAfter } =
    error instanceof AuthError ? error : new AuthError('INTERNAL_ERROR', causeMessage(error));
  const shown = singleLine(message, 500);
  if (isJson)
    console.error(printableJson({ error: { code, message: shown, hint, retry_after: retryAfter } }));
  else console.error(`${code}: ${shown}${hint === undefined ? '' : ` (${singleLine(hint, 500)})`}`);
  return EXIT_CODES[code];
}
