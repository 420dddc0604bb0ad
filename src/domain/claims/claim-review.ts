import type { Deps } from '../../deps.ts';
import { issuerOf, providerOf } from '../../lib/principals.ts';
import { listOwnedPage } from '../../store/agents.ts';
import { type AttemptRow, findAttempt, findLastAttempt } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByRegistration } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { hasDelegationTo } from '../../store/principals.ts';
import { type ClaimMode, findRegistration } from '../../store/registrations.ts';
import type { Session } from '../accounts/sessions.ts';
import { deriveCode } from '../codes/one-time-codes.ts';
import type { ClaimLink } from './claim-links.ts';
import { isAttemptClosed } from './claim-status.ts';
import { requiresSignIn } from './owner-policy.ts';

/** The human's side of a claim: what they are shown. */
export interface ClaimView {
  registrationId: string;
  /** As the agent wrote it: unverified. */
  agentName: string | undefined;
  /** Epoch ms. */
  registeredAt: number;
  state: 'unasked' | 'waiting' | 'codeOver' | 'replaced' | 'approved' | 'claimed' | 'denied' | 'over';
  /** Undefined while the agent has named no mailbox. */
  attempt:
    | {
        id: string;
        mailbox: string;
        mode: ClaimMode;
        origin: string;
        askedAt: number;
        proof: AttemptRow['proof'];
      }
    | undefined;
  /** How the human can agree where the codes are on the page, and which way comes first. */
  ways: { canType: boolean; canReveal: boolean; first: 'typed' | 'reveal' } | undefined;
  /** The code to be read to the agent, once the human has confirmed; for whoever has proven to be them alone. */
  revealed: { code: string; expiresAt: number } | undefined;
  /** What is new to this human; for whoever is signed in. */
  advisories: { firstProvider: boolean; firstAccount: boolean };
  /** The agent's provider, by the name that the operator gave it. */
  provider: string | undefined;
  /** Whether the link proves that its holder reads the mailbox's mail. */
  isFromMail: boolean;
  /** Whether the owner must be signed in to approve it. */
  mustSignIn: boolean;
  /** Whether the link itself is the approval, so that nothing need be typed. */
  approvesByLink: boolean;
}

/** What a link leads to, or undefined where there is nothing any more. Looking changes nothing (S-74). */
export async function viewClaim(
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'keyring'>,
  link: ClaimLink,
  session?: Session,
): Promise<ClaimView | undefined> {
  const found = await findLinked(deps.db, link);
  if (found === undefined) return undefined;
  const { claim, attempt } = found;
  const registration = await findRegistration(deps.db, claim.registrationId);
  if (registration === undefined) return undefined;
  const principal = attempt?.principal ?? registration.principal;
  return {
    registrationId: claim.registrationId,
    agentName: registration.agentName ?? undefined,
    registeredAt: registration.createdAt,
    state: stateOf(deps, claim, attempt),
    attempt: attempt && {
      id: attempt.id,
      mailbox: attempt.mailbox,
      mode: attempt.mode,
      origin: attempt.origin,
      askedAt: attempt.createdAt,
      proof: attempt.proof,
    },
    ways: attempt && waysOf(deps, attempt),
    revealed: attempt && revealedTo(deps, link, attempt, session),
    advisories: await advise(deps, session, principal),
    provider: providerOf(deps.config, principal),
    isFromMail: link.kind !== 'view',
    mustSignIn: attempt !== undefined && (requiresSignIn(deps, attempt) || !provesMailbox(link, attempt)),
    approvesByLink: isApproving(link, attempt),
  };
}

/** The agent of v0.4 to v0.6 asks at once whether the code was typed; that of production never does (docs/dialects.md). */
function waysOf(deps: Pick<Deps, 'config'>, attempt: AttemptRow): ClaimView['ways'] {
  if (attempt.proof !== 'page') return undefined;
  const { triesPerCode } = deps.config.limits;
  const canType = attempt.typed === 1 && attempt.typedTries < triesPerCode;
  const canReveal = attempt.reveal !== null && attempt.tries < triesPerCode;
  const first = canType && (!canReveal || attempt.polledAt !== null) ? 'typed' : 'reveal';
  return { canType, canReveal, first };
}

function revealedTo(
  deps: Pick<Deps, 'keyring' | 'clock' | 'config'>,
  link: ClaimLink,
  attempt: AttemptRow,
  session: Session | undefined,
): ClaimView['revealed'] {
  const { revealedAt, endedAt, approvedAt, tries, codeExpiresAt } = attempt;
  if (revealedAt === null || endedAt !== null || approvedAt !== null) return undefined;
  // A code that is of no use any more is not to be read to anybody.
  if (tries >= deps.config.limits.triesPerCode || codeExpiresAt <= deps.clock()) return undefined;
  if (session?.mailbox !== attempt.mailbox && !provesMailbox(link, attempt)) return undefined;
  const code = deriveCode(deps, attempt);
  return code === undefined ? undefined : { code, expiresAt: codeExpiresAt };
}

/** Nothing of it stands in the way; it is said above the button (auth.md v0.6, claim page). */
async function advise(
  deps: Pick<Deps, 'db'>,
  session: Session | undefined,
  principal: string | null,
): Promise<ClaimView['advisories']> {
  if (session === undefined) return { firstProvider: false, firstAccount: false };
  const { accountId } = session;
  return {
    firstProvider: principal !== null && !(await hasDelegationTo(deps.db, accountId, issuerOf(principal))),
    firstAccount: (await listOwnedPage(deps.db, accountId, {}, undefined, 0, 1)).length === 0,
  };
}

/** Whether whoever comes by a link has shown that they read the mailbox's mail; of attempts that mail a code, the code shows it. */
export function provesMailbox(link: ClaimLink, attempt: AttemptRow): boolean {
  return attempt.proof !== 'page' || (link.kind === 'open' && link.attemptId === attempt.id);
}

function stateOf(
  deps: Pick<Deps, 'clock' | 'config'>,
  claim: ClaimRow,
  attempt: AttemptRow | undefined,
): ClaimView['state'] {
  const now = deps.clock();
  if (claim.claimedAt !== null) return 'claimed';
  if (claim.endReason === 'denied') return 'denied';
  if (claim.endedAt !== null || claim.expiresAt <= now) return 'over';
  if (attempt === undefined) return 'unasked';
  if (attempt.endReason === 'superseded') return 'replaced';
  if (attempt.endedAt === null && attempt.approvedAt !== null) return 'approved';
  return isAttemptClosed(attempt, deps.config.limits.triesPerCode, now) ? 'codeOver' : 'waiting';
}

/** The attempt that a link is of; of one from before the agent asked anybody the newest. */
export async function findLinked(
  db: Pick<Tx, 'get'>,
  link: ClaimLink,
): Promise<{ claim: ClaimRow; attempt: AttemptRow | undefined } | undefined> {
  const linked = link.attemptId === undefined ? undefined : await findAttempt(db, link.attemptId);
  const registrationId = link.kind === 'view' ? link.registrationId : linked?.registrationId;
  if (registrationId === undefined) return undefined;
  const claim = await findClaimByRegistration(db, registrationId);
  return claim && { claim, attempt: linked ?? (await findLastAttempt(db, registrationId)) };
}

/** Whether a link is itself the approval: it came by mail in place of a code. */
export function isApproving(link: ClaimLink, attempt: AttemptRow | undefined): boolean {
  return link.kind === 'approve' && attempt?.proof === 'link' && attempt.counter === link.counter;
}
