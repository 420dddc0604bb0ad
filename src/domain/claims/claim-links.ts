import type { Deps } from '../../deps.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';

/**
 * The links of a claim. None is stored: each carries ids and a MAC of them under the service secret, so a copy of the database
 * holds no link (docs/adr/0006-claims-and-links.md). Opening a link changes nothing: mail scanners open them all (S-74).
 *
 * - `view` shows the claim. Both the agent and the mail carry it. Each attempt has its own, valid until the next attempt.
 * - `deny` is only in the mail, so its holder reads the mailbox's mail.
 * - `open` is only in the mail of an attempt whose code is on the page, so its holder reads the mailbox's mail.
 * - `approve` is in the mail instead of a code, after too many wrong guesses (S-07, S-17). It is valid once, and until the
 *   service sends the attempt's next mail.
 */
export type ClaimLink =
  | { kind: 'view'; registrationId: string; attemptId: string | undefined }
  | { kind: 'deny'; attemptId: string }
  | { kind: 'open'; attemptId: string }
  | { kind: 'approve'; attemptId: string; counter: number };

const LETTERS = { view: 'v', deny: 'd', open: 'o', approve: 'a' } as const;

type Attempt = Pick<AttemptRow, 'id' | 'counter'>;
type LinkDeps = Pick<Deps, 'keyring' | 'config'>;

/**
 * Returns the URL that shows a claim.
 *
 * @param attemptId undefined: the newest attempt when the link is opened
 */
export function viewLink(deps: LinkDeps, registrationId: string, attemptId?: string): string {
  return claimUrl(
    deps,
    [LETTERS.view, registrationId, ...(attemptId === undefined ? [] : [attemptId])].join('.'),
  );
}

/** Returns the URL to deny a claim, for the mail only. */
export function denyLink(deps: LinkDeps, attempt: Attempt): string {
  return claimUrl(deps, `${LETTERS.deny}.${attempt.id}`, PAGES.denyClaim);
}

/** Returns the URL that proves the mailbox and shows the claim, for the mail only. */
export function openLink(deps: LinkDeps, attempt: Attempt): string {
  return claimUrl(deps, `${LETTERS.open}.${attempt.id}`);
}

/** Returns the URL that approves an attempt, for the mail only. */
export function approveLink(deps: LinkDeps, attempt: Attempt): string {
  return claimUrl(deps, `${LETTERS.approve}.${attempt.id}.${attempt.counter}`);
}

/**
 * Verifies and parses the token of a link.
 *
 * @param token the query parameter `t`
 * @returns undefined if the service did not issue it
 */
export function readClaimLink(deps: Pick<Deps, 'keyring'>, token: string): ClaimLink | undefined {
  const text = verifyMac(deps.keyring, PURPOSE, token);
  if (text === undefined) return undefined;
  const [letter, id, last] = text.split('.') as [string, string, string | undefined];
  switch (letter) {
    case LETTERS.view:
      return { kind: 'view', registrationId: id, attemptId: last };
    case LETTERS.deny:
      return { kind: 'deny', attemptId: id };
    case LETTERS.open:
      return { kind: 'open', attemptId: id };
    case LETTERS.approve:
      return { kind: 'approve', attemptId: id, counter: Number(last) };
    default:
      return undefined;
  }
}

const PURPOSE = 'claim-link';

function claimUrl(deps: LinkDeps, text: string, path: string = PAGES.claim): string {
  return `${deps.config.publicUrl}${path}?t=${appendMac(deps.keyring, PURPOSE, text)}`;
}
