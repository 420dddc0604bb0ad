import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { lockAgent } from '../../store/agents.ts';
import { findClaimByTokenHash, insertClaim, replaceClaim } from '../../store/claims.ts';
import { type PrincipalRow, updatePrincipalRegistration } from '../../store/principals.ts';
import {
  type CredentialType,
  findRegistration,
  insertRegistration,
  type RegistrationRow,
  updateRegistrationRenewed,
} from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { createAttempt, type OpenedAttempt } from '../claims/claim-attempts.ts';
import type { ClaimFlow } from '../claims/claim-flows.ts';
import { complete } from '../claims/complete-claim.ts';
import { type IssuedCredential, issueAdditional } from '../claims/issue-on-claim.ts';
import { type EffectiveAccess, effectiveAccessOf } from '../credentials/effective-access.ts';
import { useCase } from '../limits/use-case.ts';
import { retryableIfKeysUnavailable, verifyIdJag } from '../providers/id-jag.ts';
import {
  assertionLimits,
  auditAssertion,
  consumeAssertion,
  matchAccount,
} from '../providers/match-account.ts';

/**
 * What comes of the word of an agent provider (draft-ietf-oauth-identity-assertion-authz-grant). A user of it that is known is let in; one whose mailbox has
 * an account must be confirmed by its owner first, since no provider may open somebody's account to its agents; and for one
 * that nobody knows an account begins.
 */
export type IdJagResult =
  | { kind: 'known'; standing: EffectiveAccess; given: IssuedCredential; scopes: readonly string[] }
  | { kind: 'stepUp'; claimToken: string; claimExpiresAt: number; opened: OpenedAttempt };

/**
 * Takes an agent in on the word of its provider.
 *
 * @param ask.gives what it gets where it is known
 * @param ask.ceremony how its human confirms where they must
 * @throws Failure `invalidAssertion`, `loginRequired`, `limited`
 */
export async function presentAssertion(
  deps: Deps,
  origin: RequestOrigin,
  ask: {
    assertion: string;
    agentName: string | undefined;
    credentialType?: CredentialType | undefined;
    gives: 'key' | 'token' | 'identity';
    ceremony: ClaimFlow;
  },
): Promise<IdJagResult> {
  const verified = await retryableIfKeysUnavailable(verifyIdJag(deps, ask.assertion));
  return useCase(
    deps,
    origin,
    { sharedLimits: assertionLimits(verified) },
    async (work): Promise<IdJagResult> => {
      const { tx, now } = work;
      const principal = await consumeAssertion(work, verified);
      const standing = await findStanding(work, principal);
      if (standing !== undefined) {
        await auditAssertion(work, verified, standing.registration.id);
        const more = await issueAdditional(work, standing, ask.gives, verified.scopes);
        return { kind: 'known', standing, ...more };
      }
      const matched = await matchAccount(work, principal, verified);
      if (matched.kind === 'stepUp') {
        const begun = await startStepUp(work, {
          principal,
          mailbox: matched.mailbox,
          ...ask,
        });
        await auditAssertion(work, verified, begun.opened.registrationId);
        return begun;
      }
      const arrived = await createRegistration(work, principal, ask);
      const terms = { mode: 'merge', principal: principal.principal } as const;
      const proven = { ...arrived, ...terms, mailbox: matched.mailbox, confirmedBy: matched.accountId };
      const claim = (await findClaimByTokenHash(tx, arrived.tokenHash))!;
      await complete(work, claim, proven, { gives: 'nothing' });
      const registration = (await findRegistration(tx, arrived.registrationId))!;
      const begun = (await effectiveAccessOf(tx, deps, now, registration))!;
      await auditAssertion(work, verified, arrived.registrationId);
      const more = await issueAdditional(work, begun, ask.gives, verified.scopes);
      return { kind: 'known', standing: begun, ...more };
    },
  );
}

/** The agent that a user's assertions have led to so far, if it still works for whom they let act for them. */
async function findStanding(
  work: Work,
  { registrationId, accountId }: PrincipalRow,
): Promise<EffectiveAccess | undefined> {
  const { tx, now, deps } = work;
  if (registrationId === null || accountId === null) return undefined;
  const registration = await findRegistration(tx, registrationId);
  if (!registration?.agentId) return undefined;
  // Its owner, who takes something from it in this very moment, would not see what is made here.
  await lockAgent(tx, registration.agentId);
  const standing = await effectiveAccessOf(tx, deps, now, registration);
  return standing?.ownerId === accountId ? standing : undefined;
}

/** A registration for a user of a provider, with a claim that nobody holds the token of. */
async function createRegistration(
  work: Work,
  principal: PrincipalRow,
  ask: { agentName: string | undefined; credentialType?: CredentialType | undefined },
): Promise<{ registrationId: string; tokenHash: Buffer; claimToken: string; expiresAt: number }> {
  const { tx, now, deps } = work;
  const registrationId = newId('reg', now, deps.random);
  const claimToken = newSecret('clm', deps.random);
  const tokenHash = hashSecret(claimToken);
  const expiresAt = now + deps.config.limits.claimTtlSeconds * 1000;
  await insertRegistration(tx, {
    id: registrationId,
    kind: 'id_jag',
    agentId: null,
    agentName: ask.agentName ?? null,
    now,
    expiresAt,
    credentialType: ask.credentialType,
    principal: principal.principal,
  });
  await insertClaim(tx, { tokenHash, registrationId, now, expiresAt });
  await updatePrincipalRegistration(tx, principal.principal, registrationId);
  await record(work, {
    kind: 'registration.created',
    subject: registrationId,
    details: { type: 'id_jag', issuer: principal.issuer },
  });
  return { registrationId, tokenHash, claimToken, expiresAt };
}

/** The ceremony for a mailbox that has an account: a repeated presentation keeps the registration and begins it anew. */
async function startStepUp(
  work: Work,
  of: {
    principal: PrincipalRow;
    mailbox: string;
    agentName: string | undefined;
    credentialType?: CredentialType | undefined;
    ceremony: ClaimFlow;
  },
): Promise<Extract<IdJagResult, { kind: 'stepUp' }>> {
  const { principal, mailbox, ceremony } = of;
  const pending = await findPending(work, principal);
  const { registrationId, tokenHash, claimToken, expiresAt } = pending
    ? await renewClaim(work, pending, of.credentialType)
    : await createRegistration(work, principal, of);
  const claim = { tokenHash, registrationId, expiresAt };
  const opened = await createAttempt(work, { claim, mailbox, mode: 'merge', ceremony });
  return { kind: 'stepUp', claimToken, claimExpiresAt: expiresAt, opened };
}

async function findPending(
  work: Work,
  { registrationId }: PrincipalRow,
): Promise<RegistrationRow | undefined> {
  const { tx, now } = work;
  const registration = registrationId === null ? undefined : await findRegistration(tx, registrationId);
  const isPending = registration?.agentId === null && registration.expiresAt > now;
  return isPending ? registration : undefined;
}

async function renewClaim(work: Work, { id }: RegistrationRow, credentialType: CredentialType | undefined) {
  const { tx, now, deps } = work;
  const claimToken = newSecret('clm', deps.random);
  const tokenHash = hashSecret(claimToken);
  const expiresAt = now + deps.config.limits.claimTtlSeconds * 1000;
  await updateRegistrationRenewed(tx, id, { expiresAt, credentialType });
  await replaceClaim(tx, { tokenHash, registrationId: id, now, expiresAt });
  return { registrationId: id, tokenHash, claimToken, expiresAt };
}

export function notAnonymous(): Failure {
  return new Failure('alreadyClaimed', 'Only an anonymous registration is claimed in this way.');
}
