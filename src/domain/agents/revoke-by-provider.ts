import type { Deps } from '../../deps.ts';
import { principalOf } from '../../lib/principals.ts';
import { DAY_MS } from '../../lib/time.ts';
import { findAgent } from '../../store/agents.ts';
import { updateAttemptsOfPrincipalEnded } from '../../store/claim-attempts.ts';
import { deleteLinkRequestOfPrincipal } from '../../store/link-requests.ts';
import { lockOrCreatePrincipal, updatePrincipalUnlinked } from '../../store/principals.ts';
import { listRegistrationsOfPrincipal, type RegistrationRow } from '../../store/registrations.ts';
import { insertUsedToken } from '../../store/spent-tokens.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { endConsentsOfPrincipal } from '../apps/asserted-consents.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { closeClaim } from '../claims/claim-attempts.ts';
import { useCase } from '../limits/use-case.ts';
import { retryableIfKeysUnavailable } from '../providers/id-jag.ts';
import { type SecurityEventType, verifySecurityEvent } from '../providers/security-event-verification.ts';
import { endAgent } from './end-agent.ts';

/**
 * The only event type that agent providers send: they revoke what they asserted about a user (auth.md v0.6, discovery).
 */
export const ASSERTION_REVOKED = 'https://schemas.workos.com/events/agent/auth/identity/assertion/revoked';

/** How long the `jti` of an event is stored: ten minutes longer than verifySecurityEvent() accepts the event. */
const JTI_KEPT_MS = DAY_MS + 600_000;

/**
 * Revokes all that rests on a provider's assertions about one of its users: registrations, assertions, tokens, refresh
 * tokens, claims, what apps may do, and the delegation (auth.md v0.3, POST /agent/event/notify; RFC 8935). The
 * revocation is committed when this function returns. An event that was delivered before, or has an unknown type, changes nothing.
 *
 * @param token the event as a signed JWT
 * @param typ `secevent+jwt` (RFC 8417), or the `logout+jwt` of auth.md v0.1, which names no event
 * @returns how many keys and tokens were revoked
 * @throws Failure `invalidAssertion`; `unavailable` while the issuer's keys cannot be fetched
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
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if (!(await insertUsedToken(tx, issuer, event.jti, { issuedAt: now, endsAt: now + JTI_KEPT_MS })))
      return 0;
    await lockOrCreatePrincipal(tx, principal, issuer, now);
    let revoked = await endConsentsOfPrincipal(work, principal, 'provider');
    for (const registration of await listRegistrationsOfPrincipal(tx, principal)) {
      revoked += await endRegistration(work, registration);
      await recordEvent(work, {
        kind: 'principal.revoked',
        subject: registration.id,
        details: { issuer },
      });
    }
    await updateAttemptsOfPrincipalEnded(tx, principal, 'revoked', now);
    await deleteLinkRequestOfPrincipal(tx, principal);
    await updatePrincipalUnlinked(tx, principal);
    return revoked;
  });
}

async function endRegistration(work: Work, { id, agentId }: RegistrationRow): Promise<number> {
  const { tx } = work;
  const agent = agentId === null ? undefined : await findAgent(tx, agentId);
  if (agent !== undefined) return endAgent(work, agent);
  await closeClaim(work, id, 'revoked');
  return 0;
}
