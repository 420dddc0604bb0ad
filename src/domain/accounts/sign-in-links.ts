import type { Deps } from '../../deps.ts';
import type { SignInRow } from '../../store/sign-ins.ts';

/**
 * The link that signs in, mailed in place of digits where too many were guessed at. It names a run of signing in and carries a MAC
 * of it under the service secret, so it is stored nowhere. Opening it does nothing, since mail scanners open all links; the button
 * on its page works once.
 */
const PURPOSE = 'sign-in-link';

/** The address that is mailed. */
export function signInLink(deps: Pick<Deps, 'keyring' | 'config'>, { id }: Pick<SignInRow, 'id'>): string {
  return `${deps.config.publicUrl}/sign-in/link?t=${id}.${deps.keyring.sign(PURPOSE, id)}`;
}

/** The id of the run that a link's token names, or undefined if it is none of ours. */
export function readSignInLink(deps: Pick<Deps, 'keyring'>, token: string): string | undefined {
  const [id = '', mac = ''] = token.split('.');
  return deps.keyring.verify(PURPOSE, id, mac) ? id : undefined;
}
