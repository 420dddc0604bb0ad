import { Failure } from '../../errors.ts';
import { parsePlacePath } from '../place-path.ts';
import { canonicalJson, compareTexts } from './canonical-json.ts';
import { LIFETIME_SECONDS } from './lifetime.ts';
import { type Check, freeText, list, MemberFault, members, pattern, wholeNumber } from './read-members.ts';

/** Something that is asked for: actions at a place of a service. */
export interface PermissionEntry {
  /** The prefix of the deployment and the short name of an API: `vouchsafe.api`. */
  service: string;
  /** A workspace (`wsp_…`, or `usr_…` for a personal one), or `default`: the one that the granter chooses. */
  space: string;
  /** `@` and the id of a node, or a path, which covers what is below it if it ends in `/`; empty for the whole space. */
  path: string;
  /** Scopes, or the last words of their names; sorted, each once. */
  actions: string[];
  /** Types of things; absent: all. */
  types?: string[];
  /** What the requester says why. Unverified. */
  reason?: string;
  /** How long it should work, where that is shorter than the request's. */
  lifetime_seconds?: number;
}

/** The prefix of services, unless the operator chose another. */
export const DEFAULT_CAP_PREFIX = 'vouchsafe';
export const ENTRIES_MAX = 50;
const ACTIONS_MAX = 16;
const TYPES_MAX = 16;
const REASON_MAX = 300;

const SERVICE = /^(?:[a-z0-9]{1,16}\.)?[a-z][a-z0-9_-]{0,31}$/;
const SPACE = /^(?:default|(?:wsp|usr)_[A-Za-z0-9]{1,64})$/;
const ACTION = /^[A-Za-z0-9_.:-]{1,64}$/;
const NODE = /^@[A-Za-z0-9_.~-]{1,64}$/;

/** Reports whether a text names a service: the short name of an API, with or without a prefix. */
export function isServiceName(text: string): boolean {
  return SERVICE.test(text);
}

/** Reports whether a text names a workspace. */
export function isSpace(text: string): boolean {
  return SPACE.test(text);
}

/** Reports whether a text is the name of a scope, or the end of one. */
export function isAction(text: string): boolean {
  return ACTION.test(text);
}

/** Reports whether a text is `@` and the id of a node, a path of a workspace, or empty. */
export function isPlace(text: string): boolean {
  if (text.startsWith('@')) return NODE.test(text);
  try {
    parsePlacePath(text);
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** A fault of a path, told from others: its code is another. */
export class PathFault extends MemberFault {}

/** Checks a path. @throws PathFault */
export function pathText(value: unknown, where: string): string {
  if (typeof value === 'string' && isPlace(value)) return value;
  throw new PathFault(
    where,
    'It is no path of a workspace. Write it like "drafts/2026/", without "..", "%" or a "/" at the beginning.',
  );
}

export const serviceText = pattern(SERVICE, 'the name of a service such as "vouchsafe.api"');
export const spaceText = pattern(SPACE, '"default" or the id of a workspace');

/** Checks a list of words that is sorted and has each once. */
function sorted(item: Check<string>, max: number): Check<string[]> {
  const inner = list(item, 1, max);
  return (value, where) => {
    const words = inner(value, where);
    const isSorted = words.every((word, index) => index === 0 || compareTexts(words[index - 1]!, word) < 0);
    if (!isSorted) throw new MemberFault(where, 'It must be sorted, and have each entry once.');
    return words;
  };
}

export const actionList = sorted(pattern(ACTION, 'an action such as "read"'), ACTIONS_MAX);
export const typeList = sorted(pattern(/^[A-Za-z0-9_.:-]{1,64}$/, 'a type such as "document"'), TYPES_MAX);
export const reasonText = freeText(REASON_MAX);
export const lifetimeNumber = wholeNumber(LIFETIME_SECONDS.min, LIFETIME_SECONDS.max);

/** Checks an entry as it stands in a request. */
export const permissionEntry: Check<PermissionEntry> = members(
  { service: serviceText, space: spaceText, path: pathText, actions: actionList },
  { types: typeList, reason: reasonText, lifetime_seconds: lifetimeNumber },
);

/** Sorts words by UTF-16 code units, each once. */
export function sortWords(words: readonly string[]): string[] {
  return [...new Set(words)].toSorted(compareTexts);
}

/** Drops exact repeats and sorts by canonical form: how entries stand in a request. */
export function sortEntries(entries: readonly PermissionEntry[]): PermissionEntry[] {
  const byForm = new Map(entries.map((entry) => [canonicalJson({ ...entry }), entry]));
  return [...byForm].toSorted(([left], [right]) => compareTexts(left, right)).map(([, entry]) => entry);
}
