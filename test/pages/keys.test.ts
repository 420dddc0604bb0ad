import { openBrowser } from '../helpers/browser.ts';
import { said } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, bearer } from '../helpers/common.ts';
import { fill, history, keyPages, MADE } from '../helpers/key-pages.ts';
import {
  HOSTILE_NAMES,
  type Home,
  openHome,
  plainly,
  shown,
  strangePosts,
  tokenInSessionOf,
} from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the pages of keys', (engine, test) => {
  let home: Home;
  test.before(async () => {
    home = await openHome(engine);
  });
  test.after(() => home.stop());

  const { me, make, human, form } = keyPages(() => home);

  test.describe('ending one', (test) => {
    test('is for good and at once; the key stays in the history, struck through', async (t) => {
      const { browser } = await human();
      const [kept, ended] = [await make(browser, { name: 'kept' }), await make(browser, { name: 'ended' })];
      t.true((await home.api.ask(ended.credential)).active);
      await browser.get(`/keys/${ended.id}/revoke`);
      const fields = browser.form(`/keys/${ended.id}/revoke`);
      const page = await browser.post(`/keys/${ended.id}/revoke`);
      t.is(page.path, '/keys');
      t.regex(page.text, /role="status"[\s\S]*Key revoked\. It stopped working\./);
      t.deepEqual(await home.api.ask(ended.credential), { active: false });
      t.is(said(await home.on.get('/api/me', ended.credential)), '401 invalid_token');
      t.true((await home.api.ask(kept.credential)).active);
      t.deepEqual(
        (await history(browser)).map(({ name, isStruck, canEnd }) => ({ name, isStruck, canEnd })),
        [
          { name: 'kept', isStruck: false, canEnd: true },
          { name: 'ended', isStruck: true, canEnd: false },
        ],
      );
      t.regex(
        (await history(browser))[1]!.text,
        /Revoked <time datetime="[^"]*" title="\d+ \w+ \d{4}, [0-9:]+ UTC">/,
      );

      const before = await home.rows();
      home.on.clock.advance(60);
      const pages = await atOnce(5, () => browser.send(`/keys/${ended.id}/revoke`, fields));
      for (const { status } of pages) t.is(status, 200);
      t.deepEqual(await home.rows(), before);
      t.is(await home.eventsOf('key.revoked', ended.id), 1);
    });

    test('asks first, on a page that changes nothing, says which key it is, and is not there for one that ended', async (t) => {
      const { browser } = await human();
      const { id, credential } = await make(browser, { name: 'Nightly <job>', life: 'never' });
      const before = await home.rows();
      const page = await browser.get(`/keys/${id}/revoke`);
      t.is(page.status, 200);
      t.regex(page.text, /<h1>Revoke “<b><bdi>Nightly &lt;job&gt;<\/bdi><\/b>”\?<\/h1>/);
      t.regex(page.text, /<title>Revoke “Nightly &lt;job&gt;”\? · /);
      for (const fact of [
        `<code>${credential.slice(0, 7)}…</code>`,
        'Never used',
        '>read</span>',
        'Never</dd>',
      ]) {
        t.true(page.text.includes(fact), fact);
      }
      t.false(page.text.includes(credential.slice(7, -4)));
      t.regex(
        page.text,
        /<a class="button" href="\/keys">Cancel<\/a><button type="submit" class="final">Revoke key</,
      );
      t.deepEqual(await home.rows(), before);
      t.true((await home.api.ask(credential)).active);
      t.regex(
        (await browser.get('/keys')).text,
        new RegExp(`href="/keys/${id}/revoke" aria-label="Revoke Nightly &lt;job&gt;"`),
      );

      await browser.get(`/keys/${id}/revoke`);
      await browser.post(`/keys/${id}/revoke`);
      t.is((await browser.get(`/keys/${id}/revoke`)).path, '/keys');
    });

    test('who is not signed in is asked to, and then asked about the key', async (t) => {
      const { browser, mailbox } = await human();
      const { id } = await make(browser);
      const other = openBrowser(home.on);
      t.is((await other.get(`/keys/${id}/revoke`)).path, `/sign-in?next=/keys/${id}/revoke`);
      await home.signIn(mailbox, `/keys/${id}/revoke`, other);
      other.form(`/keys/${id}/revoke`);
    });

    test('of five at once one does it', async (t) => {
      const { browser } = await human();
      const { id, credential } = await make(browser);
      await browser.get(`/keys/${id}/revoke`);
      const fields = browser.form(`/keys/${id}/revoke`);
      await atOnce(5, () => browser.send(`/keys/${id}/revoke`, fields));
      t.is(await home.eventsOf('key.revoked', id), 1);
      t.deepEqual(await home.api.ask(credential), { active: false });
    });

    test("somebody else's is not there, and no more is the key of an agent", async (t) => {
      const [one, other] = [await human(), await human()];
      const foreign = await make(other.browser, { name: 'Foreign' });
      const agent = await home.vouched(one.mailbox);
      const agentKey = (await me(agent.credential)).key.id;
      const own = await make(one.browser);
      t.deepEqual(
        (await history(one.browser)).map(({ name }) => name),
        ['script'],
      );
      await one.browser.get(`/keys/${own.id}/revoke`);
      const { csrf } = one.browser.form(`/keys/${own.id}/revoke`);
      const before = await home.rows();
      const texts = new Set<string>();
      for (const id of [foreign.id, agentKey, 'key_0', agent.agent_id, '%00', "key_'%20OR%201=1"]) {
        for (const page of [
          await one.browser.get(`/keys/${id}/revoke`),
          await one.browser.send(`/keys/${id}/revoke`, { csrf }),
        ]) {
          t.is(page.status, 404, id);
          texts.add(plainly(page.text));
        }
      }
      t.is(texts.size, 1, 'a key of somebody else looks like none');
      t.deepEqual(await home.rows(), before);
      for (const { credential } of [foreign, agent, own]) t.true((await home.api.ask(credential)).active);
    });

    test('whoever holds it can end it, too', async (t) => {
      const { browser } = await human();
      const { credential } = await make(browser);
      t.is((await home.on.form('/oauth2/revoke', { token: credential })).status, 200);
      t.deepEqual(await home.api.ask(credential), { active: false });
      t.true((await history(browser))[0]!.isStruck);
    });
  });

  test.describe('a key of a human is no agent', (test) => {
    test('it lists, makes and ends no keys', async (t) => {
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
      for (const reply of replies) t.is(said(reply), '403 insufficient_scope', reply.text);
      t.deepEqual(await home.rows(), before);
      t.true((await home.api.ask(credential)).active);
    });

    test('it comes along with no claim token', async (t) => {
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
        t.is(said(claimed), '401 invalid_claim_token');
        const complete = { claim_token, otp: code };
        const completed = await home.on.post('/agent/auth/claim/complete', complete, bearer(credential));
        t.is(said(completed), '401 invalid_claim_token');
      }
      t.deepEqual(await home.rows(), before);
    });

    test('it is no agent on the page of agents', async (t) => {
      const { browser } = await human();
      await make(browser);
      t.regex((await browser.get('/agents')).text, /No agents yet/);
    });
  });

  test('posts that no page of ours in this session led to are refused, and change nothing', async (t) => {
    const { mailbox, browser } = await human();
    const { id } = await make(browser);
    const [sibling, stranger] = [await home.signIn(mailbox), await human()];
    const visitor = openBrowser(home.on);
    await visitor.get('/sign-in');
    for (const [page, path] of [
      ['/keys/new', '/keys/new'],
      [`/keys/${id}/revoke`, `/keys/${id}/revoke`],
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
        t.is(refused.status, 403, `${path}: ${about}`);
        t.notRegex(refused.text, /sk_/);
      }
      await browser.get(`${path}?${new URLSearchParams(fields)}`);
      t.deepEqual(await home.rows(), before, path);
    }
  });

  test('whatever a key is called, its name is text on every page and nothing else', async (t) => {
    const { browser } = await human();
    const PLAIN = 'Robin';
    /** The page that shows it, the form that refuses it, and its line in the history. */
    const pagesOf = async (name: string) => {
      const refused = await fill(browser, { name, preset: 'choose' });
      t.is(refused.status, 400);
      const made = await fill(browser, { name });
      t.is(heading(made), MADE, name);
      return {
        refused: plainly(refused.text),
        texts: [made.text, (await history(browser))[0]!.text].map(plainly).join(),
      };
    };
    const harmless = await pagesOf(PLAIN);
    t.is(harmless.texts.split(PLAIN).length, 4); // its button names it, too
    for (const name of HOSTILE_NAMES) {
      const { refused, texts } = await pagesOf(name);
      t.is(texts.replaceAll(shown(name), PLAIN), harmless.texts, name);
      t.is(texts.split(shown(name)).length, 4, name);
      t.notRegex(texts, /[\u202a-\u202e\u2066-\u2069\u200b-\u200f]/);
      // In its field it stands as it was typed.
      const field = name.trim().replaceAll(/[&<>"']/g, (mark) => shown(mark));
      t.is(refused.replaceAll(`value="${field}"`, `value="${PLAIN}"`), harmless.refused, name);
    }
    const { text } = await browser.get('/account/activity');
    const older = /href="([^"]*)" rel="next"/.exec(text)![1]!;
    const texts = text + (await browser.get(older)).text;
    const lines = [...texts.matchAll(/<li class="event">[\s\S]*?<\/li>/g)].map(([line]) => line);
    t.true(lines.length > HOSTILE_NAMES.length);
    for (const line of lines) {
      const sentence = /<div class="what"><p>([\s\S]*?)<\/p>(?:<p class="meta">[^<>]*<\/p>)?<\/div>/.exec(
        line,
      )?.[1];
      t.regex(sentence ?? line, /^[^<>]*(?:<bdi>[^<>]*<\/bdi>[^<>]*)*(?:<code>sk_\w+…?<\/code>)?[^<>]*$/);
    }
  });
});
