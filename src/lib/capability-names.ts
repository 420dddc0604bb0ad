/** Names of capabilities (Agent Auth Protocol). */

/** The built-in capability that says who one is. */
export const WHOAMI_NAME = 'whoami';

/** The capability that has a scope alone. */
export const capabilityName = (scope: string) => scope.toLowerCase().replace(/[^a-z0-9_]/g, '_');

/** A name that two of them would have, if there is one. */
export function nameTaken(config: {
  scopes: ReadonlyMap<string, unknown>;
  capabilities: readonly { name: string }[];
}): string | undefined {
  const own = config.capabilities.map(({ name }) => name);
  const names = [WHOAMI_NAME, ...[...config.scopes.keys()].map(capabilityName), ...own];
  return names.find((name, index) => names.indexOf(name) !== index);
}
