import type { ConfiguredCapability } from '../../config/capabilities.ts';
import { DEFAULT_TEXTS } from '../../config/default-texts.ts';
import type { Config } from '../../config/load.ts';
import type { Deps } from '../../deps.ts';
import { capabilityName, WHOAMI_NAME } from '../../lib/capability-names.ts';
import { restrictTo } from '../../lib/scopes.ts';
import type { Tx } from '../../store/engine/db.ts';
import { listGrants } from '../../store/grants.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import { type Constraints, readConstraints } from './constraints.ts';
import { protocolError } from './protocol-errors.ts';

/**
 * Something that an agent under a host can be allowed to do: `whoami`, an access token for each scope, and what the
 * operator configures (Agent Auth Protocol 1.0-draft, sections 2.12 and 5.11).
 */
export interface Capability {
  name: string;
  description: string;
  /** The scope that it requires; undefined: none. */
  scope: string | undefined;
  /** JSON Schemas, both. */
  input: object;
  output: object | undefined;
  /** The URL at which agents call it directly; undefined: this service runs it. */
  location: string | undefined;
  run:
    | { kind: 'whoami' }
    | { kind: 'token'; scope: string }
    | { kind: 'forwarded'; configured: ConfiguredCapability };
}

/** The lifetime of a token that a capability issues, seconds. */
export const TOKEN_LIFETIME_SECONDS = { min: 60, max: 900, fallback: 300 } as const;

const WHOAMI: Capability = {
  name: WHOAMI_NAME,
  description: DEFAULT_TEXTS['default.whoami'],
  scope: undefined,
  input: { type: 'object', properties: {}, additionalProperties: false },
  output: { type: 'object' },
  location: undefined,
  run: { kind: 'whoami' },
};

type Catalog = ReadonlyMap<string, Capability>;
const catalogs = new WeakMap<object, Catalog>();

/** Returns all capabilities by name, built-in ones first. The map is built once for a configuration. */
export function capabilitiesOf(config: Pick<Config, 'scopes' | 'capabilities'>): Catalog {
  let catalog = catalogs.get(config);
  if (catalog === undefined) {
    catalog = listCapabilities(config);
    catalogs.set(config, catalog);
  }
  return catalog;
}

function listCapabilities(config: Pick<Config, 'scopes' | 'capabilities'>): Catalog {
  const all = new Map<string, Capability>([[WHOAMI.name, WHOAMI]]);
  for (const [scope, { description }] of config.scopes) {
    const name = capabilityName(scope);
    all.set(name, {
      name,
      description: `A short token for the scope ${scope}: ${description}`,
      scope,
      input: TOKEN_INPUT,
      output: TOKEN_OUTPUT,
      location: undefined,
      run: { kind: 'token', scope },
    });
  }
  for (const configured of config.capabilities) {
    const { name, description, scope, input, output, location } = configured;
    const run = { kind: 'forwarded', configured } as const;
    all.set(name, { name, description, scope, input: input ?? { type: 'object' }, output, location, run });
  }
  return all;
}

const TOKEN_INPUT = {
  type: 'object',
  properties: {
    resource: { type: 'string', format: 'uri', description: 'The API that it is for; default: the first' },
    seconds: { type: 'integer', minimum: TOKEN_LIFETIME_SECONDS.min, maximum: TOKEN_LIFETIME_SECONDS.max },
  },
  additionalProperties: false,
};
const TOKEN_OUTPUT = {
  type: 'object',
  required: ['access_token', 'token_type', 'expires_in', 'scope', 'resource'],
  properties: {
    access_token: { type: 'string' },
    token_type: { const: 'Bearer' },
    expires_in: { type: 'integer' },
    scope: { type: 'string' },
    resource: { type: 'string' },
  },
};

/** A capability that an agent requests. */
export interface RequestedCapability {
  name: string;
  constraints: Constraints | undefined;
}

const REQUESTED_MAX = 64;

/**
 * Reads the capabilities that an agent requests: names, or names with constraints.
 *
 * @returns each name once
 * @throws Failure `protocolRefused`: `invalid_capabilities` with the unknown names; `unknown_constraint_operator`
 */
export function readRequestedCapabilities(
  config: Pick<Config, 'scopes' | 'capabilities'>,
  list: readonly (string | { name: string; constraints?: unknown })[],
): RequestedCapability[] {
  const known = capabilitiesOf(config);
  const names = list.map((each) => (typeof each === 'string' ? each : each.name));
  const unknownNames = names.filter((name) => !known.has(name));
  if (unknownNames.length > 0 || list.length > REQUESTED_MAX) {
    throw protocolError(
      'invalid_capabilities',
      'Some of these capabilities do not exist. GET /capability/list returns those that do.',
      {
        invalid_capabilities: unknownNames,
      },
    );
  }
  const requested = list.map((each) =>
    typeof each === 'string'
      ? { name: each, constraints: undefined }
      : { name: each.name, constraints: readConstraints(each.constraints, each.name) },
  );
  return [...new Map(requested.map((each) => [each.name, each])).values()];
}

/** Returns whether a capability needs no approval by a human: `whoami`, and tokens for the anonymous scopes. */
export function isPublicCapability(
  config: Pick<Config, 'anonymousScopes'>,
  { scope, run }: Capability,
): boolean {
  if (run.kind === 'forwarded') return false; // the operator's APIs receive calls for humans' accounts only
  return scope === undefined || config.anonymousScopes.includes(scope);
}

/**
 * Lists the names of the public capabilities: an agent gets them without approval, and by default if it requests none.
 */
export function defaultCapabilities(
  config: Pick<Config, 'scopes' | 'capabilities' | 'anonymousScopes'>,
): string[] {
  return [...capabilitiesOf(config).values()]
    .filter((capability) => isPublicCapability(config, capability))
    .map(({ name }) => name);
}

/** Returns whether the scopes that its owner left an agent include the scope that a capability requires. */
export function isAllowedByOwner(
  config: Pick<Config, 'scopes' | 'capabilities'>,
  { agentScope }: Pick<HostedAgentRow, 'agentScope'>,
  name: string,
): boolean {
  const scope = capabilitiesOf(config).get(name)?.scope;
  return scope === undefined || restrictTo([scope], agentScope).length > 0;
}

/** Lists the names of the capabilities that an agent was granted, and that its owner has not removed since. */
export async function listGrantedCapabilities(
  deps: Pick<Deps, 'db' | 'config'>,
  agent: Pick<HostedAgentRow, 'id' | 'agentScope'>,
  db: Pick<Tx, 'all'> = deps.db,
): Promise<Set<string>> {
  const known = capabilitiesOf(deps.config);
  const granted = (await listGrants(db, agent.id)).filter(({ grantedAt }) => grantedAt !== null);
  const names = granted.map(({ capability }) => capability);
  return new Set(names.filter((name) => known.has(name) && isAllowedByOwner(deps.config, agent, name)));
}
