/**
 * Encodes a user of an agent provider as one text: the JSON of issuer, tenant and subject, which is unambiguous. A subject is
 * unique only within its issuer and tenant (draft-ietf-oauth-identity-assertion-authz-grant).
 */
export function principalOf(user: { issuer: string; tenant: string; subject: string }): string {
  return JSON.stringify([user.issuer, user.tenant, user.subject]);
}

/** Returns the issuer of a principal. */
export function issuerOf(principal: string): string {
  return (JSON.parse(principal) as [string])[0];
}

/**
 * Returns the name to show for the provider of a principal: the operator's name for it, or the issuer's host if that is no longer
 * trusted.
 */
export function providerOf(
  config: { trustedIssuers: ReadonlyMap<string, { displayName: string }> },
  principal: string | null,
): string | undefined {
  if (principal === null) return undefined;
  const issuer = issuerOf(principal);
  return config.trustedIssuers.get(issuer)?.displayName ?? new URL(issuer).host;
}
