import {
  type AuthorizationServerOptions,
  createAuthorizationServerClient,
} from './authorization-server-client.ts';
import {
  createPolicy,
  type Policy,
  type PolicyOptions,
  type ScopeCatalogue,
  type ToolRule,
} from './policy.ts';

/** What the operator configured at the authorization server, so that every resource server uses the same rules. */
export interface Configured {
  scopes: ScopeCatalogue;
  /** Named sets of scopes that humans choose from for their own keys. */
  presets: Record<string, { title: string; scopes: string[]; good_for: string; recommended: boolean }>;
  /** The rules by tool. */
  tools: Record<string, ToolRule>;
  /** Tools that are switched off. */
  deny: string[];
  /** The tools that a kind of credential may call. */
  kinds: NonNullable<PolicyOptions['kinds']>;
  /** The tools that a form of credential may call; undefined: the service is of a version that does not say. */
  forms?: NonNullable<PolicyOptions['forms']>;
  /** The scopes that only look; undefined: the service is of a version that does not say. */
  looking_scopes?: string[];
  /** How permission requests name this server; undefined: they do not. */
  service?: string;
  /** The version of the service; undefined: 1. */
  version?: number;
  /** How often an account may do an action per calendar month, by action. */
  quotas: Record<string, { anonymous: number; claimed: number }>;
}

/**
 * Loads the rules of tools from the configuration of the authorization server (`policy`, `scopes`).
 *
 * @param options how to reach the authorization server, and what this server decides itself (see PolicyOptions)
 * @returns the policy, and the configuration that it was created from
 * @throws VerificationError `unavailable` while the authorization server cannot be asked
 */
export async function loadPolicy<Resource>(
  options: AuthorizationServerOptions &
    Omit<PolicyOptions<Resource>, 'scopes' | 'tools' | 'deny' | 'kinds' | 'forms'>,
): Promise<{ policy: Policy; configured: Configured }> {
  const response = await createAuthorizationServerClient(options).get('/resource/policy');
  const configured = response as unknown as Configured;
  const { scopes, tools, deny, kinds, forms = {}, looking_scopes, service } = configured;
  const { lookingScopes = looking_scopes } = options;
  const policy = createPolicy<Resource>({
    ...options,
    scopes,
    tools,
    deny,
    kinds,
    forms,
    ...(lookingScopes !== undefined && { lookingScopes }),
    ...(service !== undefined && { service }),
  });
  return { policy, configured };
}
