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
import { recordEvent } from '../audit/audit-log.ts';
import { type AttemptView, createAttempt } from '../claims/claim-attempts.ts';
import type { ClaimFlow } from '../claims/claim-flows.ts';
import { completeProvenClaim } from '../claims/complete-claim.ts';
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
 * The result of a registration by ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant):
 * - `known`: the user is linked to an account, or now to a new one if the mailbox had none. The agent gets a credential.
 * - `stepUp`: the mailbox has an account, and its owner must confirm first: no provider may open an account to its agents (S-95).
 */
export type IdJagResult =
  | { kind: 'known'; standing: EffectiveAccess; given: IssuedCredential; scopes: readonly string[] }
  | { kind: 'stepUp'; claimToken: string; claimExpiresAt: number; opened: AttemptView };

/**
 * Registers an agent by an ID-JAG of its provider, or issues another credential to the agent that this user registered before.
 *
 * @param input.assertion the ID-JAG, a compact JWS
 * @param input.gives the kind of credential to issue if no step-up is needed
 * @param input.ceremony the flow of the attempt if the owner must confirm
 * @throws Failure `invalidAssertion`, `loginRequired`, `limited`; `unavailable` when the issuer's keys cannot be fetched; as
 * createAttempt() and issueAdditional()
 */
export async function registerByIdJag(
  deps: Deps,
  origin: RequestOrigin,
  input: {
    assertion: string;
    agentName: string | undefined;
    credentialType?: CredentialType | undefined;
    gives: 'key' | 'token' | 'identity';
    ceremony: ClaimFlow;
  },
): Promise<IdJagResult> {
  const verified = await retryableIfKeysUnavailable(verifyIdJag(deps, input.assertion));
  return useCase(
    deps,
    origin,
    { sharedLimits: assertionLimits(verified) },
    async (work): Promise<IdJagResult> => {
      const { tx, now } = work;
      const principal = await consumeAssertion(work, verified);
      const knownAccess = await findKnownAccess(work, principal);
      if (knownAccess !== undefined) {
        await auditAssertion(work, verified, knownAccess.registration.id);
        const issued = await issueAdditional(work, knownAccess, input.gives, verified.scopes);
        return { kind: 'known', standing: knownAccess, ...issued };
      }
      const matched = await matchAccount(work, principal, verified);
      if (matched.kind === 'stepUp') {
        const stepUp = await startStepUp(work, {
          principal,
          mailbox: matched.mailbox,
          ...input,
        });
        await auditAssertion(work, verified, stepUp.opened.registrationId);
        return stepUp;
      }
      const created = await createRegistration(work, principal, input);
      const terms = { mode: 'merge', principal: principal.principal } as const;
      const proven = { ...created, ...terms, mailbox: matched.mailbox, confirmedBy: matched.accountId };
      const claim = (await findClaimByTokenHash(tx, created.tokenHash))!;
      await completeProvenClaim(work, claim, proven, { gives: 'nothing' });
      const registration = (await findRegistration(tx, created.registrationId))!;
      const access = (await effectiveAccessOf(tx, deps, now, registration))!;
      await auditAssertion(work, verified, created.registrationId);
      const issued = await issueAdditional(work, access, input.gives, verified.scopes);
      return { kind: 'known', standing: access, ...issued };
    },
  );
}

/** Returns the access of the agent that the user registered before, if the account that the user is linked to still owns it. */
async function findKnownAccess(
  work: Work,
  { registrationId, accountId }: PrincipalRow,
): Promise<EffectiveAccess | undefined> {
  const { tx, now, deps } = work;
  if (registrationId === null || accountId === null) return undefined;
  const registration = await findRegistration(tx, registrationId);
  if (!registration?.agentId) return undefined;
  // Without the lock, an owner who narrows the agent at the same time would miss the credential that is issued here
  // (docs/adr/0003-two-engines-one-sql.md).
  await lockAgent(tx, registration.agentId);
  const access = await effectiveAccessOf(tx, deps, now, registration);
  return access?.ownerId === accountId ? access : undefined;
}

/** Creates a registration for a user of a provider, with an open claim. Only a step-up hands its claim token to the agent. */
async function createRegistration(
  work: Work,
  principal: PrincipalRow,
  input: { agentName: string | undefined; credentialType?: CredentialType | undefined },
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
    agentName: input.agentName ?? null,
    now,
    expiresAt,
    credentialType: input.credentialType,
    principal: principal.principal,
  });
  await insertClaim(tx, { tokenHash, registrationId, now, expiresAt });
  await updatePrincipalRegistration(tx, principal.principal, registrationId);
  await recordEvent(work, {
    kind: 'registration.created',
    subject: registrationId,
    details: { type: 'id_jag', issuer: principal.issuer },
  });
  return { registrationId, tokenHash, claimToken, expiresAt };
}

/** Starts an attempt for a mailbox that has an account. A pending registration of the user is kept, and its claim renewed. */
async function startStepUp(
  work: Work,
  input: {
    principal: PrincipalRow;
    mailbox: string;
    agentName: string | undefined;
    credentialType?: CredentialType | undefined;
    ceremony: ClaimFlow;
  },
): Promise<Extract<IdJagResult, { kind: 'stepUp' }>> {
  const { principal, mailbox, ceremony } = input;
  const pending = await findPendingRegistration(work, principal);
  const { registrationId, tokenHash, claimToken, expiresAt } = pending
    ? await renewClaim(work, pending, input.credentialType)
    : await createRegistration(work, principal, input);
  const claim = { tokenHash, registrationId, expiresAt };
  const opened = await createAttempt(work, { claim, mailbox, mode: 'merge', ceremony });
  return { kind: 'stepUp', claimToken, claimExpiresAt: expiresAt, opened };
}

async function findPendingRegistration(
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

/** Returns the failure for an agent that cannot be claimed by an ID-JAG. */
export function notAnonymous(): Failure {
  return new Failure('alreadyClaimed', 'Only an anonymous registration can be claimed in this way.');
}
