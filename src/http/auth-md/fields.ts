import { z } from 'zod';
import type { IdempotentRequest } from '../../domain/limits/idempotency.ts';
import { Failure } from '../../errors.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { hashSecret } from '../../lib/secrets.ts';
import { isVisibleAscii } from '../../lib/visible-ascii.ts';
import type { Call } from '../server/table.ts';

/** Members of bodies that all versions of auth.md have in common, and what makes its requests repeatable. */

export const agentName = z
  .string()
  .max(64)
  .describe('How the agent calls itself; shown to the human as not verified')
  .optional();
export const claimToken = z.string().min(1).max(128).describe('The claim_token from the registration');
/** As people say it, in small letters, with spaces or without the hyphen; what can be no code costs no try (docs/security.md). */
export const readOutCode = z
  .string()
  .max(64)
  .overwrite(normalizeCode)
  .refine(
    (code) => /^(?:[0-9]{6}|[A-Za-z]{8})$/.test(code),
    'it must be the six digits or eight letters of the code.',
  )
  .describe('The code that the human reads to the agent');

/** A mail address in the form that is compared. @throws Failure `badEmail` */
export function mailboxOf(text: string, field: string): string {
  const mailbox = parseMailbox(text);
  if (mailbox === undefined) {
    throw new Failure('badEmail', 'This is not a mail address that a code can be sent to.', { field });
  }
  return mailbox;
}

const REGISTER_REPLAY_SECONDS = 86_400;
const COMPLETE_REPLAY_SECONDS = 600;

/** What makes the completion of a claim repeatable: its key belongs to the claim token. @throws Failure as repeatableOf */
export function completeOnce(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes'>,
  claimToken: string,
): IdempotentRequest | undefined {
  const owner = `complete:${hashSecret(claimToken).toString('hex')}`;
  return repeatableOf(call, { owner, ttlSeconds: COMPLETE_REPLAY_SECONDS, limit: 'wrongPerIpHour' });
}

/** What makes a registration repeatable: its key belongs to the client address. @throws Failure as repeatableOf */
export function registerOnce(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes' | 'origin'>,
  path: 'register' | 'identity',
): IdempotentRequest | undefined {
  return repeatableOf(call, {
    owner: `${path}:${call.origin.address.limitKey}`,
    ttlSeconds: REGISTER_REPLAY_SECONDS,
    limit: 'registerPerIp',
  });
}

/** What makes a request repeatable, if its sender wants it so. @throws Failure `badRequest` for a key that is none */
function repeatableOf(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes'>,
  terms: Pick<IdempotentRequest, 'owner' | 'ttlSeconds' | 'limit'>,
): IdempotentRequest | undefined {
  const key = call.header('idempotency-key');
  if (key === undefined) return undefined;
  if (key.length > 255 || !isVisibleAscii(key)) {
    throw new Failure('badRequest', 'An Idempotency-Key is 1 to 255 visible ASCII characters.');
  }
  return { key, body: call.bytes, ...terms };
}
