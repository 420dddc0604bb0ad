import type { ConfiguredCapability } from '../../config/capabilities.ts';
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
 * What agents of the Agent Auth Protocol can be allowed: who they are, a token for each scope, and what the operator adds
 * (Agent Auth Protocol 1.0-draft, section 5.11).
 */
export interface Capability {
  name: string;
  description: string;
  /** The scope that it takes; undefined: none. */
  scope: string | undefined;
  /** JSON Schemas. */
  input: object;
  output: object | undefined;
  /** Where agents call it themselves; undefined: here. */
  location: string | undefined;
  run:
    | { kind: 'whoami' }
    | { kind: 'token'; scope: string }
    | { kind: 'forwarded'; configured: ConfiguredCapability };
}

/** How long a token of a capability lives, seconds. */
export const TOKEN_SECONDS = { min: 60, max: 900, fallback: 300 } as const;

const WHOAMI: Capability = {
  name: WHOAMI_NAME,
  description: 'Who this agent is: its host, its account, its owner and its grants',
  scope: undefined,
  input: { type: 'object', properties: {}, additionalProperties: false },
  output: { type: 'object' },
  location: undefined,
  run: { kind: 'whoami' },
};

type Catalogue = ReadonlyMap<string, Capability>;
const catalogues = new WeakMap<object, Catalogue>();

/** All of them by name, those that are built in first; made once for a configuration. */
export function capabilitiesOf(config: Pick<Config, 'scopes' | 'capabilities'>): Catalogue {
  let catalogue = catalogues.get(config);
  if (catalogue === undefined) {
    catalogue = listCapabilities(config);
    catalogues.set(config, catalogue);
  }
  return catalogue;
}

function listCapabilities(config: Pick<Config, 'scopes' | 'capabilities'>): Catalogue {
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
    seconds: { type: 'integer', minimum: TOKEN_SECONDS.min, maximum: TOKEN_SECONDS.max },
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

/** One that an agent asks for. */
export interface AskedCapability {
  name: string;
  constraints: Constraints | undefined;
}

const ASKED_MAX = 64;

/**
 * Reads what an agent asks for: names, or names with constraints.
 *
 * @throws Failure `protocolRefused`: `invalid_capabilities` with those that are not there, `unknown_constraint_operator`
 */
export function readAsked(
  config: Pick<Config, 'scopes' | 'capabilities'>,
  list: readonly (string | { name: string; constraints?: unknown })[],
): AskedCapability[] {
  const known = capabilitiesOf(config);
  const names = list.map((each) => (typeof each === 'string' ? each : each.name));
  const missing = names.filter((name) => !known.has(name));
  if (missing.length > 0 || list.length > ASKED_MAX) {
    throw protocolError(
      'invalid_capabilities',
      'Some of these capabilities are not there: GET /capability/list tells which are.',
      {
        invalid_capabilities: missing,
      },
    );
  }
  const asked = list.map((each) =>
    typeof each === 'string'
      ? { name: each, constraints: undefined }
      : { name: each.name, constraints: readConstraints(each.constraints, each.name) },
  );
  return [...new Map(asked.map((each) => [each.name, each])).values()];
}

/** What an agent may have without a human: who it is, and what anybody may. */
export function isPublicCapability(
  config: Pick<Config, 'anonymousScopes'>,
  { scope, run }: Capability,
): boolean {
  if (run.kind === 'forwarded') return false; // what the operator forwards to is told of humans alone
  return scope === undefined || config.anonymousScopes.includes(scope);
}

/** What agents get without being asked about: who they are, and what anybody may. */
export function defaultCapabilities(
  config: Pick<Config, 'scopes' | 'capabilities' | 'anonymousScopes'>,
): string[] {
  return [...capabilitiesOf(config).values()]
    .filter((capability) => isPublicCapability(config, capability))
    .map(({ name }) => name);
}

/** Whether what its owner left an agent holds what a capability takes. */
export function isAllowedByOwner(
  config: Pick<Config, 'scopes' | 'capabilities'>,
  { agentScope }: Pick<HostedAgentRow, 'agentScope'>,
  name: string,
): boolean {
  const scope = capabilitiesOf(config).get(name)?.scope;
  return scope === undefined || restrictTo([scope], agentScope).length > 0;
}

/** The names of what an agent has been granted, and was left. */
export async function grantedTo(
  deps: Pick<Deps, 'db' | 'config'>,
  agent: Pick<HostedAgentRow, 'id' | 'agentScope'>,
  db: Pick<Tx, 'all'> = deps.db,
): Promise<Set<string>> {
  const known = capabilitiesOf(deps.config);
  const granted = (await listGrants(db, agent.id)).filter(({ grantedAt }) => grantedAt !== null);
  const names = granted.map(({ capability }) => capability);
  return new Set(names.filter((name) => known.has(name) && isAllowedByOwner(deps.config, agent, name)));
}
