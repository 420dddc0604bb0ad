import { z } from 'zod';
import { ConfigError } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';

/** An agent provider whose word on its users we take (auth.md v0.5, ID-JAG verification). */
export interface TrustedIssuer {
  /** As it stands in `iss`. */
  issuer: string;
  /** Where its keys are; by default below its own well-known path. */
  jwksUri: string;
  /** The clients it may speak for; undefined: itself, and any that publishes its metadata at its id (CIMD). */
  clientIds: readonly string[] | undefined;
  /** The domains whose mailboxes it may assert; undefined: all. */
  emailDomains: readonly string[] | undefined;
  /** How its users must have logged in, all of them. */
  amr: readonly string[];
  /** How old their login may be. */
  maxAgeSeconds: number;
  /** What people are shown: never what a provider says of itself. */
  displayName: string;
}

const webUrl = z.url({ protocol: /^https?$/ });

/** `trustedIssuers` of the file. */
export const issuersSchema = z
  .array(
    z.strictObject({
      issuer: webUrl,
      jwksUri: webUrl.optional(),
      clientIds: z.array(z.string().min(1).max(512)).min(1).optional(),
      emailDomains: z
        .array(z.string().regex(/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/, 'must be a domain such as "example.com"'))
        .min(1)
        .optional(),
      amr: z.array(z.string().min(1).max(64)).default([]),
      maxAgeSeconds: z.int().min(1).max(86_400).default(3600),
      displayName: z.string().min(1).max(64),
    }),
  )
  .default([]);

/**
 * What the operator names may be plain http on this machine while the service itself is.
 *
 * @returns by `iss`
 * @throws ConfigError
 */
export function readTrust(
  listed: z.output<typeof issuersSchema>,
  publicUrl: string,
  isLoopback: boolean,
): Map<string, TrustedIssuer> {
  const trusted = new Map<string, TrustedIssuer>();
  for (const each of listed) {
    const { issuer, jwksUri = `${issuer.replace(/\/$/, '')}/.well-known/jwks.json` } = each;
    for (const url of [issuer, jwksUri]) {
      const { protocol, hostname, username, hash } = new URL(url);
      const isLocal = isLoopback && isLoopbackHost(hostname);
      if ((protocol !== 'https:' && !isLocal) || username !== '' || hash !== '') {
        throw new ConfigError(`In "trustedIssuers", ${url} must be an https URL without user and fragment.`);
      }
    }
    if (issuer === publicUrl) throw new ConfigError('"trustedIssuers" cannot name this service itself.');
    if (trusted.has(issuer)) throw new ConfigError(`"trustedIssuers" names ${issuer} twice.`);
    const { clientIds, emailDomains, amr, maxAgeSeconds, displayName } = each;
    trusted.set(issuer, { issuer, jwksUri, clientIds, emailDomains, amr, maxAgeSeconds, displayName });
  }
  return trusted;
}
