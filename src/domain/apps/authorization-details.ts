import type { Config } from '../../config/load.ts';
import { Failure } from '../../errors.ts';
import { parsePlacePath } from '../../lib/place-path.ts';
import { type PlacedAccess, WORKSPACE_TYPE } from '../credentials/placed-access.ts';

/**
 * Authorization details (RFC 9396): where an app asks to do what. There is one type, of which introspection tells, too: places in
 * workspaces.
 */

/** One place as an app asks for it. */
export interface AskedPlace {
  /** The id of a shared workspace, or of an account: its own things. */
  identifier: string;
  /** A thing in it, as its API names it. */
  node: string | undefined;
  path: string | undefined;
  /** Undefined: all that the app asks for. */
  actions: string[] | undefined;
  /** Undefined: all types of things. */
  datatypes: string[] | undefined;
}

/** The members that are lists of texts, and the others. */
const LISTS = ['locations', 'actions', 'datatypes', 'privileges'] as const;
const TEXTS = ['identifier', 'node', 'path'] as const;
const MEMBERS: ReadonlySet<string> = new Set(['type', ...LISTS, ...TEXTS]);

const DETAILS_MAX = 50;
const IDENTIFIER = /^(?:wsp|usr)_[a-z0-9]{1,64}$/i;
const NODE = /^[\w.~-]{1,64}$/;

/**
 * Reads the parameter `authorization_details`.
 *
 * @param resource the URL of the API that the token is for; undefined: it is not named here
 * @returns undefined for an empty list, which asks for nothing (RFC 9396 section 2)
 * @throws Failure `invalidDetails` for what is not understood (section 5)
 */
export function parseDetails(
  config: Pick<Config, 'scopes' | 'workspaces'>,
  text: string,
  resource: string | undefined,
): AskedPlace[] | undefined {
  let details: unknown;
  try {
    details = JSON.parse(text);
  } catch {
    refuse('authorization_details is not JSON');
  }
  if (!Array.isArray(details)) refuse('authorization_details is not an array');
  if (details.length > DETAILS_MAX) refuse(`authorization_details has more than ${DETAILS_MAX} objects`);
  return details.length === 0 ? undefined : details.map((detail) => parseDetail(config, detail, resource));
}

/** Reads one object of it. @throws Failure `invalidDetails` */
export function parseDetail(
  { scopes, workspaces }: Pick<Config, 'scopes' | 'workspaces'>,
  detail: unknown,
  resource: string | undefined,
): AskedPlace {
  if (typeof detail !== 'object' || detail === null || Array.isArray(detail)) refuse('each is an object');
  const members = detail as Record<string, unknown>;
  if (members.type !== WORKSPACE_TYPE) refuse(`the only type is ${WORKSPACE_TYPE}`);
  if (!Object.keys(members).every((name) => MEMBERS.has(name))) refuse('a member is unknown');
  for (const name of LISTS)
    if (name in members && !isList(members[name])) refuse(`${name} is a list of texts`);
  for (const name of TEXTS)
    if (name in members && typeof members[name] !== 'string') refuse(`${name} is a text`);
  const { identifier, node, path, locations, actions, datatypes, privileges } = members as {
    [Name in (typeof TEXTS)[number]]?: string;
  } & { [Name in (typeof LISTS)[number]]?: string[] };
  if (identifier === undefined || !IDENTIFIER.test(identifier)) refuse('identifier names a workspace');
  if (node !== undefined && path !== undefined) refuse('a place is a node or a path, not both');
  if (node !== undefined && !NODE.test(node)) refuse('node names a thing in the workspace');
  if (locations?.some((each) => resource !== undefined && each !== resource))
    refuse('locations is the resource');
  if (actions?.some((each) => !scopes.has(each))) refuse('actions are scopes');
  if (datatypes?.some((each) => !workspaces.types.includes(each))) refuse('a datatype is unknown');
  if (privileges?.some((each) => each !== 'manage')) refuse('a privilege is unknown');
  return { identifier, node, path: parsePath(path), actions, datatypes };
}

/** @returns undefined for the empty path, which is the whole workspace */
function parsePath(path: string | undefined): string | undefined {
  try {
    return path === undefined ? undefined : parsePlacePath(path);
  } catch {
    refuse('path is not a path');
  }
}

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string');
}

function refuse(message: string): never {
  throw new Failure('invalidDetails', `${message}.`);
}

/** Whether an app asks for exactly some places, with all that they allow or less than that named nowhere. */
export function isSamePlaces(
  asked: readonly AskedPlace[],
  access: readonly PlacedAccess[],
  scopes: readonly string[],
): boolean {
  const known = new Set(
    access.map(({ workspaceId, node, path, types, actions }) =>
      nameOf([workspaceId, node, path, types, actions]),
    ),
  );
  const named = new Set(
    asked.map(({ identifier, node, path, datatypes, actions }) => {
      const within = (actions ?? scopes).filter((action) => scopes.includes(action));
      return nameOf([identifier, node, path, datatypes, within]);
    }),
  );
  return known.size === named.size && [...named].every((name) => known.has(name));
}

function nameOf([workspace, node, path, types, actions]: [
  string,
  string | undefined,
  string | undefined,
  readonly string[] | undefined,
  readonly string[],
]): string {
  return JSON.stringify([workspace, node, path, types?.toSorted(), [...new Set(actions)].toSorted()]);
}
