import type { Config } from '../../config/load.ts';

/** Scopes as pages show them: what they allow in words, and an icon that fits. */

/** A scope on a page. */
export interface ScopeLine {
  name: string;
  description: string;
  icon: 'eye' | 'pencil' | 'triangle-alert';
  isDestructive: boolean;
}

/** Names of scopes that only look. */
const LOOKING = /(?:^|[.:_-])(?:read|view|list|search|get)(?:$|[.:_-])/i;

/** Describes scopes, in the order of the names. One that is not configured any more has no description. */
export function describeScopes({ scopes }: Pick<Config, 'scopes'>, names: readonly string[]): ScopeLine[] {
  return names.map((name) => {
    const { description, destructive: isDestructive = false } = scopes.get(name) ?? { description: '' };
    const icon = isDestructive ? 'triangle-alert' : LOOKING.test(name) ? 'eye' : 'pencil';
    return { name, description, icon, isDestructive };
  });
}
