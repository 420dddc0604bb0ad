import { covers } from './guard.ts';
import type { VerifiedToken } from './token.ts';

/**
 * Which tools a credential may call, decided before any of them runs. In two phases, and the first refusal wins: what holds
 * everywhere (deny list, scope, kind of credential), then what holds on the one thing that a call is about.
 */

/** Scopes by name; `admin: { implies: ['write'] }` contains what `write` contains. */
export type ScopeCatalogue = Readonly<Record<string, { description?: string; implies?: readonly string[] }>>;

/** What a tool needs: one scope, or a scope that depends on an argument. */
export type ToolRule =
  | string
  | {
      /** The member of the arguments that decides; `a/b` is the member b of a. */
      argument: string;
      /** The scope for each of its values. */
      scopes: Readonly<Record<string, string>>;
      /** For all other values; without it those are refused. */
      otherwise?: string;
    };

/** Whose credential it is: of an agent that nobody vouches for, of one that somebody does, or a human's own key. */
export type CredentialKind = 'anonymous' | 'claimed' | 'personal';

/** What a subject may do to one resource: `canManage` for anything but looking. */
export interface EffectiveScopes {
  canManage: boolean;
  scopes: readonly string[];
}

export interface PolicyOptions<Resource = unknown> {
  scopes: ScopeCatalogue;
  /** By tool. One that is not here is refused. */
  tools: Readonly<Record<string, ToolRule>>;
  /** Tools that are switched off for now. */
  deny?: readonly string[];
  /** The tools that a kind of credential may reach; a kind that is not here reaches all. */
  kinds?: Readonly<Partial<Record<CredentialKind, readonly string[]>>>;
  /** The scopes that only look; default: `read`. */
  lookingScopes?: readonly string[];
  /** What a call is about; undefined: nothing in particular. */
  resolveResource?(tool: string, args: Args): Promise<Resource | undefined> | Resource | undefined;
  /** What the subject of a credential may do to it. */
  effectiveScopes?(subject: string, resource: Resource): Promise<EffectiveScopes> | EffectiveScopes;
}

export type Args = Readonly<Record<string, unknown>>;
export type Reason = 'endpoint_forbidden' | 'missing_scope' | 'oauth_only' | 'resource_scope';
export type Verdict =
  | { allowed: true; scope: string }
  | {
      allowed: false;
      reason: Reason;
      /** For whoever called, with the next step. */
      message: string;
      /** What the call needs, for a challenge. */
      scope: string | undefined;
    };

export interface Policy {
  decide(
    token: Pick<VerifiedToken, 'subject' | 'agentId' | 'owner' | 'scopes'>,
    tool: string,
    args?: Args,
  ): Promise<Verdict>;
  /** The scope that a call needs; undefined: no rule allows it. */
  scopeOf(tool: string, args?: Args): string | undefined;
  /** All scopes that a tool can need, over all its arguments. */
  scopesOf(tool: string): string[];
  /** Whether a tool only looks, whatever its arguments: what MCP calls `readOnlyHint`. */
  isReadOnly(tool: string): boolean;
}

/** @throws Error for a rule that names a scope which is not in the catalogue */
export function createPolicy<Resource>(options: PolicyOptions<Resource>): Policy {
  const { scopes, tools, deny = [], kinds = {}, lookingScopes = ['read'] } = options;
  const implies = Object.fromEntries(
    Object.entries(scopes).map(([name, { implies: more = [] }]) => [name, more]),
  );
  checkNames(options);

  function scopesOf(tool: string): string[] {
    const rule = Object.hasOwn(tools, tool) ? tools[tool]! : undefined;
    return rule === undefined ? [] : [...new Set(scopesOfRule(rule))];
  }

  function scopeOf(tool: string, args: Args = {}): string | undefined {
    const rule = Object.hasOwn(tools, tool) ? tools[tool]! : undefined;
    if (rule === undefined || typeof rule === 'string') return rule;
    const value = valueAt(args, rule.argument);
    const known = typeof value === 'string' && Object.hasOwn(rule.scopes, value);
    return known ? rule.scopes[value] : rule.otherwise;
  }

  /** What holds everywhere. */
  function decideGlobally(token: Parameters<Policy['decide']>[0], tool: string, args: Args): Verdict {
    if (deny.includes(tool))
      return refuse('endpoint_forbidden', `The tool "${tool}" is switched off for now.`);
    const scope = scopeOf(tool, args);
    if (scope === undefined) {
      return refuse(
        'endpoint_forbidden',
        `No rule allows this call of "${tool}". Check its name and arguments.`,
      );
    }
    if (!covers(token.scopes, scope, implies)) {
      return refuse('missing_scope', `This needs the scope "${scope}", which the key does not have.`, scope);
    }
    const kind = kindOf(token);
    const reachable = kinds[kind];
    if (reachable !== undefined && !reachable.includes(tool)) {
      return refuse('oauth_only', `${KINDS[kind]} cannot call "${tool}".`, scope);
    }
    return { allowed: true, scope };
  }

  return {
    scopeOf,
    scopesOf,
    isReadOnly: (tool) => {
      const all = scopesOf(tool);
      return all.length > 0 && all.every((scope) => lookingScopes.includes(scope));
    },
    async decide(token, tool, args = {}) {
      const verdict = decideGlobally(token, tool, args);
      if (!verdict.allowed || !options.resolveResource || !options.effectiveScopes) return verdict;
      const resource = await options.resolveResource(tool, args);
      if (resource === undefined) return verdict;
      const { scope } = verdict;
      const own = await options.effectiveScopes(token.subject, resource);
      if (!lookingScopes.includes(scope) && !own.canManage) {
        return refuse('endpoint_forbidden', 'You may look at this, and not change it.', scope);
      }
      if (!covers(own.scopes, scope, implies)) {
        return refuse('resource_scope', `This needs the scope "${scope}" on what the call is about.`, scope);
      }
      return verdict;
    },
  };
}

const KINDS: Record<CredentialKind, string> = {
  anonymous: 'An agent that nobody vouches for',
  claimed: 'An agent',
  personal: "A human's own key",
};

/** Whose credential it is. */
export function kindOf(token: Pick<VerifiedToken, 'agentId' | 'owner'>): CredentialKind {
  if (token.agentId === undefined) return 'personal';
  return token.owner === undefined ? 'anonymous' : 'claimed';
}

/** All scopes that a rule can ask for. */
function scopesOfRule(rule: ToolRule): string[] {
  return typeof rule === 'string' ? [rule] : [...Object.values(rule.scopes), rule.otherwise ?? []].flat();
}

function refuse(reason: Reason, message: string, scope?: string): Verdict {
  return { allowed: false, reason, message, scope };
}

/** Own members only: an argument must not be able to name what every object has. */
function valueAt(args: Args, path: string): unknown {
  let value: unknown = args;
  for (const name of path.split('/')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function checkNames({ scopes, tools }: Pick<PolicyOptions, 'scopes' | 'tools'>): void {
  const used = Object.entries(tools).flatMap(([tool, rule]) =>
    scopesOfRule(rule).map((scope) => [`the tool "${tool}"`, scope] as const),
  );
  const implied = Object.entries(scopes).flatMap(([name, { implies = [] }]) =>
    implies.map((scope) => [`the scope "${name}"`, scope] as const),
  );
  for (const [user, scope] of [...used, ...implied]) {
    if (!Object.hasOwn(scopes, scope))
      throw new Error(`${user} names the scope "${scope}", which is not listed.`);
  }
}
