import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { agentPages, CHANGES, change, fact, listed, pathOf } from '../helpers/agent-pages.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import {
  HOSTILE_NAMES,
  type Home,
  openHome,
  plainly,
  shown,
  strangePosts,
  tokenInSessionOf,
  type Vouched,
} from '../helpers/own-pages.ts';
import { createTestClock, createTestDatabase } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const DAY = 86_400;

onEveryEngine('the pages of agents', (engine, test) => {
  let home: Home;
  test.before(async () => {
    home = await openHome(engine);
  });
  test.after(() => home.stop());

  const { me, owned } = agentPages(() => ({ home }));

  test.describe('whose agents they are', (test) => {
    test('a human sees the agents that work for them, merged and linked, the newest first', async (t) => {
      const mailbox = newMailbox();
      const merged = await home.vouched(mailbox, { name: 'Merged' });
      const linked = await home.vouched(mailbox, { link: true });
      const asserted = await home.vouched(mailbox, { asserted: true, name: 'Asserted' });
      await home.vouched(newMailbox(), { name: 'Foreign' });
      await home.on.register();
      const browser = await home.signIn(mailbox, '/agents');
      const page = await browser.get('/agents');
      t.is(heading(page), 'Your agents');
      t.deepEqual(
        await listed(browser),
        [asserted, linked, merged].map(({ agent_id }) => agent_id),
      );
      t.notRegex(page.text, /Foreign/);
      t.regex(page.text, />Merged<\/a>/);
      t.regex(page.text, />An agent without a name<\/a>/);
      t.is(page.text.match(/In your account since /g)?.length, 2);
      t.is(page.text.match(/Linked to you since /g)?.length, 1);
      t.is(page.text.match(/May read, write\. Not seen since\./g)?.length, 3);
      for (const agent of [merged, linked, asserted]) {
        const { text, status } = await browser.get(pathOf(agent));
        t.is(status, 200);
        t.is(fact(text, 'Id'), `<code>${agent.agent_id}</code>`);
        t.is(fact(text, 'May'), 'read, write');
        for (const key of [agent.credential, agent.claim_token]) t.false(text.includes(key.slice(7)));
      }
    });

    test('who has no agent is told where agents begin', async (t) => {
      const browser = await home.signIn(newMailbox(), '/agents');
      const { text } = await browser.get('/agents');
      t.regex(text, /No agent works for you yet/);
      t.true(text.includes(`<code>${home.on.url}/auth.md</code>`));
    });

    test("somebody else's agent is not there: neither its page nor any change of it", async (t) => {
      const stranger = await owned();
      const other = newMailbox();
      const agents = [
        await home.vouched(other, { name: 'Secretive' }),
        await home.vouched(other, { link: true }),
      ];
      const unclaimed = await home.on.register();
      await stranger.browser.get(pathOf(stranger.agent));
      const { csrf } = stranger.browser.form(pathOf(stranger.agent, 'rename'));
      const ids = [
        ...agents.map(({ agent_id }) => agent_id),
        unclaimed.agent_id,
        unclaimed.user_id,
        'agt_0',
        '%00',
        '%2e%2e%2f',
        '%c3%28',
        "agt_'%20OR%201=1",
        'a'.repeat(2000),
      ];
      const before = await home.rows();
      const texts = new Set<string>();
      for (const id of ids) {
        const page = await stranger.browser.get(`/agents/${id}`);
        t.is(page.status, 404, id);
        texts.add(plainly(page.text));
        for (const [name, fields] of Object.entries(CHANGES)) {
          const posted = await stranger.browser.send(`/agents/${id}/${name}`, { csrf, ...fields });
          t.is(posted.status, 404, `${id} ${name}`);
          texts.add(plainly(posted.text));
        }
      }
      t.is(texts.size, 1, 'an agent of somebody else looks like none');
      t.deepEqual(await home.rows(), before);
      for (const { credential } of agents) t.deepEqual((await me(credential)).scopes, ['read', 'write']);
    });

    test('who is not signed in is led to sign in, and from there to the agent', async (t) => {
      const mailbox = newMailbox();
      const agent = await home.vouched(mailbox);
      const browser = openBrowser(home.on);
      for (const path of ['/agents', pathOf(agent)]) {
        t.is((await browser.get(path)).path, `/sign-in?next=${path}`);
      }
      await browser.get(pathOf(agent));
      const { csrf } = browser.form('/sign-in');
      const before = await home.rows();
      for (const [name, fields] of Object.entries(CHANGES)) {
        const page = await browser.send(pathOf(agent, name), { csrf, ...fields });
        t.is(page.path, `/sign-in?next=${pathOf(agent)}`, name);
        t.is(heading(page), 'Sign in');
      }
      t.deepEqual(await home.rows(), before);

      await browser.get(pathOf(agent));
      await browser.post('/sign-in', { email: mailbox });
      const page = await browser.post('/sign-in/code', { code: await home.on.signInCodeFor(mailbox) });
      t.is(page.path, pathOf(agent));
      t.is(fact(page.text, 'Id'), `<code>${agent.agent_id}</code>`);
    });

    test('a form that is sent after the session ran out leads to signing in, and changes nothing', async (t) => {
      const { mailbox, agent, browser } = await owned({ name: 'Robin' });
      await browser.get(pathOf(agent));
      const form = browser.form(pathOf(agent, 'revoke'));
      home.on.clock.advance(1800);
      const led = await browser.send(pathOf(agent, 'revoke'), form);
      t.is(led.path, `/sign-in?next=${pathOf(agent)}`);
      t.is((await home.on.get('/api/me', agent.credential)).status, 200);
      await home.signIn(mailbox, pathOf(agent), browser);
      t.is(heading(await browser.get(pathOf(agent))), 'Robin');
    });
  });

  test.describe('names', (test) => {
    test('the name that an agent gave itself is marked as not verified; its human gives it another, which it learns', async (t) => {
      const { agent, browser } = await owned({ name: 'Robin' });
      const page = await browser.get(pathOf(agent));
      t.is(heading(page), 'Robin');
      t.is(fact(page.text, 'Name'), 'chosen by the agent, not verified');
      t.is((await me(agent.credential)).agent_name, 'Robin');

      const renamed = await browser.post(pathOf(agent, 'rename'), { name: '  Invoices & “more”  ' });
      t.is(renamed.path, pathOf(agent));
      t.is(heading(renamed), 'Invoices &amp; “more”');
      t.is(fact(renamed.text, 'Name'), 'given by you');
      t.regex((await browser.get('/agents')).text, />Invoices &amp; “more”<\/a>/);
      t.is((await me(agent.credential)).agent_name, 'Invoices & “more”');
      t.is(await home.eventsOf('agent.renamed', agent.agent_id), 1);
    });

    test('an agent without a name says so, and can be given one', async (t) => {
      const { agent, browser } = await owned({ link: true });
      const page = await browser.get(pathOf(agent));
      t.is(heading(page), 'An agent without a name');
      t.is(fact(page.text, 'Name'), 'none');
      t.is(heading(await change(browser, agent, 'rename', { name: 'x'.repeat(64) })), 'x'.repeat(64));
      t.is((await me(agent.credential)).agent_name, 'x'.repeat(64));
    });

    test('no name, and one of more than 64 characters, are refused on a page and change nothing', async (t) => {
      const { agent, browser } = await owned({ name: 'Robin' });
      await browser.get(pathOf(agent));
      const { csrf } = browser.form(pathOf(agent, 'rename'));
      const before = await home.rows();
      for (const name of [undefined, '', '   ', '\u200b', '\u3164', 'x'.repeat(65), 'a\u0000b']) {
        const page = await browser.send(pathOf(agent, 'rename'), { csrf, name });
        t.is(page.status, 400, name);
        t.regex(page.text, /^<!doctype html>/);
      }
      t.deepEqual(await home.rows(), before);
    });
  });

  test('posts that no page of ours in this session led to are refused, and change nothing', async (t) => {
    const { mailbox, agent: merged, browser } = await owned();
    const linked = await home.vouched(mailbox, { link: true });
    const early = openBrowser(home.on);
    await early.get('/sign-in');
    const before = early.form('/sign-in').csrf;
    await home.signIn(mailbox, '/agents', early);
    const [sibling, stranger] = [await home.signIn(mailbox), await owned()];
    for (const [agent, names] of [
      [merged, ['rename', 'narrow', 'undo', 'revoke']],
      [linked, ['rename', 'narrow', 'unlink', 'revoke']],
    ] as const) {
      await sibling.get(pathOf(agent));
      await stranger.browser.get(pathOf(stranger.agent));
      for (const name of names) {
        const swapped = await tokenInSessionOf(sibling, browser, pathOf(agent), pathOf(agent, name));
        await browser.get(pathOf(agent));
        const form = browser.form(pathOf(agent, name));
        const rows = await home.rows();
        const tokens = {
          none: undefined,
          empty: '',
          invented: 'A'.repeat(27),
          "the same human's in another session": sibling.form(pathOf(agent, name)).csrf,
          'of this browser in another session': swapped,
          "another human's": stranger.browser.form(pathOf(stranger.agent, 'rename')).csrf,
          'from before signing in': before,
        };
        for (const { about, csrf, headers } of strangePosts(tokens, form.csrf!)) {
          const fields = { ...form, ...CHANGES[name], csrf };
          const page = await browser.send(pathOf(agent, name), fields, headers);
          t.is(page.status, 403, `${name}: ${about}`);
        }
        await browser.get(`${pathOf(agent, name)}?${new URLSearchParams({ ...form, ...CHANGES[name] })}`);
        t.deepEqual(await home.rows(), rows, name);
      }
    }
  });

  test.describe('whatever an agent calls itself', (test) => {
    const PLAIN = 'Robin';

    test('its name is text on every page and nothing else', async (t) => {
      const mailbox = newMailbox();
      const browser = await home.signIn(mailbox);
      const pageOf = async (name: string) => {
        const { text, status } = await browser.get(pathOf(await home.vouched(mailbox, { name })));
        t.is(status, 200);
        return plainly(text);
      };
      const harmless = await pageOf(PLAIN);
      const places = harmless.split(PLAIN).length;
      t.true(places > 4);
      for (const name of HOSTILE_NAMES) {
        const text = await pageOf(name);
        t.is(text.split(shown(name)).length, places, text);
        t.is(text.replaceAll(shown(name), PLAIN), harmless, name);
        t.notRegex(text, /[\u202a-\u202e\u2066-\u2069\u200b-\u200f]/);
      }

      const { text } = await browser.get('/agents');
      const articles = [...text.matchAll(/<article>[\s\S]*?<\/article>/g)].map(([one]) => plainly(one));
      t.is(articles.length, HOSTILE_NAMES.length + 1);
      for (const name of HOSTILE_NAMES.toReversed()) {
        t.is(articles.shift()!.replaceAll(shown(name), PLAIN), articles.at(-1)!, name);
      }

      const { text: activity } = await browser.get('/account/activity');
      const lines = [...activity.matchAll(/<li>([\s\S]*?)<\/li>/g)];
      t.is(lines.length, 50);
      for (const [line] of lines) {
        t.regex(line, /^<li>[^<>]*(?:: <b>[^<>]*<\/b>)? <span class="quiet small">[^<>]*<\/span><\/li>$/);
      }
      t.is(activity.match(/<ol/g)?.length, 1);
      t.regex(activity, /<\/ol>[\s\S]*<\/html>\s*$/);
    });

    test('so is a name that its human was talked into giving it', async (t) => {
      const { agent, browser } = await owned();
      for (const name of HOSTILE_NAMES) {
        const page = await change(browser, agent, 'rename', { name });
        t.is(page.status, 200, name);
        t.is(heading(page), shown(name));
        t.true(page.text.includes(`autocomplete="off" value="${shown(name)}">`), name);
        t.true(page.text.includes(`<title>${shown(name)} · Vouchsafe</title>`), name);
      }
    });
  });
});

onEveryEngine('the pages of agents and time', (engine, test) => {
  test('an agent that was let go lives as long as one that nobody vouches for, and then goes with all that it had', async (t) => {
    const home = await openHome(engine, { limits: { unclaimedTtlSeconds: 7200 } });
    t.teardown(() => home.stop('swept'));
    const { on } = home;
    const mailbox = newMailbox();
    const browser = await home.signIn(mailbox);
    const [linked, merged, asserted, stays] = [
      await home.vouched(mailbox, { link: true }),
      await home.vouched(mailbox),
      await home.vouched(mailbox, { asserted: true }),
      await home.vouched(mailbox),
    ];
    on.clock.advance(1000);
    await change(browser, linked, 'unlink');
    await change(browser, merged, 'undo');
    await change(browser, asserted, 'undo');
    const gone = [linked, merged, asserted];
    const answers = () =>
      Promise.all(gone.map(async ({ credential }) => said(await on.get('/api/me', credential))));
    const { user_id } = (await on.get('/api/me', asserted.credential)).body.data;
    on.clock.advance(7199);
    t.deepEqual(await answers(), ['200', '200', '200']);
    on.clock.advance(1);
    t.deepEqual(await answers(), Array(3).fill('401 invalid_token'));
    for (const { credential } of gone) t.deepEqual(await home.api.ask(credential), { active: false });

    on.clock.advance(DAY - 1);
    await deleteExpiredRows(on.service.deps);
    t.is(await countOf(on, 'agents'), 4, 'what has ended stays for a day');
    on.clock.advance(600);
    await deleteExpiredRows(on.service.deps);
    t.deepEqual(
      (await on.service.deps.db.all<{ id: string }>('SELECT id FROM agents')).map(({ id }) => id),
      [stays.agent_id],
    );
    for (const id of [linked.own, merged.own, user_id]) {
      t.is(await countOf(on, 'accounts WHERE id = ?', [id]), 0);
    }
    for (const { agent_id } of gone) {
      t.is(await countOf(on, 'credentials WHERE agent_id = ?', [agent_id]), 0);
      t.is(await countOf(on, 'registrations WHERE agent_id = ?', [agent_id]), 0);
    }
    t.is((await on.get('/api/me', stays.credential)).status, 200);
    const later = await home.signIn(mailbox, '/agents');
    t.deepEqual(await listed(later), [stays.agent_id]);
    t.regex((await later.get('/account/activity')).text, /An agent was unlinked from you/);
    on.clock.advance(2 * DAY); // by then the mails are gone, too
    await deleteExpiredRows(on.service.deps);
  });

  test('a merge can be undone for seven days, and not a second longer', async (t) => {
    const home = await openHome(engine);
    t.teardown(() => home.stop('swept'));
    const { on } = home;
    const mailbox = newMailbox();
    const agents = [await home.vouched(mailbox), await home.vouched(mailbox, { asserted: true })];
    on.clock.advance(7 * DAY - 1);
    const browser = await home.signIn(mailbox);
    for (const agent of agents) {
      const { text } = await browser.get(pathOf(agent));
      const until = new Date(on.clock() + 1000).toISOString().slice(0, 16).replace('T', ' ');
      t.regex(text, new RegExp(`Possible until ${until} UTC`));
    }
    const form = browser.form(pathOf(agents[1]!, 'undo'));
    on.clock.advance(1);
    const before = await home.rows();
    for (const agent of agents) {
      await browser.get(pathOf(agent));
      t.throws(() => browser.form(pathOf(agent, 'undo')));
      const page = await browser.send(pathOf(agent, 'undo'), form);
      t.is(page.status, 400);
      t.regex(page.text, /can be undone for seven days/);
    }
    t.deepEqual(await home.rows(), before);
    for (const { credential } of agents) {
      const { data } = (await on.get('/api/me', credential)).body;
      t.deepEqual(data.scopes, ['read', 'write']);
      t.is(data.mode, 'merge');
    }
  });

  test('the pages tell when an agent was last seen, and from where', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const clock = createTestClock(Date.parse('2031-02-03T04:05:06Z'));
    const mailbox = newMailbox();
    /** Opens the house, and closes it again when it was looked at: then what was noted is written. */
    const visit = async <Result>(work: (home: Home) => Promise<Result>): Promise<Result> => {
      const home = await openHome(engine, { database, clock });
      try {
        return await work(home);
      } finally {
        await home.stop();
      }
    };
    const seen = async (home: Home, agent: Vouched) => {
      const browser = await home.signIn(mailbox, '/agents');
      const article = new RegExp(`${agent.agent_id}[\\s\\S]*?</article>`).exec(
        (await browser.get('/agents')).text,
      )!;
      const { text } = await browser.get(pathOf(agent));
      return [/Last seen ([^.]*(?:\.[^.]+)*)\.\s*<\/p>/.exec(article[0])?.[1], fact(text, 'Last seen')];
    };
    const [caller, presenter, silent] = await visit(async (home) => {
      const agents = [
        await home.vouched(mailbox),
        await home.vouched(mailbox, { link: true }),
        await home.vouched(mailbox),
      ] as const;
      await home.on.get('/api/me', agents[0].credential);
      await home.api.ask(agents[1].credential);
      return agents;
    });
    await visit(async (home) => {
      const byNetwork = '2031-02-03 04:05 UTC, network 127.0.x.x';
      const byServer = '2031-02-03 04:05 UTC, The API';
      t.deepEqual(await seen(home, caller), [byNetwork, byNetwork]);
      t.deepEqual(await seen(home, presenter), [byServer, byServer]);
      t.deepEqual(await seen(home, silent), [undefined, 'not yet']);
      clock.advance(300);
      const shop = await home.addApi('https://shop.example.com', 'The <b>shop</b>');
      await shop.ask(caller.credential);
      await home.on.get('/api/me', presenter.credential);
    });
    await visit(async (home) => {
      const byShop = '2031-02-03 04:10 UTC, The &lt;b&gt;shop&lt;/b&gt;';
      t.deepEqual(await seen(home, caller), [byShop, byShop]);
      const byNetwork = '2031-02-03 04:10 UTC, network 127.0.x.x';
      t.deepEqual(await seen(home, presenter), [byNetwork, byNetwork]);
    });
  });
});
