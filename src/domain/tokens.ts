import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { holdAccount } from '../store/accounts.ts';
import { holdAgent, holdSeenAgent } from '../store/agents.ts';
import type { Tx } from '../store/db.ts';
import { findRegistration, type RegistrationRow } from '../store/registrations.ts';
import { type IssuedToken, issueAccessToken, makeToken, type TokenGrant, tokenEnd } from './access-tokens.ts';
import { deadAssertion, type Identity, openIdentity, readAssertion } from './assertions.ts';
import { type Audience, resolveAudience } from './audience.ts';
import type { Asker } from './events.ts';
import { limited } from './limit-audit.ts';
import { spend } from './limits.ts';
import { findPresented, invalidRefreshToken, spendForNext } from './refresh-tokens.ts';
import { formatScope, parseScope, within } from './scopes.ts';
import { type Standing, standingOf } from './standing.ts';

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
  asker: Asker,
  ask: { assertion: string; resource: string | undefined; scope: string | undefined },
): Promise<IssuedToken> {
  const { registration, scopes } = await readAssertion(deps, ask.assertion);
  return grantToken(deps, asker, registration, { ...ask, within: scopes });
}

/** An access token for the agent of a registration; see exchangeAssertion. @param ask.within the scopes beyond which it gets none */
export async function grantToken(
  deps: Deps,
  asker: Asker,
  registration: RegistrationRow,
  ask: { resource?: string | undefined; scope?: string | undefined; within?: string[] | undefined },
): Promise<IssuedToken> {
  const target = await resolveAudience(deps, ask.resource);
  // Signing takes its time, which nobody else is to wait for; so it is done first, for what is found to be so again inside.
  const planned = await plan(deps.db, deps, registration, target, ask);
  const made = await makeToken(deps, planned);

  return limited(deps, asker, () =>
    deps.db.tx(async (tx) => {
      const { standing } = planned;
      if (standing.ownerId !== undefined) await holdAccount(tx, standing.ownerId);
      const from = `network ${asker.address.coarse}`;
      if (!(await holdSeenAgent(tx, standing.agentId, planned.issuedAt, from))) throw deadAssertion();
      const again = await findRegistration(tx, registration.id);
      if (again?.generation !== registration.generation) throw deadAssertion();
      const settled = await plan(tx, deps, again, target, ask);
      if (!isSame(settled, planned)) throw changedMeanwhile();
      return issueAccessToken(tx, deps, asker, planned, made);
    }),
  );
}

/** What a token will be, and on what ground. */
interface Plan extends TokenGrant {
  standing: Standing;
}

async function plan(
  db: Pick<Tx, 'get'>,
  deps: Deps,
  registration: RegistrationRow,
  target: Audience,
  ask: { scope?: string | undefined; within?: string[] | undefined },
): Promise<Plan> {
  const now = deps.clock();
  const standing = await standingOf(db, deps, now, registration);
  if (standing === undefined) throw deadAssertion();
  const bounds = [target.scopes, ask.within].filter((bound) => bound !== undefined);
  const there = standing.scopes.filter((scope) => bounds.every((bound) => bound.includes(scope)));
  const asked = ask.scope === undefined ? there : parseScope(ask.scope);
  if (asked.length === 0 || !within(asked, there)) {
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

/**
 * Renews an identity by its refresh token, which is spent by it.
 *
 * @throws Failure `invalidRefreshToken`, `limited`
 */
export async function renewIdentity(
  deps: Deps,
  asker: Asker,
  refreshToken: string,
): Promise<{ registrationId: string; identity: Identity }> {
  const renewed = await limited(deps, asker, () =>
    deps.db.tx(async (tx) => {
      const now = deps.clock();
      const { agentId } = await findRefreshed(tx, refreshToken, now);
      // A claim ends what was got before it while it holds the agent, and would not see the successor that is made here (S-26).
      if (agentId === null || !(await holdAgent(tx, agentId))) throw invalidRefreshToken();
      const { presented, registration } = await findRefreshed(tx, refreshToken, now);
      const standing = await standingOf(tx, deps, now, registration);
      if (standing === undefined) throw invalidRefreshToken();
      await spend(tx, deps, [{ name: 'tokensPerAgent', key: standing.agentId }], now);
      const next = await spendForNext(tx, deps, asker, now, presented, standing.endsAt);
      if (next === undefined) return undefined;
      const { mailbox, endsAt } = standing;
      const identity = await openIdentity(tx, deps, now, {
        registration,
        mailbox,
        endsAt,
        refreshable: false,
      });
      return { registrationId: registration.id, identity: { ...identity, refreshToken: next } };
    }),
  );
  // Thrown out here: that its family has ended must stay.
  if (renewed === undefined) throw invalidRefreshToken();
  return renewed;
}

async function findRefreshed(tx: Tx, refreshToken: string, now: number) {
  const presented = await findPresented(tx, refreshToken, now);
  const registration = (await findRegistration(tx, presented.registrationId))!;
  return { presented, registration, agentId: registration.agentId };
}
