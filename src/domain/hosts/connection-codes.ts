import type { Deps } from '../../deps.ts';
import { normalizeUserCode } from '../../lib/code-text.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';

/**
 * The alphabet of the user code by which a human finds a connection request (RFC 8628 section 6.1): 32 characters that
 * are not mistaken for each other. A code has eight of them. It is derived from the id of the request and looked up by
 * its MAC, so a copy of the database holds no code.
 */
const CODE_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';

type KeyringDeps = Pick<Deps, 'keyring'>;

/**
 * Derives the user code of a connection request.
 *
 * @returns the code as `ABCD-EFGH`
 */
export function connectionCode(deps: KeyringDeps, approvalId: string): string {
  const key = deps.keyring.derive(deps.keyring.currentId, 'approval-code', approvalId)!;
  const code = [...key.subarray(0, 8)].map((byte) => CODE_ALPHABET[byte & 31]).join('');
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

/**
 * Computes the MAC by which a connection request is looked up.
 *
 * @param code as the human typed it, in any case and spacing
 */
export function connectionCodeMac(deps: KeyringDeps, code: string): string {
  return deps.keyring.sign('approval-code', normalizeUserCode(code));
}

/** Builds the link to a connection request. The link carries a MAC of the id, so that nobody can forge it. */
export function connectionLink(deps: Pick<Deps, 'keyring' | 'config'>, approvalId: string): string {
  return `${deps.config.publicUrl}${PAGES.connect}?t=${appendMac(deps.keyring, 'approval-link', approvalId)}`;
}

/** Reads the id of a connection request from the token of its link. @returns undefined if the MAC is wrong */
export function readConnectionLink(deps: KeyringDeps, token: string): string | undefined {
  return verifyMac(deps.keyring, 'approval-link', token);
}

/**
 * Builds the link by which the reader of a mail denies a connection request; it stands in the mail only. Opening it
 * changes nothing, since mail scanners open every link (S-74).
 */
export function denialLink(deps: Pick<Deps, 'keyring' | 'config'>, approvalId: string): string {
  return `${deps.config.publicUrl}${PAGES.denyConnection}?t=${appendMac(deps.keyring, 'refusal-link', approvalId)}`;
}

/** Reads the id of a connection request from the token of a denial link. @returns undefined if the MAC is wrong */
export function readDenialLink(deps: KeyringDeps, token: string): string | undefined {
  return verifyMac(deps.keyring, 'refusal-link', token);
}
