import type { Deps } from '../../deps.ts';
import { type PublicKey, readPublicKey, verifyEd25519Signature } from '../../lib/ed25519.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findHostedAgent, type HostedAgentRow, updateHostedAgentSeen } from '../../store/hosted-agents.ts';
import { findHost, findHostByThumbprint, type HostRow, isRetiredHostKey } from '../../store/hosts.ts';
import { agentLifecycle, hasHostEnded } from '../agents/agent-lifecycle.ts';
import {
  consumeRequestToken,
  parseRequestToken,
  readRequestTokenEnd,
} from '../credentials/request-tokens.ts';
import { invalidJwt, protocolError } from './protocol-errors.ts';

/**
 * Verification of the token that a host or an agent signs for a single request (Agent Auth Protocol 1.0-draft, section
 * 4). The checks follow section 4.5: claims are compared first, then the signature and the times are verified. Unlike
 * there, the state of host and agent is checked after them. The `jti` is consumed last, so that a forged token cannot
 * consume it.
 */

/** A host that signed a request. */
export interface SigningHost {
  /** Undefined: an unknown host. */
  host: HostRow | undefined;
  key: PublicKey;
  /** The public key of the agent to register, as the host sent it. */
  agentKey: unknown;
  /** Unverified. */
  name: string | undefined;
}

/** An agent that signed a request. */
export interface SigningAgent {
  agent: HostedAgentRow;
  host: HostRow;
  /** The capabilities to which the token is restricted; undefined: all that the agent was granted. */
  capabilities: string[] | undefined;
  /** Seconds, both. */
  issuedAt: number;
  expiresAt: number;
  jti: string;
}

/** How to treat an unknown host: let it register, handle the request as one without a host, or refuse it. */
export type UnknownHost = 'allow' | 'ignore' | 'reject';

/**
 * Verifies a token that a host signed for this service, and consumes its `jti`. For an unknown host that is ignored no
 * `jti` is stored, since anyone can make such tokens.
 *
 * @param assertUnknownAllowed throws to refuse an unknown host, before its `jti` is stored
 * @throws Failure `protocolRefused`: `invalid_jwt`, `invalid_public_key`, `host_revoked`; what `assertUnknownAllowed`
 * throws
 */
export async function verifyHostToken(
  deps: Deps,
  token: string,
  unknownHost: UnknownHost,
  assertUnknownAllowed: () => Promise<void> = async () => {},
): Promise<SigningHost> {
  const { header, claims } = parseToken(token);
  if (header.typ !== 'host+jwt') throw invalidJwt('typ');
  if (claims.host_jwks_url !== undefined) throw protocolError('invalid_public_key', KEYS_INLINE);
  const { iss } = claims;
  if (typeof iss !== 'string' || claims.aud !== deps.config.publicUrl) throw invalidJwt('iss or aud');
  const host = await findHostByThumbprint(deps.db, iss);
  // A known host may leave its key out. A key that it sends must be its own public key.
  const sentKey = claims.host_public_key === undefined ? undefined : readHostKey(claims.host_public_key, iss);
  const key = host === undefined ? sentKey : { thumbprint: iss, jwk: host.publicJwk };
  if (key === undefined) throw invalidJwt('host_public_key');
  if (host === undefined && (unknownHost === 'reject' || (await isRetiredHostKey(deps.db, iss))))
    throw invalidJwt('unknown host');
  if (!verifyEd25519Signature(token, key.jwk)) throw invalidJwt('signature');
  const expiresAt = checkTimes(deps, claims);
  if (host !== undefined && hasHostEnded(deps, host)) throw hostEnded(host);
  if (host === undefined) await assertUnknownAllowed();
  if (host !== undefined || unknownHost !== 'ignore') {
    await consumeJti(deps, `host:${iss}`, claims, expiresAt);
  }
  const name = typeof claims.host_name === 'string' ? claims.host_name : undefined;
  // A token that names a key set by URL counts as one without an agent key.
  const agentKey = claims.agent_jwks_url === undefined ? claims.agent_public_key : undefined;
  return { host, key, agentKey, name };
}

/**
 * Verifies a token that an agent signed for one of these audiences, and consumes its `jti`. The request counts as a use
 * of the agent.
 *
 * @returns the agent, its host, and the claims of the token
 * @throws Failure `protocolRefused`
 */
export async function verifyAgentToken(
  deps: Deps,
  token: string,
  audiences: readonly string[],
): Promise<SigningAgent & { audience: string }> {
  const { header, claims } = parseToken(token);
  if (header.typ !== 'agent+jwt') throw invalidJwt('typ');
  const audience = audiences.find((each) => each === claims.aud);
  if (audience === undefined || typeof claims.sub !== 'string') throw invalidJwt('aud or sub');
  const agent = await findHostedAgent(deps.db, claims.sub);
  const host = agent && (await findHost(deps.db, agent.hostId));
  if (agent === undefined || host === undefined) throw invalidJwt('unknown agent');
  // Published clients leave `iss` out. If it is present, it must be the thumbprint of the host's key.
  if (claims.iss !== undefined && claims.iss !== host.thumbprint) throw invalidJwt('iss');
  if (!verifyEd25519Signature(token, agent.publicJwk)) throw invalidJwt('signature');
  const expiresAt = checkTimes(deps, claims);
  const capabilities = readCapabilityNames(claims.capabilities);
  assertActive(deps, agent, host);
  await consumeJti(deps, `agent:${agent.id}`, claims, expiresAt, (tx, now) =>
    updateHostedAgentSeen(tx, agent.id, now),
  );
  deps.noteAgentUse(agent.id, deps.clock());
  const issuedAt = claims.iat as number; // checkTimes() refuses anything else
  return { agent, host, capabilities, issuedAt, expiresAt, jti: claims.jti as string, audience };
}

/** Refuses an agent unless it and its host are active. @throws Failure `protocolRefused` with the code of the state */
export function assertActive(
  deps: Pick<Deps, 'clock' | 'config'>,
  agent: HostedAgentRow,
  host: HostRow,
): void {
  if (hasHostEnded(deps, host)) throw hostEnded(host);
  const lifecycle = agentLifecycle(deps, agent);
  switch (lifecycle.state) {
    case 'active':
      return;
    case 'pending':
      throw protocolError(
        'agent_pending',
        'The agent waits for its human. Poll /agent/status with a host token.',
      );
    case 'expired':
      throw protocolError(
        'agent_expired',
        'The agent has expired. POST /agent/reactivate with a host token.',
      );
    case 'over':
      throw protocolError(
        'absolute_lifetime_exceeded',
        'The agent has lived as long as one may. Register a new one.',
      );
    default:
      throw protocolError(
        `agent_${lifecycle.state}`,
        `The agent was ${lifecycle.state}. Register a new one.`,
      );
  }
}

function parseToken(token: string) {
  try {
    return parseRequestToken(token);
  } catch (cause) {
    throw invalidJwt(cause);
  }
}

const KEYS_INLINE = 'Send keys in the token itself: key sets by URL are not taken here.';

function readHostKey(value: unknown, iss: string): PublicKey {
  const key = readPublicKey(value);
  if (typeof key === 'string' || key.thumbprint !== iss) throw invalidJwt('host_public_key');
  return key;
}

/** @returns when the token expires, without the allowed clock skew; seconds */
function checkTimes(deps: Pick<Deps, 'clock'>, claims: Record<string, unknown>): number {
  const end = readRequestTokenEnd(deps, claims);
  if (typeof end === 'string') throw invalidJwt(end);
  return end;
}

/** Consumes the `jti` of a token: it is valid once, over all replicas. @param also runs in the same transaction */
async function consumeJti(
  deps: Deps,
  signer: string,
  claims: Record<string, unknown>,
  expiresAt: number,
  also?: (tx: Tx, now: number) => Promise<unknown>,
): Promise<void> {
  if (!(await consumeRequestToken(deps, signer, claims, expiresAt, also))) throw invalidJwt('jti');
}

function readCapabilityNames(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw invalidJwt('capabilities');
}

function hostEnded({ revokedAt }: HostRow): Error {
  const reason = revokedAt === null ? 'Nobody owned this host in time' : 'This host was revoked';
  return protocolError('host_revoked', `${reason}. Make a new host key.`);
}
