import { createHash, randomBytes } from 'node:crypto';
import type { Deps } from '../../src/deps.ts';
import type { NewClient } from '../../src/domain/apps/create-client.ts';
import { listLiveOAuthGrants, type OAuthGrantRow } from '../../src/store/oauth-grants.ts';
import type { Browser, Page } from './browser.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import { signIn } from './human.ts';
import type { Reply, TestService } from './service.ts';

/** An app that registers itself, and a human who decides about it. */

export const REDIRECT = 'https://app.example/callback';

/** A client that a human or the operator registers: a public one, which acts for humans alone. */
export const PUBLIC_CLIENT: NewClient = {
  name: 'Reports',
  redirectUris: [REDIRECT],
  authMethod: 'none',
  grantTypes: ['authorization_code', 'refresh_token'],
  scopes: undefined,
};

export interface AppOptions {
  metadata?: Record<string, unknown>;
  /** Parameters of the authorization request, beside those that every one has. */
  query?: Record<string, string>;
}

export interface App {
  clientId: string;
  secret: string | undefined;
  /** The answer to the registration. */
  registered: Reply['body'];
}

/** Registers an app; a public one, unless the metadata says otherwise. */
export async function registerApp(on: TestService, metadata: Record<string, unknown> = {}): Promise<App> {
  const reply = await on.post('/oauth2/register', {
    client_name: 'Marlin Editor',
    redirect_uris: [REDIRECT],
    token_endpoint_auth_method: 'none',
    ...metadata,
  });
  ensure(reply.status === 201, reply.text);
  return { clientId: reply.body.client_id, secret: reply.body.client_secret, registered: reply.body };
}

/** What an app keeps of a request until it gets the code. */
export interface Asked {
  verifier: string;
  redirect: string;
  path: string;
}

/** Composes an authorization request. */
export function askFor(app: App, query: Record<string, string> = {}): Asked {
  const verifier = randomBytes(32).toString('base64url');
  const redirect = query.redirect_uri ?? REDIRECT;
  const all = {
    response_type: 'code',
    client_id: app.clientId,
    redirect_uri: redirect,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    state: 'st',
    ...query,
  };
  return { verifier, redirect, path: `/oauth2/authorize?${new URLSearchParams(all)}` };
}

/** Signs a human in. */
export async function newHuman(on: TestService): Promise<{ browser: Browser; mailbox: string }> {
  const mailbox = newMailbox();
  return { browser: await signIn(on, mailbox), mailbox };
}

/** What an account lets apps do, newest first. */
export function listConsents(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
): Promise<OAuthGrantRow[]> {
  return listLiveOAuthGrants(db, accountId, clock());
}

/** Presses a button on the page of the consent that the browser shows. */
export function decide(
  browser: Browser,
  page: Page,
  decision: 'approve' | 'deny',
  boxes: readonly string[] = ['scope:read'],
): Promise<Page> {
  const ticked = Object.fromEntries(boxes.map((name) => [name, 'on']));
  return browser.post(page.path, { ...(decision === 'approve' && ticked), decision });
}

/** The parameters with which a browser came back to the app. */
export function answerOf(page: Page): Record<string, string> {
  return Object.fromEntries(new URL(page.path).searchParams);
}

/** Lets a human approve, and returns the code. */
export async function getCode(
  on: TestService,
  app: App,
  options: { query?: Record<string, string>; boxes?: readonly string[]; browser?: Browser } = {},
): Promise<{ code: string; asked: Asked; browser: Browser }> {
  const browser = options.browser ?? (await newHuman(on)).browser;
  const asked = askFor(app, { prompt: 'consent', ...options.query });
  const page = await browser.get(asked.path);
  ensure(page.path.startsWith('/authorize/'), page.text || page.path);
  const back = await decide(browser, page, 'approve', options.boxes);
  const { code } = answerOf(back);
  ensure(code, back.path);
  return { code, asked, browser };
}

/** Exchanges a code. */
export function redeem(
  on: TestService,
  app: App,
  { code, asked }: { code: string; asked: Asked },
  more: Record<string, string> = {},
): Promise<Reply> {
  return on.form('/oauth2/token', {
    grant_type: 'authorization_code',
    code,
    redirect_uri: asked.redirect,
    code_verifier: asked.verifier,
    client_id: app.clientId,
    ...more,
  });
}

/** `400 invalid_grant`, or the status alone. */
export const errorOf = ({ status, body }: Reply): string =>
  body.error === undefined ? String(status) : `${status} ${body.error}`;

/** Exchanges a refresh token. */
export function refresh(
  on: TestService,
  app: App,
  refreshToken: string,
  more: Record<string, string> = {},
): Promise<Reply> {
  return on.form('/oauth2/token', {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: app.clientId,
    ...more,
  });
}
