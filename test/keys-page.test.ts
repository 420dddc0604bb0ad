import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { listResourceServers, removeResourceServer } from '../src/domain/audiences/resource-servers.ts';
import { localAsker } from '../src/domain/audit/audit-log.ts';
import { createPersonalKey } from '../src/domain/credentials/personal-keys.ts';
import { warnOfExpiry } from '../src/domain/jobs/key-expiry-notices.ts';
import { type Browser, openBrowser, type Page } from './helpers/browser.ts';
import { countOf, said } from './helpers/ceremony.ts';
import { heading } from './helpers/claim-page.ts';
import { dumpOf } from './helpers/dump.ts';
import { SESSION } from './helpers/human.ts';
import {
  type Api,
  atOnce,
  HOSTILE_NAMES,
  type Home,
  newMailbox,
  openHome,
  plainly,
  shown,
  strangePosts,
  tokenInSessionOf,
} from './helpers/own-pages.ts';
import { onEveryEngine } from './helpers/service.ts';

const DAY = 86_400;
const MADE = 'Your new key';
const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });

interface Made {
  id: string;
  credential: string;
}

/** The key on the page that shows it. */
function credentialIn(page: Page): string {
  assert.equal(heading(page), MADE, page.text);
  return /<code id="key">(sk_[0-9A-Za-z]+)<\/code>/.exec(page.text)![1]!;
}

/** What is said instead of making a key. */
const problemIn = ({ text }: Page) => /role="alert" id="problem"><p>([^<]*)<\/p>/.exec(text)?.[1];

/** The keys on the pages of all, in their order: each as text, with whether it is struck through. */
async function history(browser: Browser) {
  let text = '';
  for (let next: string | undefined = '/keys'; next !== undefined; ) {
    const page: Page = await browser.get(next);
    text += page.text;
    next = /href="([^"]*)">Older<\/a>/.exec(page.text)?.[1]?.replaceAll('&amp;', '&');
  }
  return [...text.matchAll(/<article>([\s\S]*?)<\/article>/g)].map(([, article]) => ({
    text: article!,
    name: /<b>(.*?)<\/b>/.exec(article!)?.[1],
    isStruck: /<p class="what"><s>.*<\/s><\/p>/.test(article!),
    canEnd: article!.includes('/revoke"'),
  }));
}

/** Fills the form for a key and sends it. */
async function fill(browser: Browser, fields: Record<string, string> = {}): Promise<Page> {
  await browser.get('/keys/new');
  return browser.post('/keys/new', { name: 'script', preset: 'read-only', ...fields });
}

/** Makes many keys of a human without a browser. */
async function makeMany(home: Home, account: string, count: number, days: number | undefined): Promise<void> {
  const ask = { name: 'one of many', scopes: ['read'], resources: undefined, days };
  for (let index = 0; index < count; index += 1) {
    await createPersonalKey(home.on.service.deps, localAsker(`many${index}`), account, ask, {
      key: `many${index}`,
      owner: account,
      body: Buffer.from('x'),
      ttlSeconds: 1,
      limit: undefined,
    });
  }
}

/** A file for CONFIG. */
function configFile(content: object): { path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify(content));
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}

onEveryEngine('the pages of keys', (engine) => {
  let home: Home;
  before(async () => {
    home = await openHome(engine);
  });
  after(() => home.stop());

  const me = async (key: string) => (await home.on.get('/api/me', key)).body.data;
  const keysOf = async (mailbox: string) =>
    countOf(home.on, 'credentials WHERE agent_id IS NULL AND account_id = ?', [
      await home.accountOf(mailbox),
    ]);

  async function make(browser: Browser, fields?: Record<string, string>): Promise<Made> {
    const credential = credentialIn(await fill(browser, fields));
    return { credential, id: (await me(credential)).key.id };
  }

  async function human() {
    const mailbox = newMailbox();
    const browser = await home.signIn(mailbox);
    return { mailbox, browser, account: await home.accountOf(mailbox) };
  }

  /** What the form for a key would send: to be sent without looking at the page again. */
  async function form(
    browser: Browser,
    fields: Record<string, string> = {},
  ): Promise<Record<string, string>> {
    await browser.get('/keys/new');
    return { ...browser.form('/keys/new'), name: 'script', preset: 'read-only', ...fields };
  }

  describe('making one', () => {
    test('from a preset gives a key of the human alone, with the scopes of the preset', async () => {
      const { mailbox, browser, account } = await human();
      const presets = [...home.on.service.deps.config.presets];
      assert.deepEqual(
        presets.map(([, { scopes }]) => scopes),
        [['read'], ['read', 'write']],
      );
      const { text } = await browser.get('/keys/new');
      assert.match(text, /value="read-only" checked>.*recommended/);
      for (const [preset, { scopes }] of presets) {
        const { credential, id } = await make(browser, { preset, name: ` ${preset} ` });
        assert.match(credential, /^sk_[0-9A-Za-z]{49}$/);
        const { key, resources, next, ...about } = await me(credential);
        assert.deepEqual(resources, [home.on.url, home.api.url]);
        assert.match(next, /Its human manages it at /);
        assert.deepEqual(about, {
          user_id: account,
          kind: 'human',
          owner: `o***@${mailbox.split('@')[1]}`,
          scopes,
        });
        assert.equal(key.name, preset);
        assert.equal(key.resources, undefined);
        assert.equal(key.expires_at, null);

        const heard = await home.api.ask(credential);
        const now = Math.floor(home.on.clock() / 1000);
        assert.deepEqual(heard, {
          active: true,
          sub: account,
          client_id: id,
          scope: scopes.join(' '),
          aud: home.api.url,
          iss: home.on.url,
          iat: now,
          exp: now + 300,
          token_type: 'Bearer',
          jti: id,
          owner: account,
        });
      }
    });

    test('of single scopes gives those, and no others', async () => {
      const { browser } = await human();
      for (const scopes of [['write'], ['read'], ['write', 'read']]) {
        const boxes = Object.fromEntries(scopes.map((scope) => [`scope:${scope}`, 'on']));
        const { credential } = await make(browser, { preset: 'choose', ...boxes, 'scope:admin': 'on' });
        assert.deepEqual((await me(credential)).scopes, scopes.toSorted());
        assert.equal((await home.api.ask(credential)).scope, scopes.toSorted().join(' '));
      }
    });

    test('shows it once: on no later page, in no export and in no log', async () => {
      const { browser } = await human();
      const page = await fill(browser, { name: 'Shy' });
      const credential = credentialIn(page);
      assert.equal(page.headers.get('cache-control'), 'no-store');
      assert.equal(page.headers.get('referrer-policy'), 'no-referrer');
      assert.equal(page.text.split(credential).length, 2);
      const secret = credential.slice(7, -4);
      for (const path of [
        '/keys',
        '/keys/new',
        '/agents',
        '/account',
        '/account/activity',
        '/account/export',
      ]) {
        const later = await browser.get(path);
        assert.equal(later.status, 200, path);
        assert.ok(!later.text.includes(secret), path);
      }
      assert.ok(!(await home.on.get('/api/me', credential)).text.includes(secret));
      assert.ok(!home.on.logged.join('\n').includes(secret));
      assert.ok(!(await dumpOf(home.on)).includes(secret));
      const [listed] = await history(browser);
      assert.equal(listed!.name, 'Shy');
      assert.match(listed!.text, new RegExp(`<code>${credential.slice(0, 7)}…</code>`));
      assert.match(listed!.text, /read\. Made .* UTC\. Never used\. Works until it is revoked\./);
    });

    test('the same form sent twice, five times at once or again a little later makes one key, and shows it until the browser has it', async () => {
      const { mailbox, browser } = await human();
      const fields = await form(browser);
      const pages = await atOnce(5, () => browser.send('/keys/new', fields));
      for (const { status } of pages) assert.equal(status, 200);
      const keys = new Set(pages.map(credentialIn));
      assert.equal(keys.size, 1);
      assert.equal(await keysOf(mailbox), 1);
      for (const seconds of [0, 100, 199]) {
        home.on.clock.advance(seconds);
        const again = await browser.send('/keys/new', fields);
        assert.deepEqual([again.status, again.text.includes([...keys][0]!)], [200, false]);
      }
      assert.equal(await keysOf(mailbox), 1);

      const twice = await form(browser, { name: 'double click' });
      const first = credentialIn(await browser.send('/keys/new', twice));
      assert.ok(!(await browser.send('/keys/new', twice)).text.includes(first));
      assert.equal(await keysOf(mailbox), 2);
      assert.equal(
        await countOf(home.on, `events WHERE kind = 'key.created' AND account_id = ?`, [
          await home.accountOf(mailbox),
        ]),
        2,
      );
    });

    test('a form that was changed after it made a key is shown again, and then makes another', async () => {
      const { mailbox, browser } = await human();
      const fields = await form(browser);
      await browser.send('/keys/new', fields);
      const changed = await browser.send('/keys/new', { ...fields, name: 'another' });
      assert.equal(changed.status, 400);
      assert.match(changed.text, /made a key already/);
      credentialIn(await browser.post('/keys/new', { name: 'another', preset: 'read-only', life: '7' }));
      assert.equal(await keysOf(mailbox), 2);
    });

    test('a form taken over into another session shows nobody the key that it made', async () => {
      const [one, other] = [await human(), await human()];
      const fields = await form(one.browser);
      const key = credentialIn(await one.browser.send('/keys/new', fields));
      const { csrf } = await form(other.browser);
      const theirs = credentialIn(await other.browser.send('/keys/new', { ...fields, csrf: csrf! }));
      assert.notEqual(theirs, key);
      assert.equal((await me(theirs)).user_id, other.account);
    });

    test('what cannot be made is said on the form, which keeps what was typed, and makes nothing', async () => {
      const { mailbox, browser } = await human();
      const cases: [Record<string, string>, RegExp][] = [
        [{ name: '' }, /^Give the key a name/],
        [{ name: '   ' }, /^Give the key a name/],
        [{ preset: 'choose' }, /^Choose what the key may do\.$/],
        [{ preset: 'admin' }, /^Choose what the key may do\.$/],
        [{ preset: 'choose', 'scope:admin': 'on' }, /^Choose what the key may do\.$/],
        [{ preset: '__proto__' }, /^Choose what the key may do\.$/],
        [{ 'resource:https://unknown.example': 'on' }, /^One of the resources is not offered any more/],
        [{ [`resource:${home.api.url}/`]: 'on' }, /^One of the resources is not offered any more/],
      ];
      for (const [fields, problem] of cases) {
        const page = await fill(browser, { life: '30', ...fields });
        const about = JSON.stringify(fields);
        assert.equal(page.status, 400, about);
        assert.equal(heading(page), 'A new key', about);
        assert.match(problemIn(page) ?? '', problem, about);
        assert.match(page.text, /<option value="30" selected>/, about);
        if (fields.name === undefined) assert.match(page.text, /name="name"[^>]* value="script">/, about);
        assert.doesNotMatch(page.text, /sk_/);
      }
      for (const [field, value] of [
        ['life', '1'],
        ['life', '-7'],
        ['name', 'x'.repeat(65)],
        ['once', 'x'],
        ['once', ''],
      ] as const) {
        const page = await fill(browser, { [field]: value });
        assert.equal(page.status, 400, `${field} ${value}`);
        assert.match(page.text, /^<!doctype html>/);
      }
      assert.equal(await keysOf(mailbox), 0);

      // What was mended is made.
      await fill(browser, { name: '' });
      credentialIn(await browser.post('/keys/new', { name: 'mended', preset: 'read-only' }));
      assert.equal(await keysOf(mailbox), 1);
    });

    test('a hundred keys that work are the most, also when ten are asked for at once; one that ended makes room', async () => {
      const { mailbox, browser, account } = await human();
      await makeMany(home, account, 96, undefined);
      const { id } = await make(browser, { life: '7' });
      const forms = await Promise.all(Array.from({ length: 10 }, () => form(browser)));
      assert.equal(new Set(forms.map(({ once }) => once)).size, 10);
      const pages = await Promise.all(forms.map((fields) => browser.send('/keys/new', fields)));
      assert.equal(pages.filter((page) => heading(page) === MADE).length, 3);
      const refused = pages.filter(({ status }) => status === 400);
      assert.equal(refused.length, 7);
      for (const page of refused)
        assert.equal(problemIn(page), 'You have 100 keys that work. Revoke one first.');
      assert.equal(await keysOf(mailbox), 100);

      await browser.get('/keys');
      await browser.post(`/keys/${id}/revoke`);
      credentialIn(await fill(browser));
      assert.equal((await fill(browser)).status, 400);
      assert.equal((await history(browser)).filter(({ isStruck }) => !isStruck).length, 100);
    });
  });

  describe('what it takes to make one', () => {
    test('who is not signed in is led to sign in, and from there to the keys', async () => {
      const { browser: known } = await human();
      const { id } = await make(known);
      const browser = openBrowser(home.on);
      for (const path of ['/keys', '/keys/new']) {
        assert.equal((await browser.get(path)).path, `/sign-in?next=${path}`);
      }
      const { csrf } = browser.form('/sign-in');
      const before = await home.rows();
      const fields = { csrf: csrf!, once: 'A'.repeat(32), name: 'x', preset: 'read-only' };
      assert.equal((await browser.send('/keys/new', fields)).path, '/sign-in?next=/keys/new');
      assert.equal(heading(await browser.send(`/keys/${id}/revoke`, { csrf })), 'Sign in');
      assert.deepEqual(await home.rows(), before);
      await home.signIn(newMailbox(), '/keys/new', browser);
      assert.equal(heading(await browser.get('/keys/new')), 'A new key');
    });

    test('a code typed within a quarter of an hour: who has none is asked for one, and is then in a new session', async () => {
      const { mailbox, browser } = await human();
      home.on.clock.advance(899);
      const stale = await form(browser, { name: 'in time' });
      credentialIn(await browser.send('/keys/new', stale));
      home.on.clock.advance(1);

      const before = await home.rows();
      const late = { ...stale, once: 'B'.repeat(32) };
      const posted = await browser.send('/keys/new', late);
      assert.deepEqual(posted.redirects, [`${home.on.url}/sign-in/again?next=/keys/new`]);
      assert.equal((await browser.send('/keys/new', stale)).path, '/sign-in/again?next=/keys/new');
      assert.deepEqual(await home.rows(), before);
      assert.equal(await keysOf(mailbox), 1);
      assert.equal(heading(await browser.get('/keys')), 'Your keys', 'looking needs no new code');

      const page = await browser.get('/keys/new');
      assert.deepEqual(page.redirects, [`${home.on.url}/sign-in/again?next=/keys/new`]);
      assert.equal(heading(page), 'Confirm that it is you');
      assert.ok(page.text.includes(`<b>${mailbox}</b>`));
      const old = browser.cookies.get(SESSION)!;
      const asked = await browser.post('/sign-in/again');
      assert.equal(asked.path, '/sign-in/code?next=/keys/new');
      const arrived = await browser.post('/sign-in/code', { code: await home.on.signInCodeFor(mailbox, 2) });
      assert.equal(arrived.path, '/keys/new');
      assert.equal(heading(arrived), 'A new key');
      assert.notEqual(browser.cookies.get(SESSION), old);
      // The form from before is of no use in the new session.
      assert.equal((await browser.send('/keys/new', late)).status, 403);
      await make(browser);
      assert.equal(await keysOf(mailbox), 2);

      const thief = openBrowser(home.on);
      thief.cookies.set(SESSION, old);
      assert.equal((await thief.get('/keys')).path, '/sign-in?next=/keys');
    });

    test('asking again for a code mails it to the mailbox of the session, and names a form that says another', async () => {
      const { mailbox, browser } = await human();
      home.on.clock.advance(901);
      await browser.get('/keys/new');
      const other = newMailbox();
      const fields = browser.form('/sign-in/again');
      for (const named of ['email', 'mailbox']) {
        const refused = await browser.send('/sign-in/again', { ...fields, [named]: other });
        assert.equal(refused.status, 400, named);
        assert.ok(refused.text.includes(named), named);
      }
      await browser.get('/keys/new');
      const asked = await browser.post('/sign-in/again');
      assert.ok(asked.text.includes(mailbox));
      assert.match(await home.on.signInCodeFor(mailbox, 2), /^[0-9]{6}$/);
      assert.equal(home.on.signInMails.filter(({ to }) => to === other).length, 0);
    });
  });

  describe('ending one', () => {
    test('is for good and at once; the key stays in the history, struck through', async () => {
      const { browser } = await human();
      const [kept, ended] = [await make(browser, { name: 'kept' }), await make(browser, { name: 'ended' })];
      assert.equal((await home.api.ask(ended.credential)).active, true);
      await browser.get('/keys');
      const fields = browser.form(`/keys/${ended.id}/revoke`);
      const page = await browser.post(`/keys/${ended.id}/revoke`);
      assert.equal(page.path, '/keys');
      assert.deepEqual(await home.api.ask(ended.credential), { active: false });
      assert.equal(said(await home.on.get('/api/me', ended.credential)), '401 invalid_token');
      assert.equal((await home.api.ask(kept.credential)).active, true);
      assert.deepEqual(
        (await history(browser)).map(({ name, isStruck, canEnd }) => ({ name, isStruck, canEnd })),
        [
          { name: 'ended', isStruck: true, canEnd: false },
          { name: 'kept', isStruck: false, canEnd: true },
        ],
      );
      assert.match((await history(browser))[0]!.text, /Revoked [-0-9]+ [0-9:]+ UTC\./);

      const before = await home.rows();
      home.on.clock.advance(60);
      const pages = await atOnce(5, () => browser.send(`/keys/${ended.id}/revoke`, fields));
      for (const { status } of pages) assert.equal(status, 200);
      assert.deepEqual(await home.rows(), before);
      assert.equal(await home.eventsOf('key.revoked', ended.id), 1);
    });

    test('of five at once one does it', async () => {
      const { browser } = await human();
      const { id, credential } = await make(browser);
      await browser.get('/keys');
      const fields = browser.form(`/keys/${id}/revoke`);
      await atOnce(5, () => browser.send(`/keys/${id}/revoke`, fields));
      assert.equal(await home.eventsOf('key.revoked', id), 1);
      assert.deepEqual(await home.api.ask(credential), { active: false });
    });

    test("somebody else's is not there, and no more is the key of an agent", async () => {
      const [one, other] = [await human(), await human()];
      const foreign = await make(other.browser, { name: 'Foreign' });
      const agent = await home.vouched(one.mailbox);
      const agentKey = (await me(agent.credential)).key.id;
      const own = await make(one.browser);
      assert.deepEqual(
        (await history(one.browser)).map(({ name }) => name),
        ['script'],
      );
      const { csrf } = one.browser.form(`/keys/${own.id}/revoke`);
      const before = await home.rows();
      const texts = new Set<string>();
      for (const id of [foreign.id, agentKey, 'key_0', agent.agent_id, '%00', "key_'%20OR%201=1"]) {
        const page = await one.browser.send(`/keys/${id}/revoke`, { csrf });
        assert.equal(page.status, 404, id);
        texts.add(plainly(page.text));
      }
      assert.equal(texts.size, 1, 'a key of somebody else looks like none');
      assert.deepEqual(await home.rows(), before);
      for (const { credential } of [foreign, agent, own])
        assert.equal((await home.api.ask(credential)).active, true);
    });

    test('whoever holds it can end it, too', async () => {
      const { browser } = await human();
      const { credential } = await make(browser);
      assert.equal((await home.on.form('/oauth2/revoke', { token: credential })).status, 200);
      assert.deepEqual(await home.api.ask(credential), { active: false });
      assert.equal((await history(browser))[0]!.isStruck, true);
    });
  });

  describe('a key of a human is no agent', () => {
    test('it lists, makes and ends no keys', async () => {
      const { browser, mailbox } = await human();
      const agent = await home.vouched(mailbox);
      const agentKey = (await me(agent.credential)).key.id;
      const { credential, id } = await make(browser, { preset: 'read-write' });
      const before = await home.rows();
      const replies = [
        await home.on.get('/api/tokens', credential),
        await home.on.post('/api/tokens', { name: 'x', scope: 'read' }, bearer(credential)),
        await home.on.del(`/api/tokens/${id}`, credential),
        await home.on.del(`/api/tokens/${agentKey}`, credential),
        await home.on.del('/api/tokens/key_0', credential),
      ];
      for (const reply of replies) assert.equal(said(reply), '403 insufficient_scope', reply.text);
      assert.deepEqual(await home.rows(), before);
      assert.equal((await home.api.ask(credential)).active, true);
    });

    test('it comes along with no claim token', async () => {
      const { browser, mailbox } = await human();
      const { credential } = await make(browser, { preset: 'read-write' });
      const anonymous = await home.on.register();
      const asserted = (
        await home.on.post('/agent/auth', {
          type: 'identity_assertion',
          assertions: [{ type: 'verified_email', email: mailbox }],
        })
      ).body.data;
      const code = await home.on.codeFor(mailbox);
      const before = await home.rows();
      for (const { claim_token } of [anonymous, asserted]) {
        const claim = { claim_token, email: mailbox };
        const claimed = await home.on.post('/agent/auth/claim', claim, bearer(credential));
        assert.equal(said(claimed), '401 invalid_claim_token');
        const complete = { claim_token, otp: code };
        const completed = await home.on.post('/agent/auth/claim/complete', complete, bearer(credential));
        assert.equal(said(completed), '401 invalid_claim_token');
      }
      assert.deepEqual(await home.rows(), before);
    });

    test('it is no agent on the page of agents', async () => {
      const { browser } = await human();
      await make(browser);
      assert.match((await browser.get('/agents')).text, /No agent works for you yet/);
    });
  });

  test('posts that no page of ours in this session led to are refused, and change nothing', async () => {
    const { mailbox, browser } = await human();
    const { id } = await make(browser);
    const [sibling, stranger] = [await home.signIn(mailbox), await human()];
    const visitor = openBrowser(home.on);
    await visitor.get('/sign-in');
    for (const [page, path] of [
      ['/keys/new', '/keys/new'],
      ['/keys', `/keys/${id}/revoke`],
    ] as const) {
      const swapped = await tokenInSessionOf(sibling, browser, page, path);
      await browser.get(page);
      const fields = { ...browser.form(path), name: 'x', preset: 'read-only' };
      await sibling.get(page);
      const foreign = await form(stranger.browser);
      const before = await home.rows();
      const tokens = {
        none: undefined,
        empty: '',
        invented: 'A'.repeat(27),
        "the same human's in another session": sibling.form(path).csrf,
        'of this browser in another session': swapped,
        "another human's": foreign.csrf,
        "that of somebody who isn't signed in": visitor.form('/sign-in').csrf,
      };
      for (const { about, csrf, headers } of strangePosts(tokens, browser.form(path).csrf!)) {
        const refused = await browser.send(path, { ...fields, csrf }, headers);
        assert.equal(refused.status, 403, `${path}: ${about}`);
        assert.doesNotMatch(refused.text, /sk_/);
      }
      await browser.get(`${path}?${new URLSearchParams(fields)}`);
      assert.deepEqual(await home.rows(), before, path);
    }
  });

  test('whatever a key is called, its name is text on every page and nothing else', async () => {
    const { browser } = await human();
    const PLAIN = 'Robin';
    /** The page that shows it, the form that refuses it, and its line in the history. */
    const pagesOf = async (name: string) => {
      const refused = await fill(browser, { name, preset: 'choose' });
      assert.equal(refused.status, 400);
      const made = await fill(browser, { name });
      assert.equal(heading(made), MADE, name);
      return {
        refused: plainly(refused.text),
        texts: [made.text, (await history(browser))[0]!.text].map(plainly).join(),
      };
    };
    const harmless = await pagesOf(PLAIN);
    assert.equal(harmless.texts.split(PLAIN).length, 3);
    for (const name of HOSTILE_NAMES) {
      const { refused, texts } = await pagesOf(name);
      assert.equal(texts.replaceAll(shown(name), PLAIN), harmless.texts, name);
      assert.equal(texts.split(shown(name)).length, 3, name);
      assert.doesNotMatch(texts, /[\u202a-\u202e\u2066-\u2069\u200b-\u200f]/);
      // In its field it stands as it was typed.
      const field = name.trim().replaceAll(/[&<>"']/g, (mark) => shown(mark));
      assert.equal(refused.replaceAll(`value="${field}"`, `value="${PLAIN}"`), harmless.refused, name);
    }
    const { text } = await browser.get('/account/activity');
    for (const [line] of text.matchAll(/<li>[\s\S]*?<\/li>/g)) {
      assert.match(line, /^<li>[^<>]*(?:: <b>[^<>]*<\/b>)? <span class="quiet small">[^<>]*<\/span><\/li>$/);
    }
  });
});

onEveryEngine('keys for some resources alone', (engine) => {
  const file = configFile({
    resources: [
      { url: 'https://one.example.com', name: 'One & only' },
      { url: 'https://two.example.com/mcp', name: 'Two', scopes: ['read'] },
    ],
  });
  let home: Home;
  let apis: Api[];
  before(async () => {
    home = await openHome(engine, { env: { CONFIG: file.path } });
    apis = [
      await home.addApi('https://one.example.com', 'One & only'),
      await home.addApi('https://two.example.com/mcp', 'Two'),
      home.api,
    ];
  });
  after(async () => {
    await home.stop();
    file.remove();
  });

  /** At which of the resource servers a key works. */
  const works = async (credential: string) =>
    (await Promise.all(apis.map(({ ask }) => ask(credential)))).map(({ active }) => active);

  test('the form offers those of the configuration and those that may ask, each once', async () => {
    const browser = await home.signIn(newMailbox(), '/keys/new');
    const { text } = await browser.get('/keys/new');
    assert.deepEqual(
      [...text.matchAll(/name="resource:([^"]*)" value="on"> <span><b>([^<]*)<\/b>/g)].map((found) =>
        found.slice(1, 3),
      ),
      [
        ['https://one.example.com', 'One &amp; only'],
        ['https://two.example.com/mcp', 'Two'],
        ['https://api.example.com', 'The API'],
      ],
    );
  });

  test('a key for some works there, and nowhere else; a key for none in particular works everywhere', async () => {
    const browser = await home.signIn(newMailbox());
    const make = async (...urls: string[]) => {
      const boxes = Object.fromEntries(urls.map((url) => [`resource:${url}`, 'on']));
      const credential = credentialIn(await fill(browser, boxes));
      const { data } = (await home.on.get('/api/me', credential)).body;
      return { resources: data.key.resources, works: await works(credential) };
    };
    const [one, two, three] = apis.map(({ url }) => url) as [string, string, string];
    assert.deepEqual(await make(one), { resources: [one], works: [true, false, false] });
    assert.deepEqual(await make(two, three), { resources: [two, three], works: [false, true, true] });
    assert.deepEqual(await make(), { resources: undefined, works: [true, true, true] });
    assert.match((await history(browser)).at(-1)!.text, /read, for https:\/\/one\.example\.com\. Made/);
    const { text } = await fill(browser, { name: '', [`resource:${two}`]: 'on' });
    assert.match(text, /name="resource:https:\/\/two\.example\.com\/mcp" value="on" checked>/);
    assert.match(text, /name="resource:https:\/\/one\.example\.com" value="on">/);
  });

  test('one that was taken out of service is offered no more', async () => {
    const gone = await home.addApi('https://gone.example.com', 'Gone');
    const browser = await home.signIn(newMailbox(), '/keys/new');
    await browser.get('/keys/new');
    const fields = {
      ...browser.form('/keys/new'),
      name: 'x',
      [`resource:${gone.url}`]: 'on',
      preset: 'read-only',
    };
    const { deps } = home.on.service;
    const { id } = (await listResourceServers(deps)).find(({ url }) => url === gone.url)!;
    await removeResourceServer(deps, localAsker('test'), id);
    const page = await browser.send('/keys/new', fields);
    assert.equal(page.status, 400);
    assert.match(problemIn(page)!, /not offered any more/);
    assert.ok(!page.text.includes(gone.url));
  });
});

onEveryEngine('presets of the operator', (engine) => {
  test('take the place of ours', async (t) => {
    const file = configFile({
      scopes: {
        read: { description: 'Look' },
        'mail:send': { description: 'Send <mail>' },
        admin: { description: 'Everything' },
      },
      claimedScopes: ['read'],
      presets: {
        poster: { title: 'Post & chat', scopes: ['mail:send', 'read'], goodFor: 'Newsletters "and" more' },
        boss: {
          title: 'All',
          scopes: ['admin', 'mail:send', 'read'],
          goodFor: 'You alone',
          recommended: true,
        },
      },
    });
    t.after(() => file.remove());
    const home = await openHome(engine, { env: { CONFIG: file.path } });
    t.after(() => home.on.stop()); // our oracle knows the default scopes alone
    const browser = await home.signIn(newMailbox(), '/keys/new');
    const { text } = await browser.get('/keys/new');
    assert.deepEqual(
      [...text.matchAll(/name="preset" value="([^"]*)"( checked)?>/g)].map(([, name, on]) => [name, on]),
      [
        ['poster', undefined],
        ['boss', ' checked'],
        ['choose', undefined],
      ],
    );
    assert.match(text, /<b>Post &amp; chat<\/b><br>.*Newsletters &quot;and&quot; more \(mail:send, read\)/);
    assert.match(
      text,
      /name="scope:mail:send" value="on"> <span><b>mail:send<\/b>: Send &lt;mail&gt;<\/span>/,
    );

    const scopesOf = async (fields: Record<string, string>) => {
      const { scope } = await home.api.ask(credentialIn(await fill(browser, fields)));
      return scope;
    };
    assert.equal(await scopesOf({ preset: 'poster' }), 'mail:send read');
    assert.equal(await scopesOf({ preset: 'boss' }), 'admin mail:send read');
    assert.equal(await scopesOf({ preset: 'choose', 'scope:mail:send': 'on' }), 'mail:send');
    for (const preset of ['read-only', 'read-write']) {
      const page = await fill(browser, { preset });
      assert.equal(page.status, 400, preset);
      assert.equal(problemIn(page), 'Choose what the key may do.');
    }
  });

  test('of which there are none leave single scopes', async (t) => {
    const file = configFile({ presets: {} });
    t.after(() => file.remove());
    const home = await openHome(engine, { env: { CONFIG: file.path } });
    t.after(() => home.stop());
    const browser = await home.signIn(newMailbox(), '/keys/new');
    const { text } = await browser.get('/keys/new');
    assert.deepEqual(text.match(/name="preset" value="[^"]*"[^>]*>/g), [
      'name="preset" value="choose" checked>',
    ]);
    credentialIn(await fill(browser, { preset: 'choose', 'scope:read': 'on' }));
  });
});

/** The choices of life, and how many days before the end a mail comes. */
const LIVES = [
  { life: '7', days: 7, warned: 1 },
  { life: '30', days: 30, warned: 7 },
  { life: '90', days: 90, warned: 7 },
  { life: '365', days: 365, warned: 7 },
];

onEveryEngine('keys and time', (engine) => {
  test('a key works as long as was chosen, and not a second longer; its end is in its history', async (t) => {
    const home = await openHome(engine);
    t.after(() => home.stop('swept'));
    const { on } = home;
    const mailbox = newMailbox();
    const browser = await home.signIn(mailbox);
    const madeAt = on.clock();
    const forever = credentialIn(await fill(browser, { life: 'never' }));
    const unsaid = credentialIn(await fill(browser));
    const keys = [];
    for (const { life, days } of LIVES) {
      const credential = credentialIn(await fill(browser, { life, name: `for ${life}` }));
      const endsAt = madeAt + days * DAY * 1000;
      const { data } = (await on.get('/api/me', credential)).body;
      assert.equal(Date.parse(data.key.expires_at), endsAt);
      assert.equal((await home.api.ask(credential)).exp, Math.floor(endsAt / 1000));
      keys.push({ credential, endsAt });
    }
    for (const { credential, endsAt } of keys) {
      on.clock.advance((endsAt - on.clock()) / 1000 - 1);
      assert.equal((await home.api.ask(credential)).active, true);
      on.clock.advance(1);
      assert.deepEqual(await home.api.ask(credential), { active: false });
      assert.equal(said(await on.get('/api/me', credential)), '401 invalid_token');
    }
    on.clock.advance(3650 * DAY);
    for (const credential of [forever, unsaid]) assert.equal((await home.api.ask(credential)).active, true);

    const later = await history(await home.signIn(mailbox));
    assert.deepEqual(
      later.map(({ name, isStruck, canEnd }) => [name, isStruck, canEnd]),
      [
        ...LIVES.map(({ life }) => [`for ${life}`, true, false]).toReversed(),
        ['script', false, true],
        ['script', false, true],
      ],
    );
    for (const { text } of later.slice(0, 4)) assert.match(text, /Expired [-0-9]+ [0-9:]+ UTC\./);
  });

  test('what has expired makes room for others', async (t) => {
    const home = await openHome(engine);
    t.after(() => home.stop('swept'));
    const { on } = home;
    const mailbox = newMailbox();
    await home.signIn(mailbox);
    const account = await home.accountOf(mailbox);
    await makeMany(home, account, 100, 7);
    on.clock.advance(7 * DAY - 1);
    const browser = await home.signIn(mailbox);
    assert.equal((await fill(browser)).status, 400);
    on.clock.advance(1);
    credentialIn(await fill(browser));
  });

  test('its owner is told by mail before it ends: a week before, or of a week the last day; once, however many do it', async (t) => {
    const home = await openHome(engine);
    t.after(() => home.stop('swept'));
    const { on } = home;
    const { deps } = on.service;
    const [mailbox, other] = [newMailbox(), newMailbox()];
    const browser = await home.signIn(mailbox);
    const madeAt = on.clock();
    const idOf = async (credential: string) =>
      (await on.get('/api/me', credential)).body.data.key.id as string;
    const keys = [];
    for (const { life, days, warned } of LIVES) {
      const id = await idOf(credentialIn(await fill(browser, { life, name: `for ${life}` })));
      keys.push({ id, name: `for ${life}`, warnAt: madeAt + (days - warned) * DAY * 1000 });
    }
    await fill(browser, { life: 'never', name: 'forever' });
    const revoked = await idOf(credentialIn(await fill(browser, { life: '30', name: 'revoked' })));
    await browser.get('/keys');
    await browser.post(`/keys/${revoked}/revoke`);
    const bystander = await home.signIn(other);
    await fill(bystander, { life: 'never' });
    // What was made after the first mail is told in a second one, an hour later.
    await Promise.all([mailbox, other].map(home.settled));
    on.clock.advance(3600);
    await home.settled(mailbox);
    const noticesTo = (owner: string) => on.notices.filter(({ to }) => to === owner);
    const before = noticesTo(mailbox).length;
    const told = () => countOf(on, `events WHERE kind = 'key.expiring'`);

    for (const [index, { id, name, warnAt }] of keys.entries()) {
      on.clock.advance((warnAt - on.clock()) / 1000 - 1);
      await warnOfExpiry(deps);
      assert.equal(await told(), index, name);
      on.clock.advance(1);
      await atOnce(4, () => warnOfExpiry(deps));
      assert.equal(await told(), index + 1, name);
      assert.equal(await home.eventsOf('key.expiring', id), 1);
      await home.settled(mailbox);
      assert.equal(noticesTo(mailbox).length, before + index + 1);
      assert.deepEqual(
        noticesTo(mailbox)
          .at(-1)!
          .happened.map(({ text, keyName }) => ({ text, keyName })),
        [{ text: 'A key is about to expire', keyName: name }],
      );
    }
    on.clock.advance(400 * DAY);
    await atOnce(4, () => warnOfExpiry(deps));
    assert.equal(await told(), keys.length);
    assert.equal(await home.eventsOf('key.expiring', revoked), 0);
    await home.settled(mailbox);
    await home.settled(other);
    assert.equal(noticesTo(mailbox).length, before + keys.length);
    assert.equal(noticesTo(other).length, 1);
  });

  test('of a key that ended while nobody could tell, nobody is told', async (t) => {
    const home = await openHome(engine);
    t.after(() => home.stop('swept'));
    const browser = await home.signIn(newMailbox());
    await fill(browser, { life: '7' });
    home.on.clock.advance(7 * DAY);
    await warnOfExpiry(home.on.service.deps);
    assert.equal(await countOf(home.on, `events WHERE kind = 'key.expiring'`), 0);
    assert.equal(await countOf(home.on, 'credentials WHERE warn_at IS NOT NULL'), 0);
  });
});
