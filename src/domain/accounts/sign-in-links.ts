import type { Deps } from '../../deps.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';
import type { SignInRow } from '../../store/sign-ins.ts';

/**
 * The link that signs in, mailed in place of digits where too many were guessed at. It names a run of signing in and carries a MAC
 * of it under the service secret, so it is stored nowhere. Opening it does nothing, since mail scanners open all links; the button
 * on its page works once.
 */
const PURPOSE = 'sign-in-link';

/** The address that is mailed. */
export function signInLink(deps: Pick<Deps, 'keyring' | 'config'>, { id }: Pick<SignInRow, 'id'>): string {
  return `${deps.config.publicUrl}${PAGES.signInLink}?t=${appendMac(deps.keyring, PURPOSE, id)}`;
}

/** The id of the run that a link's token names, or undefined if it is none of ours. */
export function readSignInLink(deps: Pick<Deps, 'keyring'>, token: string): string | undefined {
  return verifyMac(deps.keyring, PURPOSE, token);
}
