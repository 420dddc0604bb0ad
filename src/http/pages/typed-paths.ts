import { Failure } from '../../errors.ts';
import { sha256 } from '../../lib/hash.ts';
import { parsePlacePath } from '../../lib/place-path.ts';
import { singleLine } from '../../lib/untrusted-text.ts';
import type { Problem } from './forms.ts';

/**
 * Paths that people type beside the picker of places, for APIs that tell no tree: a field `paths:own` or `paths:wsp_…`, with one
 * path a line.
 */

/** A path that somebody typed. */
export interface TypedPath {
  /** The name of its workspace in the picker. */
  within: string;
  path: string;
}

/**
 * Reads the paths of a form, by the names that their rows of the grid have: each follows from its path, so that a box of the grid
 * never goes over to another one.
 *
 * @param places the names of the workspaces that can be chosen
 * @returns `problem`: what to correct in what was typed
 */
export function readTypedPaths(
  form: Readonly<Record<string, unknown>>,
  places: readonly string[],
): { paths: ReadonlyMap<string, TypedPath>; problem: Problem | undefined } {
  const paths = new Map<string, TypedPath>();
  let problem: Problem | undefined;
  for (const within of places) {
    for (const line of typedIn(form, within).split(/\r\n|\n/)) {
      const text = line.trim().normalize('NFC');
      if (text === '') continue;
      if (isPath(text)) paths.set(pathBox(within, text), { within, path: text });
      else problem ??= { key: 'where.problem.path', values: { path: singleLine(text, 64) }, field: 'where' };
    }
    if (`place:${within}` in form && typedIn(form, within).trim() !== '') {
      problem ??= { key: 'where.problem.whole', field: 'where' };
    }
  }
  return { paths, problem };
}

/** Returns what is typed in the field of a workspace. */
export function typedIn(form: Readonly<Record<string, unknown>>, within: string): string {
  const text = form[`paths:${within}`];
  return typeof text === 'string' ? text : '';
}

/** Returns the name of a path in the grid. */
export function pathBox(within: string, path: string): string {
  return `${within}~${sha256(Buffer.from(path)).toString('hex').slice(0, 16)}`;
}

function isPath(text: string): boolean {
  try {
    return parsePlacePath(text) !== undefined;
  } catch (error) {
    if (error instanceof Failure && error.kind === 'invalidPath') return false;
    throw error;
  }
}
