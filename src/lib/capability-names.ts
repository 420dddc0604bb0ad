/** Names of capabilities (Agent Auth Protocol). */

/** The built-in capability that tells an agent who it is. */
export const WHOAMI_NAME = 'whoami';

/** Returns the name of the capability that is derived from a scope. */
export const capabilityName = (scope: string) => scope.toLowerCase().replace(/[^a-z0-9_]/g, '_');

/** Finds a name that two capabilities would share; undefined if all names are unique. */
export function findDuplicateName(config: {
  scopes: ReadonlyMap<string, unknown>;
  capabilities: readonly { name: string }[];
}): string | undefined {
  const configured = config.capabilities.map(({ name }) => name);
  const names = [WHOAMI_NAME, ...[...config.scopes.keys()].map(capabilityName), ...configured];
  return names.find((name, index) => names.indexOf(name) !== index);
}
