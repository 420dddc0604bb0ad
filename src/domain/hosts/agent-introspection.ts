import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { parseSignedToken } from '../../lib/signed-token.ts';
import { type GrantRow, listGrants } from '../../store/grants.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';
import { lifecycleOf } from '../agents/agent-lifecycle.ts';
import { nearestAudience } from '../audiences/audience.ts';
import type { ResourceServer } from '../audiences/resource-servers.ts';
import { capabilitiesOf, isAllowedByOwner } from './capabilities.ts';
import { verifyAgentToken } from './signed-requests.ts';

/** Whether a text could be a token that an agent signed, and not one that we made. */
export function looksSigned(token: string): boolean {
  // Keys have no dot. They are most of what is asked about, and an Error for each is a tenth of the whole work.
  if (!token.includes('.')) return false;
  try {
    return parseSignedToken(token).header.typ === 'agent+jwt';
  } catch {
    return false;
  }
}

/** What a resource server learns of a token that an agent signed. */
export interface IntrospectedAgent {
  agent: HostedAgentRow;
  host: HostRow;
  /** What it may do now, as far as the token goes. */
  grants: GrantRow[];
  /** The scopes of those, as far as the resource server knows them. */
  scopes: string[];
  /** Epoch ms: when the agent expires unless it goes on. */
  expiresAt: number;
  /** Of the token: seconds, both, and what it is spent by. */
  issuedAt: number;
  tokenExpiresAt: number;
  jti: string;
  audience: string;
}

/** Where agents use capabilities at a resource server themselves: they sign for that very place. */
async function placesAt(deps: Deps, server: ResourceServer): Promise<string[]> {
  const places: string[] = [];
  for (const { location } of deps.config.capabilities) {
    if (location !== undefined && (await nearestAudience(deps, location)).url === server.url)
      places.push(location);
  }
  return places;
}

/**
 * Answers a resource server about a token that an agent signed, which is spent by it: one token, one request (Agent Auth Protocol 1.0-draft, section 5.12).
 * It may be for us or for the resource that asks, and for no other.
 *
 * @param here the audiences that are ours
 * @returns undefined for whatever does not work, for whatever reason
 */
export async function introspectAgent(
  deps: Deps,
  server: ResourceServer,
  token: string,
  here: readonly string[],
): Promise<IntrospectedAgent | undefined> {
  try {
    const places = await placesAt(deps, server);
    const signer = await verifyAgentToken(deps, token, [...here, server.url, ...places]);
    const { agent, host, capabilities, expiresAt: tokenExpiresAt, issuedAt, jti, audience } = signer;
    const life = lifecycleOf(deps, agent);
    if (life.state !== 'active') return undefined;
    const known = capabilitiesOf(deps.config);
    const grants = (await listGrants(deps.db, agent.id)).filter(({ capability, grantedAt }) => {
      const isNamed = capabilities === undefined || capabilities.includes(capability);
      const isGranted = grantedAt !== null && isAllowedByOwner(deps.config, agent, capability);
      return isGranted && known.has(capability) && isNamed;
    });
    const named = grants
      .map(({ capability }) => known.get(capability)?.scope)
      .filter((scope) => scope !== undefined);
    const scopes = [...new Set(named)].filter((scope) => server.scopes?.includes(scope) ?? true);
    return {
      agent,
      host,
      grants,
      scopes,
      expiresAt: life.expiresAt,
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
