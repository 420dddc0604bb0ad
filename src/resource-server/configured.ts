import { type AuthorizationServerOptions, createAuthorizationServerClient } from './authority.ts';
import {
  createPolicy,
  type Policy,
  type PolicyOptions,
  type ScopeCatalogue,
  type ToolRule,
} from './policy.ts';

/** What the operator wrote in the configuration of the authority, so that it is written once. */
export interface Configured {
  scopes: ScopeCatalogue;
  presets: Record<string, { title: string; scopes: string[]; good_for: string; recommended: boolean }>;
  tools: Record<string, ToolRule>;
  deny: string[];
  kinds: NonNullable<PolicyOptions['kinds']>;
  quotas: Record<string, { anonymous: number; claimed: number }>;
}

/**
 * The rules of tools as the authority's configuration has them (`policy`, `scopes`), for what this server decides itself see
 * PolicyOptions.
 *
 * @throws VerificationError `unavailable` while the authority cannot be asked
 */
export async function loadPolicy<Resource>(
  options: AuthorizationServerOptions & Omit<PolicyOptions<Resource>, 'scopes' | 'tools' | 'deny' | 'kinds'>,
): Promise<{ policy: Policy; configured: Configured }> {
  const answer = await createAuthorizationServerClient(options).get('/resource/policy');
  const configured = answer as unknown as Configured;
  const { scopes, tools, deny, kinds } = configured;
  return { policy: createPolicy<Resource>({ ...options, scopes, tools, deny, kinds }), configured };
}
