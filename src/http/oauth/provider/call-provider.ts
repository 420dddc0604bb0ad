import { type IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type Provider from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import {
  type AuthorizationWrite,
  commitAuthorization,
  findState,
} from '../../../domain/apps/authorization-states.ts';
import type { Audience } from '../../../domain/audiences/audience.ts';
import { Failure, unavailable } from '../../../errors.ts';
import type { RequestOrigin } from '../../../work.ts';
import { PATHS } from '../../server/paths.ts';
import { type Exchange, runInExchange, type SignedIn } from './exchange.ts';

/**
 * Calls oidc-provider in process. It gets a request that we make: with our own host, the path of a row and the body that
 * the row has read, so that nothing in its responses depends on the Host header or on the request target. Its response is
 * captured, so that ids, fixed headers, log, metrics and failures stay those of this service.
 */

/** The parts of a Call that oidc-provider needs. */
export interface ProviderCall {
  deps: Deps;
  origin: RequestOrigin;
  header(name: string): string | undefined;
}

/** The request for oidc-provider. */
export interface ProviderRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  query?: URLSearchParams;
  body?: { type: string; bytes: Uint8Array };
  /** Whether no response to it is signed, so that the keys need not be the current ones. */
  isUnsigned?: boolean;
  /** The API that the request names, where the row has looked it up. */
  audience?: Audience | undefined;
  /** The session of this service in the browser. */
  session?: SignedIn | undefined;
}

/** What oidc-provider answered. */
export interface ProviderResponse {
  status: number;
  headers: Record<string, string>;
  cookies: readonly string[];
  body: string;
}

let loaded: Promise<typeof import('./provider.ts')> | undefined;

/**
 * Loads oidc-provider, which takes a tenth of the time of a start. Most services answer their first requests without it,
 * so it is loaded afterwards: see main.ts.
 */
export function loadProvider(): Promise<typeof import('./provider.ts')> {
  loaded ??= import('./provider.ts');
  return loaded;
}

/** Lets oidc-provider handle a request, and commits what it writes. @throws Failure `unavailable`, `invalidGrant` */
export function callProvider(call: ProviderCall, request: ProviderRequest): Promise<ProviderResponse> {
  return withProvider(call, request, async (provider, req, res) => {
    await provider.callback()(req, res);
  });
}

/**
 * Runs functions of oidc-provider on a request, and commits what they write.
 *
 * @param run gets the request, and the response that it fills
 */
export async function withProvider(
  { deps, origin, header }: ProviderCall,
  request: ProviderRequest,
  run: (provider: Provider, req: IncomingMessage, res: ServerResponse) => Promise<void>,
): Promise<ProviderResponse> {
  const { builtProvider, currentProvider } = await loadProvider();
  const provider = (request.isUnsigned && builtProvider(deps)) || (await currentProvider(deps));
  const exchange: Exchange = {
    deps,
    origin,
    session: request.session,
    writes: [],
    written: new Map(),
    repeated: undefined,
    narrowed: undefined,
    audiences: new Map(request.audience && [[request.audience.url, request.audience]]),
    error: undefined,
  };
  const req = createRequest(deps, header, request);
  const res = new ServerResponse(req);
  let body = '';
  res.end = ((chunk?: unknown) => {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) body = Buffer.from(chunk).toString();
    return res;
  }) as typeof res.end;
  await runInExchange(exchange, () => run(provider, req, res));
  if (exchange.error !== undefined) {
    throw exchange.error instanceof Failure ? exchange.error : unavailable(exchange.error);
  }
  const response = { status: res.statusCode, ...splitHeaders(res, deps.config.publicUrl), body };
  if (response.status >= 500)
    throw new Failure('internal', 'Something went wrong here. Repeat the request later.');
  if (exchange.repeated !== undefined) return { ...response, status: 200, body: exchange.repeated };
  const writes = response.status < 400 ? exchange.writes : exchange.writes.filter(countsWhenRefused);
  try {
    await commitAuthorization(deps, origin, writes, body);
    return response;
  } catch (error) {
    // Another request used the same refresh token at the same time: its client gets that response.
    const repeated = await findLostAnswer(exchange);
    if (repeated !== undefined) return { ...response, status: 200, body: repeated };
    throw error;
  }
}

/** What a client exchanges for tokens. */
const EXCHANGED: ReadonlySet<string> = new Set(['AuthorizationCode', 'DeviceCode', 'RefreshToken']);

/**
 * Whether a write counts although the request was refused. oidc-provider uses up what is exchanged before it looks at all of the
 * request: a client that asked for too much keeps what it has. What ends, and assertions that were presented, count.
 */
function countsWhenRefused(write: AuthorizationWrite): boolean {
  if (write.kind === 'consumeState') return !EXCHANGED.has(write.model);
  if (write.kind === 'saveState') return !EXCHANGED.has(write.state.model);
  return write.kind !== 'storeToken';
}

async function findLostAnswer({ deps, writes }: Exchange): Promise<string | undefined> {
  for (const write of writes) {
    if (write.kind !== 'consumeState') continue;
    const answer = (await findState(deps, write.model, write.id))?.answer;
    if (answer !== undefined) return answer;
  }
  return undefined;
}

function createRequest(
  { config }: Pick<Deps, 'config'>,
  header: ProviderCall['header'],
  { method, path, query, body }: ProviderRequest,
): IncomingMessage {
  const publicUrl = new URL(config.publicUrl);
  const search = query === undefined || query.size === 0 ? '' : `?${query}`;
  const forwarded = ['authorization', 'cookie', 'accept-language', 'dpop'].flatMap((name) => {
    const value = header(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.assign(Readable.from(body === undefined ? [] : [Buffer.from(body.bytes)]), {
    method,
    url: path + search,
    httpVersion: '1.1',
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    socket: { encrypted: publicUrl.protocol === 'https:', remoteAddress: '127.0.0.1', writable: true },
    headers: {
      host: publicUrl.host,
      accept: 'application/json',
      ...Object.fromEntries(forwarded),
      ...(body && { 'content-type': body.type, 'content-length': String(body.bytes.length) }),
    },
  }) as unknown as IncomingMessage;
}

function splitHeaders(res: ServerResponse, publicUrl: string): Pick<ProviderResponse, 'headers' | 'cookies'> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(res.getHeaders())) {
    if (PASSED_ON.has(name) && value !== undefined) headers[PASSED_ON.get(name)!] = String(value);
  }
  const challenge = headers['WWW-Authenticate'];
  if (challenge !== undefined || res.statusCode === 401) {
    // As every challenge of this service (RFC 9110 section 15.5.2, RFC 9728 section 5.1).
    const metadata = `Bearer resource_metadata="${publicUrl}${PATHS.protectedResource}"`;
    headers['WWW-Authenticate'] =
      challenge?.replace(/^Bearer /, `${metadata}, `) ?? `Basic realm="vouchsafe", ${metadata}`;
  }
  const cookies = res.getHeader('set-cookie') ?? [];
  return { headers, cookies: Array.isArray(cookies) ? cookies : [String(cookies)] };
}

/** The headers that are passed on; all others are ours. */
const PASSED_ON = new Map([
  ['location', 'Location'],
  ['www-authenticate', 'WWW-Authenticate'],
  ['content-type', 'Content-Type'],
  ['dpop-nonce', 'DPoP-Nonce'],
]);
