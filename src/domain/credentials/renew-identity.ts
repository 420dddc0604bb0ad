import type { Deps } from '../../deps.ts';
import { lockAgent } from '../../store/agents.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { effectiveAccessOf } from './effective-access.ts';
import { type Identity, mintIdentity } from './identity-assertions.ts';
import { findActiveRefreshToken, invalidRefreshToken, rotateRefreshToken } from './refresh-tokens.ts';

/** An identity that is renewed with its refresh token. */

/**
 * Renews an identity by its refresh token, which is spent by it.
 *
 * @throws Failure `invalidRefreshToken`, `limited`
 */
export async function renewIdentity(
  deps: Deps,
  origin: RequestOrigin,
  refreshToken: string,
): Promise<{ registrationId: string; identity: Identity }> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { agentId } = await findRefreshed(work, refreshToken);
    // A claim ends what was got before it while it holds the agent, and would not see the successor that is made here (S-26).
    if (agentId === null || !(await lockAgent(tx, agentId))) throw invalidRefreshToken();
    const { presented, registration } = await findRefreshed(work, refreshToken);
    const standing = await effectiveAccessOf(tx, deps, now, registration);
    if (standing === undefined) throw invalidRefreshToken();
    await consumeLimits(work, [{ name: 'tokensPerAgent', key: standing.agentId }]);
    const next = await rotateRefreshToken(work, presented, standing.endsAt);
    const { mailbox, endsAt } = standing;
    const identity = await mintIdentity(work, {
      registration,
      mailbox,
      endsAt,
      refreshable: false,
    });
    return { registrationId: registration.id, identity: { ...identity, refreshToken: next } };
  });
}

async function findRefreshed(work: Work, refreshToken: string) {
  const { tx } = work;
  const presented = await findActiveRefreshToken(work, refreshToken);
  const registration = (await findRegistration(tx, presented.registrationId))!;
  return { presented, registration, agentId: registration.agentId };
}
