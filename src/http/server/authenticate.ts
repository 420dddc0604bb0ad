import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { isFresh } from '../../domain/accounts/sessions.ts';
import { authenticateResourceServer } from '../../domain/audiences/authenticate-resource-server.ts';
import type { ResourceServer } from '../../domain/audiences/resource-servers.ts';
import { authenticate, type Bearer } from '../../domain/credentials/bearer.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { isVisibleAscii } from '../../lib/visible-ascii.ts';
import type { RequestOrigin } from '../../work.ts';
import { signerOf } from '../agent-auth-protocol/signers.ts';
import { browserContext, keepDraft, pageAsked, type SignedInUser, signInFirst } from './browser-session.ts';
import type { CallerKind, Callers } from './table.ts';

/**
 * Finds out who calls, as the row demands it.
 *
 * @throws Failure `unauthenticated`, `invalidToken`, `invalidClient`, `badRequest`
 */
export async function identify(
  kind: CallerKind,
  deps: Deps,
  origin: RequestOrigin,
  request: IncomingMessage,
  body: unknown,
): Promise<Callers[CallerKind]> {
  switch (kind) {
    case 'anyone':
      return undefined;
    case 'agentIfAny':
      return request.headers.authorization === undefined ? undefined : bearerOf(deps, origin, request);
    case 'agent':
      return bearerOf(deps, origin, request);
    case 'resourceServer':
      return resourceServerOf(deps, request, (body ?? {}) as ClientMembers);
    case 'agentHost':
    case 'hostOrNewHost':
    case 'hostedAgent':
    case 'executingAgent':
    case 'hostOrAgentIfAny':
      return signerOf(kind, deps, origin, oneAuthorization(request));
    case 'browser':
      return browserContext(deps, request, body as { csrf?: string } | undefined);
    case 'signedInUser':
      return signedInUser(deps, request, body as { csrf?: string } | undefined);
    case 'recentlyVerifiedUser':
      return recentlyVerifiedUser(deps, request, body as { csrf?: string } | undefined);
  }
}

async function signedInUser(
  deps: Deps,
  request: IncomingMessage,
  form: { csrf?: string } | undefined,
): Promise<SignedInUser> {
  const browser = await browserContext(deps, request, form, true);
  const { session } = browser;
  if (session !== undefined) return { ...browser, session };
  throw signInFirst(deps, request, form);
}

async function recentlyVerifiedUser(
  deps: Deps,
  request: IncomingMessage,
  form: { csrf?: string } | undefined,
): Promise<SignedInUser> {
  const human = await signedInUser(deps, request, form);
  if (isFresh(deps, human.session)) return human;
  const location = `${PAGES.signInAgain}?next=${pageAsked(request)}`;
  throw new Failure('signInRequired', 'Confirm that it is you first.', {
    location,
    cookies: keepDraft(deps, request, form),
  });
}

async function bearerOf(deps: Deps, origin: RequestOrigin, request: IncomingMessage): Promise<Bearer> {
  const header = oneAuthorization(request);
  if (header === undefined) {
    throw new Failure(
      'unauthenticated',
      'A key is required: "Authorization: Bearer sk_...". To get one, POST {"type":"anonymous"} to /agent/auth.',
    );
  }
  const credential = /^Bearer +([\w~+/.-]+=*) *$/i.exec(header)?.[1];
  return authenticate(deps, origin, credential ?? '');
}

interface ClientMembers {
  client_id?: string;
  client_secret?: string;
}

/** client_secret_basic or client_secret_post, not both (RFC 6749 2.3). */
async function resourceServerOf(
  deps: Deps,
  request: IncomingMessage,
  body: ClientMembers,
): Promise<ResourceServer> {
  const header = oneAuthorization(request);
  const basic = header === undefined ? undefined : credentialsOf(header);
  if (header !== undefined && body.client_secret !== undefined) {
    throw new Failure('badRequest', 'Authenticate by the Authorization header or in the body, not by both.');
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
  const [raw] = basic?.slice(1) ?? [];
  if (raw === undefined) return authenticateResourceServer(deps, id, secret);
  try {
    return await authenticateResourceServer(deps, id, secret);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'invalidClient') throw error;
    return authenticateResourceServer(deps, raw.id, raw.secret);
  }
}

interface Credentials {
  id: string;
  secret: string;
}

/** Resource servers are few and ask all the time, with one header each; a second is as long as they are known by it (RECENT_MS). */
const parsedHeaders = new LRUCache<string, Credentials[]>({ max: 1000, ttl: 1000 });

function credentialsOf(header: string): Credentials[] {
  let credentials = parsedHeaders.get(header);
  if (credentials === undefined) {
    credentials = parseBasic(header);
    parsedHeaders.set(header, credentials);
  }
  return credentials;
}

/**
 * The credentials of a Basic header, which is split at its first colon: form-decoded, as OAuth clients encode them (RFC 6749
 * section 2.3.1) and, where that is something else, as they are, as others send them (RFC 7617).
 *
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

/** What is no form encoding stays as it is. */
function formDecode(text: string): string {
  if (!/[%+]/.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** Node keeps the first of two Authorization headers; we take neither (docs/security.md, bad input). */
function oneAuthorization(request: IncomingMessage): string | undefined {
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
