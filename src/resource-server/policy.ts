import { may, type PlaceOfCall, reachOf } from './access.ts';
import { covers } from './covers.ts';
import type { CredentialForm, CredentialKind, VerifiedToken } from './token.ts';

/**
 * Decides which tools a credential may call, before the tool runs. There are two phases, and the first refusal wins. The first
 * checks deny list, scope and kind of credential. The second checks the rights to the object that the call is about.
 */

/** All scopes by name. With `admin: { implies: ['write'] }`, `admin` includes `write` and all that `write` implies. */
export type ScopeCatalogue = Readonly<Record<string, { description?: string; implies?: readonly string[] }>>;

/** What a tool requires: one scope, or a scope that depends on an argument. */
export type ToolRule =
  | string
  | {
      /** The name of the argument; `a/b` is the member `b` of the argument `a`. */
      argument: string;
      /** The required scope by value of the argument. */
      scopes: Readonly<Record<string, string>>;
      /** The required scope for all other values. Without it, calls with other values are refused. */
      otherwise?: string;
    };

/** What a subject may do to one object. */
export interface EffectiveScopes {
  /** Whether the subject may use more than the `lookingScopes` of the policy. */
  canManage: boolean;
  /** The scopes that the subject has for this object. */
  scopes: readonly string[];
}

/** The options of createPolicy(). `Resource` is your type of the objects that calls are about. */
export interface PolicyOptions<Resource = unknown> {
  /** All scopes that rules can name. */
  scopes: ScopeCatalogue;
  /** The rules by tool. A tool without a rule is refused. */
  tools: Readonly<Record<string, ToolRule>>;
  /** Tools that are switched off: every call is refused. */
  deny?: readonly string[];
  /** The tools that a kind of credential may call. A kind that is not listed may call all tools. */
  kinds?: Readonly<Partial<Record<CredentialKind, readonly string[]>>>;
  /**
   * The tools that a form of credential, `key` or `token`, may call. A form that is not listed may call all tools. Keys of apps are
   * bounded by `kinds.app_key` alone where it is listed.
   */
  forms?: Readonly<Partial<Record<CredentialForm, readonly string[]>>>;
  /** How permission requests name this server, such as `vouchsafe.api`: then a refusal says what to ask for. */
  service?: string;
  /** The scopes that only read; default `['read']`. */
  lookingScopes?: readonly string[];
  /** The scopes that only those may use who manage the workspace of the object; default none. */
  managingScopes?: readonly string[];
  /**
   * Returns the object that a call is about; undefined if there is none. Without this function the second phase is skipped. Of an
   * object with a member `workspace`, a PlaceOfCall, the places of the credential decide.
   */
  resolveResource?(
    tool: string,
    args: Args,
    token: DecidedToken,
  ): Promise<Resource | PlaceOfCall | undefined> | Resource | PlaceOfCall | undefined;
  /** Returns what the subject of a credential may do to the object. Beside places, both must allow the call. */
  effectiveScopes?(subject: string, resource: Resource): Promise<EffectiveScopes> | EffectiveScopes;
}

/** The arguments of a call. */
export type Args = Readonly<Record<string, unknown>>;

/**
 * Why a call is refused.
 *
 * - `endpoint_forbidden`: the tool is switched off, no rule allows the call, or the subject may only read the object
 * - `missing_scope`: the credential lacks the scope, everywhere or for the object
 * - `oauth_only`: this kind or form of credential may not call the tool
 * - `resource_scope`: the subject lacks the scope for the object, or the object is outside the reach of the credential
 */
export type Reason = 'endpoint_forbidden' | 'missing_scope' | 'oauth_only' | 'resource_scope';

/** Whether a call is allowed, and the scope that it requires. */
export type Verdict =
  | { allowed: true; scope: string }
  | {
      allowed: false;
      reason: Reason;
      /** For the caller. */
      message: string;
      /** The scope that the call requires; undefined if the tool is switched off, or no rule allows the call. */
      scope: string | undefined;
      /** What to ask a person for, as `vouchsafe auth request --cap` takes it; undefined: that would not help. */
      cap?: string;
    };

/** What a policy looks at of a credential. */
type DecidedToken = Pick<
  VerifiedToken,
  'subject' | 'agentId' | 'owner' | 'scopes' | 'kind' | 'form' | 'access' | 'workspace'
>;

/** The rules of tools. */
export interface Policy {
  /** Decides whether a credential may call a tool. @throws what `resolveResource` and `effectiveScopes` throw */
  decide(token: DecidedToken, tool: string, args?: Args): Promise<Verdict>;
  /** Returns the scope that a call requires; undefined if no rule allows the call. */
  scopeOf(tool: string, args?: Args): string | undefined;
  /** Returns all scopes that a tool can require, whatever its arguments; empty if it has no rule. */
  scopesOf(tool: string): string[];
  /** Reports whether a tool only reads, whatever its arguments: the `readOnlyHint` of MCP. */
  isReadOnly(tool: string): boolean;
}

/** Creates a policy. @throws Error if a rule, or an `implies`, names a scope that is not in `scopes` */
export function createPolicy<Resource>(options: PolicyOptions<Resource>): Policy {
  const {
    scopes,
    tools,
    deny = [],
    kinds = {},
    forms = {},
    lookingScopes = ['read'],
    managingScopes = [],
  } = options;
  const implies = Object.fromEntries(
    Object.entries(scopes).map(([name, { implies: implied = [] }]) => [name, implied]),
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
    const isKnown = typeof value === 'string' && Object.hasOwn(rule.scopes, value);
    return isKnown ? rule.scopes[value] : rule.otherwise;
  }

  /** The first phase. */
  function decideGlobally(token: DecidedToken, tool: string, args: Args): Verdict {
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
    const callableTools = kinds[kind];
    if (callableTools !== undefined && !callableTools.includes(tool)) {
      return refuse('oauth_only', `${KIND_NAMES[kind]} cannot call "${tool}".`, scope);
    }
    // A service of an old version does not say the form: then the tool must be open to both.
    const formLists = token.form === undefined ? Object.values(forms) : [forms[token.form]];
    if (kind === 'app_key' && callableTools !== undefined) return { allowed: true, scope };
    if (formLists.some((list) => list !== undefined && !list.includes(tool))) {
      const name = FORM_NAMES[token.form ?? 'key'];
      return refuse('oauth_only', `${name} cannot call "${tool}".`, scope);
    }
    return { allowed: true, scope };
  }

  /** The second phase, by the places of the credential. */
  function decideByPlace(token: DecidedToken, scope: string, place: PlaceOfCall): Verdict {
    const { isInside, looksOnly, manages } = reachOf(token, place, lookingScopes);
    if (!isInside)
      return refuse('resource_scope', 'What the call is about is outside the reach of the key.', scope);
    const isLooking = lookingScopes.includes(scope);
    if ((looksOnly && !isLooking) || (managingScopes.includes(scope) && !manages)) {
      return refuse('endpoint_forbidden', 'You may look at this, and not change it.', scope);
    }
    if (may(token, scope, place, implies)) return { allowed: true, scope };
    return refuse('missing_scope', `This needs the scope "${scope}" on what the call is about.`, scope);
  }

  /** Adds to a refusal what would help: the scope, at the place that the call is about. */
  function withCap(verdict: Verdict, place: unknown): Verdict {
    const isHelped =
      !verdict.allowed && (verdict.reason === 'missing_scope' || verdict.reason === 'resource_scope');
    const { service } = options;
    if (!isHelped || verdict.scope === undefined || service === undefined || !isPlace(place)) return verdict;
    return { ...verdict, cap: capOf(service, place, verdict.scope) };
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
      if (!options.resolveResource) return verdict;
      if (!verdict.allowed) {
        const isHelped = verdict.reason === 'missing_scope' && options.service !== undefined;
        if (!isHelped) return verdict;
        // The call is refused, whatever it is about: nobody learns whether that is there.
        const { resolveResource } = options;
        const about = (async () => resolveResource(tool, args, token))().catch(() => undefined);
        return withCap(verdict, await about);
      }
      const resource = await options.resolveResource(tool, args, token);
      const { scope } = verdict;
      if (resource === undefined) {
        // A call about nothing in particular is one about the account of the credential itself.
        const isOwn = token.access === undefined || may(token, scope, { workspace: token.subject }, implies);
        return isOwn || lookingScopes.includes(scope)
          ? verdict
          : refuse('resource_scope', 'What the call is about is outside the reach of the key.', scope);
      }
      const byPlace = isPlace(resource) ? decideByPlace(token, scope, resource) : verdict;
      if (!byPlace.allowed || !options.effectiveScopes) return withCap(byPlace, resource);
      const effective = await options.effectiveScopes(token.subject, resource as Resource);
      if (!lookingScopes.includes(scope) && !effective.canManage) {
        return refuse('endpoint_forbidden', 'You may look at this, and not change it.', scope);
      }
      if (!covers(effective.scopes, scope, implies)) {
        return refuse('resource_scope', `This needs the scope "${scope}" on what the call is about.`, scope);
      }
      return verdict;
    },
  };
}

const KIND_NAMES: Record<CredentialKind, string> = {
  anonymous: 'An agent that nobody vouches for',
  claimed: 'An agent',
  personal: "A human's own key",
  app: 'An app',
  app_key: 'A key of a workspace',
  delegated: 'A credential that was passed on',
};

const FORM_NAMES: Record<CredentialForm, string> = { key: 'A key', token: 'A token' };

/** Names a place and a scope as permission requests do. */
function capOf(service: string, { workspace, within, path }: PlaceOfCall, scope: string): string {
  const innermost = within?.at(-1);
  const place = innermost === undefined ? (path ?? '') : `@${innermost}`;
  return `${service}:${workspace}:${place}:${scope.replaceAll(':', '~')}`;
}

function isPlace(resource: unknown): resource is PlaceOfCall {
  return typeof resource === 'object' && resource !== null && 'workspace' in resource;
}

/** Returns the kind of a credential. */
export function kindOf(token: Pick<VerifiedToken, 'kind' | 'agentId' | 'owner'>): CredentialKind {
  if (token.kind !== undefined) return token.kind;
  if (token.agentId === undefined) return 'personal';
  return token.owner === undefined ? 'anonymous' : 'claimed';
}

/** Returns all scopes that a rule can require. */
function scopesOfRule(rule: ToolRule): string[] {
  return typeof rule === 'string' ? [rule] : [...Object.values(rule.scopes), rule.otherwise ?? []].flat();
}

function refuse(reason: Reason, message: string, scope?: string): Verdict {
  return { allowed: false, reason, message, scope };
}

/** Reads own members only: a rule must not be decided by a member that every object inherits. */
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
