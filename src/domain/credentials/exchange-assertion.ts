import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { formatScope, isSubset, parseScope } from '../../lib/scopes.ts';
import { lockAccount } from '../../store/accounts.ts';
import { updateAgentSeen } from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findRegistration, type RegistrationRow } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { type Audience, resolveAudience } from '../audiences/audience.ts';
import { useCase } from '../limits/use-case.ts';
import { type IssuedToken, issueAccessToken, makeToken, type TokenGrant, tokenEnd } from './access-tokens.ts';
import { type EffectiveAccess, effectiveAccessOf } from './effective-access.ts';
import { deadAssertion, readAssertion } from './identity-assertions.ts';

/**
 * Exchanges an assertion of ours for an access token (RFC 7523), which is for one resource (RFC 8707) and never gets more than
 * the agent has at this moment.
 *
 * @param ask.resource a URL; undefined: the default resource
 * @param ask.scope words separated by spaces; undefined: all that the agent may have there
 * @throws Failure `invalidGrant`, `invalidTarget`, `invalidScope`, `limited`
 */
export async function exchangeAssertion(
  deps: Deps,
  origin: RequestOrigin,
  ask: { assertion: string; resource: string | undefined; scope: string | undefined },
): Promise<IssuedToken> {
  const { registration, scopes } = await readAssertion(deps, ask.assertion);
  return grantToken(deps, origin, registration, { ...ask, within: scopes });
}

/** An access token for the agent of a registration; see exchangeAssertion. @param ask.within the scopes beyond which it gets none */
export async function grantToken(
  deps: Deps,
  origin: RequestOrigin,
  registration: RegistrationRow,
  ask: { resource?: string | undefined; scope?: string | undefined; within?: string[] | undefined },
): Promise<IssuedToken> {
  const target = await resolveAudience(deps, ask.resource);
  // Signing takes its time, which nobody else is to wait for; so it is done first, for what is found to be so again inside.
  const planned = await plan(deps.db, deps, registration, target, ask);
  const made = await makeToken(deps, planned);

  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const { standing } = planned;
    if (standing.ownerId !== undefined) await lockAccount(tx, standing.ownerId);
    const from = `network ${origin.address.coarse}`;
    if (!(await updateAgentSeen(tx, standing.agentId, planned.issuedAt, from))) throw deadAssertion();
    const again = await findRegistration(tx, registration.id);
    if (again?.generation !== registration.generation) throw deadAssertion();
    const settled = await plan(tx, deps, again, target, ask);
    if (!isSame(settled, planned)) throw changedMeanwhile();
    return issueAccessToken(work, planned, made);
  });
}

/** What a token will be, and on what ground. */
interface Plan extends TokenGrant {
  standing: EffectiveAccess;
}

async function plan(
  db: Pick<Tx, 'get'>,
  deps: Deps,
  registration: RegistrationRow,
  target: Audience,
  ask: { scope?: string | undefined; within?: string[] | undefined },
): Promise<Plan> {
  const now = deps.clock();
  const standing = await effectiveAccessOf(db, deps, now, registration);
  if (standing === undefined) throw deadAssertion();
  const bounds = [target.scopes, ask.within].filter((bound) => bound !== undefined);
  const there = standing.scopes.filter((scope) => bounds.every((bound) => bound.includes(scope)));
  const asked = ask.scope === undefined ? there : parseScope(ask.scope);
  if (asked.length === 0 || !isSubset(asked, there)) {
    const may = there.length === 0 ? 'has none there' : `may have there: ${formatScope(there)}`;
    throw new Failure('invalidScope', `That is more than this agent may have for the resource. It ${may}.`);
  }
  const expiresAt = tokenEnd(deps, target, now, standing.endsAt);
  const { agentId, accountId } = standing;
  return { standing, agentId, accountId, scopes: asked, audience: target, issuedAt: now, expiresAt };
}

function isSame(left: Plan, right: Plan): boolean {
  return (
    left.standing.agentId === right.standing.agentId &&
    left.standing.accountId === right.standing.accountId &&
    left.standing.ownerId === right.standing.ownerId &&
    formatScope(left.scopes) === formatScope(right.scopes)
  );
}

function changedMeanwhile(): Failure {
  return new Failure(
    'unavailable',
    'The agent was changed in this very moment. Nothing was issued; repeat the request.',
    { retryAfterSeconds: 1 },
  );
}
