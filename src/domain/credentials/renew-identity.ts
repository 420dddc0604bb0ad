import type { Deps } from '../../deps.ts';
import { holdAgent } from '../../store/agents.ts';
import type { Tx } from '../../store/db.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { Asker } from '../audit/audit-log.ts';
import { limited } from '../limits/limit-audit.ts';
import { spend } from '../limits/rate-limiter.ts';
import { standingOf } from './effective-access.ts';
import { type Identity, openIdentity } from './identity-assertions.ts';
import { findPresented, invalidRefreshToken, spendForNext } from './refresh-tokens.ts';

/** An identity that is renewed with its refresh token. */

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
