import { z } from 'zod';
import { operation } from '../server/table.ts';

/** The operator's policy, which resource servers enforce (docs/resource-servers.md). */

const rule = z.union([
  z.string(),
  z.object({
    argument: z.string(),
    scopes: z.record(z.string(), z.string()),
    otherwise: z.string().optional(),
  }),
]);

const policyAnswer = z.object({
  version: z.literal(2).describe('From 2 on introspection says kind and form of every credential'),
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
  forms: z.record(z.string(), z.array(z.string())),
  quotas: z.record(z.string(), z.object({ anonymous: z.int(), claimed: z.int() })),
});

/** GET /resource/policy: returns scopes, presets, tool rules, denied tools, kinds and quotas from the configuration. */
export const readPolicy = operation({
  caller: 'resourceServer',
  summary: 'Scopes, presets, the rules of tools and the quotas, as the operator wrote them',
  answer: policyAnswer,
  handle({ deps }) {
    const { scopes, presets, quotas } = deps.config;
    const { tools = {}, deny = [], kinds = {}, forms = {} } = deps.config.policy ?? {};
    const presetEntries = [...presets].map(([name, { goodFor, ...preset }]) => [
      name,
      { ...preset, good_for: goodFor },
    ]);
    return {
      data: {
        version: 2,
        scopes: Object.fromEntries(scopes),
        presets: Object.fromEntries(presetEntries),
        tools,
        deny,
        kinds,
        forms,
        quotas: Object.fromEntries(quotas),
      },
    };
  },
});
