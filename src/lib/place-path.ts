import { Failure } from '../errors.ts';

/** Paths within a workspace, as people and requests name them. */

const BYTES_MAX = 512;

/** What no path holds: what percent-decoding or another file system would read otherwise, and what nobody sees. */
const UNSAFE = /[%\\\p{C}\p{Zl}\p{Zp}]/u;

/** Whether a path is another one, or below it, which only one that ends in `/` covers. */
export function isWithinPath(path: string, outer: string): boolean {
  return path === outer || (outer.endsWith('/') && path.startsWith(outer));
}

/**
 * Checks a path: segments separated by `/`, in NFC. Paths are compared byte by byte, and one that ends in `/` covers what is
 * below it.
 *
 * @returns the path; undefined for the empty one, which is the whole workspace
 * @throws Failure `invalidPath`
 */
export function parsePlacePath(text: string, field?: string): string | undefined {
  if (text === '') return undefined;
  const segments = text.split('/');
  const isDirectory = segments.at(-1) === '';
  const named = isDirectory ? segments.slice(0, -1) : segments;
  const isSafe =
    Buffer.byteLength(text) <= BYTES_MAX &&
    text === text.normalize('NFC') &&
    !text.startsWith('@') &&
    !UNSAFE.test(text) &&
    named.every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  if (!isSafe) {
    throw new Failure(
      'invalidPath',
      'That is no path of a workspace. Write it like "drafts/2026/", without "..", "%" or a "/" at the beginning.',
      field === undefined ? {} : { field },
    );
  }
  return text;
}
