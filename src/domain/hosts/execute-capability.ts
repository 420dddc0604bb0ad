import type { Deps } from '../../deps.ts';
import { Failure, type FailureKind } from '../../errors.ts';
import { restrictTo } from '../../lib/scopes.ts';
import { findAgent, lockAgent } from '../../store/agents.ts';
import { findGrant } from '../../store/grants.ts';
import type { RequestOrigin } from '../../work.ts';
import { type Audience, nearestAudience, resolveAudience } from '../audiences/audience.ts';
import { type AuditEvent, recordEvent } from '../audit/audit-log.ts';
import { type IssuedToken, issueAccessToken, tokenExpiry } from '../credentials/access-tokens.ts';
import { useCase } from '../limits/use-case.ts';
import {
  type Capability,
  capabilitiesOf,
  isAllowedByOwner,
  listGrantedCapabilities,
  TOKEN_LIFETIME_SECONDS,
} from './capabilities.ts';
import { violationsOf } from './constraints.ts';
import { accountOfHost } from './hosts.ts';
import { protocolError } from './protocol-errors.ts';
import { assertActive, type SigningAgent } from './signed-requests.ts';

/**
 * Executes a capability for the agent that signed the request (Agent Auth Protocol 1.0-draft, section 5.11). The grant,
 * its constraints and the arguments are checked before the capability takes effect.
 *
 * @param args the `arguments` of the request
 * @returns the `data` of the answer
 * @throws Failure `protocolRefused`, `badRequest`, `invalidScope`, `invalidTarget`, `limited`
 */
export async function executeCapability(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningAgent,
  name: string,
  args: Record<string, unknown>,
): Promise<unknown> {
  const capability = capabilitiesOf(deps.config).get(name);
  if (capability === undefined) throw protocolError('capability_not_found', 'There is no such capability.');
  if (capability.location !== undefined) {
    throw protocolError('capability_not_found', `This capability is used at ${capability.location}.`);
  }
  const audit = (event: Pick<AuditEvent, 'kind' | 'details'>) =>
    useCase(deps, origin, {}, async (work) => recordEvent(work, { ...event, subject: signer.agent.id }));
  let data: unknown;
  try {
    await checkAllowed(deps, signer, capability, args);
    data = await runCapability(deps, origin, signer, capability, args);
  } catch (error) {
    // A refused attempt is audited too. A limit or an outage only delays the request: it is neither executed nor refused.
    if (error instanceof Failure && REFUSALS.has(error.kind)) {
      const code = error.details.protocol?.code ?? error.kind;
      await audit({ kind: 'capability.refused', details: { capability: name, code } });
    }
    throw error;
  }
  await audit({ kind: 'capability.executed', details: { capability: name } });
  return data;
}

const REFUSALS = new Set<FailureKind>(['protocolRefused', 'badRequest', 'invalidScope', 'invalidTarget']);

async function checkAllowed(
  deps: Deps,
  { agent, host, capabilities }: SigningAgent,
  { name }: Capability,
  args: Record<string, unknown>,
): Promise<void> {
  const grant = await findGrant(deps.db, agent.id, name);
  const isNamed = capabilities === undefined || capabilities.includes(name);
  if (!grant?.grantedAt || !isNamed || !isAllowedByOwner(deps.config, agent, name)) throw notGranted();
  assertActive(deps, agent, host);
  const constraints = grant.constraints === null ? undefined : JSON.parse(grant.constraints);
  const violations = violationsOf(constraints, args);
  if (violations.length > 0) {
    throw protocolError('constraint_violated', 'The arguments go beyond what the human allowed.', {
      violations,
    });
  }
}

function runCapability(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningAgent,
  capability: Capability,
  args: Record<string, unknown>,
): Promise<unknown> {
  switch (capability.run.kind) {
    case 'whoami':
      return whoami(deps, signer);
    case 'token':
      return issueCapabilityToken(deps, origin, signer, capability.run.scope, readTokenArguments(args));
    case 'forwarded':
      return forwardCall(deps, origin, signer, capability, args);
  }
}

async function whoami(deps: Deps, { agent, host }: SigningAgent): Promise<object> {
  return {
    agent_id: agent.id,
    agent_name: agent.name,
    mode: agent.mode,
    host_id: host.id,
    user_id: accountOfHost(host),
    owner: host.ownerId,
    grants: [...(await listGrantedCapabilities(deps, agent))],
  };
}

interface TokenArguments {
  resource: string | undefined;
  seconds: number;
}

function readTokenArguments(args: Record<string, unknown>): TokenArguments {
  const { resource, seconds = TOKEN_LIFETIME_SECONDS.fallback, ...others } = args;
  const { min, max } = TOKEN_LIFETIME_SECONDS;
  const isValid =
    (resource === undefined || typeof resource === 'string') &&
    typeof seconds === 'number' &&
    Number.isInteger(seconds) &&
    seconds >= min &&
    seconds <= max &&
    Object.keys(others).length === 0;
  if (!isValid) {
    throw new Failure(
      'badRequest',
      `The arguments are {"resource": url, "seconds": ${min} to ${max}}, both optional.`,
      {
        field: 'arguments',
      },
    );
  }
  return { resource, seconds };
}

/**
 * Issues a short-lived access token for one scope and one audience. It is introspected and revoked like every other
 * token.
 */
async function issueCapabilityToken(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningAgent,
  scope: string,
  { resource, seconds }: TokenArguments,
): Promise<object> {
  const audience = await resolveAudience(deps, resource);
  if (audience.scopes !== undefined && !audience.scopes.includes(scope)) {
    throw new Failure('invalidScope', 'The resource does not know this scope.');
  }
  const token = await issueToken(deps, origin, holderOf(signer), { scope, audience, seconds });
  const expires_in = Math.round((token.expiresAt - token.issuedAt) / 1000);
  return { access_token: token.value, token_type: 'Bearer', expires_in, scope, resource: audience.url };
}

const holderOf = ({ agent, host }: SigningAgent) => ({
  agentId: agent.id,
  accountId: accountOfHost(host),
});

function issueToken(
  deps: Deps,
  origin: RequestOrigin,
  holder: { agentId: string; accountId: string },
  terms: { scope: string; audience: Pick<Audience, 'url' | 'tokens'>; seconds: number },
): Promise<IssuedToken> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    // The agent may have been revoked since its request was verified: no token may outlive it.
    if (!(await lockAgent(tx, holder.agentId)))
      throw protocolError('agent_revoked', 'The agent was revoked.');
    const { scope: ownerBound } = (await findAgent(tx, holder.agentId))!;
    if (restrictTo([terms.scope], ownerBound).length === 0) throw notGranted();
    const expiresAt = tokenExpiry(deps, terms.audience, now, now + terms.seconds * 1000);
    const { audience } = terms;
    return issueAccessToken(work, {
      ...holder,
      scopes: [terms.scope],
      audience,
      issuedAt: now,
      expiresAt,
    });
  });
}

function notGranted(): Failure {
  return protocolError(
    'capability_not_granted',
    'The agent may not do this. POST /agent/request-capability asks its human.',
  );
}

/** The lifetime of the token that accompanies a forwarded call. */
const FORWARD_SECONDS = 60;

/** Forwards a call to the operator's API, with a token whose audience is that API. */
async function forwardCall(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningAgent,
  capability: Capability,
  args: Record<string, unknown>,
): Promise<unknown> {
  if (capability.run.kind !== 'forwarded') throw new Error('only what the operator added is handed on');
  const { configured } = capability.run;
  const fault = configured.check(args);
  if (fault !== undefined) {
    throw new Failure(
      'badRequest',
      `The arguments are wrong: ${fault}. GET /capability/describe tells their schema.`,
      {
        field: 'arguments',
      },
    );
  }
  const url = configured.forwardTo!;
  const audience = await nearestAudience(deps, url);
  const terms = { scope: configured.scope, audience, seconds: FORWARD_SECONDS };
  const { value } = await issueToken(deps, origin, holderOf(signer), terms);
  const answer = await deps.callApi(url, value, { capability: capability.name, arguments: args });
  if (answer.kind === 'answered') return answer.data;
  throw protocolError(
    'execution_failed',
    'The API behind this capability did not answer as it should. Try again later.',
    {},
    answer.cause,
  );
}
