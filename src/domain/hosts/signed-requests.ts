import type { Deps } from '../../deps.ts';
import { isSignedWith, type PublicKey, readPublicKey } from '../../lib/ed25519.ts';
import { parseSignedToken } from '../../lib/signed-token.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findHostedAgent, type HostedAgentRow, updateHostedAgentSeen } from '../../store/hosted-agents.ts';
import { findHost, findHostByThumbprint, type HostRow, isRetiredHostKey } from '../../store/hosts.ts';
import { insertSpentToken } from '../../store/spent-tokens.ts';
import { isHostOver, lifecycleOf } from '../agents/agent-lifecycle.ts';
import { invalidJwt, protocolError } from './protocol-errors.ts';

/**
 * Requests of the Agent Auth Protocol: each carries a token that its host or agent signed for it alone (Agent Auth Protocol 1.0-draft, section 4).
 * The order of checks is that of section 4.5: what is said is compared before the signature, and the `jti` is taken last, so that a
 * forged token can use none up.
 */

const TOKEN_LENGTH_MAX = 8192;
const LIFE_SECONDS = 60;
const SKEW_SECONDS = 30;
const JTI_LENGTH_MAX = 256;

/** A host that signed a request; one that nobody knows yet has no row. */
export interface SigningHost {
  host: HostRow | undefined;
  key: PublicKey;
  /** The key of an agent that it brings along, to be registered. */
  agentKey: unknown;
  name: string | undefined;
}

/** An agent that signed a request. */
export interface SigningAgent {
  agent: HostedAgentRow;
  host: HostRow;
  /** The capabilities that this token is for; undefined: all that the agent has. */
  capabilities: string[] | undefined;
  /** Seconds, both. */
  issuedAt: number;
  expiresAt: number;
  jti: string;
}

/** What becomes of a host that is not known: it may register, it counts as no host, or it is refused. */
export type UnknownHost = 'allow' | 'ignore' | 'reject';

/**
 * The host that signed a token for us. Tokens of unknown hosts that are ignored leave nothing behind: anybody makes them.
 *
 * @param meet may refuse an unknown host, before anything of it is remembered
 * @throws Failure `protocolRefused`: `invalid_jwt`, `host_revoked`
 */
export async function verifyHostToken(
  deps: Deps,
  token: string,
  unknownHost: UnknownHost,
  meet: () => Promise<void> = async () => {},
): Promise<SigningHost> {
  const { header, claims } = parse(token);
  if (header.typ !== 'host+jwt') throw invalidJwt('typ');
  if (claims.host_jwks_url !== undefined) throw protocolError('invalid_public_key', KEYS_INLINE);
  const { iss } = claims;
  if (typeof iss !== 'string' || claims.aud !== deps.config.publicUrl) throw invalidJwt('iss or aud');
  const host = await findHostByThumbprint(deps.db, iss);
  // A known host need not show its key again; one that it shows is its own all the same, and public.
  const shown = claims.host_public_key === undefined ? undefined : shownKey(claims.host_public_key, iss);
  const key = host === undefined ? shown : { thumbprint: iss, jwk: host.publicJwk };
  if (key === undefined) throw invalidJwt('host_public_key');
  if (host === undefined && (unknownHost === 'reject' || (await isRetiredHostKey(deps.db, iss))))
    throw invalidJwt('unknown host');
  if (!isSignedWith(token, key.jwk)) throw invalidJwt('signature');
  const expiresAt = checkTimes(deps, claims);
  if (host !== undefined && isHostOver(deps, host)) throw hostOver(host);
  if (host === undefined) await meet();
  if (host !== undefined || unknownHost !== 'ignore') {
    await takeJti(deps, `host:${iss}`, claims, expiresAt);
  }
  const name = typeof claims.host_name === 'string' ? claims.host_name : undefined;
  // A key set in the place of a key, or beside it, is no key.
  const agentKey = claims.agent_jwks_url === undefined ? claims.agent_public_key : undefined;
  return { host, key, agentKey, name };
}

/** What an agent signed for one of these audiences. @throws Failure `protocolRefused` */
export async function verifyAgentToken(
  deps: Deps,
  token: string,
  audiences: readonly string[],
): Promise<SigningAgent & { audience: string }> {
  const { header, claims } = parse(token);
  if (header.typ !== 'agent+jwt') throw invalidJwt('typ');
  const audience = audiences.find((each) => each === claims.aud);
  if (audience === undefined || typeof claims.sub !== 'string') throw invalidJwt('aud or sub');
  const agent = await findHostedAgent(deps.db, claims.sub);
  const host = agent && (await findHost(deps.db, agent.hostId));
  if (agent === undefined || host === undefined) throw invalidJwt('unknown agent');
  // Published clients leave it out; where it is there, it is the host's key.
  if (claims.iss !== undefined && claims.iss !== host.thumbprint) throw invalidJwt('iss');
  if (!isSignedWith(token, agent.publicJwk)) throw invalidJwt('signature');
  const expiresAt = checkTimes(deps, claims);
  const capabilities = namesOf(claims.capabilities);
  refuseInactive(deps, agent, host);
  await takeJti(deps, `agent:${agent.id}`, claims, expiresAt, (tx, now) =>
    updateHostedAgentSeen(tx, agent.id, now),
  );
  const issuedAt = claims.iat as number; // looked at with the other times
  return { agent, host, capabilities, issuedAt, expiresAt, jti: claims.jti as string, audience };
}

/** @throws Failure `protocolRefused` with what has become of the agent or its host, unless both are active */
export function refuseInactive(
  deps: Pick<Deps, 'clock' | 'config'>,
  agent: HostedAgentRow,
  host: HostRow,
): void {
  if (isHostOver(deps, host)) throw hostOver(host);
  const life = lifecycleOf(deps, agent);
  switch (life.state) {
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
      throw protocolError(`agent_${life.state}`, `The agent was ${life.state}. Register a new one.`);
  }
}

function parse(token: string) {
  if (token.length > TOKEN_LENGTH_MAX) throw invalidJwt('length');
  try {
    const parsed = parseSignedToken(token);
    if (parsed.header.alg !== 'EdDSA') throw new Error('alg');
    return parsed;
  } catch (cause) {
    throw invalidJwt(cause);
  }
}

const KEYS_INLINE = 'Send keys in the token itself: key sets by URL are not taken here.';

function shownKey(value: unknown, iss: string): PublicKey {
  const key = readPublicKey(value);
  if (typeof key === 'string' || key.thumbprint !== iss) throw invalidJwt('host_public_key');
  return key;
}

/** @returns until when the token could be sent again, seconds */
function checkTimes(deps: Pick<Deps, 'clock'>, { iat, exp, nbf }: Record<string, unknown>): number {
  const now = deps.clock() / 1000;
  if (!Number.isSafeInteger(iat) || !Number.isSafeInteger(exp)) throw invalidJwt('iat or exp');
  const end = Math.min(exp as number, (iat as number) + LIFE_SECONDS);
  if ((iat as number) > now + SKEW_SECONDS || now >= end + SKEW_SECONDS) throw invalidJwt('times');
  if (nbf !== undefined && !(Number.isSafeInteger(nbf) && (nbf as number) <= now + SKEW_SECONDS))
    throw invalidJwt('nbf');
  return end;
}

/** Each token once, over all replicas. */
async function takeJti(
  deps: Deps,
  whose: string,
  { jti, iat }: Record<string, unknown>,
  expiresAt: number,
  also: (tx: Tx, now: number) => Promise<unknown> = async () => {},
): Promise<void> {
  if (typeof jti !== 'string' || jti === '' || jti.length > JTI_LENGTH_MAX) throw invalidJwt('jti');
  const isFirst = await deps.db.tx(async (tx) => {
    const now = deps.clock();
    const times = { issuedAt: (iat as number) * 1000, endsAt: (expiresAt + 2 * SKEW_SECONDS) * 1000 };
    if (!(await insertSpentToken(tx, whose, jti, times))) return false;
    await also(tx, now);
    return true;
  });
  if (!isFirst) throw invalidJwt('jti');
}

function namesOf(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw invalidJwt('capabilities');
}

function hostOver({ revokedAt }: HostRow): Error {
  const what = revokedAt === null ? 'Nobody owned this host in time' : 'This host was revoked';
  return protocolError('host_revoked', `${what}. Make a new host key.`);
}
