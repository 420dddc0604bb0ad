import type { Deps } from '../../deps.ts';
import { principalOf } from '../../lib/principals.ts';
import { DAY_MS } from '../../lib/time.ts';
import { findAgent } from '../../store/agents.ts';
import { endAttemptsOf } from '../../store/claim-attempts.ts';
import { endClaim } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { lockOrCreatePrincipal, unlinkPrincipal } from '../../store/principals.ts';
import { listRegistrationsOf, type RegistrationRow } from '../../store/registrations.ts';
import { insertSpentToken } from '../../store/spent-tokens.ts';
import { type RequestOrigin, record } from '../audit/audit-log.ts';
import { withdrawAttempts } from '../claims/claim-attempts.ts';
import { retryableIfKeysUnavailable } from '../providers/id-jag.ts';
import { type SecurityEventType, verifySecurityEvent } from '../providers/security-event-verification.ts';
import { endAgent } from './end-agent.ts';

/** The one event that providers send: their word for a user is taken back (auth.md v0.6, discovery). */
export const ASSERTION_REVOKED = 'https://schemas.workos.com/events/agent/auth/identity/assertion/revoked';

/** How old an event may be that is delivered late, and so how long it is known that it was. */
const KEPT_MS = DAY_MS + 600_000;

/**
 * Takes back what rests on a provider's word for one of its users: registrations, assertions, tokens, refresh tokens, claims and
 * the delegation (auth.md v0.3, POST /agent/event/notify; RFC 8935). When this returns it holds. What was delivered before, or is of no known kind, does nothing.
 *
 * @param typ `secevent+jwt` (RFC 8417), or `logout+jwt` as auth.md v0.1 has it, which names no event
 * @returns how many keys and tokens ended
 * @throws Failure `invalidAssertion`; `unavailable` while the keys of the issuer cannot be had
 */
export async function revokeByProvider(
  deps: Deps,
  origin: RequestOrigin,
  token: string,
  typ: SecurityEventType,
): Promise<number> {
  const event = await retryableIfKeysUnavailable(verifySecurityEvent(deps, token, typ));
  if (typ === 'secevent+jwt' && !event.events.includes(ASSERTION_REVOKED)) return 0;
  const { issuer } = event.issuer;
  const principal = principalOf({ issuer, tenant: event.tenant, subject: event.subject });
  return deps.db.tx(async (tx) => {
    const now = deps.clock();
    if (!(await insertSpentToken(tx, issuer, event.jti, { issuedAt: now, endsAt: now + KEPT_MS }))) return 0;
    await lockOrCreatePrincipal(tx, principal, issuer, now);
    let ended = 0;
    for (const registration of await listRegistrationsOf(tx, principal)) {
      ended += await endRegistration(tx, deps, origin, now, registration);
      await record(tx, deps, origin, now, {
        kind: 'principal.revoked',
        subject: registration.id,
        details: { issuer },
      });
    }
    await endAttemptsOf(tx, principal, 'revoked', now);
    await unlinkPrincipal(tx, principal);
    return ended;
  });
}

async function endRegistration(
  tx: Tx,
  deps: Deps,
  origin: RequestOrigin,
  now: number,
  { id, agentId }: RegistrationRow,
): Promise<number> {
  const agent = agentId === null ? undefined : await findAgent(tx, agentId);
  if (agent !== undefined) return endAgent(tx, deps, origin, now, agent);
  await endClaim(tx, id, 'revoked', now);
  await withdrawAttempts(tx, id, 'revoked', now);
  return 0;
}
