import type { Deps } from '../../deps.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';

/**
 * The links of a claim. None is stored: each names what it is about and carries a MAC of it under the service secret, so a
 * copy of the database holds no link. Opening one does nothing: mail scanners open them all (S-74).
 *
 * - `view` shows the claim. The agent gets it, and the mail carries it: each time it asks a new one, which is over when it asks again.
 * - `deny` is in the mail alone, so whoever has it reads the mailbox's mail.
 * - `open` is in the mail of an attempt whose codes are on the page: whoever comes by it reads the mailbox's mail.
 * - `approve` is in the mail in place of a code, where codes are not to be guessed at any more (S-07, S-17); it dies with the
 *   attempt's next mail and with its use.
 */
export type ClaimLink =
  | { kind: 'view'; registrationId: string; attemptId: string | undefined }
  | { kind: 'deny'; attemptId: string }
  | { kind: 'open'; attemptId: string }
  | { kind: 'approve'; attemptId: string; counter: number };

const LETTERS = { view: 'v', deny: 'd', open: 'o', approve: 'a' } as const;

type Attempt = Pick<AttemptRow, 'id' | 'counter'>;
type Keyed = Pick<Deps, 'keyring' | 'config'>;

/** @param attemptId undefined: whatever the agent asked last */
export function viewLink(deps: Keyed, registrationId: string, attemptId?: string): string {
  return link(
    deps,
    [LETTERS.view, registrationId, ...(attemptId === undefined ? [] : [attemptId])].join('.'),
  );
}

export function denyLink(deps: Keyed, attempt: Attempt): string {
  return link(deps, `${LETTERS.deny}.${attempt.id}`, PAGES.denyClaim);
}

export function openLink(deps: Keyed, attempt: Attempt): string {
  return link(deps, `${LETTERS.open}.${attempt.id}`);
}

export function approveLink(deps: Keyed, attempt: Attempt): string {
  return link(deps, `${LETTERS.approve}.${attempt.id}.${attempt.counter}`);
}

/** What a link's token says, or undefined if it is none of ours. */
export function readClaimLink(deps: Pick<Deps, 'keyring'>, token: string): ClaimLink | undefined {
  const text = verifyMac(deps.keyring, PURPOSE, token);
  if (text === undefined) return undefined;
  const [letter, id, more] = text.split('.') as [string, string, string | undefined];
  switch (letter) {
    case LETTERS.view:
      return { kind: 'view', registrationId: id, attemptId: more };
    case LETTERS.deny:
      return { kind: 'deny', attemptId: id };
    case LETTERS.open:
      return { kind: 'open', attemptId: id };
    case LETTERS.approve:
      return { kind: 'approve', attemptId: id, counter: Number(more) };
    default:
      return undefined;
  }
}

const PURPOSE = 'claim-link';

function link(deps: Keyed, text: string, path: string = PAGES.claim): string {
  return `${deps.config.publicUrl}${path}?t=${appendMac(deps.keyring, PURPOSE, text)}`;
}
