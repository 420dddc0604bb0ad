import { z } from 'zod';
import { spendQuota } from '../domain/quotas.ts';
import type { Answer, Call } from './route.ts';
import { toIso } from './wire-times.ts';

/** What the operator wrote once and resource servers enforce: the rules of tools, and quotas. */

const rule = z.union([
  z.string(),
  z.object({
    argument: z.string(),
    scopes: z.record(z.string(), z.string()),
    otherwise: z.string().optional(),
  }),
]);

export const policyAnswer = z.object({
  scopes: z.record(
    z.string(),
    z.object({
      description: z.string(),
      implies: z.array(z.string()).optional(),
      destructive: z.boolean().optional(),
    }),
  ),
  presets: z.record(
    z.string(),
    z.object({
      title: z.string(),
      scopes: z.array(z.string()),
      good_for: z.string(),
      recommended: z.boolean(),
    }),
  ),
  tools: z.record(z.string(), rule),
  deny: z.array(z.string()),
  kinds: z.record(z.string(), z.array(z.string())),
  quotas: z.record(z.string(), z.object({ anonymous: z.int(), claimed: z.int() })),
});

export const quotaBody = z.object({
  key_id: z.string().max(64),
  action: z.string().max(64),
  client_id: z.string().optional(),
  client_secret: z.string().optional(),
});

export const quotaAnswer = z.object({
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

/** GET /resource/policy */
export function policy({ deps }: Call<undefined, 'resourceServer'>): Answer {
  const { scopes, presets, quotas } = deps.config;
  const { tools = {}, deny = [], kinds = {} } = deps.config.policy ?? {};
  const shown = [...presets].map(([name, { goodFor, ...preset }]) => [
    name,
    { ...preset, good_for: goodFor },
  ]);
  return {
    data: {
      scopes: Object.fromEntries(scopes),
      presets: Object.fromEntries(shown),
      tools,
      deny,
      kinds,
      quotas: Object.fromEntries(quotas),
    },
  };
}

/** POST /resource/quota */
export async function quota(call: Call<z.output<typeof quotaBody>, 'resourceServer'>): Promise<Answer> {
  const { deps, caller, body } = call;
  const spent = await spendQuota(deps, caller, body.key_id, body.action);
  return {
    data: {
      allowed: spent.allowed,
      tier: spent.tier,
      max: spent.max,
      remaining: spent.remaining,
      resets_at: toIso(spent.resetsAt),
      verification_uri: spent.verificationUri,
    },
  };
}
