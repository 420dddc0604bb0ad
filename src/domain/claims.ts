import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { hashSecret, wellFormed } from '../lib/secrets.ts';
import { type AttemptRow, endAttempts, findLastAttempt, insertAttempt } from '../store/claim-attempts.ts';
import { type ClaimRow, spendCode } from '../store/claims.ts';
import type { Tx } from '../store/db.ts';
import { dropUnsent, insertMail } from '../store/outbox.ts';
import { type ClaimMode, findRegistration } from '../store/registrations.ts';
import type { Ceremony } from './ceremonies.ts';
import { viewLink } from './claim-links.ts';
import { explainClosed, findOpenClaim, invalidClaimToken, isOver } from './claim-state.ts';
import { deriveTypedCode } from './codes.ts';
import { type Asker, record } from './events.ts';
import { limited } from './limit-audit.ts';
import { areGuessesSpent, attemptSpendings, spend } from './limits.ts';

/** The bearer that may come along with a claim token; it must then be of the same agent (S-25). */
export interface Companion {
  /** Undefined: a human's own key, which comes along with no claim token. */
  agentId: string | undefined;
}

/**
 * Starts a claim: mails a code to the mailbox, ending the code that was live before. What the mailbox is (known, unknown,
 * linked) is not looked at, so the answer cannot tell (S-44, S-45).
 *
 * @param input.mailbox canonical, see parseMailbox
 * @returns the page on which the human can review it
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `alreadyClaimed`; `limited` when a
 * budget of codes is spent
 */
export async function startClaim(
  deps: Deps,
  asker: Asker,
  input: {
    claimToken: string;
    mailbox: string;
    mode: ClaimMode;
    ceremony: Ceremony;
    companion?: Companion | undefined;
    /** Whether only an agent that named nobody when it registered may ask: the others' claims are under way (auth-md.md 2a.2). */
    onlyAnonymous?: boolean;
    /** Whether a live attempt at the same mailbox will do, and nothing is mailed again (auth-md.md 2a.2). */
    keepsLive?: boolean;
  },
): Promise<OpenedAttempt> {
  const { mailbox, mode, ceremony } = input;
  const tokenHash = hashClaimToken(input.claimToken);
  const opened = await limited(deps, asker, async () => {
    const now = deps.clock();
    return deps.db.tx(async (tx) => {
      const claim = await findOpenClaim(tx, tokenHash, now);
      await checkCompanion(tx, claim, input.companion);
      if (input.onlyAnonymous && (await findRegistration(tx, claim.registrationId))?.kind !== 'anonymous') {
        throw new Failure(
          'alreadyClaimed',
          'This claim is under way since the registration. Complete it, or register again.',
        );
      }
      const live = input.keepsLive ? await findLastAttempt(tx, claim.registrationId) : undefined;
      if (live?.mailbox === mailbox && !isOver(live, deps.config.limits.triesPerCode, now)) {
        return describeAttempt(deps, live);
      }
      return openAttempt(tx, deps, asker, now, { claim, mailbox, mode, ceremony });
    });
  });
  deps.wakeOutbox();
  return opened;
}

/** An attempt as the agent that asked for it is told of it. */
export interface OpenedAttempt {
  registrationId: string;
  attemptId: string;
  mailbox: string;
  /** The page on which the human reviews it. */
  verificationUri: string;
  /** What is in the mail; undefined in an answer that an earlier version has kept. */
  proof?: AttemptRow['proof'];
  /** Epoch ms. */
  codeExpiresAt: number;
  /** For the human to type, where there is one. */
  typedCode: string | undefined;
}

/** What its agent is told of an attempt. */
export function describeAttempt(deps: Deps, attempt: AttemptRow): OpenedAttempt {
  return {
    registrationId: attempt.registrationId,
    attemptId: attempt.id,
    mailbox: attempt.mailbox,
    verificationUri: viewLink(deps, attempt.registrationId, attempt.id),
    proof: attempt.proof,
    codeExpiresAt: attempt.codeExpiresAt,
    typedCode: deriveTypedCode(deps, attempt),
  };
}

/**
 * The new live attempt of a claim, and the mail that carries its code or link, in the caller's transaction. The attempt before
 * it ends, and its mail is dropped if it has not left.
 *
 * @param input.principal the user of a provider who may act for the owner afterwards
 * @throws Failure `tooManyAttempts` when the claim has had all its codes, or its agent all its attempts; `limited` when a budget of mail is spent
 */
export async function openAttempt(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  input: {
    claim: Pick<ClaimRow, 'tokenHash' | 'registrationId' | 'expiresAt'>;
    mailbox: string;
    mode: ClaimMode;
    ceremony: Ceremony;
    principal?: string | undefined;
  },
): Promise<OpenedAttempt> {
  const { limits } = deps.config;
  const { claim, mailbox, mode, ceremony } = input;
  if (!(await spendCode(tx, claim.tokenHash, limits.codesPerClaim, now))) {
    await explainClosed(tx, claim.tokenHash, now);
    const seconds = Math.max(1, Math.ceil((claim.expiresAt - now) / 1000));
    throw new Failure(
      'tooManyAttempts',
      'All codes of this claim were used. Register again to get a new claim token.',
      { retryAfterSeconds: seconds },
    );
  }
  await withdrawAttempts(tx, claim.registrationId, 'superseded', now);
  // Where too many codes were guessed at, there is to be nothing to guess (S-07, S-17).
  const isLink =
    ceremony.proof === 'code' && (await areGuessesSpent(tx, deps, 'wrongPerMailboxDay', mailbox, now));
  const attempt = {
    id: newId('cla', now, deps.random),
    registrationId: claim.registrationId,
    mailbox,
    mode,
    origin: asker.address.coarse,
    secretId: deps.keyring.currentId,
    counter: 1,
    codeExpiresAt: now + limits.codeTtlSeconds * 1000,
    createdAt: now,
    proof: isLink ? ('link' as const) : ceremony.proof,
    reveal: ceremony.reveal,
    typed: ceremony.typed,
    principal: input.principal ?? null,
  };
  await insertAttempt(tx, attempt);
  if (ceremony.isMailed) {
    await insertMail(tx, {
      id: newId('out', now, deps.random),
      kind: 'claim_code',
      attemptId: attempt.id,
      mailbox,
      createdAt: now,
      giveUpAt: claim.expiresAt,
    });
  }
  await record(tx, deps, asker, now, {
    kind: 'claim.started',
    subject: claim.registrationId,
    details: { mode },
  });
  await spend(
    tx,
    deps,
    attemptSpendings(mailbox, asker.address, claim.registrationId, ceremony.isMailed),
    now,
  );
  return describeAttempt(deps, { ...attempt, ...UNTOUCHED });
}

const UNTOUCHED = {
  tries: 0,
  typedTries: 0,
  endedAt: null,
  endReason: null,
  approvedAt: null,
  revealedAt: null,
  polledAt: null,
  confirmedBy: null,
};

/** Ends the live attempts of a registration, and drops their mails that have not left. */
export async function withdrawAttempts(
  tx: Tx,
  registrationId: string,
  reason: 'superseded' | 'completed' | 'denied' | 'revoked',
  now: number,
): Promise<void> {
  for (const attempt of await endAttempts(tx, registrationId, reason, now)) {
    await dropUnsent(tx, attempt.id, now);
  }
}

/** @throws Failure `invalidClaimToken` for what cannot be one */
export function hashClaimToken(claimToken: string): Buffer {
  if (!wellFormed('ct', claimToken) && !wellFormed('clm', claimToken)) throw invalidClaimToken();
  return hashSecret(claimToken);
}

/** @throws Failure `invalidClaimToken` where the bearer that came along is of another agent (S-25) */
export async function checkCompanion(
  tx: Tx,
  claim: ClaimRow,
  companion: Companion | undefined,
): Promise<void> {
  if (companion === undefined) return;
  const registration = await findRegistration(tx, claim.registrationId);
  if (registration?.agentId !== companion.agentId) throw invalidClaimToken();
}
