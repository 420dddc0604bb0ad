import { deriveClaimCode } from '../../src/domain/codes/one-time-codes.ts';
import { hashSecret } from '../../src/lib/secrets.ts';
import { findLastAttempt } from '../../src/store/claim-attempts.ts';
import { findClaimByTokenHash } from '../../src/store/claims.ts';
import { tallyBy } from './common.ts';
import type { Reply, TestService } from './service.ts';

/** An answer in short: `200`, or status and code of a refusal such as `410 otp_expired`. */
export function said(reply: Reply): string {
  const code = reply.body?.error?.code;
  return code === undefined ? String(reply.status) : `${reply.status} ${code}`;
}

/** How often each answer came. */
export function tally(replies: readonly Reply[]): Record<string, number> {
  return tallyBy(replies, said);
}

/** Comes from that address, at a service that trusts one proxy. */
export function from(address: string): Record<string, string> {
  return { 'X-Forwarded-For': address };
}

/** The code of a claim's newest attempt, as the mail has it: for tests that do not wait for mail. */
export async function codeOf(on: TestService, claimToken: string): Promise<string> {
  const { deps } = on.service;
  const claim = await findClaimByTokenHash(deps.db, hashSecret(claimToken));
  return deriveClaimCode(deps, (await findLastAttempt(deps.db, claim!.registrationId))!)!;
}

/** One number from the database. */
export async function countOf(on: TestService, sql: string, values: readonly string[] = []): Promise<number> {
  const row = await on.service.deps.db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${sql}`, [...values]);
  return row!.n;
}

const PATHS = { register: '/agent/auth', claim: '/agent/auth/claim', complete: '/agent/auth/claim/complete' };

/** The three calls of the ceremony, in short. */
export function ceremony(on: TestService) {
  return {
    register: (headers?: Record<string, string>) => on.post(PATHS.register, { type: 'anonymous' }, headers),
    assert: (email: string, headers?: Record<string, string>, more: object = {}) =>
      on.post(
        PATHS.register,
        { type: 'identity_assertion', assertions: [{ type: 'verified_email', email }], ...more },
        headers,
      ),
    claim: (claim_token: string, email: string, headers?: Record<string, string>, link = false) =>
      on.post(PATHS.claim, { claim_token, email, link }, headers),
    complete: (claim_token: string, otp: string, headers?: Record<string, string>) =>
      on.post(PATHS.complete, { claim_token, otp }, headers),
  };
}
