import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { parseSignedToken } from '../../lib/signed-token.ts';
import { type GrantRow, listGrants } from '../../store/grants.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';
import { agentLifecycle } from '../agents/agent-lifecycle.ts';
import { nearestAudience } from '../audiences/audience.ts';
import type { ResourceServer } from '../audiences/resource-servers.ts';
import { capabilitiesOf, isAllowedByOwner } from './capabilities.ts';
import { verifyAgentToken } from './signed-requests.ts';

/**
 * Returns whether a token claims to be a JWT that an agent signed (`typ` is `agent+jwt`), and not a credential of this
 * service.
 */
export function isAgentJwt(token: string): boolean {
  // Most introspected tokens are keys, which have no dot. Throwing an Error for each would cost a tenth of the whole work.
  if (!token.includes('.')) return false;
  try {
    return parseSignedToken(token).header.typ === 'agent+jwt';
  } catch {
    return false;
  }
}

/** What a resource server learns about a token that an agent signed. */
export interface IntrospectedAgent {
  agent: HostedAgentRow;
  host: HostRow;
  /** The active grants, restricted to the `capabilities` of the token. */
  grants: GrantRow[];
  /** The scopes of these grants that the resource server knows. */
  scopes: string[];
  /** When the agent expires if it signs no further request, epoch ms. */
  expiresAt: number;
  /** Of the token: `iat` and its expiry, both in seconds, then `jti` and `aud`. */
  issuedAt: number;
  tokenExpiresAt: number;
  jti: string;
  audience: string;
}

/**
 * The locations of a resource server at which agents use capabilities directly: such a location is the `aud` of their
 * tokens.
 */
async function listLocationsAt(deps: Deps, server: ResourceServer): Promise<string[]> {
  const locations: string[] = [];
  for (const { location } of deps.config.capabilities) {
    if (location !== undefined && (await nearestAudience(deps, location)).url === server.url)
      locations.push(location);
  }
  return locations;
}

/**
 * Introspects a token that an agent signed, for a resource server. The `jti` is consumed: one token serves one request
 * (Agent Auth Protocol 1.0-draft, section 5.12). The `aud` must be this service, the resource server or one of its
 * locations.
 *
 * @param ownAudiences the audiences of this service
 * @returns undefined if the token is inactive, for whatever reason
 */
export async function introspectAgent(
  deps: Deps,
  server: ResourceServer,
  token: string,
  ownAudiences: readonly string[],
): Promise<IntrospectedAgent | undefined> {
  try {
    const locations = await listLocationsAt(deps, server);
    const signer = await verifyAgentToken(deps, token, [...ownAudiences, server.url, ...locations]);
    const { agent, host, capabilities, expiresAt: tokenExpiresAt, issuedAt, jti, audience } = signer;
    const lifecycle = agentLifecycle(deps, agent);
    if (lifecycle.state !== 'active') return undefined;
    const known = capabilitiesOf(deps.config);
    const grants = (await listGrants(deps.db, agent.id)).filter(({ capability, grantedAt }) => {
      const isNamed = capabilities === undefined || capabilities.includes(capability);
      const isGranted = grantedAt !== null && isAllowedByOwner(deps.config, agent, capability);
      return isGranted && known.has(capability) && isNamed;
    });
    const grantedScopes = grants
      .map(({ capability }) => known.get(capability)?.scope)
      .filter((scope) => scope !== undefined);
    const scopes = [...new Set(grantedScopes)].filter((scope) => server.scopes?.includes(scope) ?? true);
    return {
      agent,
      host,
      grants,
      scopes,
      expiresAt: lifecycle.expiresAt,
      issuedAt,
      tokenExpiresAt,
      jti,
      audience,
    };
  } catch (error) {
    if (error instanceof Failure && error.kind === 'protocolRefused') return undefined;
    throw error;
  }
}
