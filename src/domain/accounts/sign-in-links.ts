import type { Deps } from '../../deps.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';
import type { SignInRow } from '../../store/sign-ins.ts';

/**
 * Sign-in links are mailed in place of codes while the wrong guesses at a mailbox are exhausted (S-17). A link holds
 * the id of the sign-in and a MAC under the service secret, so it is not stored. Opening it does nothing (S-74), since
 * mail scanners open all links; the button on its page works once.
 */

const PURPOSE = 'sign-in-link';

/** Returns the URL that is mailed. */
export function signInLink(deps: Pick<Deps, 'keyring' | 'config'>, { id }: Pick<SignInRow, 'id'>): string {
  return `${deps.config.publicUrl}${PAGES.signInLink}?t=${appendMac(deps.keyring, PURPOSE, id)}`;
}

/** Returns the id of the sign-in that a link's token names; undefined if the MAC is wrong. */
export function readSignInLink(deps: Pick<Deps, 'keyring'>, token: string): string | undefined {
  return verifyMac(deps.keyring, PURPOSE, token);
}
