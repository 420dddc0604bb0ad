import { z } from 'zod';
import { consumeQuota } from '../../domain/audiences/quotas.ts';
import { viewLink } from '../../domain/claims/claim-links.ts';
import { operation, urlencoded } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';

/** Quotas that this service counts for resource servers (docs/resource-servers.md). */

const quotaBody = z.object({
  key_id: z.string().max(64),
  action: z.string().max(64),
  client_id: z.string().optional(),
  client_secret: z.string().optional(),
});

const quotaAnswer = z.object({
  allowed: z.boolean(),
  tier: z.enum(['anonymous', 'claimed']),
  max: z.int(),
  remaining: z.int(),
  resets_at: z.iso.datetime(),
  verification_uri: z
    .string()
    .optional()
    .describe('Where a human can vouch for the agent, which unlocks more'),
});

/** POST /resource/quota: consumes one action from the monthly quota of the account behind a key. */
export const consumeQuotaOperation = operation({
  caller: 'resourceServer',
  summary: 'Count one action of the account behind a key',
  body: urlencoded(quotaBody),
  answer: quotaAnswer,
  async handle(call) {
    const { deps, caller, body } = call;
    const count = await consumeQuota(deps, caller, body.key_id, body.action);
    return {
      data: {
        allowed: count.allowed,
        tier: count.tier,
        max: count.max,
        remaining: count.remaining,
        resets_at: toIso(count.resetsAt),
        verification_uri: count.registrationId && viewLink(deps, count.registrationId),
      },
    };
  },
});
