import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { authenticateResourceServer } from '../../domain/audiences/authenticate-resource-server.ts';
import type { ResourceServer } from '../../domain/audiences/resource-servers.ts';
import { authenticate, type Bearer } from '../../domain/credentials/bearer.ts';
import { Failure } from '../../errors.ts';
import { isVisibleAscii } from '../../lib/visible-ascii.ts';
import type { RequestOrigin } from '../../work.ts';
import { authenticateSigner } from '../agent-auth-protocol/signers.ts';
import { authenticateSessionKey } from '../permissions/signers.ts';
import { identifyBrowser } from './browser-session.ts';
import { requireOperator, requireRecentlyVerifiedUser, requireSignedInUser } from './signed-in-callers.ts';
import type { CallerKind, Callers } from './table.ts';

/**
 * Authenticates the caller of a request in the way that its row demands.
 *
 * @param path that of the request, for which session keys sign
 * @param body the checked body; resource servers and forms carry credentials or the CSRF token in it
 * @returns the caller, as Callers describes it
 * @throws Failure `unauthenticated`, `invalidToken`, `invalidClient`, `badRequest`; for signers also `protocolRefused`
 * and `limited`; for pages `forbidden`, `signInRequired` and, for operators, `notFound`
 */
export async function authenticateCaller(
  kind: CallerKind,
  deps: Deps,
  origin: RequestOrigin,
  request: IncomingMessage,
  body: unknown,
  path: string,
): Promise<Callers[CallerKind]> {
  switch (kind) {
    case 'anyone':
      return undefined;
    case 'agentIfAny':
      return request.headers.authorization === undefined
        ? undefined
        : authenticateBearer(deps, origin, request);
    case 'agent':
      return authenticateBearer(deps, origin, request);
    case 'resourceServer':
      return authenticateClient(deps, request, (body ?? {}) as ClientMembers);
    case 'agentHost':
    case 'hostOrNewHost':
    case 'hostedAgent':
    case 'executingAgent':
    case 'hostOrAgentIfAny':
      return authenticateSigner(kind, deps, origin, readAuthorization(request));
    case 'sessionKey':
      return authenticateSessionKey(deps, origin, readAuthorization(request), path);
    case 'browser':
      return identifyBrowser(deps, request, body as { csrf?: string } | undefined);
    case 'signedInUser':
      return requireSignedInUser(deps, request, body as { csrf?: string } | undefined);
    case 'recentlyVerifiedUser':
      return requireRecentlyVerifiedUser(deps, request, body as { csrf?: string } | undefined);
    case 'operator':
    case 'recentlyVerifiedOperator':
      return requireOperator(
        deps,
        request,
        body as { csrf?: string } | undefined,
        kind === 'recentlyVerifiedOperator',
      );
  }
}

async function authenticateBearer(
  deps: Deps,
  origin: RequestOrigin,
  request: IncomingMessage,
): Promise<Bearer> {
  const header = readAuthorization(request);
  if (header === undefined) {
    throw new Failure(
      'unauthenticated',
      `A key is required: "Authorization: Bearer ${deps.config.keys.issued.prefix}...". To get one, POST {"type":"anonymous"} to /agent/auth.`,
    );
  }
  const credential = /^Bearer +([\w~+/.-]+=*) *$/i.exec(header)?.[1];
  const bearer = await authenticate(deps, origin, credential ?? '');
  if (bearer.app !== undefined || bearer.isAppKey) {
    throw new Failure(
      'insufficientScope',
      'A token or key of an app works at the APIs that it was issued for, and not here.',
    );
  }
  return bearer;
}

interface ClientMembers {
  client_id?: string;
  client_secret?: string;
}

/**
 * Authenticates a resource server by client_secret_basic or client_secret_post, not both (RFC 6749 section 2.3, S-88).
 */
async function authenticateClient(
  deps: Deps,
  request: IncomingMessage,
  body: ClientMembers,
): Promise<ResourceServer> {
  const header = readAuthorization(request);
  const basic = header === undefined ? undefined : parseBasicCached(header);
  if (header !== undefined && body.client_secret !== undefined) {
    throw new Failure('badRequest', 'Authenticate in the Authorization header or in the body, not in both.');
  }
  const [first] = basic ?? [];
  const { id, secret } = first ?? { id: body.client_id, secret: body.client_secret };
  if (id === undefined || secret === undefined) {
    throw new Failure(
      'unauthenticated',
      'Authenticate with the client_id and client_secret of a resource server, by HTTP Basic or in the body.',
    );
  }
  if (
    basic !== undefined &&
    body.client_id !== undefined &&
    basic.every((each) => each.id !== body.client_id)
  ) {
    throw new Failure('badRequest', 'The client_id in the body is not the one in the Authorization header.');
  }
  const [asSent] = basic?.slice(1) ?? [];
  if (asSent === undefined) return authenticateResourceServer(deps, id, secret);
  try {
    return await authenticateResourceServer(deps, id, secret);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'invalidClient') throw error;
    // The client may not have form-encoded its credentials: try them as sent.
    return authenticateResourceServer(deps, asSent.id, asSent.secret);
  }
}

interface Credentials {
  id: string;
  secret: string;
}

/**
 * Parsed Basic headers. Resource servers are few and send the same header all the time. The TTL is that of
 * authenticated resource servers (RECENT_MS in domain/audiences/resource-servers.ts).
 */
const parsedHeaders = new LRUCache<string, Credentials[]>({ max: 1000, ttl: 1000 });

function parseBasicCached(header: string): Credentials[] {
  let credentials = parsedHeaders.get(header);
  if (credentials === undefined) {
    credentials = parseBasic(header);
    parsedHeaders.set(header, credentials);
  }
  return credentials;
}

/**
 * Parses a Basic header, splitting it at its first colon.
 *
 * @returns the form-decoded credentials, as OAuth clients encode them (RFC 6749 section 2.3.1); then the credentials as
 * sent (RFC 7617), if they differ
 * @throws Failure `invalidClient`
 */
function parseBasic(header: string): Credentials[] {
  const encoded = /^Basic +([A-Za-z0-9+/]+=*) *$/i.exec(header)?.[1];
  if (encoded === undefined) throw new Failure('invalidClient', 'Authenticate by HTTP Basic.');
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = Math.max(pair.indexOf(':'), 0);
  const raw = { id: pair.slice(0, colon), secret: pair.slice(colon + 1) };
  const decoded = { id: formDecode(raw.id), secret: formDecode(raw.secret) };
  const isSame = decoded.id === raw.id && decoded.secret === raw.secret;
  const found = (isSame ? [raw] : [decoded, raw]).filter(({ id }) => isVisibleAscii(id));
  if (found.length === 0) throw new Failure('invalidClient', 'The client_id or client_secret is wrong.');
  return found;
}

/** Form-decodes a text; returns it unchanged when it is not form-encoded. */
function formDecode(text: string): string {
  if (!/[%+]/.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** Reads the Authorization header. Node keeps the first of two; this refuses both (docs/security.md, bad input). */
function readAuthorization(request: IncomingMessage): string | undefined {
  const header = request.headers.authorization;
  if (header === undefined) return undefined;
  let count = 0;
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index]!;
    if (name.length === 13 && name.toLowerCase() === 'authorization') count += 1;
  }
  if (count > 1) throw new Failure('badRequest', 'There is more than one Authorization header.');
  return header;
}
