import { z } from 'zod';
import type { Config } from '../../config/load.ts';
import type { Deps } from '../../deps.ts';
import type { OAuthClient } from '../../domain/apps/clients.ts';
import {
  ASSERTION_GRANT,
  CLIENT_AUTH_METHODS,
  type ClientAuthMethod,
  type ClientGrantType,
  DEVICE_GRANT,
  type NewClient,
} from '../../domain/apps/create-client.ts';
import type { ClientChange } from '../../domain/apps/manage-clients.ts';
import { REDIRECTS_MAX } from '../../domain/apps/redirect-uris.ts';
import { Failure } from '../../errors.ts';
import { formatScope, isSubset, parseScope, withImplied } from '../../lib/scopes.ts';
import type { PlaceRow } from '../../store/places.ts';
import { checkedNames, formSchema, type Problem } from './forms.ts';
import { describeScopes } from './scopes.ts';
import {
  enteredPlaces,
  hasGridFor,
  placeProblemOf,
  toPlaceRequests,
  VALUE_LENGTH_MAX,
  type Where,
} from './where.ts';

/** The form of an OAuth client: what it holds, how it is read, and what is wrong with it. */

/** The ways to sign in as the form offers them; the first is recommended. */
export const AUTH_CHOICES = [
  'client_secret_post',
  'client_secret_basic',
  'private_key_jwt',
  'none',
] as const satisfies readonly ClientAuthMethod[];

/** What a client may be allowed to do, by the name of its checkbox, and the grants that it needs. */
const USES = {
  people: ['authorization_code', 'refresh_token'],
  itself: ['client_credentials'],
  devices: [DEVICE_GRANT, 'refresh_token'],
  assertions: [ASSERTION_GRANT],
} as const satisfies Record<string, readonly ClientGrantType[]>;
type Use = keyof typeof USES;
export const CLIENT_USES = Object.keys(USES) as Use[];

/**
 * Where it may work at most: wherever people let it; in the chosen places, with its permissions; in these, with own permissions in
 * each; as it is, of a client whose places have all ended.
 */
export const BOUNDS = ['anywhere', 'alike', 'each', 'keep'] as const;

/** Checkboxes `use:NAME` say what it does, `scope:NAME` the most it may ask for, `bound` where; for `place:NAME` and the grid see where.ts. `keys`: a JWK set, or the URL of one. */
export const clientForm = formSchema({
  name: z.string().max(400).default(''),
  auth: z.enum(CLIENT_AUTH_METHODS).default(AUTH_CHOICES[0]),
  redirects: z.string().max(8000).default(''),
  keys: z.string().max(8000).default(''),
  bound: z.enum(BOUNDS).optional(),
}).catchall(z.string().max(VALUE_LENGTH_MAX));

export type ClientForm = z.output<typeof clientForm>;

/** What is already in the form, as it was typed: a field may be too long. */
export type EnteredClient = Readonly<Record<string, string | undefined>>;

/** Reads what the form says of a client; createClient() and changeClient() check it. @param where undefined: it is not shown */
export function readClient(
  deps: Pick<Deps, 'config'>,
  body: ClientForm,
  accountId: string,
  where: Where | undefined,
): NewClient {
  const uses = checkedNames(body, 'use');
  const grants = new Set<ClientGrantType>(
    CLIENT_USES.filter((use) => uses.includes(use)).flatMap((use) => USES[use]),
  );
  const said = readChange(deps, body, accountId, where);
  return { ...said, authMethod: body.auth, grantTypes: [...grants] };
}

/** Reads what the form changes of a client. @throws what problemOf() understands, for places that cannot be chosen */
export function readChange(
  { config }: Pick<Deps, 'config'>,
  body: ClientForm,
  accountId: string,
  where: Where | undefined,
): ClientChange {
  const scopes = checkedNames(body, 'scope').filter((name) => config.scopes.has(name));
  return {
    name: body.name,
    redirectUris: [...new Set(body.redirects.split(/\s+/).filter((line) => line !== ''))],
    scopes,
    places: where && readPlaces({ config }, accountId, where, body, scopes),
    ...readKeys(body.keys.trim()),
  };
}

/** What has to be corrected in the places of a form. */
class WrongPlaces extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.key);
    this.problem = problem;
  }
}

function readPlaces(
  deps: Pick<Deps, 'config'>,
  accountId: string,
  where: Where,
  body: ClientForm,
  scopes: readonly string[],
) {
  if (where.problem !== undefined) throw new WrongPlaces(where.problem);
  const hasChosen = where.chosen.length > 0;
  // A form that does not say which keeps what is: nothing ticked is no choice of everything.
  const bound = body.bound ?? (hasChosen ? 'alike' : 'keep');
  if (bound === 'keep' || bound === 'anywhere') {
    if (hasChosen) throw new WrongPlaces({ key: 'clients.problem.bound', field: 'where' });
    return bound === 'keep' ? undefined : [];
  }
  if (!hasChosen) throw new WrongPlaces({ key: 'clients.problem.places', field: 'where' });
  const isAlike = bound === 'alike';
  if (!isAlike && !hasGridFor(where, body)) {
    throw new WrongPlaces({ key: 'keys.problem.grid', field: 'where' });
  }
  const places = toPlaceRequests(deps, accountId, where, body, isAlike ? scopes : undefined);
  if (places === undefined) throw new WrongPlaces({ key: 'keys.problem.place', field: 'where' });
  if (places.length === 0) throw new WrongPlaces({ key: 'keys.problem.permissions', field: 'where' });
  if (!isAlike && places.some(({ actions }) => !isSubset(actions, scopes))) {
    throw new WrongPlaces({ key: 'clients.problem.gridScopes', field: 'where' });
  }
  return places;
}

function readKeys(text: string): Pick<NewClient, 'jwks' | 'jwksUri'> {
  if (text === '') return {};
  if (!text.startsWith('{')) return { jwksUri: text };
  try {
    return { jwks: JSON.parse(text) as NewClient['jwks'] };
  } catch {
    return { jwks: { keys: [] } }; // which is refused as no key set
  }
}

/** What is said of a field that was refused, and which field of the form it is. */
const PROBLEMS: Readonly<Record<string, Problem>> = {
  name: { key: 'clients.problem.name', field: 'name' },
  redirect_uris: { key: 'clients.problem.redirects', values: { max: REDIRECTS_MAX }, field: 'redirects' },
  grant_types: { key: 'clients.problem.uses', field: 'uses' },
  token_endpoint_auth_method: { key: 'clients.problem.auth', field: 'auth' },
  scope: { key: 'keys.problem.permissions', field: 'permissions' },
  jwks: { key: 'clients.problem.keys', field: 'keys' },
  jwks_uri: { key: 'clients.problem.keys', field: 'keys' },
  clients: { key: 'clients.problem.limit', field: 'name' },
};

/** Returns what to correct in the form. @throws what was thrown, if it is about no field */
export function problemOf(error: unknown): Problem {
  if (error instanceof WrongPlaces) return error.problem;
  const ofPlaces = error instanceof Failure ? placeProblemOf(error) : undefined;
  if (ofPlaces !== undefined) return ofPlaces;
  const field = error instanceof Failure && error.kind === 'badRequest' ? error.details.field : undefined;
  const problem = field === undefined ? undefined : PROBLEMS[field];
  if (problem === undefined) throw error;
  return problem;
}

/**
 * Prepares the form of a client for its template.
 *
 * @param entered undefined: nothing was entered yet
 * @param where as presentWhere() prepared it; undefined: it is not shown
 */
export function presentClientForm(
  config: Config,
  entered: EnteredClient | undefined,
  where: object | undefined,
  problem?: Problem,
): object {
  const isOn = (name: string, byDefault: boolean) => (entered === undefined ? byDefault : name in entered);
  return {
    name: entered?.name ?? '',
    auth: entered?.auth ?? AUTH_CHOICES[0],
    auths: AUTH_CHOICES,
    uses: usesIn(config, isOn).map((use) => ({ use, on: isOn(`use:${use}`, use === 'people') })),
    redirects: entered?.redirects ?? '',
    keys: entered?.keys ?? '',
    where,
    bound: entered?.bound ?? (hasPlaces(entered) ? 'alike' : 'anywhere'),
    scopes: describeScopes(config, [...config.scopes.keys()]).map((scope) => ({
      ...scope,
      on: isOn(`scope:${scope.name}`, !isDestructive(config, scope.name)),
    })),
    problem,
  };
}

/** Whether some places are chosen. */
function hasPlaces(entered: EnteredClient = {}): boolean {
  return Object.keys(entered).some((name) => /^(place|paths):/.test(name));
}

/** What the form offers: signing people in by an organization only where the operator trusts one. */
function usesIn({ trustedIssuers }: Config, isOn: (name: string, byDefault: boolean) => boolean): Use[] {
  return CLIENT_USES.filter(
    (use) => use !== 'assertions' || trustedIssuers.size > 0 || isOn('use:assertions', false),
  );
}

function isDestructive({ scopes }: Config, name: string): boolean {
  return withImplied([name], scopes).some((each) => scopes.get(each)?.destructive === true);
}

/** Fills the form as a client is. @param places where it may work at most; undefined: it has no bound */
export function enteredAs(
  config: Pick<Config, 'scopes'>,
  { name, metadata, scope }: OAuthClient,
  places: readonly PlaceRow[] | undefined,
): EnteredClient {
  const { redirect_uris: uris, jwks, jwks_uri: jwksUri } = metadata;
  const scopes = scope === null ? [...config.scopes.keys()] : parseScope(scope);
  return {
    name: name ?? '',
    auth: authOf(metadata),
    redirects: (uris as string[]).join('\n'),
    keys: typeof jwksUri === 'string' ? jwksUri : jwks === undefined ? '' : JSON.stringify(jwks, null, 2),
    ...Object.fromEntries(scopes.map((each) => [`scope:${each}`, 'on'])),
    ...enteredBound(places, formatScope(scopes.toSorted())),
  };
}

function enteredBound(places: readonly PlaceRow[] | undefined, scope: string): EnteredClient {
  if (places === undefined) return { bound: 'anywhere' };
  if (places.length === 0) return { bound: 'keep' };
  const isAlike = places.every(({ actions, types }) => actions === scope && types === null);
  const { preset: _, ...boxes } = enteredPlaces({ presets: new Map() }, places);
  return { ...boxes, bound: isAlike ? 'alike' : 'each' };
}

/** Returns how a client signs in. */
export function authOf({ token_endpoint_auth_method: method }: OAuthClient['metadata']): ClientAuthMethod {
  return CLIENT_AUTH_METHODS.find((each) => each === method) ?? 'client_secret_basic'; // RFC 7591 section 2
}

/** Returns what a client may do, as the form names it. */
export function usesOf({ grant_types: grants }: OAuthClient['metadata']): Use[] {
  const has = Array.isArray(grants) ? grants : ['authorization_code'];
  return CLIENT_USES.filter((use) => has.includes(USES[use][0]));
}
