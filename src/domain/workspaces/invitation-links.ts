import type { Deps } from '../../deps.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';

/**
 * The links of an invitation; they stand in its mail only. None is stored: each carries the id and a MAC of it. Opening one
 * changes nothing: mail scanners open them all (S-74).
 */

type LinkDeps = Pick<Deps, 'keyring' | 'config'>;

/** Builds the link that shows an invitation. */
export function invitationLink(deps: LinkDeps, id: string): string {
  return `${deps.config.publicUrl}${PAGES.invitation}?t=${appendMac(deps.keyring, 'invitation-link', id)}`;
}

/** Reads the id of an invitation from the token of its link. @returns undefined if the MAC is wrong */
export function readInvitationLink({ keyring }: Pick<Deps, 'keyring'>, token: string): string | undefined {
  return verifyMac(keyring, 'invitation-link', token);
}

/** Builds the link by which the reader of the mail declines, without signing in. */
export function declineLink(deps: LinkDeps, id: string): string {
  const token = appendMac(deps.keyring, 'invitation-decline-link', id);
  return `${deps.config.publicUrl}${PAGES.declineInvitation}?t=${token}`;
}

/** Reads the id of an invitation from the token of a decline link. @returns undefined if the MAC is wrong */
export function readDeclineLink({ keyring }: Pick<Deps, 'keyring'>, token: string): string | undefined {
  return verifyMac(keyring, 'invitation-decline-link', token);
}
