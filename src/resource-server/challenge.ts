import { PROOF_ALGORITHMS } from './proof.ts';

/** The metadata of a resource server (RFC 9728), and its challenges to clients (RFC 6750, MCP authorization). */

/** What clients learn about a resource server. */
export interface ResourceOptions {
  /** The URL of this resource server; for an MCP server the URL of its endpoint. */
  resource: string;
  /** The URL of the authorization server whose credentials are accepted. */
  issuer: string;
  /** All scopes that this resource server uses. */
  scopes?: readonly string[];
  /** Its name for people. */
  name?: string;
  /** The URL of its documentation for people. */
  documentation?: string;
  /** The `realm` of challenges, for clients that require one. */
  realm?: string;
}

/** The metadata document (RFC 9728), and the paths at which clients look for it. */
export interface ResourceMetadata {
  /** The well-known path followed by the path of the resource, and the well-known path alone. */
  paths: string[];
  /** The URL of the document for challenges: with the path of the resource (RFC 9728 section 3.1). */
  url: string;
  /** The JSON to serve. */
  document: Record<string, unknown>;
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/**
 * Creates the metadata document of a resource server (RFC 9728). MCP clients read it first. Serve it without authentication,
 * cacheable, and readable from any web page (`Access-Control-Allow-Origin: *`).
 */
export function protectedResourceMetadata(options: ResourceOptions): ResourceMetadata {
  const { resource, issuer, scopes, name, documentation } = options;
  const { origin, pathname } = new URL(resource);
  const path = pathname === '/' ? WELL_KNOWN : WELL_KNOWN + pathname;
  return {
    paths: [...new Set([path, WELL_KNOWN])],
    url: origin + path,
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

/** Says in words where an agent gets a key: not every client follows metadata. Has no full stop, to fit into a sentence. */
export function howToGetKey(issuer: string): string {
  return `Agents register for a key themselves, as ${issuer.replace(/\/$/, '')}/auth.md describes`;
}

/** Why a request is refused. Without `error`, it had no credential (RFC 6750 section 3.1). */
export interface Refusal {
  error?:
    | 'invalid_request'
    | 'invalid_token'
    | 'insufficient_scope'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce';
  /** By which the credential was presented, or has to be; default `Bearer`. */
  scheme?: 'Bearer' | 'DPoP';
  /** All scopes that the operation requires, not only the missing ones. Default: those of the resource server. */
  scopes?: readonly string[];
  /** The `error_description`: for the developer of the client. */
  description?: string;
}

/** Returns the value of the header `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1). */
export function challenge(options: ResourceOptions, refusal: Refusal = {}): string {
  const { url } = protectedResourceMetadata(options);
  const scopes = refusal.scopes ?? options.scopes;
  const parameters = {
    realm: options.realm,
    resource_metadata: url,
    error: refusal.error,
    error_description: refusal.description?.replace(/["\\]/g, "'"),
    scope: scopes?.length ? scopes.join(' ') : undefined,
    algs: refusal.scheme === 'DPoP' ? PROOF_ALGORITHMS.join(' ') : undefined,
  };
  const defined = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return `${refusal.scheme ?? 'Bearer'} ${defined.map(([name, value]) => `${name}="${value}"`).join(', ')}`;
}
