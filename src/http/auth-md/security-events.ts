import { z } from 'zod';
import { revokeByProvider } from '../../domain/agents/revoke-by-provider.ts';
import { operation } from '../server/table.ts';

/**
 * Security events of agent providers about their users (auth.md v0.3, POST /agent/event/notify; RFC 8935). The body is
 * the token.
 */

const eventBody = z.object({ token: z.string().min(1) });
const revokedAnswer = z.object({ revoked: z.int().describe('How many keys and tokens ended by it') });

/**
 * POST /agent/event/notify: revokes what rests on a provider's assertions about a user. The revocation commits before
 * the 202 (RFC 8935 section 2.2).
 */
export const receiveEvent = operation({
  caller: 'anyone',
  summary: 'Tell that an agent provider takes its word for a user back (RFC 8935)',
  body: { media: 'securityEvent', schema: eventBody },
  async handle({ deps, origin, body }) {
    await revokeByProvider(deps, origin, body.token, 'secevent+jwt');
    return { status: 202, nothing: true };
  },
});

/** POST /agent/auth/revoke (auth.md v0.1): the same, for a logout token. */
export const revokeByLogout = operation({
  caller: 'anyone',
  summary: 'The same, as of auth.md 0.1',
  body: { media: 'logoutToken', schema: eventBody },
  answer: revokedAnswer,
  async handle({ deps, origin, body }) {
    return { data: { revoked: await revokeByProvider(deps, origin, body.token, 'logout+jwt') } };
  },
});
