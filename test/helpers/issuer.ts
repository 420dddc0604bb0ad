import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An agent provider of the tests' own: it publishes keys on this machine and signs whatever it is told to. */

export type FakeAlgorithm = 'ES256' | 'ES384' | 'RS256' | 'PS256' | 'EdDSA';

export interface SigningKey {
  kid: string;
  alg: FakeAlgorithm;
  privateKey: KeyObject;
  /** As it is published. */
  jwk: Record<string, unknown>;
}

export interface Overrides {
  /** Members of the header; undefined leaves one out. */
  header?: Record<string, unknown>;
  /** Claims; undefined leaves one out. Times in seconds. */
  claims?: Record<string, unknown>;
  /** Signs in the place of the issuer's first key. */
  key?: SigningKey;
}

/** How the key set is answered: as it should be, or not. */
export type KeySetAnswer =
  | 'keys'
  | 'failure'
  | 'silence'
  | 'redirect'
  | 'oversized'
  | 'garbage'
  | 'no-keys'
  | 'html';

export interface FakeIssuer {
  /** As it stands in `iss`, and where it listens. */
  url: string;
  jwksUri: string;
  /** Whom its tokens are for by default; may be set later, since a service has its port only when it runs. */
  audience: string;
  /** What it signs with, the first by default. */
  keys: SigningKey[];
  /** The paths that were asked for so far. */
  asked: string[];
  /** A document of a client that lies beside it, at a path. */
  publishClient(path: string, document: unknown): void;
  /** How often the key set was asked for. */
  fetches(): number;
  /** How it answers for its key set from now on. */
  answerWith(answer: KeySetAnswer): void;
  /** The Cache-Control of its key set from now on. */
  setCacheControl(value: string | undefined): void;
  /** Resolves when the key set has been asked for `count` times in all. */
  whenFetched(count: number): Promise<void>;
  /** Signs with new keys and publishes no others. Who has fetched the old ones asks again after a minute at most. */
  rotateKeys(): void;
  /** Its entry in `trustedIssuers` of the configuration. */
  entry(members?: Record<string, unknown>): Record<string, unknown>;
  idJag(overrides?: Overrides): string;
  securityEvent(overrides?: Overrides): string;
  logout(overrides?: Overrides): string;
  stop(): Promise<void>;
}

export const REVOKED_EVENT = 'https://schemas.workos.com/events/agent/auth/identity/assertion/revoked';
/** Whom it speaks of by default. */
export const FAKE_USER = { sub: 'user-1', email: 'human@example.com' } as const;

export interface FakeIssuerOptions {
  /** The PUBLIC_URL of the service. */
  audience?: string;
  clock: () => number;
  /** One key of each; default: one of ES256. */
  algorithms?: FakeAlgorithm[];
}

export async function startFakeIssuer(options: FakeIssuerOptions): Promise<FakeIssuer> {
  const { audience = '', clock, algorithms = ['ES256'] } = options;
  const asked: string[] = [];
  const clients = new Map<string, unknown>();
  let answer: KeySetAnswer = 'keys';
  let cacheControl: string | undefined;
  let waiting: (() => void)[] = [];

  const server = createServer((request, response) => {
    asked.push(request.url!);
    for (const wake of waiting.splice(0)) wake();
    if (cacheControl !== undefined) response.setHeader('Cache-Control', cacheControl);
    if (request.url === '/elsewhere') respond(response, { keys: issuer.keys.map((key) => key.jwk) });
    else if (request.url === '/.well-known/jwks.json') ANSWERS[answer](response, issuer);
    else if (clients.has(request.url!)) respond(response, clients.get(request.url!) as object);
    else respond(response, { error: 'not_found' }, 404);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const jwksUri = `${url}/.well-known/jwks.json`;
  const fetches = () => asked.filter((path) => path === '/.well-known/jwks.json').length;

  function token(typ: string, claims: Record<string, unknown>, overrides: Overrides): string {
    const key = overrides.key ?? issuer.keys[0]!;
    const iat = Math.floor(clock() / 1000);
    const common = { iss: url, sub: FAKE_USER.sub, aud: issuer.audience, jti: `jti_${randomUUID()}`, iat };
    return signToken(
      { alg: key.alg, kid: key.kid, typ, ...overrides.header },
      { ...common, ...claims, ...overrides.claims },
      key,
    );
  }

  const issuer: FakeIssuer = {
    url,
    jwksUri,
    audience,
    keys: algorithms.map(newSigningKey),
    asked,
    fetches,
    answerWith(next) {
      answer = next;
    },
    setCacheControl(value) {
      cacheControl = value;
    },
    publishClient: (path, document) => void clients.set(path, document),
    async whenFetched(count) {
      while (fetches() < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    rotateKeys() {
      issuer.keys = algorithms.map(newSigningKey);
    },
    entry: (members = {}) => ({ issuer: url, displayName: 'Fake Provider', ...members }),
    idJag(overrides = {}) {
      const now = Math.floor(clock() / 1000);
      const { email } = FAKE_USER;
      const login = { exp: now + 300, auth_time: now, client_id: url, email, email_verified: true };
      return token('oauth-id-jag+jwt', login, overrides);
    },
    securityEvent: (overrides = {}) => token('secevent+jwt', { events: { [REVOKED_EVENT]: {} } }, overrides),
    logout: (overrides = {}) => token('logout+jwt', { events: { [REVOKED_EVENT]: {} } }, overrides),
    async stop() {
      waiting = [];
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return issuer;
}

const ANSWERS: Record<KeySetAnswer, (response: ServerResponse, issuer: FakeIssuer) => void> = {
  keys: (response, { keys }) => respond(response, { keys: keys.map((key) => key.jwk) }),
  failure: (response) => respond(response, { error: 'server_error' }, 500),
  silence: () => {},
  redirect: (response, { url }) => void response.writeHead(302, { Location: `${url}/elsewhere` }).end(),
  oversized: (response, { keys }) =>
    respond(response, { keys: keys.map((key) => key.jwk), filling: 'x'.repeat(70_000) }),
  garbage: (response) => respond(response, '{"keys": [{'),
  'no-keys': (response) => respond(response, { keys: 'none' }),
  html: (response, { keys }) => respond(response, { keys: keys.map((key) => key.jwk) }, 200, 'text/html'),
};

function respond(
  response: ServerResponse,
  body: object | string,
  status = 200,
  type = 'application/json',
): void {
  response.writeHead(status, { 'Content-Type': type });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** A new pair of keys, named by chance. */
export function newSigningKey(alg: FakeAlgorithm): SigningKey {
  const kid = randomUUID();
  const { privateKey, publicKey } = newPair(alg);
  return { kid, alg, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } };
}

function newPair(alg: FakeAlgorithm) {
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519');
  if (alg === 'RS256' || alg === 'PS256') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  return generateKeyPairSync('ec', { namedCurve: alg === 'ES256' ? 'P-256' : 'P-384' });
}

/** Signs as the key's algorithm says, whatever the header says. */
export function signToken(
  header: object,
  claims: object,
  key: Pick<SigningKey, 'alg' | 'privateKey'>,
): string {
  return compact(header, claims, (input) => signatureBy(key, input));
}

/** A token with the HMAC of some bytes. */
export function hmacToken(header: object, claims: object, secret: Buffer | string): string {
  return compact(header, claims, (input) => createHmac('sha256', secret).update(input).digest());
}

/** A token in compact form with any bytes for a signature. */
export function compact(header: object, claims: object, signature: (input: Buffer) => Buffer): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${signature(Buffer.from(input)).toString('base64url')}`;
}

/** @param form `der` is what most libraries but those of JOSE write for ES256 */
export function signatureBy(
  { alg, privateKey }: Pick<SigningKey, 'alg' | 'privateKey'>,
  input: Buffer,
  form: 'der' | 'ieee-p1363' = 'ieee-p1363',
): Buffer {
  if (alg === 'EdDSA') return sign(null, input, privateKey);
  if (alg === 'PS256') return sign('sha256', input, { key: privateKey, padding: 6, saltLength: 32 });
  return sign(alg === 'ES384' ? 'sha384' : 'sha256', input, { key: privateKey, dsaEncoding: form });
}

/** The header and claims of a token, as they are. */
export function readToken(token: string): [header: Record<string, unknown>, claims: Record<string, unknown>] {
  const [header, claims] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
  return [header, claims];
}
