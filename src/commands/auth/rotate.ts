import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { loginAgain, loginAsPerson } from './login.ts';
import type { VerbContext } from './run-verb.ts';

/**
 * `auth rotate`: a new session key. Where the service does not know the old one any more, the profile signs in again: a person on
 * a page, an agent by its key.
 */
export async function rotate(
  context: VerbContext,
  _args: string[],
  options: { paste?: true; popup: boolean },
): Promise<void> {
  const connected = await context.openProfile();
  const { name } = connected.profile;
  const { kind } = connected.profile.info();
  try {
    const rotated = await connected.rotateKey();
    const { old_thumbprint, thumbprint, old_ends_at } = rotated;
    return context.print(
      { rotated: true, profile: name, old_thumbprint, thumbprint, old_ends_at },
      `The session key is ${thumbprint}. The one before, ${old_thumbprint}, works until ${old_ends_at}.`,
    );
  } catch (error) {
    const isEnded = error instanceof AuthError && error.code === 'SESSION_KEY_ENDED';
    const canAsk = options.paste === true || context.terminal() !== undefined;
    if (!isEnded || !canAsk) throw error;
    // A person does not take the place of an agent.
    if (kind === 'agent') return loginAgain(context, connected, error);
  }
  context.note('The service does not know the session key any more: sign in again.');
  await loginAsPerson(context, connected, options);
}
