import { z } from 'zod';
import { ConfigError } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';

/** A capability of the Agent Auth Protocol that the operator configured, in addition to those that are built in. */
export interface ConfiguredCapability {
  name: string;
  description: string;
  /** The scope that the agent's access must allow, and that the forwarded token has. */
  scope: string;
  /** JSON Schema of the arguments. */
  input: Record<string, unknown> | undefined;
  /** JSON Schema of the result. */
  output: Record<string, unknown> | undefined;
  /** The URL to which we forward calls, with a short-lived token for it. */
  forwardTo: string | undefined;
  /** The URL at which agents call it directly. */
  location: string | undefined;
  /** Checks arguments against `input`. Returns what is wrong with them; undefined if nothing is. */
  check(args: unknown): string | undefined;
}

const jsonSchema = z.record(z.string(), z.unknown()).refine(isJsonSchema, 'must be a JSON Schema');

function isJsonSchema(schema: Record<string, unknown>): boolean {
  try {
    z.fromJSONSchema(schema);
    return true;
  } catch {
    return false;
  }
}

/** Creates the check of arguments against a JSON Schema. */
function createCheck(schema: Record<string, unknown> | undefined): (args: unknown) => string | undefined {
  const validator = z.fromJSONSchema(schema ?? { type: 'object' });
  return (args) => {
    const issue = validator.safeParse(args).error?.issues[0];
    // Messages of zod can repeat the arguments.
    return (
      issue && (issue.path.length === 0 ? 'they have the wrong shape' : `"${issue.path.join('.')}" is wrong`)
    );
  };
}

const webUrl = z.url({ protocol: /^https?$/ });

/** Schema of `capabilities` in the configuration file. */
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

/**
 * Checks one of the configured capabilities.
 *
 * @param isLoopback whether the service is on this machine
 * @throws ConfigError unless its URL is https, or http on this machine while the service is there, too
 */
export function readCapability(
  listed: z.output<typeof capabilitiesSchema>[number],
  isLoopback: boolean,
): ConfiguredCapability {
  const { name, description, scope, input, output, forwardTo, location } = listed;
  const url = new URL((forwardTo ?? location)!);
  if (url.protocol !== 'https:' && !(isLoopback && isLoopbackHost(url.hostname))) {
    throw new ConfigError(`In "capabilities", ${url.href} must be an https URL.`);
  }
  return { name, description, scope, input, output, forwardTo, location, check: createCheck(input) };
}
