import type { Deps } from '../../deps.ts';
import { findOAuthGrant } from '../../store/oauth-grants.ts';
import type { RequestOrigin } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import { findState } from './authorization-states.ts';
import { endConsent } from './consents.ts';

/**
 * Ends the consent behind a refresh token of an app (RFC 7009 section 2.1): possession is enough. An unknown token changes
 * nothing.
 */
export async function revokeAppRefreshToken(deps: Deps, origin: RequestOrigin, token: string): Promise<void> {
  const grantId = (await findState(deps, 'RefreshToken', token))?.payload.grantId;
  if (typeof grantId !== 'string') return;
  await useCase(deps, origin, {}, async (work) => {
    const consent = await findOAuthGrant(work.tx, grantId);
    if (consent !== undefined) await endConsent(work, consent, 'client');
  });
}
