import type { Deps } from '../../deps.ts';
import { Failure, type Kind } from '../../errors.ts';
import { restrictTo } from '../../lib/scopes.ts';
import { findAgent, lockAgent } from '../../store/agents.ts';
import { findGrant } from '../../store/grants.ts';
import type { RequestOrigin } from '../../work.ts';
import { type Audience, nearestAudience, resolveAudience } from '../audiences/audience.ts';
import { type Event, record } from '../audit/audit-log.ts';
import { type IssuedToken, issueAccessToken, tokenEnd } from '../credentials/access-tokens.ts';
import { useCase } from '../limits/use-case.ts';
import {
  type Capability,
  capabilitiesOf,
  grantedTo,
  isAllowedByOwner,
  TOKEN_SECONDS,
} from './capabilities.ts';
import { violationsOf } from './constraints.ts';
import { accountOfHost } from './hosts.ts';
import { protocolError } from './protocol-errors.ts';
import { refuseInactive, type SigningAgent } from './signed-requests.ts';

/**
 * Uses a capability, for an agent that signed for it (Agent Auth Protocol 1.0-draft, section 5.11). Input and constraints are checked before
 * anything happens.
 *
 * @returns what goes back as `data`
 * @throws Failure `protocolRefused`, `badRequest`, `limited`
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
  const audit = (event: Pick<Event, 'kind' | 'details'>) =>
    useCase(deps, origin, {}, async (work) => record(work, { ...event, subject: signer.agent.id }));
  let data: unknown;
  try {
    await checkAllowed(deps, signer, capability, args);
    data = await run(deps, origin, signer, capability, args);
  } catch (error) {
    // What was tried in vain tells as much. What was put off, by a limit or an outage, was neither done nor refused.
    if (error instanceof Failure && REFUSALS.has(error.kind)) {
      const code = error.details.protocol?.code ?? error.kind;
      await audit({ kind: 'capability.refused', details: { capability: name, code } });
    }
    throw error;
  }
  await audit({ kind: 'capability.executed', details: { capability: name } });
  return data;
}

const REFUSALS = new Set<Kind>(['protocolRefused', 'badRequest', 'invalidScope', 'invalidTarget']);

async function checkAllowed(
  deps: Deps,
  { agent, host, capabilities }: SigningAgent,
  { name }: Capability,
  args: Record<string, unknown>,
): Promise<void> {
  const grant = await findGrant(deps.db, agent.id, name);
  const isNamed = capabilities === undefined || capabilities.includes(name);
  if (!grant?.grantedAt || !isNamed || !isAllowedByOwner(deps.config, agent, name)) throw notGranted();
  refuseInactive(deps, agent, host);
  const constraints = grant.constraints === null ? undefined : JSON.parse(grant.constraints);
  const violations = violationsOf(constraints, args);
  if (violations.length > 0) {
    throw protocolError('constraint_violated', 'The arguments go beyond what the human allowed.', {
      violations,
    });
  }
}

function run(
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
      return token(deps, origin, signer, capability.run.scope, readTokenArguments(args));
    case 'forwarded':
      return forward(deps, origin, signer, capability, args);
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
    grants: [...(await grantedTo(deps, agent))],
  };
}

interface TokenArguments {
  resource: string | undefined;
  seconds: number;
}

function readTokenArguments(args: Record<string, unknown>): TokenArguments {
  const { resource, seconds = TOKEN_SECONDS.fallback, ...others } = args;
  const { min, max } = TOKEN_SECONDS;
  const isFine =
    (resource === undefined || typeof resource === 'string') &&
    typeof seconds === 'number' &&
    Number.isInteger(seconds) &&
    seconds >= min &&
    seconds <= max &&
    Object.keys(others).length === 0;
  if (!isFine) {
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

/** A short bearer for one scope and one resource; it introspects and is revoked like any other. */
async function token(
  deps: Deps,
  origin: RequestOrigin,
  signing: SigningAgent,
  scope: string,
  { resource, seconds }: TokenArguments,
): Promise<object> {
  const target = await resolveAudience(deps, resource);
  if (target.scopes !== undefined && !target.scopes.includes(scope)) {
    throw new Failure('invalidScope', 'The resource does not know this scope.');
  }
  const token = await issue(deps, origin, ownerOf(signing), { scope, audience: target, seconds });
  const expires_in = Math.round((token.expiresAt - token.issuedAt) / 1000);
  return { access_token: token.value, token_type: 'Bearer', expires_in, scope, resource: target.url };
}

const ownerOf = ({ agent, host }: SigningAgent) => ({
  agentId: agent.id,
  accountId: accountOfHost(host),
});

function issue(
  deps: Deps,
  origin: RequestOrigin,
  whose: { agentId: string; accountId: string },
  what: { scope: string; audience: Pick<Audience, 'url' | 'tokens'>; seconds: number },
): Promise<IssuedToken> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    // Revoked in this very moment: nothing must be left behind.
    if (!(await lockAgent(tx, whose.agentId))) throw protocolError('agent_revoked', 'The agent was revoked.');
    const { scope: left } = (await findAgent(tx, whose.agentId))!;
    if (restrictTo([what.scope], left).length === 0) throw notGranted();
    const expiresAt = tokenEnd(deps, what.audience, now, now + what.seconds * 1000);
    const { audience } = what;
    return issueAccessToken(work, {
      ...whose,
      scopes: [what.scope],
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

/** How long the operator's API has to answer, and the token that goes with the call lives. */
const FORWARD_SECONDS = 60;

/** Hands a call on to the operator's API, with a token that is for it alone. */
async function forward(
  deps: Deps,
  origin: RequestOrigin,
  signing: SigningAgent,
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
  const what = { scope: configured.scope, audience, seconds: FORWARD_SECONDS };
  const { value } = await issue(deps, origin, ownerOf(signing), what);
  const answered = await deps.callApi(url, value, { capability: capability.name, arguments: args });
  if (answered.kind === 'answered') return answered.data;
  throw protocolError(
    'execution_failed',
    'The API behind this capability did not answer as it should. Try again later.',
    {},
    answered.cause,
  );
}
