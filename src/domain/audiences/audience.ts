import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { normalizeAudienceUrl } from '../../lib/audience-url.ts';
import { listResourceServers } from './resource-servers.ts';

/**
 * An API or MCP server that accepts our credentials, named by its URL (`resource` in RFC 8707 and RFC 9728). It comes
 * from the configuration, or was added on the command line.
 */
export interface Audience {
  url: string;
  name: string;
  /** The scopes it knows; undefined: all. */
  scopes: readonly string[] | undefined;
  /** URL of its documentation for people. */
  documentation: string | undefined;
  /** Whether its access tokens are opaque, or signed JWTs (RFC 9068). */
  tokens: 'opaque' | 'jwt';
}

/** Lists all audiences, each URL once: the configured ones, of which the first is the default, then the added ones. */
export async function listAudiences(deps: Pick<Deps, 'db' | 'config'>): Promise<Audience[]> {
  const added = (await listResourceServers(deps)).map(({ url, name, scopes }) => {
    return { url, name, scopes, documentation: undefined, tokens: 'opaque' } as const;
  });
  const byUrl = new Map<string, Audience>();
  for (const each of [...deps.config.resources, ...added]) {
    if (!byUrl.has(each.url)) byUrl.set(each.url, each);
  }
  return [...byUrl.values()];
}

/**
 * Finds the audience that a token is requested for (RFC 8707 section 2).
 *
 * @param resource its URL; undefined: the default one
 * @throws Failure `invalidTarget`
 */
export async function resolveAudience(
  deps: Pick<Deps, 'db' | 'config'>,
  resource: string | undefined,
): Promise<Audience> {
  const { resources } = deps.config;
  if (resource === undefined) return resources[0]!;
  const url = parseResourceUrl(resource);
  const found =
    resources.find((each) => each.url === url) ??
    (await listAudiences(deps)).find((each) => each.url === url);
  if (found === undefined) throw unknownResource();
  return found;
}

/**
 * Finds the audience of a URL: the one whose URL is its longest prefix, else the origin of the URL with opaque tokens.
 */
export async function nearestAudience(
  deps: Pick<Deps, 'db' | 'config'>,
  url: string,
): Promise<Pick<Audience, 'url' | 'tokens'>> {
  const isPrefix = (each: Audience) => url === each.url || url.startsWith(`${each.url.replace(/\/$/, '')}/`);
  const matching = (await listAudiences(deps)).filter(isPrefix);
  const [nearest] = matching.sort((left, right) => right.url.length - left.url.length);
  return nearest ?? { url: new URL(url).origin, tokens: 'opaque' };
}

function parseResourceUrl(text: string): string {
  try {
    return normalizeAudienceUrl(text);
  } catch (cause) {
    throw unknownResource(cause);
  }
}

function unknownResource(cause?: unknown): Failure {
  const message = 'There is no such resource here. Leave "resource" out for the default one.';
  return new Failure('invalidTarget', message, {}, cause);
}
