import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta, type EtaConfig } from 'eta';

const FOLDER = fileURLToPath(new URL('../../templates/', import.meta.url));
const KINDS = ['pages', 'mail'] as const;

/**
 * Opens the templates of pages or mail, which are cached once read. A file in the operator's folder replaces ours of that name.
 *
 * @param overrides the operator's folder, laid out like ours: `pages/NAME.eta`, `mail/NAME.eta`
 */
export function openTemplates(
  kind: (typeof KINDS)[number],
  overrides: string | undefined,
  options: Partial<EtaConfig>,
): Eta {
  const views = join(FOLDER, kind);
  const eta = new Eta({ autoEscape: true, ...options, views, cache: true });
  eta.readFile = (path) => {
    const replacement = overrides && join(overrides, kind, relative(views, path));
    return readFileSync(replacement && existsSync(replacement) ? replacement : path, 'utf8');
  };
  return eta;
}

/**
 * Finds the first fault in an operator's folder of templates: a file that replaces none of ours, or does not compile.
 *
 * @returns the end of a sentence; undefined if there is no fault
 */
export function findTemplateFault(overrides: string): string | undefined {
  if (!isFolder(overrides)) return `is no folder: ${overrides}`;
  for (const kind of readdirSync(overrides)) {
    const folder = join(overrides, kind);
    if (!KINDS.some((known) => known === kind) || !isFolder(folder)) {
      return `holds ${kind}, and only the folders ${KINDS.join(' and ')} are looked into`;
    }
    for (const name of readdirSync(folder)) {
      if (!existsSync(join(FOLDER, kind, name))) return `holds ${kind}/${name}, which is no template of ours`;
      try {
        new Eta().compile(readFileSync(join(folder, name), 'utf8'));
      } catch (error) {
        return `holds ${kind}/${name}, which does not compile: ${String(error).split('\n')[0]}`;
      }
    }
  }
  return undefined;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
