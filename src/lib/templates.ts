import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta, type EtaConfig } from 'eta';

const FOLDER = fileURLToPath(new URL('../../templates/', import.meta.url));
const ROOMS = ['pages', 'mail'] as const;

/**
 * The templates of pages or mail, kept once read. A file of the same name in the operator's folder takes the place of ours.
 *
 * @param overrides the operator's folder, laid out as ours: `pages/NAME.eta`, `mail/NAME.eta`
 */
export function openTemplates(
  room: (typeof ROOMS)[number],
  overrides: string | undefined,
  options: Partial<EtaConfig>,
): Eta {
  const views = join(FOLDER, room);
  const eta = new Eta({ autoEscape: true, ...options, views, cache: true });
  eta.readFile = (path) => {
    const other = overrides && join(overrides, room, relative(views, path));
    return readFileSync(other && existsSync(other) ? other : path, 'utf8');
  };
  return eta;
}

/** What is wrong with an operator's folder of templates: one that takes no other's place, or does not compile. */
export function findTemplateFault(overrides: string): string | undefined {
  if (!isFolder(overrides)) return `is no folder: ${overrides}`;
  for (const room of readdirSync(overrides)) {
    const folder = join(overrides, room);
    if (!ROOMS.some((known) => known === room) || !isFolder(folder)) {
      return `holds ${room}, and only the folders ${ROOMS.join(' and ')} are looked into`;
    }
    for (const name of readdirSync(folder)) {
      if (!existsSync(join(FOLDER, room, name))) return `holds ${room}/${name}, which is no template of ours`;
      try {
        new Eta().compile(readFileSync(join(folder, name), 'utf8'));
      } catch (error) {
        return `holds ${room}/${name}, which does not compile: ${String(error).split('\n')[0]}`;
      }
    }
  }
  return undefined;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
