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
import {
  type AccessTokenTerms,
  createToken,
  type IssuedToken,
  issueAccessToken,
  tokenExpiry,
} from './access-tokens.ts';
import { type EffectiveAccess, effectiveAccessOf } from './effective-access.ts';
import { invalidAssertionGrant, verifyIdentityAssertion } from './identity-assertions.ts';

/**
 * Exchanges an identity assertion for an access token (RFC 7523 section 2.1). The token is for one audience
 * (RFC 8707 section 2) and never allows more than the agent's effective access.
 *
 * @param request.resource the URL of the audience; undefined: the default one
 * @param request.scope space-separated; undefined: all scopes that the agent may have at the audience
 * @throws Failure `invalidGrant`, `invalidTarget`, `invalidScope`, `limited`
 */
export async function exchangeAssertion(
  deps: Deps,
  origin: RequestOrigin,
  request: { assertion: string; resource: string | undefined; scope: string | undefined },
): Promise<IssuedToken> {
  const { registration, scopes } = await verifyIdentityAssertion(deps, request.assertion);
  return issueTokenForRegistration(deps, origin, registration, { ...request, within: scopes });
}

/**
 * Issues an access token to the agent of a registration.
 *
 * @param request see exchangeAssertion()
 * @param request.within the scopes to which the token is limited; undefined: no such limit
 * @throws Failure as exchangeAssertion()
 */
export async function issueTokenForRegistration(
  deps: Deps,
  origin: RequestOrigin,
  registration: RegistrationRow,
  request: { resource?: string | undefined; scope?: string | undefined; within?: string[] | undefined },
): Promise<IssuedToken> {
  const audience = await resolveAudience(deps, request.resource);
  // Sign before the transaction, so that no other request waits for it. The plan is computed again under the locks.
  const planned = await planToken(deps.db, deps, registration, audience, request);
  const prepared = await createToken(deps, { ...planned, clientId: planned.agentId });

  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const { access } = planned;
    if (access.ownerId !== undefined) await lockAccount(tx, access.ownerId);
    const from = `network ${origin.address.coarse}`;
    if (!(await updateAgentSeen(tx, access.agentId, planned.issuedAt, from))) throw invalidAssertionGrant();
    const current = await findRegistration(tx, registration.id);
    if (current?.generation !== registration.generation) throw invalidAssertionGrant();
    const confirmed = await planToken(tx, deps, current, audience, request);
    if (!isSame(confirmed, planned)) throw agentChangedFailure();
    return issueAccessToken(work, planned, prepared);
  });
}

/** The terms of a token that is not issued yet, and the access from which they follow. */
interface TokenPlan extends AccessTokenTerms {
  access: EffectiveAccess;
}

async function planToken(
  db: Pick<Tx, 'get'>,
  deps: Deps,
  registration: RegistrationRow,
  audience: Audience,
  request: { scope?: string | undefined; within?: string[] | undefined },
): Promise<TokenPlan> {
  const now = deps.clock();
  const access = await effectiveAccessOf(db, deps, now, registration);
  if (access === undefined) throw invalidAssertionGrant();
  const bounds = [audience.scopes, request.within].filter((bound) => bound !== undefined);
  const allowed = access.scopes.filter((scope) => bounds.every((bound) => bound.includes(scope)));
  const scopes = request.scope === undefined ? allowed : parseScope(request.scope);
  if (scopes.length === 0 || !isSubset(scopes, allowed)) {
    const may = allowed.length === 0 ? 'has none there' : `may have there: ${formatScope(allowed)}`;
    throw new Failure('invalidScope', `That is more than this agent may have for the resource. It ${may}.`);
  }
  const expiresAt = tokenExpiry(deps, audience, now, access.endsAt);
  const { agentId, accountId } = access;
  return { access, agentId, accountId, scopes, audience, issuedAt: now, expiresAt };
}

function isSame(left: TokenPlan, right: TokenPlan): boolean {
  return (
    left.access.agentId === right.access.agentId &&
    left.access.accountId === right.access.accountId &&
    left.access.ownerId === right.access.ownerId &&
    formatScope(left.scopes) === formatScope(right.scopes)
  );
}

function agentChangedFailure(): Failure {
  return new Failure(
    'unavailable',
    'The agent changed during the request. No token was issued; repeat the request.',
    { retryAfterSeconds: 1 },
  );
}
