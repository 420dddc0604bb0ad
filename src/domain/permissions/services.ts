import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { DEFAULT_CAP_PREFIX } from '../../lib/artifacts/permission-entry.ts';
import { parsePlacePath } from '../../lib/place-path.ts';
import { type Audience, listAudiences } from '../audiences/audience.ts';

/** What the services and actions of capabilities stand for: APIs and scopes. */

/** One entry of a permission request, as it is signed. */
export interface RequestedPermission {
  service: string;
  space: string;
  path: string;
  actions: readonly string[];
  types?: readonly string[] | undefined;
  reason?: string | undefined;
  lifetime_seconds?: number | undefined;
}

/** An entry whose service and actions are known here. */
export interface KnownPermission {
  audience: Audience;
  /** `default`, or the id of a workspace. */
  space: string;
  /** The API's own id of a thing; undefined: a path, or the whole workspace. */
  node: string | undefined;
  /** Undefined: a thing, or the whole workspace. */
  path: string | undefined;
  /** The scope of each action, by the action as it was asked for. */
  scopes: ReadonlyMap<string, string>;
  types: readonly string[] | undefined;
  /** Of the request where the entry has none of its own: undefined. */
  lifetimeSeconds: number | undefined;
  reason: string | undefined;
}

/** Returns the names by which capabilities know the APIs, each with its API. */
export async function listServices(deps: Pick<Deps, 'db' | 'config'>): Promise<Map<string, Audience>> {
  const services = new Map<string, Audience>();
  const configured = new Map(deps.config.resources.map((each) => [each.url, each.shortName]));
  const audiences = await listAudiences(deps);
  const nameOf = (audience: Audience, index: number) =>
    configured.get(audience.url) ?? (index === 0 ? 'api' : toShortName(audience.name));
  for (const [index, audience] of audiences.entries()) {
    const name = nameOf(audience, index);
    // One that the operator adds later takes no name that means another.
    if (name !== undefined && !services.has(name)) services.set(name, audience);
  }
  return services;
}

/** Returns how capabilities name an API: `vouchsafe.api`; undefined: they do not. */
export async function listServiceNames(deps: Pick<Deps, 'db' | 'config'>): Promise<Map<string, string>> {
  const prefix = deps.config.service.capPrefix;
  const services = await listServices(deps);
  return new Map([...services].map(([name, { url }]) => [url, `${prefix}.${name}`]));
}

/**
 * Finds what entries of a request stand for.
 *
 * @throws Failure `unknownService`, `unknownAction`, `invalidPath`, `badRequest`, each with the entry as field
 */
export async function readPermissions(
  deps: Pick<Deps, 'db' | 'config'>,
  permissions: readonly RequestedPermission[],
): Promise<KnownPermission[]> {
  const services = await listServices(deps);
  const prefix = `${deps.config.service.capPrefix}.`;
  // Who writes a request without asking us does not know that the operator chose another one.
  const written = [prefix, `${DEFAULT_CAP_PREFIX}.`];
  return permissions.map((entry, index) => {
    const field = `permissions.${index}`;
    const before = written.find((each) => entry.service.startsWith(each)) ?? '';
    const name = entry.service.slice(before.length);
    const audience = services.get(name);
    if (audience === undefined) {
      throw new Failure(
        'unknownService',
        `There is no such service here. Known: ${[...services.keys()].map((each) => prefix + each).join(', ')}.`,
        { field: `${field}.service` },
      );
    }
    const known = audience.scopes ?? [...deps.config.scopes.keys()];
    const scopes = new Map(
      entry.actions.map((action) => [action, resolveAction(action, known, `${field}.actions`)]),
    );
    const unknownType = entry.types?.find((type) => !deps.config.workspaces.types.includes(type));
    if (unknownType !== undefined) {
      throw new Failure('badRequest', 'There is no such type of things here.', { field: `${field}.types` });
    }
    const node = entry.path.startsWith('@') ? entry.path.slice(1) : undefined;
    return {
      audience,
      space: entry.space,
      node,
      path: node === undefined ? parsePlacePath(entry.path, `${field}.path`) : undefined,
      scopes,
      types: entry.types,
      lifetimeSeconds: entry.lifetime_seconds,
      reason: entry.reason,
    };
  });
}

/** Finds the scope of an action: that of its name, or the only one that ends with it. `a~b` is written for `a:b`. */
function resolveAction(action: string, scopes: readonly string[], field: string): string {
  const name = action.replaceAll('~', ':');
  if (scopes.includes(name)) return name;
  const matching = scopes.filter((scope) => scope.endsWith(`:${name}`));
  if (matching.length === 1) return matching[0]!;
  const meant = matching.length > 1 ? matching : scopes;
  const spelled = meant.map((scope) => scope.replaceAll(':', '~')).join(', ');
  const advice = matching.length > 1 ? 'That action could be one of' : 'There is no such action. Known here';
  throw new Failure('unknownAction', `${advice}: ${spelled}.`, { field });
}

function toShortName(name: string): string | undefined {
  const short = name
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 32);
  return short === '' ? undefined : short;
}
