import { z } from 'zod';
import { listServiceNames } from '../../domain/permissions/services.ts';
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

const keyShape = z.object({
  prefix: z
    .string()
    .describe('What they begin with; behind "sk_" there may be a brand of up to 16 of a-z 0-9, and "_"'),
  form: z
    .enum(['checked', 'bytes', 'any'])
    .describe('Behind that: 43 base62 characters and their CRC-32 in 6 more; 43 of base64url; or either'),
});

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
  looking_scopes: z.array(z.string()).describe('Those of people who only look at what is in a workspace'),
  keys: z.array(keyShape).describe('How keys look'),
  quotas: z.record(z.string(), z.object({ anonymous: z.int(), claimed: z.int() })),
  service: z
    .string()
    .optional()
    .describe(
      'How permission requests name this resource server, such as "vouchsafe.api"; left out: they do not',
    ),
});

/** GET /resource/policy: returns scopes, presets, tool rules, denied tools, kinds and quotas from the configuration. */
export const readPolicy = operation({
  caller: 'resourceServer',
  summary: 'Scopes, presets, the rules of tools and the quotas, as the operator wrote them',
  answer: policyAnswer,
  async handle({ deps, caller }) {
    const { scopes, presets, quotas } = deps.config;
    const { tools = {}, deny = [], kinds = {}, forms = {} } = deps.config.policy ?? {};
    const presetEntries = [...presets].map(([name, { goodFor, ...preset }]) => [
      name,
      { ...preset, good_for: goodFor },
    ]);
    const service = (await listServiceNames(deps)).get(caller.url);
    return {
      data: {
        version: 2,
        scopes: Object.fromEntries(scopes),
        presets: Object.fromEntries(presetEntries),
        tools,
        deny,
        kinds,
        forms,
        looking_scopes: [...deps.config.lookingScopes],
        keys: [...deps.config.keys.accepted],
        quotas: Object.fromEntries(quotas),
        service,
      },
    };
  },
});
