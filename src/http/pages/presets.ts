import type { Config } from '../../config/load.ts';
import { formatScope } from '../../lib/scopes.ts';

/** Finds the preset that gives exactly these scopes. */
export function findPreset(
  { presets }: Pick<Config, 'presets'>,
  scopes: readonly string[],
): { name: string; title: string } | undefined {
  const wanted = formatScope(scopes.toSorted());
  const found = [...presets].find(([, preset]) => formatScope(preset.scopes.toSorted()) === wanted);
  return found && { name: found[0], title: found[1].title };
}
