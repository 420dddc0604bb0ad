import type { Deps } from '../../deps.ts';
import { isSubset } from '../../lib/scopes.ts';
import type { RequestOrigin } from '../../work.ts';
import type { ResourceServer } from '../audiences/resource-servers.ts';
import { findBearer, logRefused, type RefusedCheck, useKey } from './bearer.ts';

/** What a resource server learns of a credential that works for it. */
export type Introspection =
  | { active: false }
  | {
      active: true;
      subject: string;
      /** Undefined: a key of the human's own. */
      agentId: string | undefined;
      keyId: string;
      scopes: string[];
      audience: string;
      /** Epoch ms, both. */
      issuedAt: number;
      expiresAt: number;
      ownerId: string | undefined;
      mergedFrom: string | undefined;
    };

/** How long an answer about a key without end may be kept: MCP servers insist on an end (MCP authorization, token validation). */
const OPEN_END_MS = 300_000;

/**
 * Answers a resource server about a credential (RFC 7662). Everything that does not work, and everything that is not meant
 * for the one who asks, is the same "not active" (S-33, S-99).
 */
export async function introspectBearer(
  deps: Deps,
  origin: RequestOrigin,
  server: ResourceServer,
  credential: string,
): Promise<Introspection> {
  const bearer = await findBearer(deps, credential);
  if (typeof bearer === 'string') return refuse(deps, origin, bearer);
  const { key } = bearer;
  if (key.resources !== undefined && !key.resources.includes(server.url))
    return refuse(deps, origin, 'other audience');
  const known = server.scopes;
  const scopes = known === undefined ? key.scopes : key.scopes.filter((scope) => isSubset([scope], known));
  if (scopes.length === 0) return { active: false };
  await useKey(deps, origin, bearer, server.name);
  return {
    active: true,
    subject: bearer.accountId,
    agentId: bearer.agentId,
    keyId: key.id,
    scopes,
    audience: server.url,
    issuedAt: key.createdAt,
    expiresAt: key.expiresAt ?? deps.clock() + OPEN_END_MS,
    ownerId: bearer.ownerId,
    mergedFrom: bearer.mergedFrom,
  };
}

function refuse(deps: Deps, origin: RequestOrigin, check: RefusedCheck): Introspection {
  logRefused(deps, origin, check);
  return { active: false };
}
