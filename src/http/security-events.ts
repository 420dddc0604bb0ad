import { z } from 'zod';
import { takeSecurityEvent } from '../domain/security-events.ts';
import type { Answer, Call } from './route.ts';

/** What agent providers tell us of their users (auth-md.md 4.6): the body is the token. */

export const eventBody = z.object({ token: z.string().min(1) });
export const revokedAnswer = z.object({ revoked: z.int().describe('How many keys and tokens ended by it') });

type Notice = Call<z.output<typeof eventBody>, 'anyone'>;

/** POST /agent/event/notify: when this answers, it holds (RFC 8935 2.2). */
export async function notify({ deps, asker, body }: Notice): Promise<Answer> {
  await takeSecurityEvent(deps, asker, body.token, 'secevent+jwt');
  return { status: 202, nothing: true };
}

/** POST /agent/auth/revoke, as of v0.1 */
export async function revoke({ deps, asker, body }: Notice): Promise<Answer> {
  return { data: { revoked: await takeSecurityEvent(deps, asker, body.token, 'logout+jwt') } };
}
