import { z } from 'zod';
import { ConfigError } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';

/** What an agent of the Agent Auth Protocol can be allowed beside what is built in, as configured. */
export interface ConfiguredCapability {
  name: string;
  description: string;
  /** What the agent must be able to have, and what the token that is forwarded can do. */
  scope: string;
  /** JSON Schemas. */
  input: Record<string, unknown> | undefined;
  output: Record<string, unknown> | undefined;
  /** Where calls are handed on to, with a short token for it. */
  forwardTo: string | undefined;
  /** Where agents call it themselves. */
  location: string | undefined;
  /** What is wrong with the arguments, or undefined. */
  check(args: unknown): string | undefined;
}

const jsonSchema = z.record(z.string(), z.unknown()).refine(canBeRead, 'must be a JSON Schema');

function canBeRead(schema: Record<string, unknown>): boolean {
  try {
    z.fromJSONSchema(schema);
    return true;
  } catch {
    return false;
  }
}

/** What checks arguments against a JSON Schema: what is wrong with them, or undefined. */
function checkerOf(schema: Record<string, unknown> | undefined): (args: unknown) => string | undefined {
  const checked = z.fromJSONSchema(schema ?? { type: 'object' });
  return (args) => {
    const issue = checked.safeParse(args).error?.issues[0];
    // zod's own sentences can repeat what was sent.
    return (
      issue && (issue.path.length === 0 ? 'they have the wrong shape' : `"${issue.path.join('.')}" is wrong`)
    );
  };
}

const webUrl = z.url({ protocol: /^https?$/ });

/** `capabilities` of the file. */
export const capabilitiesSchema = z
  .array(
    z
      .strictObject({
        name: z.string().regex(/^[a-z0-9_]{1,64}$/, 'must be of a-z 0-9 _'),
        description: z.string().min(1).max(500),
        scope: z.string().min(1).max(64),
        input: jsonSchema.optional(),
        output: z.record(z.string(), z.unknown()).optional(),
        forwardTo: webUrl.optional(),
        location: webUrl.optional(),
      })
      .refine(
        ({ forwardTo, location }) => (forwardTo === undefined) !== (location === undefined),
        'must have either forwardTo or location',
      ),
  )
  .default([]);

/** @throws ConfigError where it would lead over plain http to another machine */
export function readCapability(
  listed: z.output<typeof capabilitiesSchema>[number],
  isLoopback: boolean,
): ConfiguredCapability {
  const { name, description, scope, input, output, forwardTo, location } = listed;
  const url = new URL((forwardTo ?? location)!);
  if (url.protocol !== 'https:' && !(isLoopback && isLoopbackHost(url.hostname))) {
    throw new ConfigError(`In "capabilities", ${url.href} must be an https URL.`);
  }
  return { name, description, scope, input, output, forwardTo, location, check: checkerOf(input) };
}
