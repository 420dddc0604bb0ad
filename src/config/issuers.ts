import { z } from 'zod';
import { ConfigError } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';

/** An agent provider whose ID-JAGs we accept (auth.md v0.5, ID-JAG verification). */
export interface TrustedIssuer {
  /** The value of the claim `iss`. */
  issuer: string;
  /** The URL of its JWK Set; by default `<issuer>/.well-known/jwks.json`. */
  jwksUri: string;
  /** The client ids that it may assert; undefined: its own, and that of any client with metadata at its client id (CIMD). */
  clientIds: readonly string[] | undefined;
  /** The domains of the mailboxes that it may assert; undefined: all. */
  emailDomains: readonly string[] | undefined;
  /** Authentication methods that the claim `amr` must contain, all of them. */
  amr: readonly string[];
  /** How old the user's login may be. */
  maxAgeSeconds: number;
  /** Whether an OAuth client may present an assertion once only; else as long as it is valid, as the draft says. */
  singleUse: boolean;
  /** The name that people see: chosen by the operator, never by the provider. */
  displayName: string;
}

const webUrl = z.url({ protocol: /^https?$/ });

/** Schema of `trustedIssuers` in the configuration file. */
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
      singleUse: z.boolean().default(false),
      displayName: z.string().min(1).max(64),
    }),
  )
  .default([]);

/**
 * Checks the configured issuers. URLs must be https; on this machine http is allowed while the service is there, too.
 *
 * @param isLoopback whether the service is on this machine
 * @returns the issuers by `iss`
 * @throws ConfigError naming the issuer or URL that is wrong
 */
export function readTrustedIssuers(
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
    const { clientIds, emailDomains, amr, maxAgeSeconds, singleUse, displayName } = each;
    trusted.set(issuer, {
      issuer,
      jwksUri,
      clientIds,
      emailDomains,
      amr,
      maxAgeSeconds,
      singleUse,
      displayName,
    });
  }
  return trusted;
}
