import { z } from 'zod';

/** Where a credential may do what (RFC 9396 section 9.2): one object for each place. */
export const placeDetail = z.object({
  type: z.literal('workspace'),
  locations: z.array(z.string()),
  identifier: z.string().describe('A shared workspace, or the account whose personal one it is'),
  node: z
    .string()
    .optional()
    .describe('A thing in it, as this resource server named it, with all that is in it'),
  path: z.string().optional().describe('A path in it, with what is below if it ends in "/"'),
  actions: z.array(z.string()),
  datatypes: z.array(z.string()).optional().describe('Types of things; without it all'),
  privileges: z.array(z.literal('manage')).optional(),
});
