import { z } from 'zod';
import type { Config } from '../../config/load.ts';
import type { Deps } from '../../deps.ts';
import { listAudiences } from '../../domain/audiences/audience.ts';
import type { Key } from '../../domain/credentials/issue.ts';
import type { PlaceRequest } from '../../domain/workspaces/give-places.ts';
import type { NamedPlace } from '../../domain/workspaces/pick-places.ts';
import { randomBase62 } from '../../lib/base62.ts';
import { DAY_MS } from '../../lib/time.ts';
import { checkedNames, formSchema } from './forms.ts';
import { findPreset } from './presets.ts';
import { describeScopes } from './scopes.ts';
import {
  enteredPlaces,
  hasGridFor,
  isOwnAlone,
  presentWhere,
  readWhere,
  toPlaceRequests,
  VALUE_LENGTH_MAX,
} from './where.ts';

/** The form of a new personal key: what it holds, how it is read, and what is wrong with it. */

/** The lifetimes of a key in days. `never`: it does not expire. */
export const LIFETIME_DAYS = { '7': 7, '30': 30, '90': 90, '365': 365, never: undefined } as const;
export const LIVES = ['7', '30', '90', '365', 'never'] as const;
export const DEFAULT_LIFE = '90';

/**
 * The form of a new key. `preset` is the name of a preset, or `choose` with checkboxes `scope:NAME`. Checkboxes
 * `resource:URL` limit the key to some audiences; for places see where.ts. `search` only looks for nodes. `once` is also the idempotency key of the creation.
 */
export const newKeyForm = formSchema({
  name: z.string().trim().max(64).default(''),
  preset: z.string().max(32).default('choose'),
  life: z.enum(LIVES).default(DEFAULT_LIFE),
})
  .extend({ once: z.string().regex(/^[0-9A-Za-z]{32}$/) })
  .catchall(z.string().max(VALUE_LENGTH_MAX));

type NewKeyForm = z.output<typeof newKeyForm>;

/** What is already in the form. */
export type EnteredKey = { [Name in keyof NewKeyForm]?: string | undefined };

/** What has to be corrected: a text of the catalogue, and the field that it is about. */
export interface KeyProblem {
  key: string;
  values?: Record<string, string | number>;
  field?: 'name' | 'where' | 'permissions' | 'resources';
}

/** What a key is created with. */
export interface NewKeyTerms {
  name: string;
  scopes: string[];
  resources: string[] | undefined;
  /** Undefined: in the account, by the scopes. */
  places: PlaceRequest[] | undefined;
  days: number | undefined;
}

/** Reads the terms of the key from the form, or what to correct in it. */
export async function readKeyTerms(
  deps: Deps,
  accountId: string,
  body: NewKeyForm,
): Promise<{ terms: NewKeyTerms } | { problem: KeyProblem }> {
  const { presets, scopes } = deps.config;
  if (body.name === '') return { problem: { key: 'keys.problem.name', field: 'name' } };
  const preset = presets.get(body.preset);
  const ticked = checkedNames(body, 'scope').filter((name) => scopes.has(name));
  const where = await readWhere(deps, accountId, body);
  if (where?.problem !== undefined) return { problem: where.problem as KeyProblem };
  if (where?.chosen.length === 0) return { problem: { key: 'keys.problem.places', field: 'where' } };
  const isPlaced = where !== undefined && !isOwnAlone(where);
  const single = isPlaced ? checkedNames(body, 'may') : ticked;
  // The form does not tell which of the two the human meant, and a wrong guess could allow more.
  if (preset !== undefined && single.length > 0) {
    return { problem: { key: 'keys.problem.both', values: { preset: preset.title }, field: 'permissions' } };
  }
  if (isPlaced && preset === undefined && !hasGridFor(where, body)) {
    return { problem: { key: 'keys.problem.grid', field: 'permissions' } };
  }
  const requests = isPlaced ? toPlaceRequests(deps, accountId, where, body, preset?.scopes) : undefined;
  if (isPlaced && requests === undefined) return { problem: { key: 'keys.problem.place', field: 'where' } };
  const chosenScopes = requests?.flatMap(({ actions }) => actions) ?? preset?.scopes ?? ticked;
  if (chosenScopes.length === 0) {
    return { problem: { key: 'keys.problem.permissions', field: 'permissions' } };
  }
  const urls = checkedNames(body, 'resource');
  const known = (await listAudiences(deps)).map(({ url }) => url);
  if (!urls.every((url) => known.includes(url))) {
    return { problem: { key: 'keys.problem.resources', field: 'resources' } };
  }
  return {
    terms: {
      name: body.name,
      scopes: [...new Set(chosenScopes)].sort(),
      resources: urls.length === 0 ? undefined : urls,
      places: requests?.map((each) => ({ ...each, resources: urls.length === 0 ? undefined : urls })),
      days: LIFETIME_DAYS[body.life],
    },
  };
}

/**
 * Prepares the form of a new key for its template.
 *
 * @param entered what the human has already entered
 * @param problem what to correct
 */
export async function presentNewKeyForm(
  deps: Deps,
  accountId: string,
  entered: EnteredKey,
  problem?: KeyProblem,
): Promise<object> {
  const isFilled = Object.keys(entered).some((name) => /^(place|paths):/.test(name));
  const form = isFilled || entered.name !== undefined ? entered : { ...entered, 'place:own': 'on' };
  const where = await readWhere(deps, accountId, form);
  const { presets, scopes } = deps.config;
  const resources = await listAudiences(deps);
  const recommended = [...presets].find(([, preset]) => preset.recommended)?.[0];
  const life = entered.life ?? DEFAULT_LIFE;
  return {
    once: entered.once ?? randomBase62(32, deps.random),
    name: entered.name ?? '',
    lives: presentLives(life, deps.clock()),
    preset: entered.preset ?? recommended ?? [...presets.keys()][0] ?? 'choose',
    presets: [...presets].map(([name, preset]) => ({ name, ...preset })),
    scopes: describeScopes(deps.config, [...scopes.keys()]).map((scope) => ({
      ...scope,
      on: `scope:${scope.name}` in entered,
    })),
    // A single audience leaves nothing to choose.
    resources:
      resources.length > 1
        ? resources.map((each) => ({ ...each, on: `resource:${each.url}` in entered }))
        : [],
    where: where && (await presentWhere(deps, where, form, true)),
    isPlaced: where !== undefined && where.chosen.length > 0 && !isOwnAlone(where),
    problem,
  };
}

/** Prepares the choice of a lifetime. @param now epoch ms */
export function presentLives(chosen: string, now: number): object[] {
  return LIVES.map((life) => ({
    life,
    isChosen: life === chosen,
    expiresAt: LIFETIME_DAYS[life] === undefined ? undefined : now + LIFETIME_DAYS[life] * DAY_MS,
  }));
}

/** Fills the form as a key was created, except for the lifetime. @param places those of a placed key */
export function enteredLike(
  config: Pick<Config, 'presets'>,
  key: Key,
  places: readonly NamedPlace[],
): EnteredKey {
  if (key.isPlaced) return { name: key.name ?? '', ...enteredPlaces(config, places) };
  const preset = findPreset(config, key.scopes);
  const scopes = preset === undefined ? key.scopes.map((name) => [`scope:${name}`, 'on']) : [];
  const resources = (key.resources ?? []).map((url) => [`resource:${url}`, 'on']);
  return {
    name: key.name ?? '',
    preset: preset?.name ?? 'choose',
    ...Object.fromEntries([...scopes, ...resources]),
  };
}
