import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import type { App } from './app-client.ts';
import { type Asked, answerOf, askFor, decide, redeem, refresh, registerApp } from './app-client.ts';
import { withConfigFile } from './auth-md.ts';
import type { Browser, Page } from './browser.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import { signIn } from './human.ts';
import { type Engine, startTestService } from './service.ts';
import { openPlaces } from './workspaces.ts';

/** People in workspaces who let apps work there. */

const FILE = {
  scopes: {
    read: { description: 'Look, list and search' },
    write: { description: 'Create and change' },
    delete: { description: 'Remove documents for good', destructive: true },
  },
  workspaces: { types: ['document', 'diagram'] },
};

export interface Member {
  id: string;
  mailbox: string;
  browser: Browser;
}

/** What an app got. */
export interface Tokens {
  access: string;
  refresh: string;
  body: Record<string, unknown>;
  asked: Asked;
}

/** A service with an API that understands workspaces, and one that does not. */
export async function openPlacedApps(engine: Engine) {
  const on = await withConfigFile(FILE, (CONFIG) => startTestService(engine, { env: { CONFIG } }));
  const places = openPlaces(() => on);
  const api = await places.server('https://api.example.com');

  async function person(): Promise<Member> {
    const mailbox = newMailbox('member');
    const browser = await signIn(on, mailbox);
    const row = await on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [
      mailbox,
    ]);
    return { id: row!.id, mailbox, browser };
  }

  /** The account of somebody who looks at no page. */
  async function account(): Promise<string> {
    const { id } = await places.act((work) => findOrCreateAccount(work, newMailbox('member')));
    return id;
  }

  /** The page on which a human decides; the app asks to look unless the query says more. */
  async function open(
    app: App,
    { browser }: Member,
    query: Record<string, string> = {},
  ): Promise<{ page: Page; asked: Asked }> {
    const asked = askFor(app, { scope: 'read', resource: api.url, prompt: 'consent', ...query });
    return { asked, page: await browser.get(asked.path) };
  }

  /** Lets an app in. @param boxes the names of those that are ticked */
  async function approve(
    app: App,
    member: Member,
    boxes: readonly string[],
    query: Record<string, string> = {},
  ): Promise<Tokens> {
    const { page, asked } = await open(app, member, query);
    ensure(page.path.startsWith('/authorize/'), page.text || page.path);
    const back = await decide(member.browser, page, 'approve', boxes);
    const { code } = answerOf(back);
    ensure(code, back.text || back.path);
    const { status, body, text } = await redeem(on, app, { code, asked });
    ensure(status === 200, text);
    return { access: body.access_token, refresh: body.refresh_token, body, asked };
  }

  /** What the API is told of a token. */
  const told = async (token: string) => (await api.ask(token)).body;

  /** Where a token may do what, as `identifier actions`. */
  async function reach(token: string): Promise<string[] | undefined> {
    const body = await told(token);
    if (!body.active) return undefined;
    const details = body.authorization_details as { identifier: string; node?: string; actions: string[] }[];
    return (details ?? []).map(({ identifier, node, actions }) =>
      [identifier, ...(node === undefined ? [] : [node]), actions.join('+')].join(' '),
    );
  }

  return {
    on,
    places,
    api,
    person,
    account,
    open,
    approve,
    told,
    reach,
    app: (metadata: Record<string, unknown> = {}) => registerApp(on, metadata),
    renew: (app: App, tokens: Pick<Tokens, 'refresh'>) => refresh(on, app, tokens.refresh),
    async consentId(member: Member): Promise<string> {
      const row = await on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM oauth_grants WHERE account_id = ? ORDER BY id DESC LIMIT 1',
        [member.id],
      );
      return row!.id;
    },
  };
}
export type PlacedApps = Awaited<ReturnType<typeof openPlacedApps>>;

/** The boxes of places on a page, and those that are ticked. */
export const placeBoxes = ({ text }: Page) =>
  [...text.matchAll(/name="place:([^"]+)" value="on"/g)].map(([, name]) => name);
export const tickedPlaces = ({ text }: Page) =>
  [...text.matchAll(/name="place:([^"]+)" value="on" checked/g)].map(([, name]) => name);

/** Details of workspaces, as apps send them. */
export const detailsOf = (...places: Record<string, unknown>[]) =>
  JSON.stringify(places.map((place) => ({ type: 'workspace', ...place })));

/** Sends a form that no page shows to somebody. */
export async function send(
  { browser }: Pick<Member, 'browser'>,
  path: string,
  fields: Record<string, string>,
): Promise<Page> {
  const { text } = await browser.get('/account');
  const [, csrf] = /name="csrf" value="([^"]+)"/.exec(text) ?? [];
  return browser.send(path, { csrf, ...fields });
}
