import type { Deps } from '../../deps.ts';
import { lockAgent } from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../audit/audit-log.ts';
import { withLimitAudit } from '../limits/limit-audit.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
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
  const renewed = await withLimitAudit(deps, origin, () =>
    deps.db.tx(async (tx) => {
      const now = deps.clock();
      const { agentId } = await findRefreshed(tx, refreshToken, now);
      // A claim ends what was got before it while it holds the agent, and would not see the successor that is made here (S-26).
      if (agentId === null || !(await lockAgent(tx, agentId))) throw invalidRefreshToken();
      const { presented, registration } = await findRefreshed(tx, refreshToken, now);
      const standing = await effectiveAccessOf(tx, deps, now, registration);
      if (standing === undefined) throw invalidRefreshToken();
      await consumeLimits(tx, deps, [{ name: 'tokensPerAgent', key: standing.agentId }], now);
      const next = await rotateRefreshToken(tx, deps, origin, now, presented, standing.endsAt);
      if (next === undefined) return undefined;
      const { mailbox, endsAt } = standing;
      const identity = await mintIdentity(tx, deps, now, {
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
  const presented = await findActiveRefreshToken(tx, refreshToken, now);
  const registration = (await findRegistration(tx, presented.registrationId))!;
  return { presented, registration, agentId: registration.agentId };
}
