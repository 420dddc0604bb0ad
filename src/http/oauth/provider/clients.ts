import { decodeJwt } from 'jose';
import { PATHS } from '../../server/paths.ts';
import { type ProviderCall, withProvider } from './call-provider.ts';

/** What oidc-provider knows of the clients, for rows of ours. */

/** Whether a client may be answered at a redirect URI. */
export async function isRegisteredRedirect(
  call: ProviderCall,
  clientId: string,
  redirectUri: string,
): Promise<boolean> {
  let isRegistered = false;
  await withProvider(call, { method: 'GET', path: PATHS.authorize }, async (provider) => {
    const client = await provider.Client.find(clientId);
    isRegistered = client?.redirectUriAllowed(redirectUri) === true;
  });
  return isRegistered;
}

/** What is known of a client that sends a human here to sign out. */
export interface LogoutClient {
  clientId: string;
  /** The account in its ID token; undefined: it sent none. */
  accountId: string | undefined;
  /** Whether it may be answered at the URI that it named. */
  isRedirectRegistered: boolean;
}

/**
 * Finds the client that sends a human here to sign out (OpenID Connect RP-Initiated Logout 1.0 section 2).
 *
 * @returns undefined if it is unknown, its ID token is not one of ours, or does not fit `client_id`
 */
export async function findLogoutClient(
  call: ProviderCall,
  sent: { idTokenHint: string | undefined; clientId: string | undefined; redirectUri: string | undefined },
): Promise<LogoutClient | undefined> {
  let found: LogoutClient | undefined;
  await withProvider(call, { method: 'GET', path: PATHS.endSession }, async (provider) => {
    const hint = readHint(sent.idTokenHint);
    const clientId = hint?.aud ?? sent.clientId;
    if (typeof clientId !== 'string' || (sent.clientId ?? clientId) !== clientId) return;
    const client = await provider.Client.find(clientId);
    if (client === undefined) return;
    if (sent.idTokenHint !== undefined) {
      const isOurs = await provider.IdToken.validate(sent.idTokenHint, client).then(
        () => true,
        () => false,
      );
      if (!isOurs) return;
    }
    found = {
      clientId,
      accountId: hint?.sub,
      isRedirectRegistered:
        sent.redirectUri !== undefined && client.postLogoutRedirectUriAllowed(sent.redirectUri),
    };
  });
  return found;
}

/** Reads an ID token, whose signature is verified later. @returns undefined: it is none */
function readHint(token: string | undefined) {
  try {
    return token === undefined ? undefined : decodeJwt(token);
  } catch {
    return undefined;
  }
}
