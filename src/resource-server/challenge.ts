/** What a resource server says of itself, and to who comes without what is needed (RFC 6750, RFC 9728, MCP authorization). */

export interface ResourceOptions {
  /** The URL that names this resource; for an MCP server the URL of its endpoint. */
  resource: string;
  /** The authorization server, whose keys are accepted. */
  issuer: string;
  /** All scopes that matter here. */
  scopes?: readonly string[];
  /** What people call it. */
  name?: string;
  /** Where it is documented, for people. */
  documentation?: string;
  /** Shown in challenges, where a client insists on one. */
  realm?: string;
}

/** The document of RFC 9728, and every path under which clients look for it. */
export interface ResourceMetadata {
  /** At the root, and with the resource's own path behind it. */
  paths: string[];
  /** Its address, for challenges: the one that belongs to the resource's path. */
  url: string;
  document: Record<string, unknown>;
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** Public, cacheable, readable from any web page: MCP clients look at it before anything else. */
export function protectedResourceMetadata(options: ResourceOptions): ResourceMetadata {
  const { resource, issuer, scopes, name, documentation } = options;
  const { origin, pathname } = new URL(resource);
  const inserted = pathname === '/' ? WELL_KNOWN : WELL_KNOWN + pathname;
  return {
    paths: [...new Set([inserted, WELL_KNOWN])],
    url: origin + inserted,
    document: {
      resource,
      authorization_servers: [issuer.replace(/\/$/, '')],
      bearer_methods_supported: ['header'],
      ...(scopes && { scopes_supported: [...scopes] }),
      ...(name && { resource_name: name }),
      ...(documentation && { resource_documentation: documentation }),
      agent_registration: `${howToGetKey(issuer)}.`,
    },
  };
}

/** Where an agent without a key gets one, in words: not every client follows metadata. Without a full stop, for longer sentences. */
export function howToGetKey(issuer: string): string {
  return `Agents register for a key themselves, as ${issuer.replace(/\/$/, '')}/auth.md describes`;
}

/** Why somebody is refused; without `error` they came with nothing at all (RFC 6750 3). */
export interface Refusal {
  error?: 'invalid_request' | 'invalid_token' | 'insufficient_scope';
  /** All scopes that the operation needs, not only those that are missing. */
  scopes?: readonly string[];
  description?: string;
}

/** The value of `WWW-Authenticate`. */
export function challenge(options: ResourceOptions, refusal: Refusal = {}): string {
  const { url } = protectedResourceMetadata(options);
  const scopes = refusal.scopes ?? options.scopes;
  const parameters = {
    realm: options.realm,
    resource_metadata: url,
    error: refusal.error,
    error_description: refusal.description?.replace(/["\\]/g, "'"),
    scope: scopes?.length ? scopes.join(' ') : undefined,
  };
  const said = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return `Bearer ${said.map(([name, value]) => `${name}="${value}"`).join(', ')}`;
}
