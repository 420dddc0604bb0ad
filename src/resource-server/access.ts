import { type Implies, listCovering } from './covers.ts';
import type { Access, VerifiedToken } from './token.ts';

/** Where a credential may do what: its places in workspaces (RFC 9396 section 9.2). Places add up; there are no denials. */

/** What a request is about, by your own ids. */
export interface PlaceOfCall {
  workspace: string;
  /** The things that it is in, from right below the workspace down to the thing itself. */
  within?: readonly string[];
  /** Its path, for places that were given by path. */
  path?: string;
  type?: string;
}

interface Entry {
  actions: readonly string[];
  types: ReadonlySet<string> | undefined;
  manages: boolean;
}

/** The places in one workspace, by what they cover. */
interface WorkspaceEntries {
  whole: Entry[];
  byNode: Map<string, Entry[]>;
  byPath: { path: string; entry: Entry }[];
}

const compiled = new WeakMap<readonly Access[], Map<string, WorkspaceEntries>>();

/**
 * Reports whether a credential may do something somewhere. One without places may do what its scopes say in the workspace of its
 * own account, and nothing elsewhere.
 *
 * @param action a scope
 * @param implies which scopes include others: `{ admin: ['write'], write: ['read'] }`
 */
export function may(
  token: Pick<VerifiedToken, 'subject' | 'scopes' | 'access'>,
  action: string,
  on: PlaceOfCall,
  implies: Implies = {},
): boolean {
  const covering = listCovering(action, implies);
  if (token.access === undefined) {
    return on.workspace === token.subject && token.scopes.some((scope) => covering.has(scope));
  }
  return someEntry(token.access, on, (entry) => entry.actions.some((scope) => covering.has(scope)));
}

/** What a credential has where a call is about: nothing, places of whatever kind, or such that may do more than look. */
export function reachOf(
  token: Pick<VerifiedToken, 'subject' | 'access'>,
  on: PlaceOfCall,
  lookingScopes: readonly string[],
): { isInside: boolean; looksOnly: boolean; manages: boolean } {
  const { access } = token;
  if (access === undefined) {
    const isInside = on.workspace === token.subject;
    return { isInside, looksOnly: false, manages: isInside };
  }
  const { type: _, ...anyType } = on;
  const isInside = someEntry(access, anyType, () => true, true);
  const acts = (entry: Entry) => entry.actions.some((scope) => !lookingScopes.includes(scope));
  return {
    isInside,
    looksOnly: isInside && !someEntry(access, anyType, acts, true),
    manages: someEntry(access, on, (entry) => entry.manages),
  };
}

/**
 * Reports whether a place that covers what a call is about passes a test.
 *
 * @param isOfAnyType whether places for some types of things count as well
 */
function someEntry(
  access: readonly Access[],
  { workspace, within, path, type }: PlaceOfCall,
  test: (entry: Entry) => boolean,
  isOfAnyType = false,
): boolean {
  const entries = entriesOf(access).get(workspace);
  if (entries === undefined) return false;
  const passes = (entry: Entry) =>
    (isOfAnyType || entry.types === undefined || (type !== undefined && entry.types.has(type))) &&
    test(entry);
  if (entries.whole.some(passes)) return true;
  if (within !== undefined) {
    for (const node of within) if (entries.byNode.get(node)?.some(passes)) return true;
  }
  return (
    path !== undefined &&
    entries.byPath.some(
      (each) =>
        (each.path === path || (each.path.endsWith('/') && path.startsWith(each.path))) && passes(each.entry),
    )
  );
}

/** Sorts the places of a credential, once. */
function entriesOf(access: readonly Access[]): Map<string, WorkspaceEntries> {
  const known = compiled.get(access);
  if (known !== undefined) return known;
  const entries = new Map<string, WorkspaceEntries>();
  for (const { workspace, node, path, actions, types, manages } of access) {
    let of = entries.get(workspace);
    if (of === undefined) {
      of = { whole: [], byNode: new Map(), byPath: [] };
      entries.set(workspace, of);
    }
    const entry = { actions, types: types && new Set(types), manages };
    if (node !== undefined) of.byNode.set(node, [...(of.byNode.get(node) ?? []), entry]);
    else if (path !== undefined) of.byPath.push({ path, entry });
    else of.whole.push(entry);
  }
  compiled.set(access, entries);
  return entries;
}

const MEMBERS = new Set([
  'type',
  'locations',
  'identifier',
  'node',
  'path',
  'actions',
  'datatypes',
  'privileges',
]);

/**
 * Reads the places of an introspection. One that this kit does not understand whole gives nothing.
 *
 * @param resource the URL of this resource server
 * @returns undefined if there is nothing that is understood: the credential works nowhere
 */
export function readAccess(details: unknown, resource: string): readonly Access[] | undefined {
  if (!Array.isArray(details)) return undefined;
  const access = details.flatMap((each) => readPlace(each, resource) ?? []);
  return access.length === 0 ? undefined : Object.freeze(access);
}

function readPlace(detail: unknown, resource: string): Access | undefined {
  if (typeof detail !== 'object' || detail === null) return undefined;
  const { type, locations, identifier, node, path, actions, datatypes, privileges } = detail as Record<
    string,
    unknown
  >;
  const isUnderstood =
    Object.keys(detail).every((name) => MEMBERS.has(name)) &&
    type === 'workspace' &&
    typeof identifier === 'string' &&
    areTexts(locations) &&
    locations.includes(resource) &&
    areTexts(actions) &&
    (node === undefined || (typeof node === 'string' && path === undefined)) &&
    (path === undefined || typeof path === 'string') &&
    (datatypes === undefined || areTexts(datatypes)) &&
    (privileges === undefined || areTexts(privileges));
  if (!isUnderstood) return undefined;
  return Object.freeze({
    workspace: identifier,
    actions: Object.freeze([...actions]),
    manages: privileges?.includes('manage') ?? false,
    ...(typeof node === 'string' && { node }),
    ...(typeof path === 'string' && path !== '' && { path }),
    ...(datatypes !== undefined && { types: Object.freeze([...datatypes]) }),
  });
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
