/**
 * A user of an agent provider, as one text: the JSON of issuer, tenant and subject, which no other three give. Subjects are
 * unique within an issuer and a tenant only (draft-ietf-oauth-identity-assertion-authz-grant).
 */
export function principalOf(of: { issuer: string; tenant: string; subject: string }): string {
  return JSON.stringify([of.issuer, of.tenant, of.subject]);
}

/** The issuer of a principal. */
export function issuerOf(principal: string): string {
  return (JSON.parse(principal) as [string])[0];
}

/** What people are shown of the provider of a principal: the operator's name for it; its host, if it is not trusted any more. */
export function providerOf(
  config: { trustedIssuers: ReadonlyMap<string, { displayName: string }> },
  principal: string | null,
): string | undefined {
  if (principal === null) return undefined;
  const issuer = issuerOf(principal);
  return config.trustedIssuers.get(issuer)?.displayName ?? new URL(issuer).host;
}
