import type { Config } from '../../config/load.ts';
import type { Deps } from '../../deps.ts';
import { listAudiences } from '../../domain/audiences/audience.ts';
import { listResourceServers } from '../../domain/audiences/resource-servers.ts';
import type { PlaceRequest } from '../../domain/workspaces/give-places.ts';
import {
  findChosenNodes,
  type GivableWorkspace,
  listGivableWorkspaces,
  type NamedPlace,
} from '../../domain/workspaces/pick-places.ts';
import type { Failure } from '../../errors.ts';
import { parseScope } from '../../lib/scopes.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import type { NodeRow } from '../../store/nodes.ts';
import { checkedNames, type Problem } from './forms.ts';
import { findPreset } from './presets.ts';
import { describeScopes } from './scopes.ts';
import { pathBox, readTypedPaths, type TypedPath, typedIn } from './typed-paths.ts';

/**
 * The part "Where it works" of a form: a picker of places, and the grid of what may be done in each. A box of the picker is
 * named `place:own`, `place:wsp_…` or `place:nod_…`; typed paths see typed-paths.ts; a box of the grid `may:PLACE:SCOPE`, or `may:PLACE.TYPE:SCOPE` for things of
 * one type.
 */

/** What a form with this part was filled with. */
export type WhereForm = Readonly<Record<string, unknown>>;

/** How long the values of such a form are: the hidden `grid` names all rows that were drawn. */
export const VALUE_LENGTH_MAX = 8192;

/** One's own personal workspace. */
const OWN = 'own';

/** What somebody can choose from, and has chosen. */
export interface Where {
  workspaces: readonly GivableWorkspace[];
  /** The nodes that are chosen, listed or not. */
  nodes: ReadonlyMap<string, NodeRow>;
  /** The paths that are typed, by their names in the grid. */
  paths: ReadonlyMap<string, TypedPath>;
  /** The names of the chosen places, without those that a chosen one includes; paths last. */
  chosen: readonly string[];
  /** What to correct in what was typed. */
  problem: Problem | undefined;
}

/** Whether one's own things are all that is chosen: then the credential is none on places. */
export function isOwnAlone({ chosen }: Where): boolean {
  return chosen.length === 1 && chosen[0] === OWN;
}

/** Reads what can be chosen and what is; undefined where the part is not shown. */
export async function readWhere(deps: Deps, accountId: string, form: WhereForm): Promise<Where | undefined> {
  const workspaces = await listGivableWorkspaces(deps, accountId, searchOf(form));
  if (workspaces.length === 0) return undefined;
  const names = checkedNames({ ...form }, 'place');
  const found = await findChosenNodes(
    deps,
    names.filter((name) => name.startsWith('nod_')),
  );
  const mine = new Set(workspaces.map(({ id }) => id));
  const nodes = new Map(found.filter((node) => mine.has(node.workspaceId)).map((node) => [node.id, node]));
  const parents = new Map(
    workspaces.flatMap((each) => each.nodes.map(({ id, parentId }) => [id, parentId] as const)),
  );
  const isIncluded = (name: string): boolean => {
    const node = nodes.get(name);
    if (node === undefined) return false;
    if (names.includes(node.workspaceId)) return true;
    for (let id = node.parentId; id !== null && id !== undefined; id = parents.get(id) ?? null) {
      if (names.includes(id)) return true;
    }
    return false;
  };
  const { paths, problem } = readTypedPaths(form, [OWN, ...mine]);
  const chosen = [...names.filter((name) => !isIncluded(name)), ...paths.keys()];
  return { workspaces, nodes, paths, chosen, problem };
}

function searchOf({ find }: WhereForm): string {
  return typeof find === 'string' ? find.trim().slice(0, 64) : '';
}

/**
 * Converts the chosen places to those that a key or agent is given.
 *
 * @param scopes what may be done in all of them; undefined: what the grid says
 * @returns undefined where a box names what cannot be chosen
 */
export function toPlaceRequests(
  deps: Pick<Deps, 'config'>,
  accountId: string,
  { chosen, workspaces, nodes, paths }: Where,
  form: WhereForm,
  scopes: readonly string[] | undefined,
): PlaceRequest[] | undefined {
  const requests: PlaceRequest[] = [];
  for (const name of chosen) {
    const node = nodes.get(name);
    const typed = paths.get(name);
    const within = typed?.within ?? node?.workspaceId ?? name;
    if (within !== OWN && !workspaces.some(({ id }) => id === within)) return undefined;
    const place = { workspaceId: within === OWN ? accountId : within, nodeId: node?.id, path: typed?.path };
    if (scopes !== undefined) requests.push({ ...place, actions: scopes });
    else for (const row of rowsOf(deps, name, form)) requests.push({ ...place, ...row });
  }
  return requests;
}

/** What the grid says of one place: for all things, and for those of single types; types with the same boxes go together. */
function rowsOf({ config }: Pick<Deps, 'config'>, place: string, form: WhereForm) {
  const ticked = (row: string) => [...config.scopes.keys()].filter((scope) => `may:${row}:${scope}` in form);
  const all = ticked(place);
  const typed = Map.groupBy(
    config.workspaces.types.filter((type) => ticked(`${place}.${type}`).length > 0),
    (type) => ticked(`${place}.${type}`).join(' '),
  );
  return [
    ...(all.length === 0 ? [] : [{ actions: all, types: undefined }]),
    ...[...typed].map(([actions, types]) => ({ actions: actions.split(' '), types })),
  ];
}

/** Whether the grid has been drawn for all chosen places: a form that was sent before has no boxes for them. */
export function hasGridFor({ chosen }: Where, form: WhereForm): boolean {
  const drawn = typeof form.grid === 'string' ? form.grid.split(' ') : [];
  return chosen.every((name) => drawn.includes(name));
}

/** Prepares the part for its template. @param hasOwn whether one's own things can be chosen */
export async function presentWhere(
  deps: Deps,
  where: Where,
  form: WhereForm,
  hasOwn: boolean,
): Promise<object> {
  const apis = new Map((await listAudiences(deps)).map(({ url, name }) => [url, displayName(name)]));
  const isOn = (name: string) => `place:${name}` in form;
  const telling = (await listResourceServers(deps)).filter((server) => server.understandsWorkspaces);
  /** What is typed; undefined: there is no field, since every API tells what is in there. */
  const pathsIn = (name: string, nodes: readonly NodeRow[]) => {
    const typed = typedIn(form, name);
    const isWanted = telling.some(({ url }) => !nodes.some(({ resource }) => resource === url));
    return isWanted || typed !== '' ? typed : undefined;
  };
  const nodeNames = (node: NodeRow) => ({ name: displayName(node.name), api: apis.get(node.resource) });
  return {
    hasOwn,
    own: isOn(OWN),
    ownPaths: hasOwn ? pathsIn(OWN, []) : undefined,
    find: searchOf(form),
    workspaces: where.workspaces.map(({ id, name, role, nodes, hasMore }) => {
      const chosen = [...where.nodes.values()].filter((node) => node.workspaceId === id);
      const listed = hasMore
        ? [...new Map([...chosen, ...nodes].map((node) => [node.id, node])).values()]
        : nodes;
      const on = isOn(id);
      return {
        id,
        name: displayName(name),
        role,
        on,
        hasMore,
        paths: pathsIn(id, nodes),
        isOpen: chosen.length > 0 || (hasMore && listed.length > 0) || typedIn(form, id) !== '',
        nodes: toTree(listed, hasMore, on, isOn, nodeNames),
      };
    }),
    grid: where.chosen.join(' '),
    columns: describeScopes(deps.config, [...deps.config.scopes.keys()]),
    rows: where.chosen.flatMap((place) => {
      const title = titleOf(where, place);
      const row = (name: string, type: string | undefined) => ({
        ...title,
        type,
        boxes: [...deps.config.scopes.keys()].map((scope) => ({
          name: `may:${name}:${scope}`,
          on: `may:${name}:${scope}` in form,
        })),
      });
      return [
        row(place, undefined),
        ...deps.config.workspaces.types.map((type) => row(`${place}.${type}`, type)),
      ];
    }),
  };
}

/** A node of the picker, with what is in it. */
interface Branch {
  id: string;
  on: boolean;
  isIncluded: boolean;
  isOpen: boolean;
  name: string;
  kind: string;
  api: string | undefined;
  nodes: Branch[];
}

function toTree(
  nodes: readonly NodeRow[],
  isFlat: boolean,
  isIncludedAbove: boolean,
  isOn: (name: string) => boolean,
  namesOf: (node: NodeRow) => { name: string; api: string | undefined },
): Branch[] {
  const byParent = Map.groupBy(nodes, ({ parentId }) => (isFlat ? null : parentId));
  const branchesOf = (parentId: string | null, isIncluded: boolean): Branch[] =>
    (byParent.get(parentId) ?? [])
      .map((node) => {
        const on = isOn(node.id);
        const below = isFlat ? [] : branchesOf(node.id, isIncluded || on);
        const isOpen = below.some((each) => each.on || each.isOpen);
        return { id: node.id, kind: node.kind, ...namesOf(node), on, isIncluded, isOpen, nodes: below };
      })
      .toSorted((one, other) => one.name.localeCompare(other.name));
  return branchesOf(null, isIncludedAbove);
}

/** Names a chosen place: the thing, and what it is in. Without a name it is one's own. */
function titleOf(
  { workspaces, nodes, paths }: Where,
  place: string,
): { name?: string; within?: string; isOwnPath?: boolean } {
  if (place === OWN) return {};
  const typed = paths.get(place);
  if (typed?.within === OWN) return { name: typed.path, isOwnPath: true };
  const node = nodes.get(place);
  const workspace = workspaces.find(({ id }) => id === (typed?.within ?? node?.workspaceId ?? place));
  const workspaceName = displayName(workspace?.name ?? '');
  if (typed !== undefined) return { name: typed.path, within: workspaceName };
  return node === undefined
    ? { name: workspaceName }
    : { name: displayName(node.name), within: workspaceName };
}

/** Fills the picker and the grid as places were given. */
export function enteredPlaces(
  config: Pick<Config, 'presets'>,
  places: readonly Pick<NamedPlace, 'workspaceId' | 'nodeId' | 'path' | 'types' | 'actions'>[],
): Record<string, string> {
  const withinOf = ({ workspaceId }: Pick<NamedPlace, 'workspaceId'>) =>
    workspaceId.startsWith('usr_') ? OWN : workspaceId;
  const nameOf = (place: (typeof places)[number]) =>
    place.path === null ? (place.nodeId ?? withinOf(place)) : pathBox(withinOf(place), place.path);
  const typed = Map.groupBy(
    places.filter(({ path }) => path !== null),
    withinOf,
  );
  const names = [...new Set(places.map(nameOf))];
  const [first] = places;
  const isAlike = places.every(({ actions, types }) => actions === first!.actions && types === null);
  const preset = isAlike && first !== undefined ? findPreset(config, parseScope(first.actions)) : undefined;
  const boxes = places.flatMap((place) =>
    (place.types?.split(' ') ?? [undefined]).flatMap((type) =>
      parseScope(place.actions).map((scope) => [
        `may:${nameOf(place)}${type === undefined ? '' : `.${type}`}:${scope}`,
        'on',
      ]),
    ),
  );
  return {
    preset: preset?.name ?? 'choose',
    ...Object.fromEntries(names.filter((name) => !name.includes('~')).map((name) => [`place:${name}`, 'on'])),
    ...Object.fromEntries(
      [...typed].map(([within, rows]) => [
        `paths:${within}`,
        [...new Set(rows.map(({ path }) => path))].join('\n'),
      ]),
    ),
    ...(preset === undefined && { ...Object.fromEntries(boxes), grid: names.join(' ') }),
  };
}

/** Says what is wrong with places that may not be given; undefined: nothing that its form could correct. */
export function placeProblemOf({ kind, details }: Failure): Problem | undefined {
  if (kind === 'tooMany' && details.field === 'keys') {
    return { key: 'keys.problem.workspaceFull', values: { count: details.maximum ?? 0 }, field: 'where' };
  }
  if (kind === 'tooMany') return { key: 'keys.problem.tooManyPlaces', field: 'where' };
  if (kind === 'forbidden') return { key: 'keys.problem.role', field: 'permissions' };
  if (kind === 'notFound' || details.field === 'node') return { key: 'keys.problem.place', field: 'where' };
  return undefined;
}
