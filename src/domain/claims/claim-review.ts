import type { Deps } from '../../deps.ts';
import { issuerOf, providerOf } from '../../lib/principals.ts';
import { parseScope } from '../../lib/scopes.ts';
import { findAgent } from '../../store/agents.ts';
import { type AttemptRow, findAttempt, findLastAttempt } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByRegistration } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { hasOwnedAgent } from '../../store/owned-agents.ts';
import { hasDelegationTo } from '../../store/principals.ts';
import { type ClaimMode, findRegistration } from '../../store/registrations.ts';
import type { Session } from '../accounts/sessions.ts';
import { deriveClaimCode } from '../codes/one-time-codes.ts';
import type { ClaimLink } from './claim-links.ts';
import { isAttemptClosed } from './claim-status.ts';
import { requiresSignIn } from './owner-policy.ts';

/** A claim as the page shows it to the human. */
export interface ClaimView {
  registrationId: string;
  /** Undefined where the agent comes to be with the claim. */
  agentId: string | undefined;
  /** Chosen by the agent, unverified. */
  agentName: string | undefined;
  /** Epoch ms. */
  registeredAt: number;
  /**
   * `unasked`: no attempt yet; `codeOver`: see isAttemptClosed(); `replaced`: superseded by a newer attempt; `collected`: the
   * human approved this attempt on the page, and the agent has its key; `claimed`: it has it in any other way; `over`: the claim
   * expired or has ended.
   */
  state:
    | 'unasked'
    | 'waiting'
    | 'codeOver'
    | 'replaced'
    | 'approved'
    | 'collected'
    | 'claimed'
    | 'denied'
    | 'over';
  /** When the agent got its key, epoch ms; undefined before. */
  claimedAt: number | undefined;
  /** Undefined until the agent names a mailbox. */
  attempt:
    | {
        id: string;
        mailbox: string;
        mode: ClaimMode;
        /** The coarse network of the agent. */
        origin: string;
        /** Epoch ms. */
        askedAt: number;
        /** When the code or the link expires, epoch ms. */
        expiresAt: number;
        /** When the human approved or confirmed, epoch ms; undefined before. */
        decidedAt: number | undefined;
        /** The scopes that they gave; undefined before. */
        given: string[] | undefined;
        proof: AttemptRow['proof'];
      }
    | undefined;
  /** For a code on the page: in which directions the human can pass a code, and which one the page offers first. */
  ways: { canType: boolean; canReveal: boolean; first: 'typed' | 'reveal' } | undefined;
  /** The code that the human reads to the agent. Undefined before they confirm, and if the visitor has not proven the mailbox. */
  revealed: { code: string; expiresAt: number } | undefined;
  /** Whether the provider, or any agent, is new to this human; false unless they are signed in. */
  advisories: { firstProvider: boolean; firstAccount: boolean };
  /** The operator's name for the agent's provider. */
  provider: string | undefined;
  /** Whether the link came by mail, so that its holder reads the mailbox's mail. */
  isFromMail: boolean;
  /** Whether only a visitor signed in as the mailbox can approve the claim. */
  mustSignIn: boolean;
  /** Whether the link replaces the code, so that the human types nothing. */
  approvesByLink: boolean;
}

/**
 * Returns the claim of a link for the page. Changes nothing (S-74).
 *
 * @param session the visitor's session, if signed in; the caller refuses one of another mailbox (S-76)
 * @returns undefined if the claim was removed
 */
export async function viewClaim(
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'keyring'>,
  link: ClaimLink,
  session?: Session,
): Promise<ClaimView | undefined> {
  const found = await findClaimOfLink(deps.db, link);
  if (found === undefined) return undefined;
  const { claim, attempt } = found;
  const registration = await findRegistration(deps.db, claim.registrationId);
  if (registration === undefined) return undefined;
  const principal = attempt?.principal ?? registration.principal;
  return {
    registrationId: claim.registrationId,
    agentId: registration.agentId ?? undefined,
    agentName: registration.agentName ?? undefined,
    registeredAt: registration.createdAt,
    state: await stateOf(deps, claim, attempt),
    claimedAt: claim.claimedAt ?? undefined,
    attempt: attempt && {
      id: attempt.id,
      mailbox: attempt.mailbox,
      mode: attempt.mode,
      origin: attempt.origin,
      askedAt: attempt.createdAt,
      expiresAt: attempt.codeExpiresAt,
      decidedAt: attempt.approvedAt ?? attempt.revealedAt ?? undefined,
      given: attempt.scope === null ? undefined : parseScope(attempt.scope),
      proof: attempt.proof,
    },
    ways: attempt && waysOf(deps, attempt),
    revealed: attempt && revealedCodeFor(deps, link, attempt, session),
    advisories: await findAdvisories(deps, session, principal),
    provider: providerOf(deps.config, principal),
    isFromMail: link.kind !== 'view',
    mustSignIn: attempt !== undefined && (requiresSignIn(deps, attempt) || !provesMailbox(link, attempt)),
    approvesByLink: isApproveLink(link, attempt),
  };
}

/** An agent of v0.4 to v0.7 polls, so the page asks for its code first. One of production never polls (docs/dialects/v0.4.md). */
function waysOf(deps: Pick<Deps, 'config'>, attempt: AttemptRow): ClaimView['ways'] {
  if (attempt.proof !== 'page') return undefined;
  const { triesPerCode } = deps.config.limits;
  const canType = attempt.typed === 1 && attempt.typedTries < triesPerCode;
  const canReveal = attempt.reveal !== null && attempt.tries < triesPerCode;
  const first = canType && (!canReveal || attempt.polledAt !== null) ? 'typed' : 'reveal';
  return { canType, canReveal, first };
}

function revealedCodeFor(
  deps: Pick<Deps, 'keyring' | 'clock' | 'config'>,
  link: ClaimLink,
  attempt: AttemptRow,
  session: Session | undefined,
): ClaimView['revealed'] {
  const { revealedAt, endedAt, approvedAt, tries, codeExpiresAt } = attempt;
  if (revealedAt === null || endedAt !== null || approvedAt !== null) return undefined;
  // The page must not show a code that the service no longer accepts.
  if (tries >= deps.config.limits.triesPerCode || codeExpiresAt <= deps.clock()) return undefined;
  if (session?.mailbox !== attempt.mailbox && !provesMailbox(link, attempt)) return undefined;
  const code = deriveClaimCode(deps, attempt);
  return code === undefined ? undefined : { code, expiresAt: codeExpiresAt };
}

/** Advisories block nothing: the page shows them above the button (auth.md v0.6, claim page). */
async function findAdvisories(
  deps: Pick<Deps, 'db'>,
  session: Session | undefined,
  principal: string | null,
): Promise<ClaimView['advisories']> {
  if (session === undefined) return { firstProvider: false, firstAccount: false };
  const { accountId } = session;
  return {
    firstProvider: principal !== null && !(await hasDelegationTo(deps.db, accountId, issuerOf(principal))),
    firstAccount: !(await hasOwnedAgent(deps.db, accountId)),
  };
}

/**
 * Returns whether the human can prove the mailbox without a session. For an attempt whose code is on the page, only its `open`
 * link proves it. For any other attempt, the mailed code or link does.
 */
export function provesMailbox(link: ClaimLink, attempt: AttemptRow): boolean {
  return attempt.proof !== 'page' || (link.kind === 'open' && link.attemptId === attempt.id);
}

/**
 * Returns how far the claim of a link is, and whom its attempt asked, for a page that waits. Changes nothing.
 *
 * @returns undefined if the claim was removed; `mailbox` is undefined before the first attempt
 */
export async function findClaimState(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  link: ClaimLink,
): Promise<{ state: ClaimView['state']; mailbox: string | undefined } | undefined> {
  const found = await findClaimOfLink(deps.db, link);
  if (found === undefined) return undefined;
  const { claim, attempt } = found;
  return { state: await stateOf(deps, claim, attempt), mailbox: attempt?.mailbox };
}

async function stateOf(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  claim: ClaimRow,
  attempt: AttemptRow | undefined,
): Promise<ClaimView['state']> {
  const now = deps.clock();
  if (claim.claimedAt !== null) return (await isCollected(deps.db, claim, attempt)) ? 'collected' : 'claimed';
  if (claim.endReason === 'denied') return 'denied';
  if (claim.endedAt !== null || claim.expiresAt <= now) return 'over';
  if (attempt === undefined) return 'unasked';
  if (attempt.endReason === 'superseded') return 'replaced';
  if (attempt.endedAt === null && attempt.approvedAt !== null) return 'approved';
  return isAttemptClosed(attempt, deps.config.limits.triesPerCode, now) ? 'codeOver' : 'waiting';
}

/** Whether a claim was completed by what the human decided on the page, and its agent was not revoked since. */
async function isCollected(
  db: Pick<Tx, 'get'>,
  { registrationId }: ClaimRow,
  attempt: AttemptRow | undefined,
): Promise<boolean> {
  if (attempt?.endReason !== 'completed' || (attempt.approvedAt ?? attempt.revealedAt) === null) return false;
  const registration = await findRegistration(db, registrationId);
  const agent = registration?.agentId ? await findAgent(db, registration.agentId) : undefined;
  return agent?.revokedAt === null;
}

/**
 * Finds the claim and the attempt of a link. A link from before the first attempt leads to the newest one.
 *
 * @returns undefined if the claim was removed; `attempt` is undefined before the first attempt
 */
export async function findClaimOfLink(
  db: Pick<Tx, 'get'>,
  link: ClaimLink,
): Promise<{ claim: ClaimRow; attempt: AttemptRow | undefined } | undefined> {
  const linked = link.attemptId === undefined ? undefined : await findAttempt(db, link.attemptId);
  const registrationId = link.kind === 'view' ? link.registrationId : linked?.registrationId;
  if (registrationId === undefined) return undefined;
  const claim = await findClaimByRegistration(db, registrationId);
  return claim && { claim, attempt: linked ?? (await findLastAttempt(db, registrationId)) };
}

/** Returns whether a link approves the attempt by itself, since the attempt's newest mail carried it instead of a code. */
export function isApproveLink(link: ClaimLink, attempt: AttemptRow | undefined): boolean {
  return link.kind === 'approve' && attempt?.proof === 'link' && attempt.counter === link.counter;
}
