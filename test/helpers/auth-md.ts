import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { addApi } from './api.ts';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { newMailbox, tallyBy } from './common.ts';
import { ensure } from './ensure.ts';
import { signIn } from './human.ts';
import { type FakeIssuer, type Overrides, startFakeIssuer } from './issuer.ts';
import { violations } from './oracle.ts';
import {
  basic,
  createTestClock,
  type Engine,
  type Reply,
  startTestService,
  type TestOptions,
} from './service.ts';

let made = 0;

/** Agents of auth.md's own versions, their humans, and the agent providers that some of them come from. */

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const CLAIM_GRANT = 'urn:workos:agent-auth:grant-type:claim';
export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';

/** The APIs of these tests: the default one, one whose tokens are signed, and one that knows reading alone. */
export const API = 'https://api.example.com';
export const SIGNED_API = 'https://signed.example.com';
export const READING_API = 'https://reading.example.com';

/** What secrets and ids look like. */
export const LOOKS = {
  registration: /^reg_[0-9A-Za-z]+$/,
  attempt: /^cla_[0-9A-Za-z]+$/,
  claimToken: /^clm_[0-9A-Za-z]{49}$/,
  key: /^sk_[0-9A-Za-z]{49}$/,
  token: /^at_[0-9A-Za-z]{49}$/,
  refresh: /^art_[0-9A-Za-z]{49}$/,
  signed: /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{86}$/,
  digits: /^[0-9]{6}$/,
  letters: /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/,
} as const;

export const newSubject = () => `subject-${++made}`;

/** A user of an agent provider. */
export interface User {
  sub: string;
  email: string;
}
export const newUser = (email = newMailbox()): User => ({ sub: newSubject(), email });

/** An answer in short: `200`, or status and names of a refusal, `401 otp_invalid/invalid_user_code`, the old one first. */
export function says({ status, body }: Pick<Reply, 'status' | 'body'>): string {
  if (status < 400) return String(status);
  const { error = body?.err, code } = body ?? {};
  const name = typeof error === 'object' ? error.code : error;
  return code === undefined || code === name ? `${status} ${name}` : `${status} ${name}/${code}`;
}

/** How often each answer came. */
export function tally(replies: readonly Reply[]): Record<string, number> {
  return tallyBy(replies, says);
}

/** Asserts every member of an answer, and that there are no others; where a pattern is expected, a text that fits it will do. */
export function assertShape(t: ExecutionContext, actual: unknown, expected: unknown, about?: string): void {
  t.deepEqual(fitted(actual, expected), expected, about);
}

function fitted(actual: unknown, expected: unknown): unknown {
  if (expected instanceof RegExp)
    return typeof actual === 'string' && expected.test(actual) ? expected : actual;
  if (!isObject(actual) || !isObject(expected)) return actual;
  return Object.fromEntries(
    Object.entries(actual).map(([name, value]) => [name, fitted(value, expected[name])]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Asserts a refusal: its names, old and new, the same sentence under both names, no secret in it, and its challenge. */
export function assertRefusal(
  t: ExecutionContext,
  reply: Reply,
  expected: string,
  members: Record<string, unknown> = {},
): void {
  t.is(says(reply), expected, reply.text);
  const { error, code, message, error_description, request_id, ...more } = reply.body;
  t.true(message.length > 10, reply.text);
  t.is(error_description, message);
  t.is(request_id, reply.headers.get('x-request-id'));
  t.deepEqual(more, members);
  t.truthy(error && code, reply.text);
  t.is(reply.headers.get('cache-control'), 'no-store');
  const challenge = reply.headers.get('www-authenticate');
  if (reply.status === 401) t.regex(challenge ?? '', new RegExp(`^AgentAuth error="${error}", `));
  else t.is(challenge, null);
}

export interface AuthMdOptions extends TestOptions {
  /** Members of the configuration file. */
  file?: object;
  /** Members of the provider's entry there. */
  issuer?: Record<string, unknown>;
}

/** A service that trusts two agent providers, with three APIs at it; agents, and their humans at their browsers. */
export async function openAuthMd(engine: Engine, options: AuthMdOptions = {}) {
  const { file, issuer, env, clock = createTestClock(), ...rest } = options;
  const [provider, otherProvider] = (await Promise.all(
    [0, 1].map(() => startFakeIssuer({ audience: 'nobody', clock })),
  )) as [FakeIssuer, FakeIssuer];
  const resources = [
    { url: API, name: 'API' },
    { url: SIGNED_API, name: 'Signing API', tokens: 'jwt' },
    { url: READING_API, name: 'Reading API', scopes: ['read'] },
  ];
  const trustedIssuers = [provider.entry(issuer), otherProvider.entry({ displayName: 'Other Provider' })];
  const on = await withConfigFile({ resources, trustedIssuers, ...file }, (CONFIG) =>
    startTestService(engine, { ...rest, clock, env: { CONFIG, ...env } }),
  );
  const apis = new Map(
    await Promise.all(
      [API, SIGNED_API, READING_API].map(
        async (url) => [url, await addApi(on, url, url === READING_API ? ['read'] : undefined)] as const,
      ),
    ),
  );

  const identity = (body: object, headers?: Record<string, string>) =>
    on.post('/agent/identity', body, headers);
  const claim = (body: object, headers?: Record<string, string>) =>
    on.post('/agent/identity/claim', body, headers);
  const complete = (body: object, headers?: Record<string, string>) =>
    on.post('/agent/identity/claim/complete', body, headers);
  const exchange = (assertion: string, more: Record<string, string> = {}) =>
    on.form('/oauth2/token', { grant_type: JWT_BEARER, assertion, ...more });
  const poll = (claim_token: string, more: Record<string, string> = {}) =>
    on.form('/oauth2/token', { grant_type: CLAIM_GRANT, claim_token, ...more });
  const refresh = (refresh_token: string) => identity({ type: 'refresh', refresh_token });

  /** What the resource server of an API hears of a token. */
  async function introspected(token: string, url = API): Promise<Record<string, unknown>> {
    const { clientId, clientSecret } = apis.get(url)!;
    const reply = await on.form('/oauth2/introspect', { token }, basic(clientId, clientSecret));
    ensure(reply.status === 200, reply.text);
    return reply.body;
  }

  /** The scope of a token at an API, or `dead`. */
  async function scopeOf(token: string, url = API): Promise<unknown> {
    const { active, scope } = await introspected(token, url);
    return active === true ? scope : 'dead';
  }

  /** The access token for an assertion, at the default API. */
  async function tokenFor(assertion: string, more: Record<string, string> = {}): Promise<string> {
    return succeeded(await exchange(assertion, more)).access_token;
  }

  /** Somebody at a browser who has opened a link, and signed in if a mailbox is given. */
  async function visit(link: string, mailbox?: string): Promise<Browser> {
    const browser = openBrowser(on);
    await browser.get(link);
    if (mailbox !== undefined) await signIn(on, mailbox, { browser });
    await browser.get('/claim');
    return browser;
  }

  /** The page of the newest mail that asks somebody to vouch; waits for as many as there must be by then. */
  async function mailedPage(mailbox: string, beyond = 0): Promise<string> {
    const { proof } = await on.mailTo(mailbox, beyond);
    ensure(proof.kind === 'page', `mailed: ${proof.kind}`);
    return proof.kind === 'page' ? proof.pageUrl : '';
  }

  const signed =
    (by: FakeIssuer, kind: 'idJag' | 'securityEvent' | 'logout') =>
    (user: User, claims: Record<string, unknown> = {}, more: Overrides = {}) => {
      const who = kind === 'idJag' ? user : { sub: user.sub };
      return by[kind]({ ...more, claims: { aud: on.url, ...who, ...claims } });
    };
  const present = (assertion: string, headers?: Record<string, string>) =>
    identity({ type: 'identity_assertion', assertion_type: ID_JAG, assertion }, headers);
  const notify = (token: string, type = 'application/secevent+jwt') =>
    on.request('POST', '/agent/event/notify', { body: token, headers: { 'Content-Type': type } });
  const logOut = (token: string, type = 'application/logout+jwt') =>
    on.request('POST', '/agent/auth/revoke', { body: token, headers: { 'Content-Type': type } });

  /** Ends the service, once nothing in its database contradicts itself. */
  async function stop(): Promise<void> {
    const found = await violations(on.service.deps.db);
    await Promise.all([on.stop(), provider.stop(), otherProvider.stop()]);
    ensure(found.length === 0, found.join('\n'));
  }

  return {
    on,
    clock,
    provider,
    otherProvider,
    /** What the provider signs of a user, for this service. */
    idJag: signed(provider, 'idJag'),
    securityEvent: signed(provider, 'securityEvent'),
    logout: signed(provider, 'logout'),
    otherIdJag: signed(otherProvider, 'idJag'),
    otherSecurityEvent: signed(otherProvider, 'securityEvent'),
    identity,
    claim,
    complete,
    exchange,
    poll,
    refresh,
    present,
    notify,
    logOut,
    introspected,
    scopeOf,
    tokenFor,
    visit,
    mailedPage,
    iso: (inSeconds: number) => new Date(clock() + inSeconds * 1000).toISOString(),
    stop,
  };
}
export type AuthMd = Awaited<ReturnType<typeof openAuthMd>>;

/** The body of an answer that must be good. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export function succeeded(reply: Reply): any {
  ensure(reply.status === 200, reply.text);
  return reply.body;
}

export async function withConfigFile<Result>(
  content: object,
  work: (path: string) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-auth-md-'));
  try {
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify(content));
    return await work(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The human types what the agent showed them. */
export async function typeCode(human: Browser, code: string): Promise<Page> {
  await human.get('/claim?way=typed');
  return human.post('/claim', { code });
}

/** The human confirms, and reads the code that the page shows from then on. */
export async function confirm(human: Browser): Promise<string> {
  await human.get('/claim?way=reveal');
  const page = await human.post('/claim', { way: 'reveal' });
  const code = shownCode(page);
  ensure(code !== undefined, page.text);
  return code;
}

/** The code that a page shows. */
export function shownCode({ text }: Pick<Page, 'text'>): string | undefined {
  return /<p class="code-shown">([^<]*)<\/p>/.exec(text)?.[1];
}
