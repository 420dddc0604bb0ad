import { errors, type InteractionResults } from 'oidc-provider';
import type { Session } from '../../../domain/accounts/sessions.ts';
import { Failure } from '../../../errors.ts';
import { PATHS } from '../../server/paths.ts';
import { type ProviderCall, withProvider } from './call-provider.ts';

/** An authorization request that waits for a human. */
export interface Interaction {
  uid: string;
  /** What it waits for. */
  prompt: 'login' | 'consent';
  /** Whether the app wants the human to sign in anew. */
  wantsFreshLogin: boolean;
  /** Epoch seconds. */
  startedAt: number;
  /** The account that signed in for it. */
  accountId: string | undefined;
  clientId: string;
  redirectUri: string;
  /** Space-separated. */
  scope: string;
  /** The URL of the API; undefined: the app asks for scopes of OpenID Connect alone. */
  resource: string | undefined;
}

/**
 * Finds the authorization request that this browser was sent to.
 *
 * @throws Failure `notFound` also for that of another browser, or of another account
 */
export async function findInteraction(
  call: ProviderCall,
  uid: string,
  session: Session,
): Promise<Interaction> {
  let found: Interaction | undefined;
  await run(call, uid, session, async (provider, req, res) => {
    const details = await provider.interactionDetails(req, res);
    if (details.uid !== uid) return;
    const { params, prompt } = details;
    const { resource } = params;
    found = {
      uid,
      prompt: prompt.name === 'login' ? 'login' : 'consent',
      wantsFreshLogin: prompt.reasons.some((reason) => reason === 'login_prompt' || reason === 'max_age'),
      startedAt: details.iat,
      accountId: details.session?.accountId,
      clientId: String(params.client_id),
      redirectUri: String(params.redirect_uri),
      scope: String(params.scope ?? ''),
      resource: typeof resource === 'string' ? resource : undefined,
    };
  });
  if (found === undefined) throw interactionNotFound();
  return found;
}

/**
 * Saves what the human decided.
 *
 * @returns the path at which the request goes on
 */
export async function finishInteraction(
  call: ProviderCall,
  uid: string,
  session: Session,
  result: InteractionResults,
): Promise<`/${string}`> {
  await run(call, uid, session, async (provider, req, res) => {
    await provider.interactionResult(req, res, result);
  });
  return `${PATHS.authorize}/${uid}`;
}

async function run(
  call: ProviderCall,
  uid: string,
  session: Session,
  act: Parameters<typeof withProvider>[2],
): Promise<void> {
  const request = {
    method: 'GET',
    path: `${PATHS.interaction}/${uid}`,
    accountId: session.accountId,
  } as const;
  try {
    await withProvider(call, request, act);
  } catch (error) {
    if (error instanceof errors.SessionNotFound) throw interactionNotFound();
    throw error;
  }
}

/** The failure of a request that is over, or that was not made in this browser. */
export function interactionNotFound(): Failure {
  return new Failure('notFound', 'There is no request of an app to decide about.', {
    hint: 'consent.notFound',
  });
}
