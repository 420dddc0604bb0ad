import { type Browser, openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { SESSION, signIn, typeMailedCode } from '../helpers/human.ts';
import { type Home, openHome } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** A form that is sent after its session has ended loses nothing: its sender signs in and finds it filled in. */

onEveryEngine('forms and sessions', (engine, test) => {
  let home: Home;
  test.before(async () => {
    home = await openHome(engine);
  });
  test.after(() => home.stop());

  async function human(): Promise<{ mailbox: string; browser: Browser }> {
    const mailbox = newMailbox();
    return { mailbox, browser: await signIn(home.on, mailbox) };
  }

  test.describe('a form whose session ended while it was open', (test) => {
    /** The page, the path of its form, what is typed, and how the page shows that it is there again. */
    const forms: [page: string, path: string, fields: Record<string, string>, shows: readonly string[]][] = [
      [
        '/keys/new',
        '/keys/new',
        { name: 'My <key>', preset: 'choose', 'scope:write': 'on', life: '30' },
        [
          'value="My &lt;key&gt;"',
          'value="choose" checked',
          'name="scope:write" value="on" checked',
          'value="30" checked',
        ],
      ],
      [
        '/account/delete',
        '/account/delete',
        { mailbox: 'half-typed@example' },
        ['value="half-typed@example"'],
      ],
      ['/account', '/account/language', { locale: 'de' }, ['value="de" lang="de" selected']],
      ['AGENT/rename', 'AGENT/rename', { name: 'Another "name"' }, ['value="Another &quot;name&quot;"']],
      [
        'AGENT',
        'AGENT/narrow',
        { 'scope:read': 'on' },
        ['name="scope:read" value="on" checked', 'name="scope:write" value="on">'],
      ],
    ];
    const ENDS: [how: string, end: (browser: Browser) => void | Promise<void>][] = [
      ['its cookie is gone', (browser) => void browser.cookies.delete(SESSION)],
      [
        'it was ended elsewhere',
        async (browser) => {
          const other = openBrowser(home.on);
          for (const [name, value] of browser.cookies) other.cookies.set(name, value);
          await other.get('/account');
          await other.post('/sign-out');
        },
      ],
      ['it grew too old', () => home.on.clock.advance(31 * 86_400)],
    ];
    for (const [how, end] of ENDS) {
      for (const [page, path, typed, shows] of forms) {
        test(`is filled in again after signing in: ${path}, ${how}`, async (t) => {
          const { mailbox, browser } = await human();
          const { agent_id } = await home.vouched(mailbox);
          const [at, to] = [page, path].map((each) => each.replace('AGENT', `/agents/${agent_id}`)) as [
            string,
            string,
          ];
          await browser.get(at);
          const { csrf, once } = browser.form(to);
          await end(browser);
          const rows = await home.rows();
          const led = await browser.send(to, { csrf: csrf!, ...(once && { once }), ...typed });
          t.is(led.path, `/sign-in?next=${at}`);
          t.deepEqual(await home.rows(), rows, 'nothing was done');
          const back = await typeMailedCode(home.on, mailbox, { browser, next: at });
          t.is(back.path, at);
          for (const part of shows) t.true(back.text.includes(part), `${part} in ${back.text}`);
          const again = await browser.get(at);
          for (const part of shows.filter((each) => each.startsWith('value="') && !each.includes('choose'))) {
            t.false(again.text.includes(part), `once: ${part}`);
          }
        });
      }
    }

    test('that was only to be confirmed again is filled in as well', async (t) => {
      const { mailbox, browser } = await human();
      await browser.get('/keys/new');
      const { csrf, once } = browser.form('/keys/new');
      home.on.clock.advance(901);
      const led = await browser.send('/keys/new', {
        csrf: csrf!,
        once: once!,
        name: 'Kept',
        preset: 'read-only',
        life: '7',
      });
      t.is(led.path, '/sign-in/again?next=/keys/new');
      await browser.post('/sign-in/again');
      const back = await browser.post('/sign-in/code', { code: await home.on.signInCodeFor(mailbox, 2) });
      t.is(heading(back), 'Create key');
      t.true(back.text.includes('value="Kept"'));
    });

    test('that another site sent is refused as ever, and leaves nothing behind', async (t) => {
      const { browser } = await human();
      browser.cookies.delete(SESSION);
      const headers = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' };
      const refused = await browser.send(
        '/keys/new',
        { csrf: 'x', once: 'x'.repeat(32), name: 'Theirs', preset: 'read-only', life: '7' },
        headers,
      );
      t.is(refused.status, 403);
      t.is(browser.cookies.get('vouchsafe_draft'), undefined);
    });

    test('is not kept where it is larger than a cookie may be; the way leads on', async (t) => {
      const { browser } = await human();
      await browser.get('/keys/new');
      const fields = { ...browser.form('/keys/new'), name: 'Long', preset: 'choose', life: '7' };
      const many = Array.from({ length: 40 }, (_, index) => [
        `resource:https://${'x'.repeat(60)}.${'x'.repeat(60)}.example/${index}`,
        'on',
      ]);
      browser.cookies.delete(SESSION);
      const led = await browser.send('/keys/new', { ...fields, ...Object.fromEntries(many) });
      t.is(led.path, '/sign-in?next=/keys/new');
      t.is(browser.cookies.get('vouchsafe_draft'), undefined);
    });
  });

  test.describe('a new key', (test) => {
    for (const [preset, scope] of [
      ['read-only', 'write'],
      ['read-write', 'read'],
      ['read-only', 'read'],
    ] as const) {
      test(`with "${preset}" selected and "${scope}" ticked is refused by name, and the form keeps both`, async (t) => {
        const { browser } = await human();
        await browser.get('/keys/new');
        const said = await browser.post('/keys/new', { name: 'Both', preset, [`scope:${scope}`]: 'on' });
        t.is(said.status, 400);
        t.regex(said.text, /You chose “Read (?:only|and write)” and single permissions, too\./);
        t.notRegex(said.text, /class="[^"]*if-custom/, 'what is to be unticked is seen');
        t.true(said.text.includes(`value="${preset}" checked`));
        t.true(said.text.includes(`name="scope:${scope}" value="on" checked`));
      });
    }
  });

  test('a form under `Origin: null` without Sec-Fetch-Site counts by its token (a page under `no-referrer`)', async (t) => {
    const { mailbox, browser } = await human();
    const { agent_id } = await home.vouched(mailbox);
    await browser.get(`/agents/${agent_id}/rename`);
    const fields = { ...browser.form(`/agents/${agent_id}/rename`), name: 'Renamed' };
    const mute = { Origin: 'null', 'Sec-Fetch-Site': undefined };
    const wrong = await browser.send(`/agents/${agent_id}/rename`, { ...fields, csrf: 'wrong' }, mute);
    t.is(wrong.status, 403);
    const right = await browser.send(`/agents/${agent_id}/rename`, fields, mute);
    t.is(right.status, 200);
    t.true(right.text.includes('Renamed'));
  });
});
