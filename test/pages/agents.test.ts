import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import {
  agentPages,
  CHANGES,
  change,
  fact,
  formPageOf,
  idOn,
  listed,
  pathOf,
  permissionsOn,
  plainText,
  rowsOn,
} from '../helpers/agent-pages.ts';
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

/** `26 November 2026, 00:04 UTC`. */
function longDate(at: number): string {
  const date = new Date(at).toLocaleDateString('en-GB', { dateStyle: 'long', timeZone: 'UTC' });
  return `${date}, ${new Date(at).toISOString().slice(11, 16)} UTC`;
}

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
      t.is(heading(page), 'Agents');
      t.deepEqual(
        await listed(browser),
        [asserted, linked, merged].map(({ agent_id }) => agent_id),
      );
      t.notRegex(page.text, /Foreign/);
      const cells = rowsOn(page.text).map((row) =>
        [...row.matchAll(/<td[\s\S]*?<\/td>/g)].map(([cell]) => plainText(cell)).slice(0, 5),
      );
      const shortId = ({ agent_id }: Vouched) => `${agent_id.slice(0, 12)}…${agent_id.slice(-4)}`;
      t.deepEqual(cells, [
        [`Asserted ${shortId(asserted)}`, 'Merged', 'read write', 'Never used', 'Active'],
        [`Unnamed agent ${shortId(linked)}`, 'Linked', 'read write', 'Never used', 'Active'],
        [`Merged ${shortId(merged)}`, 'Merged', 'read write', 'Never used', 'Active'],
      ]);
      for (const agent of [merged, linked, asserted]) {
        const { text, status } = await browser.get(pathOf(agent));
        t.is(status, 200);
        t.is(idOn(text), agent.agent_id);
        t.deepEqual(permissionsOn(text), ['read', 'write']);
        t.is(fact(text, 'Type')?.split(':')[0], agent === linked ? 'Linked' : 'Merged');
        for (const key of [agent.credential, agent.claim_token]) t.false(text.includes(key.slice(7)));
      }
    });

    test('who has no agent is told where agents begin', async (t) => {
      const browser = await home.signIn(newMailbox(), '/agents');
      const { text } = await browser.get('/agents');
      t.regex(text, /No agents yet/);
      t.true(text.includes(`<code id="address">${home.on.url}/auth.md</code>`));
      t.notRegex(text, /href="\/agents\?add=on"/);
    });

    test('who has agents finds the same behind a button', async (t) => {
      const { browser } = await owned();
      t.regex((await browser.get('/agents')).text, /href="\/agents\?add=on"/);
      const { text } = await browser.get('/agents?add=on');
      t.true(text.includes(`<code id="address">${home.on.url}/auth.md</code>`));
      t.is(rowsOn(text).length, 1);
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
      const { csrf } = stranger.browser.form(pathOf(stranger.agent, 'narrow'));
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
          if (name !== 'narrow') {
            const asked = await stranger.browser.get(`/agents/${id}/${name}`);
            t.is(asked.status, 404, `${id} ${name}`);
            texts.add(plainly(asked.text));
          }
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
        t.is(page.path, `/sign-in?next=${formPageOf(agent, name)}`, name);
        t.is(heading(page), 'Sign in');
        t.is((await browser.get(formPageOf(agent, name))).path, `/sign-in?next=${formPageOf(agent, name)}`);
      }
      t.deepEqual(await home.rows(), before);

      await browser.get(pathOf(agent));
      await browser.post('/sign-in', { email: mailbox });
      const page = await browser.post('/sign-in/code', { code: await home.on.signInCodeFor(mailbox) });
      t.is(page.path, pathOf(agent));
      t.is(idOn(page.text), agent.agent_id);
    });

    test('a form that is sent after the session ran out leads to signing in, and changes nothing', async (t) => {
      const { mailbox, agent, browser } = await owned({ name: 'Robin' });
      await browser.get(pathOf(agent, 'revoke'));
      const form = browser.form(pathOf(agent, 'revoke'));
      home.on.clock.advance(1800);
      const led = await browser.send(pathOf(agent, 'revoke'), form);
      t.is(led.path, `/sign-in?next=${pathOf(agent, 'revoke')}`);
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
      t.is(fact(page.text, 'Name'), 'Chosen by the agent, not verified');
      t.is((await me(agent.credential)).agent_name, 'Robin');

      const renamed = await change(browser, agent, 'rename', { name: '  Invoices & “more”  ' });
      t.is(renamed.path, pathOf(agent));
      t.is(heading(renamed), 'Invoices &amp; “more”');
      t.is(fact(renamed.text, 'Name'), 'Given by you');
      t.regex(renamed.text, /role="status">.*Name saved\./s);
      t.regex((await browser.get('/agents')).text, />Invoices &amp; “more”<\/bdi><\/a>/);
      t.is((await me(agent.credential)).agent_name, 'Invoices & “more”');
      t.is(await home.eventsOf('agent.renamed', agent.agent_id), 1);
    });

    test('an agent without a name says so, and can be given one', async (t) => {
      const { agent, browser } = await owned({ link: true });
      const page = await browser.get(pathOf(agent));
      t.is(heading(page), 'Unnamed agent');
      t.is(fact(page.text, 'Name'), 'None');
      t.is(heading(await change(browser, agent, 'rename', { name: 'x'.repeat(64) })), 'x'.repeat(64));
      t.is((await me(agent.credential)).agent_name, 'x'.repeat(64));
    });

    test('no name, and one of more than 64 characters, are refused on a page and change nothing', async (t) => {
      const { agent, browser } = await owned({ name: 'Robin' });
      await browser.get(pathOf(agent, 'rename'));
      const { csrf } = browser.form(pathOf(agent, 'rename'));
      const before = await home.rows();
      for (const name of [undefined, '', '   ', '\u200b', '\u3164', 'x'.repeat(65), 'a\u0000b']) {
        const page = await browser.send(pathOf(agent, 'rename'), { csrf, name });
        t.is(page.status, 400, name);
        t.regex(page.text, /^<!doctype html>/);
      }
      const blank = await browser.send(pathOf(agent, 'rename'), { csrf, name: '\u3164' });
      t.is(heading(blank), 'Rename this agent');
      t.regex(blank.text, /<title>Error: /);
      t.regex(blank.text, /aria-describedby="name-hint name-error" aria-invalid="true"/);
      t.regex(blank.text, /id="name-error">.*Enter a name for the agent\./);
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
      await stranger.browser.get(pathOf(stranger.agent, 'rename'));
      for (const name of names) {
        const asking = formPageOf(agent, name);
        await sibling.get(asking);
        const swapped = await tokenInSessionOf(sibling, browser, asking, pathOf(agent, name));
        await browser.get(asking);
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
      t.true(places > 4, harmless);
      for (const name of HOSTILE_NAMES) {
        const text = await pageOf(name);
        t.is(text.split(shown(name)).length, places, text);
        t.is(text.replaceAll(shown(name), PLAIN), harmless, name);
        t.notRegex(text, /[\u202a-\u202e\u2066-\u2069\u200b-\u200f]/);
      }

      const { text } = await browser.get('/agents');
      const second = /href="([^"]*)" rel="next"/.exec(text)![1]!.replaceAll('&amp;', '&');
      const rows = rowsOn(text + (await browser.get(second)).text).map(plainly);
      t.is(rows.length, HOSTILE_NAMES.length + 1);
      for (const name of HOSTILE_NAMES.toReversed()) {
        t.is(rows.shift()!.replaceAll(shown(name), PLAIN), rows.at(-1)!, name);
      }

      const { text: activity } = await browser.get('/account/activity');
      const lines = [...activity.matchAll(/<li class="event">([\s\S]*?)<\/li>/g)];
      t.is(lines.length, 25);
      for (const [line] of lines) {
        t.regex(
          line.replaceAll(/<svg[\s\S]*?<\/svg>/g, ''),
          /^<li class="event"><span class="round [a-z]*"><\/span><div class="what"><p>(?:[^<>]|<bdi>[^<>]*<\/bdi>|<code>[^<>]*<\/code>)*<\/p>(?:<p class="meta">[^<>]*<\/p>)?<\/div><p class="when"><time [^<>]*>[^<>]*<\/time><\/p><\/li>$/,
        );
      }
      const main = /<main[\s\S]*<\/main>/.exec(activity)![0];
      t.is(main.match(/<ol/g)?.length, 1);
      t.regex(activity, /<\/ol>[\s\S]*<\/html>\s*$/);
    });

    test('so is a name that its human was talked into giving it', async (t) => {
      const { agent, browser } = await owned();
      for (const name of HOSTILE_NAMES) {
        const page = await change(browser, agent, 'rename', { name });
        t.is(page.status, 200, name);
        t.is(heading(page), shown(name));
        t.true(page.text.includes(`<title>${shown(name)} · Vouchsafe</title>`), name);
        const { text } = await browser.get(pathOf(agent, 'rename'));
        t.true(text.includes(`autocomplete="off" value="${shown(name)}" `), name);
        for (const path of ['undo', 'revoke']) {
          const asked = await browser.get(pathOf(agent, path));
          t.true(heading(asked)?.includes(`“${shown(name)}”`), asked.text);
        }
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
    t.regex((await later.get('/account/activity')).text, /You unlinked /);
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
      t.regex(plainText(text), new RegExp(`Possible until ${longDate(on.clock() + 1000)} ?\\.`));
      t.is(
        fact((await browser.get(pathOf(agent, 'undo'))).text, 'Possible until'),
        longDate(on.clock() + 1000),
      );
    }
    const form = browser.form(pathOf(agents[1]!, 'undo'));
    on.clock.advance(1);
    const before = await home.rows();
    for (const agent of agents) {
      t.notRegex((await browser.get(pathOf(agent))).text, /Move out/);
      t.is((await browser.get(pathOf(agent, 'undo'))).path, pathOf(agent));
      const page = await browser.send(pathOf(agent, 'undo'), form);
      t.is(page.status, 400);
      t.regex(page.text, /can move out of your account for 7 days/);
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
      const row = rowsOn((await browser.get('/agents')).text).find((each) => each.includes(agent.agent_id))!;
      const cell = /<td role="cell" data-label="Last used">([\s\S]*?)<\/td>/.exec(row)![1]!;
      const { text } = await browser.get(pathOf(agent));
      const exact = /title="([^"]*)"/.exec(cell)?.[1];
      const from = /<span class="under">([^<]*)<\/span>/.exec(cell)?.[1];
      return [exact && `${exact} ${from}`, fact(text, 'Last used')];
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
      const byNetwork = '3 Feb 2031, 04:05 UTC 127.0.x.x';
      const byServer = '3 Feb 2031, 04:05 UTC The API';
      t.deepEqual(await seen(home, caller), [byNetwork, `Just now ${byNetwork}`]);
      t.deepEqual(await seen(home, presenter), [byServer, `Just now ${byServer}`]);
      t.deepEqual(await seen(home, silent), [undefined, 'Never used']);
      clock.advance(300);
      const shop = await home.addApi('https://shop.example.com', 'The <b>shop</b>');
      await shop.ask(caller.credential);
      await home.on.get('/api/me', presenter.credential);
    });
    await visit(async (home) => {
      const byShop = '3 Feb 2031, 04:10 UTC The &lt;b&gt;shop&lt;/b&gt;';
      t.deepEqual(await seen(home, caller), [byShop, `Just now ${byShop}`]);
      const byNetwork = '3 Feb 2031, 04:10 UTC 127.0.x.x';
      t.deepEqual(await seen(home, presenter), [byNetwork, `Just now ${byNetwork}`]);
    });
  });
});
