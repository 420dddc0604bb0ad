import { readFileSync } from 'node:fs';
import { sha256 } from '../../lib/hash.ts';
import { type Operation, operation } from '../server/table.ts';

/** A file that pages load: stylesheet, script, icon or font. */
export interface Asset {
  type: string;
  bytes: Buffer;
  /** Whether its path contains a hash of it, so that a cache may keep it forever (RFC 8246). */
  isImmutable: boolean;
}

/** Files by path, and the path with a hash of each by its plain name. */
export interface Assets {
  files: Map<string, Asset>;
  /** `style.css` → `/assets/style.1a2b3c4d5e6f.css`. */
  paths: Record<string, string>;
}

/** Inter and JetBrains Mono (SIL Open Font License 1.1), from their npm packages. */
const FONTS = {
  'inter-latin.woff2': '@fontsource-variable/inter/files/inter-latin-wght-normal.woff2',
  'inter-latin-ext.woff2': '@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2',
  'jetbrains-mono-latin.woff2':
    '@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2',
};
const LICENSES = {
  'inter-license.txt': '@fontsource-variable/inter/LICENSE',
  'jetbrains-mono-license.txt': '@fontsource-variable/jetbrains-mono/LICENSE',
};

/** Starts a collection of assets with the fonts and their licenses. */
export function createAssets(): Assets {
  const assets: Assets = { files: new Map(), paths: {} };
  for (const [name, file] of Object.entries(FONTS))
    addAsset(assets, name, 'font/woff2', readPackageFile(file));
  for (const [name, file] of Object.entries(LICENSES)) {
    addAsset(assets, name, 'text/plain; charset=utf-8', readPackageFile(file));
  }
  return assets;
}

/** Adds a file under a path with its hash. A text is also served under its plain name, for templates of an operator. */
export function addAsset(assets: Assets, name: string, type: string, content: string | Buffer): void {
  const bytes = Buffer.from(content);
  const dot = name.indexOf('.');
  const hash = sha256(bytes).toString('hex').slice(0, 12);
  const path = `/assets/${name.slice(0, dot)}.${hash}${name.slice(dot)}`;
  assets.paths[name] = path;
  assets.files.set(path, { type, bytes, isImmutable: true });
  if (typeof content === 'string') assets.files.set(`/assets/${name}`, { type, bytes, isImmutable: false });
}

/** Serves an asset. */
export function asset({ type, bytes, isImmutable }: Asset): Operation<'anyone'> {
  const headers = isImmutable ? { 'Cache-Control': 'public, max-age=31536000, immutable' } : {};
  return operation({
    caller: 'anyone',
    open: true,
    summary: 'How the pages look',
    handle: () => ({ type, bytes, headers }),
  });
}

function readPackageFile(file: string): Buffer {
  return readFileSync(new URL(import.meta.resolve(file)));
}
