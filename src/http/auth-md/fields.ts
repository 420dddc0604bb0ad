import { z } from 'zod';
import type { IdempotentRequest } from '../../domain/limits/idempotency.ts';
import { Failure } from '../../errors.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { hashSecret } from '../../lib/secrets.ts';
import { isVisibleAscii } from '../../lib/visible-ascii.ts';
import type { Call } from '../server/table.ts';

/** Body members that all versions of auth.md share, and the idempotency of its requests. */

export const agentName = z
  .string()
  .max(64)
  .describe('How the agent calls itself; shown to the human as not verified')
  .optional();
export const claimToken = z.string().min(1).max(128).describe('The claim_token from the registration');

/**
 * A code as people dictate it: in lower case, with spaces or without the hyphen. Malformed text fails validation
 * here, so it does not consume a try (docs/security.md).
 */
export const readOutCode = z
  .string()
  .max(64)
  .overwrite(normalizeCode)
  .refine(
    (code) => /^(?:[0-9]{6}|[A-Za-z]{8})$/.test(code),
    'it must be the six digits or eight letters of the code.',
  )
  .describe('The code that the human reads to the agent');

/**
 * Parses a required mail address.
 *
 * @param field the body member, for the error
 * @returns the canonical mailbox
 * @throws Failure `badEmail`
 */
export function parseRequiredMailbox(text: string, field: string): string {
  const mailbox = parseMailbox(text);
  if (mailbox === undefined) {
    throw new Failure('badEmail', 'This is not a mail address that a code can be sent to.', { field });
  }
  return mailbox;
}

const REGISTER_REPLAY_SECONDS = 86_400;
const COMPLETE_REPLAY_SECONDS = 600;

/**
 * Reads the Idempotency-Key of the completion of a claim. The key is scoped to the claim token.
 *
 * @returns undefined without the header
 * @throws Failure `badRequest` for a malformed key
 */
export function readCompletionIdempotency(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes'>,
  claimToken: string,
): IdempotentRequest | undefined {
  const owner = `complete:${hashSecret(claimToken).toString('hex')}`;
  return readIdempotencyKey(call, {
    owner,
    ttlSeconds: COMPLETE_REPLAY_SECONDS,
    floodLimit: 'wrongPerIpHour',
  });
}

/**
 * Reads the Idempotency-Key of a registration. The key is scoped to the endpoint and the client address.
 *
 * @returns undefined without the header
 * @throws Failure `badRequest` for a malformed key
 */
export function readRegistrationIdempotency(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes' | 'origin'>,
  path: 'register' | 'identity',
): IdempotentRequest | undefined {
  return readIdempotencyKey(call, {
    owner: `${path}:${call.origin.address.limitKey}`,
    ttlSeconds: REGISTER_REPLAY_SECONDS,
    floodLimit: 'registerPerIp',
  });
}

function readIdempotencyKey(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes'>,
  terms: Pick<IdempotentRequest, 'owner' | 'ttlSeconds' | 'floodLimit'>,
): IdempotentRequest | undefined {
  const key = call.header('idempotency-key');
  if (key === undefined) return undefined;
  if (key.length > 255 || !isVisibleAscii(key)) {
    throw new Failure('badRequest', 'An Idempotency-Key is 1 to 255 visible ASCII characters.');
  }
  return { key, body: call.bytes, ...terms };
}
