import type { Deps } from '../../deps.ts';
import { lockAgent } from '../../store/agents.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { effectiveAccessOf } from './effective-access.ts';
import { type Identity, mintIdentity } from './identity-assertions.ts';
import { findActiveRefreshToken, invalidRefreshToken, rotateRefreshToken } from './refresh-tokens.ts';

/**
 * Renews an identity by its refresh token, which is consumed and replaced.
 *
 * @returns the new identity with the successor of the refresh token
 * @throws Failure `invalidRefreshToken`, `limited`
 */
export async function renewIdentity(
  deps: Deps,
  origin: RequestOrigin,
  refreshToken: string,
): Promise<{ registrationId: string; identity: Identity }> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { agentId } = await findTokenAndRegistration(work, refreshToken);
    // A claim locks the agent and revokes its refresh tokens. Without this lock it would miss the successor created
    // here (S-26).
    if (agentId === null || !(await lockAgent(tx, agentId))) throw invalidRefreshToken();
    const { presented, registration } = await findTokenAndRegistration(work, refreshToken);
    const access = await effectiveAccessOf(tx, deps, now, registration);
    if (access === undefined) throw invalidRefreshToken();
    await consumeLimits(work, [{ name: 'tokensPerAgent', key: access.agentId }]);
    const successor = await rotateRefreshToken(work, presented, access.endsAt);
    const { mailbox, endsAt } = access;
    const identity = await mintIdentity(work, {
      registration,
      mailbox,
      endsAt,
      refreshable: false,
    });
    return { registrationId: registration.id, identity: { ...identity, refreshToken: successor } };
  });
}

async function findTokenAndRegistration(work: Work, refreshToken: string) {
  const { tx } = work;
  const presented = await findActiveRefreshToken(work, refreshToken);
  const registration = (await findRegistration(tx, presented.registrationId))!;
  return { presented, registration, agentId: registration.agentId };
}
