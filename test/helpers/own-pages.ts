import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { displayName } from '../../src/lib/untrusted-text.ts';
import { localOrigin } from '../../src/work.ts';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { ceremony, codeOf, countOf } from './ceremony.ts';
import { watchCommits } from './commits.ts';
import { ensure } from './ensure.ts';
import { SESSION, signIn as signInAt } from './human.ts';
import { violations } from './oracle.ts';
import { basic, type Engine, startTestService, type TestOptions } from './service.ts';

/** An agent with its human's yes. */
export interface Vouched {
  credential: string;
  user_id: string;
  agent_id: string;
  claim_token: string;
  /** Its key and its account from before the claim; empty where it came with a mailbox. */
  old: string;
  own: string;
}

/** A resource server: what it hears about a credential. */
export interface Api {
  url: string;
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  ask(credential: string): Promise<any>;
}

/** What people can change at their pages; not the times of last use, nor what becomes of mails, which are written behind. */
const ROWS = [
  `SELECT id, account_id, merged_from, registration_id, name, created_at, revoked_at, owned_at, scope
   FROM agents ORDER BY id`,
  'SELECT * FROM accounts ORDER BY id',
  'SELECT * FROM registrations ORDER BY id',
  'SELECT * FROM claims ORDER BY registration_id',
  `SELECT * FROM events WHERE kind <> 'mail.dead' ORDER BY id`,
  `SELECT id, agent_id, account_id, name, scope, resources, expires_at, revoked_at, warn_at, superseded_by
   FROM credentials ORDER BY id`,
];

/** A service, a resource server at it, agents and their humans, who look at what is theirs. */
export async function openHome(engine: Engine, options: TestOptions = {}) {
  const watch = watchCommits();
  const on = await startTestService(engine, { ...options, wrapDb: watch.wrapDb });
  const { db } = on.service.deps;

  async function addApi(url: string, name: string): Promise<Api> {
    const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
      url,
      name,
      scopes: undefined,
    });
    return {
      url: server.url,
      name,
      async ask(token) {
        const reply = await on.form('/oauth2/introspect', { token }, basic(server.id, secret));
        ensure(reply.status === 200, reply.text);
        return reply.body;
      },
    };
  }

  const signIn = (mailbox: string, next = '/account', browser: Browser = openBrowser(on)) =>
    signInAt(on, mailbox, { next, browser });

  /** Waits until every mail for a mailbox that is due has left, and that is known: then the clock can be moved. */
  async function settled(mailbox: string): Promise<void> {
    const due = () =>
      countOf(
        on,
        `outbox WHERE mailbox = ? AND sent_at IS NULL AND dead_at IS NULL AND (tries > 0 OR next_at <= ${on.clock()})`,
        [mailbox],
      );
    on.service.deps.wakeOutbox();
    await watch.until(async () => (await due()) === 0);
  }

  /** Registers, and a human vouches: by the code that the mail has. */
  async function vouched(
    mailbox: string,
    input: { link?: boolean; name?: string; asserted?: boolean } = {},
  ): Promise<Vouched> {
    const { link = false, name, asserted = false } = input;
    const body = asserted
      ? { type: 'identity_assertion', assertions: [{ type: 'verified_email', email: mailbox }], link }
      : { type: 'anonymous' };
    const came = await on.post('/agent/auth', { ...body, agent_name: name });
    ensure(came.status === 200, came.text);
    const { claim_token, credential: old = '', user_id: own = '' } = came.body.data;
    const { claim, complete } = ceremony(on);
    if (!asserted) await claim(claim_token, mailbox, {}, link);
    const completed = await complete(claim_token, await codeOf(on, claim_token));
    ensure(completed.status === 200, completed.text);
    return { ...completed.body.data, claim_token, old, own };
  }

  const rows = () => Promise.all(ROWS.map((sql) => db.all(sql)));
  const eventsOf = (kind: string, about: string) =>
    countOf(on, 'events WHERE kind = ? AND (agent_id = ? OR subject = ?)', [kind, about, about]);

  /** The account of a human. */
  async function accountOf(mailbox: string): Promise<string> {
    return (await db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]))!.id;
  }

  /** Ends the service, once nothing in its database contradicts itself. */
  async function stop(age: 'young' | 'swept' = 'young'): Promise<void> {
    const found = await violations(db, age).finally(() => on.stop());
    ensure(found.length === 0, found.join('\n'));
  }

  const api = await addApi('https://api.example.com', 'The API');
  return { on, api, addApi, signIn, settled, vouched, rows, eventsOf, accountOf, stop };
}
export type Home = Awaited<ReturnType<typeof openHome>>;

/** Posts that no page of ours in this session led to: by what is wrong with them, the headers and the token. */
export function strangePosts(tokens: Record<string, string | undefined>, ours: string) {
  const wrongTokens = Object.entries(tokens).map(([about, csrf]) => ({ about, csrf, headers: {} }));
  const wrongPlaces = [
    { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
    { Origin: 'https://evil.example', 'Sec-Fetch-Site': undefined },
    { Origin: 'null', 'Sec-Fetch-Site': 'same-site' },
    { Origin: 'null', 'Sec-Fetch-Site': 'cross-site' },
    { Origin: 'null', 'Sec-Fetch-Site': 'none' },
    { Origin: undefined, 'Sec-Fetch-Site': 'cross-site' },
  ].map((headers) => ({ about: JSON.stringify(headers), csrf: ours, headers }));
  return [...wrongTokens, ...wrongPlaces];
}

/** The token of a form as it is for the same browser in the session of another one. */
export async function tokenInSessionOf(
  other: Browser,
  browser: Browser,
  page: string,
  path: string,
): Promise<string> {
  const own = browser.cookies.get(SESSION)!;
  browser.cookies.set(SESSION, other.cookies.get(SESSION)!);
  await browser.get(page);
  const { csrf } = browser.form(path);
  browser.cookies.set(SESSION, own);
  return csrf!;
}

/** What a page shows of a name that somebody chose. */
export function shown(name: string): string {
  return displayName(name).replaceAll(/[&<>"']/g, (mark) => ESCAPES[mark]!);
}

/** A page without what is another at every agent and key: ids, tokens, the starts of keys. */
export function plainly(text: string): string {
  return text
    .replaceAll(/\b(?:agt|key|req)_[0-9A-Za-z]+(?:…[0-9A-Za-z]{4}\b)?/g, 'ID')
    .replaceAll(/(name="(?:csrf|once)" value)="[^"<>]*"/g, '$1')
    .replaceAll(/sk_[0-9A-Za-z]+/g, 'SECRET');
}

export const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Names, up to 64 characters each, that would rather be something else. */
export const HOSTILE_NAMES = [
  '<script>alert(1)</script>',
  '</title><script>alert(1)//',
  '<img src=x onerror=alert(1)>',
  '"><svg/onload=alert(1)>',
  "' autofocus onfocus=alert(1) x='",
  '" autofocus onfocus=alert(1) x="',
  '</b></li></ol><form action=//evil.example>',
  '</s></h1><meta http-equiv=refresh content=0;url=//evil>',
  '<a href=javascript:alert(1)>click</a>',
  'javascript:alert(1)',
  '<!-- ', // would swallow the rest of the page
  '<%= it.csrf %><%~ it.body %>',
  '{{constructor.constructor("alert(1)")()}}',
  `\${7*7}\`$&$1`,
  '&lt;script&gt;&#60;b&#62;',
  '\u202egnp.exe\u202c\u2066x\u2069',
  '\u200bRobert\u200d\u200e(verified by Vouchsafe)\u200f',
  'Robert\u2028<b>\u2029\u00ad\ufeff',
  '＜script＞alert(1)＜/script＞',
  'https://evil.example/login?t=1',
  'evil.example@evil.example',
  '<'.repeat(64),
  '𝕏'.repeat(32),
  'a\u0301'.repeat(32),
  '\u{e0041}\ufe0f<b onclick=alert(1)>',
];

/** The lines of activity on a page: the sentence, the names in it, what is below it, and when it happened. */
export const happenings = ({ text }: Page) =>
  [
    ...text.matchAll(
      /<li class="event">.*?<div class="what"><p>(.*?)<\/p>(?:<p class="meta">([^<]*)<\/p>)?<\/div><p class="when"><time datetime="([^"]*)"/gs,
    ),
  ].map(([, html, details, at]) => ({
    what: html!.replaceAll(/<[^>]*>/g, ''),
    names: [...html!.matchAll(/<bdi>([^<]*)<\/bdi>/g)].map(([, name]) => name!),
    details: details ?? '',
    at: at!,
  }));
