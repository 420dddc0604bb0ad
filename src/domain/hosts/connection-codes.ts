import type { Deps } from '../../deps.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';

/**
 * The code by which a human finds the question that an agent asks them (RFC 8628 6.1): eight of thirty-two letters that are not
 * mistaken for each other. It is computed from the approval, and found by a MAC of it: a copy of the database holds none.
 */
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';

type Keyed = Pick<Deps, 'keyring'>;

/** @returns as `ABCD-EFGH` */
export function approvalCode(deps: Keyed, approvalId: string): string {
  const key = deps.keyring.derive(deps.keyring.currentId, 'approval-code', approvalId)!;
  const code = [...key.subarray(0, 8)].map((byte) => LETTERS[byte & 31]).join('');
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

/** What a code is found by, as it was typed. */
export function approvalCodeMac(deps: Keyed, code: string): string {
  return deps.keyring.sign(
    'approval-code',
    normalizeCode(code)
      .toUpperCase()
      .replace(/[^A-Z0-9]/g, ''),
  );
}

/** The link to an approval: it carries a MAC of its id, so nobody makes one up. */
export function approvalLink(deps: Pick<Deps, 'keyring' | 'config'>, approvalId: string): string {
  return `${deps.config.publicUrl}${PAGES.connect}?t=${appendMac(deps.keyring, 'approval-link', approvalId)}`;
}

/** The approval of a link, or undefined if it is none of ours. */
export function readApprovalLink(deps: Keyed, token: string): string | undefined {
  return verifyMac(deps.keyring, 'approval-link', token);
}

/** The link in the mail alone by which its reader turns the agent away. Opening it does nothing: mail scanners open them all (S-74). */
export function refusalLink(deps: Pick<Deps, 'keyring' | 'config'>, approvalId: string): string {
  return `${deps.config.publicUrl}${PAGES.denyConnection}?t=${appendMac(deps.keyring, 'refusal-link', approvalId)}`;
}

/** The approval of such a link, or undefined if it is none of ours. */
export function readRefusalLink(deps: Keyed, token: string): string | undefined {
  return verifyMac(deps.keyring, 'refusal-link', token);
}
