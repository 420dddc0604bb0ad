import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { holdAgent } from '../../store/agents.ts';
import { findClaimByTokenHash, insertClaim, replaceClaim } from '../../store/claims.ts';
import type { Tx } from '../../store/db.ts';
import { type PrincipalRow, placePrincipal } from '../../store/principals.ts';
import {
  type CredentialType,
  findRegistration,
  insertRegistration,
  type RegistrationRow,
  renewRegistration,
} from '../../store/registrations.ts';
import { type Asker, record } from '../audit/audit-log.ts';
import { type OpenedAttempt, openAttempt } from '../claims/claim-attempts.ts';
import type { Ceremony } from '../claims/claim-flows.ts';
import { complete } from '../claims/complete-claim.ts';
import { type Given, giveMore } from '../claims/issue-on-claim.ts';
import { type Standing, standingOf } from '../credentials/effective-access.ts';
import { limited } from '../limits/limit-audit.ts';
import { withShared } from '../limits/shared-counters.ts';
import { orLater, verifyIdJag } from '../providers/id-jag.ts';
import { assertionSpendings, match, note, take } from '../providers/match-account.ts';

/**
 * What comes of the word of an agent provider (ID-JAG, auth-md.md 4). A user of it that is known is let in; one whose mailbox has
 * an account must be confirmed by its owner first, since no provider may open somebody's account to its agents; and for one
 * that nobody knows an account begins.
 */
export type Presented =
  | { kind: 'known'; standing: Standing; given: Given; scopes: readonly string[] }
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
  asker: Asker,
  ask: {
    assertion: string;
    agentName: string | undefined;
    credentialType?: CredentialType | undefined;
    gives: 'key' | 'token' | 'identity';
    ceremony: Ceremony;
  },
): Promise<Presented> {
  const verified = await orLater(verifyIdJag(deps, ask.assertion));
  const presented = await limited(deps, asker, () =>
    withShared(deps, assertionSpendings(verified), async (tx, shared): Promise<Presented> => {
      const now = deps.clock();
      const principal = await take(tx, verified, shared, now);
      const standing = await findStanding(tx, deps, now, principal);
      if (standing !== undefined) {
        await note(tx, deps, asker, now, verified, standing.registration.id);
        const more = await giveMore(tx, deps, asker, now, standing, ask.gives, verified.scopes);
        return { kind: 'known', standing, ...more };
      }
      const matched = await match(tx, deps, asker, now, principal, verified);
      if (matched.kind === 'stepUp') {
        const begun = await stepUp(tx, deps, asker, now, { principal, mailbox: matched.mailbox, ...ask });
        await note(tx, deps, asker, now, verified, begun.opened.registrationId);
        return begun;
      }
      const arrived = await arrive(tx, deps, asker, now, principal, ask);
      const terms = { mode: 'merge', principal: principal.principal } as const;
      const proven = { ...arrived, ...terms, mailbox: matched.mailbox, confirmedBy: matched.accountId };
      const claim = (await findClaimByTokenHash(tx, arrived.tokenHash))!;
      await complete(tx, deps, asker, now, claim, proven, { gives: 'nothing' });
      const registration = (await findRegistration(tx, arrived.registrationId))!;
      const begun = (await standingOf(tx, deps, now, registration))!;
      await note(tx, deps, asker, now, verified, arrived.registrationId);
      const more = await giveMore(tx, deps, asker, now, begun, ask.gives, verified.scopes);
      return { kind: 'known', standing: begun, ...more };
    }),
  );
  deps.wakeOutbox();
  return presented;
}

/** The agent that a user's assertions have led to so far, if it still works for whom they let act for them. */
async function findStanding(
  tx: Tx,
  deps: Deps,
  now: number,
  { registrationId, accountId }: PrincipalRow,
): Promise<Standing | undefined> {
  if (registrationId === null || accountId === null) return undefined;
  const registration = await findRegistration(tx, registrationId);
  if (!registration?.agentId) return undefined;
  // Its owner, who takes something from it in this very moment, would not see what is made here.
  await holdAgent(tx, registration.agentId);
  const standing = await standingOf(tx, deps, now, registration);
  return standing?.ownerId === accountId ? standing : undefined;
}

/** A registration for a user of a provider, with a claim that nobody holds the token of. */
async function arrive(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  principal: PrincipalRow,
  ask: { agentName: string | undefined; credentialType?: CredentialType | undefined },
): Promise<{ registrationId: string; tokenHash: Buffer; claimToken: string; expiresAt: number }> {
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
  await placePrincipal(tx, principal.principal, registrationId);
  await record(tx, deps, asker, now, {
    kind: 'registration.created',
    subject: registrationId,
    details: { type: 'id_jag', issuer: principal.issuer },
  });
  return { registrationId, tokenHash, claimToken, expiresAt };
}

/** The ceremony for a mailbox that has an account: a repeated presentation keeps the registration and begins it anew. */
export async function stepUp(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  of: {
    principal: PrincipalRow;
    mailbox: string;
    agentName: string | undefined;
    credentialType?: CredentialType | undefined;
    ceremony: Ceremony;
  },
): Promise<Extract<Presented, { kind: 'stepUp' }>> {
  const { principal, mailbox, ceremony } = of;
  const pending = await findPending(tx, principal, now);
  const { registrationId, tokenHash, claimToken, expiresAt } = pending
    ? await renewClaim(tx, deps, now, pending, of.credentialType)
    : await arrive(tx, deps, asker, now, principal, of);
  const claim = { tokenHash, registrationId, expiresAt };
  const opened = await openAttempt(tx, deps, asker, now, { claim, mailbox, mode: 'merge', ceremony });
  return { kind: 'stepUp', claimToken, claimExpiresAt: expiresAt, opened };
}

async function findPending(
  tx: Tx,
  { registrationId }: PrincipalRow,
  now: number,
): Promise<RegistrationRow | undefined> {
  const registration = registrationId === null ? undefined : await findRegistration(tx, registrationId);
  const isPending = registration?.agentId === null && registration.expiresAt > now;
  return isPending ? registration : undefined;
}

async function renewClaim(
  tx: Tx,
  deps: Deps,
  now: number,
  { id }: RegistrationRow,
  credentialType: CredentialType | undefined,
) {
  const claimToken = newSecret('clm', deps.random);
  const tokenHash = hashSecret(claimToken);
  const expiresAt = now + deps.config.limits.claimTtlSeconds * 1000;
  await renewRegistration(tx, id, { expiresAt, credentialType });
  await replaceClaim(tx, { tokenHash, registrationId: id, now, expiresAt });
  return { registrationId: id, tokenHash, claimToken, expiresAt };
}

export function notAnonymous(): Failure {
  return new Failure('alreadyClaimed', 'Only an anonymous registration is claimed in this way.');
}
