import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { dumpOf } from '../helpers/dump.ts';
import { SESSION } from '../helpers/human.ts';
import { credentialIn, fill, history, keyPages, MADE, makeMany, problemIn } from '../helpers/key-pages.ts';
import { type Home, openHome } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('creating a key on its page', (engine, test) => {
  let home: Home;
  test.before(async () => {
    home = await openHome(engine);
  });
  test.after(() => home.stop());

  const { me, make, human, form } = keyPages(() => home);

  const keysOf = async (mailbox: string) =>
    countOf(home.on, 'credentials WHERE agent_id IS NULL AND account_id = ?', [
      await home.accountOf(mailbox),
    ]);

  test.describe('making one', (test) => {
    test('from a preset gives a key of the human alone, with the scopes of the preset', async (t) => {
      const { mailbox, browser, account } = await human();
      const presets = [...home.on.service.deps.config.presets];
      t.deepEqual(
        presets.map(([, { scopes }]) => scopes),
        [['read'], ['read', 'write']],
      );
      const { text } = await browser.get('/keys/new');
      t.regex(text, /value="read-only" checked>.*Recommended/);
      for (const [preset, { scopes }] of presets) {
        const { credential, id } = await make(browser, { preset, name: ` ${preset} `, life: 'never' });
        t.regex(credential, /^sk_[0-9A-Za-z]{49}$/);
        const { key, resources, next, ...about } = await me(credential);
        t.deepEqual(resources, [home.on.url, home.api.url]);
        t.regex(next, /Its human manages it at /);
        t.deepEqual(about, {
          user_id: account,
          kind: 'human',
          owner: `${mailbox[0]}***@${mailbox.split('@')[1]}`,
          scopes,
        });
        t.is(key.name, preset);
        t.is(key.resources, undefined);
        t.is(key.expires_at, null);

        const heard = await home.api.ask(credential);
        const now = Math.floor(home.on.clock() / 1000);
        t.deepEqual(heard, {
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
          credential_kind: 'personal',
          credential_form: 'key',
          owner: account,
        });
      }
    });

    test('of single scopes gives those, and no others', async (t) => {
      const { browser } = await human();
      for (const scopes of [['write'], ['read'], ['write', 'read']]) {
        const boxes = Object.fromEntries(scopes.map((scope) => [`scope:${scope}`, 'on']));
        const { credential } = await make(browser, { preset: 'choose', ...boxes, 'scope:admin': 'on' });
        t.deepEqual((await me(credential)).scopes, scopes.toSorted());
        t.is((await home.api.ask(credential)).scope, scopes.toSorted().join(' '));
      }
    });

    test('shows it once: on no later page, in no export and in no log', async (t) => {
      const { browser } = await human();
      const page = await fill(browser, { name: 'Shy' });
      const credential = credentialIn(page);
      t.is(page.headers.get('cache-control'), 'no-store');
      t.is(page.headers.get('referrer-policy'), 'no-referrer');
      t.is(page.text.split(credential).length, 2);
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
        t.is(later.status, 200, path);
        t.false(later.text.includes(secret), path);
      }
      t.false((await home.on.get('/api/me', credential)).text.includes(secret));
      t.false(home.on.logged.join('\n').includes(secret));
      t.false((await dumpOf(home.on)).includes(secret));
      const [listed] = await history(browser);
      t.is(listed!.name, 'Shy');
      t.regex(listed!.text, new RegExp(`<span class="under mono prefix">${credential.slice(0, 7)}…</span>`));
      t.regex(listed!.text, /<span class="chip">read<\/span>[\s\S]*Never used[\s\S]*Expires"><time/);
    });

    test('says how to use it with a variable in place of the key', async (t) => {
      const { browser } = await human();
      const { text } = await fill(browser);
      t.true(
        text.includes(
          `<pre class="block" id="command">curl ${home.on.url} \\\n  -H &quot;Authorization: Bearer $VOUCHSAFE_KEY&quot;</pre>`,
        ),
        text,
      );
      const json = /<pre class="block" id="mcp">([\s\S]*?)<\/pre>/.exec(text)![1]!.replaceAll('&quot;', '"');
      t.deepEqual(JSON.parse(json), {
        mcpServers: {
          vouchsafe: {
            type: 'http',
            url: home.on.url,
            headers: { Authorization: `Bearer \${VOUCHSAFE_KEY}` },
          },
        },
      });
      for (const id of ['key', 'command', 'mcp']) {
        t.regex(
          text,
          new RegExp(`<button type="button"[^>]* data-copy="${id}" data-copied="Copied"[^>]* hidden>`),
        );
      }
    });

    test('the same form sent twice, five times at once or again a little later makes one key, and shows it until the browser has it', async (t) => {
      const { mailbox, browser } = await human();
      const fields = await form(browser);
      const pages = await atOnce(5, () => browser.send('/keys/new', fields));
      for (const { status } of pages) t.is(status, 200);
      const keys = new Set(pages.map(credentialIn));
      t.is(keys.size, 1);
      t.is(await keysOf(mailbox), 1);
      for (const seconds of [0, 100, 199]) {
        home.on.clock.advance(seconds);
        const again = await browser.send('/keys/new', fields);
        t.deepEqual([again.status, again.text.includes([...keys][0]!)], [200, false]);
      }
      t.is(await keysOf(mailbox), 1);

      const twice = await form(browser, { name: 'double click' });
      const first = credentialIn(await browser.send('/keys/new', twice));
      t.false((await browser.send('/keys/new', twice)).text.includes(first));
      t.is(await keysOf(mailbox), 2);
      t.is(
        await countOf(home.on, `events WHERE kind = 'key.created' AND account_id = ?`, [
          await home.accountOf(mailbox),
        ]),
        2,
      );
    });

    test('a form that was changed after it made a key is shown again, and then makes another', async (t) => {
      const { mailbox, browser } = await human();
      const fields = await form(browser);
      await browser.send('/keys/new', fields);
      const changed = await browser.send('/keys/new', { ...fields, name: 'another' });
      t.is(changed.status, 400);
      t.regex(changed.text, /created a key already/);
      credentialIn(await browser.post('/keys/new', { name: 'another', preset: 'read-only', life: '7' }));
      t.is(await keysOf(mailbox), 2);
    });

    test('a form taken over into another session shows nobody the key that it made', async (t) => {
      const [one, other] = [await human(), await human()];
      const fields = await form(one.browser);
      const key = credentialIn(await one.browser.send('/keys/new', fields));
      const { csrf } = await form(other.browser);
      const theirs = credentialIn(await other.browser.send('/keys/new', { ...fields, csrf: csrf! }));
      t.not(theirs, key);
      t.is((await me(theirs)).user_id, other.account);
    });

    test('what cannot be made is said on the form, which keeps what was typed, and makes nothing', async (t) => {
      const { mailbox, browser } = await human();
      const cases: [Record<string, string>, RegExp][] = [
        [{ name: '' }, /^Enter a name for the key\.$/],
        [{ name: '   ' }, /^Enter a name for the key\.$/],
        [{ preset: 'choose' }, /^Choose at least one permission\.$/],
        [{ preset: 'admin' }, /^Choose at least one permission\.$/],
        [{ preset: 'choose', 'scope:admin': 'on' }, /^Choose at least one permission\.$/],
        [{ preset: '__proto__' }, /^Choose at least one permission\.$/],
        [{ 'resource:https://unknown.example': 'on' }, /^One of the resource servers isn’t offered any more/],
        [{ [`resource:${home.api.url}/`]: 'on' }, /^One of the resource servers isn’t offered any more/],
      ];
      for (const [fields, problem] of cases) {
        const page = await fill(browser, { life: '30', ...fields });
        const about = JSON.stringify(fields);
        t.is(page.status, 400, about);
        t.is(heading(page), 'Create key', about);
        t.regex(problemIn(page) ?? '', problem, about);
        t.regex(page.text, /name="life" value="30" checked>/, about);
        t.regex(page.text, /<title>Error: Create key · /, about);
        if (fields.name === undefined) t.regex(page.text, /name="name"[^>]* value="script">/, about);
        t.notRegex(page.text, /sk_/);
      }
      for (const [field, value] of [
        ['life', '1'],
        ['life', '-7'],
        ['name', 'x'.repeat(65)],
        ['once', 'x'],
        ['once', ''],
      ] as const) {
        const page = await fill(browser, { [field]: value });
        t.is(page.status, 400, `${field} ${value}`);
        t.regex(page.text, /^<!doctype html>/);
      }
      t.is(await keysOf(mailbox), 0);

      // What was mended is made.
      await fill(browser, { name: '' });
      credentialIn(await browser.post('/keys/new', { name: 'mended', preset: 'read-only' }));
      t.is(await keysOf(mailbox), 1);
    });

    test('a hundred keys that work are the most, also when ten are asked for at once; one that ended makes room', async (t) => {
      const { mailbox, browser, account } = await human();
      await makeMany(home, account, 96, undefined);
      const { id } = await make(browser, { life: '7' });
      const forms = await Promise.all(Array.from({ length: 10 }, () => form(browser)));
      t.is(new Set(forms.map(({ once }) => once)).size, 10);
      const pages = await Promise.all(forms.map((fields) => browser.send('/keys/new', fields)));
      t.is(pages.filter((page) => heading(page) === MADE).length, 3);
      const refused = pages.filter(({ status }) => status === 400);
      t.is(refused.length, 7);
      for (const page of refused)
        t.is(problemIn(page), 'You have 100 active keys, the most an account can have. Revoke one first.');
      t.is(await keysOf(mailbox), 100);

      await browser.get(`/keys/${id}/revoke`);
      await browser.post(`/keys/${id}/revoke`);
      credentialIn(await fill(browser));
      t.is((await fill(browser)).status, 400);
      t.is((await history(browser)).filter(({ isStruck }) => !isStruck).length, 100);
    });
  });

  test.describe('what it takes to make one', (test) => {
    test('who is not signed in is led to sign in, and from there to the keys', async (t) => {
      const { browser: known } = await human();
      const { id } = await make(known);
      const browser = openBrowser(home.on);
      for (const path of ['/keys', '/keys/new']) {
        t.is((await browser.get(path)).path, `/sign-in?next=${path}`);
      }
      const { csrf } = browser.form('/sign-in');
      const before = await home.rows();
      const fields = { csrf: csrf!, once: 'A'.repeat(32), name: 'x', preset: 'read-only' };
      t.is((await browser.send('/keys/new', fields)).path, '/sign-in?next=/keys/new');
      t.is(heading(await browser.send(`/keys/${id}/revoke`, { csrf })), 'Sign in');
      t.deepEqual(await home.rows(), before);
      await home.signIn(newMailbox(), '/keys/new', browser);
      t.is(heading(await browser.get('/keys/new')), 'Create key');
    });

    test('a code typed within a quarter of an hour: who has none is asked for one, and is then in a new session', async (t) => {
      const { mailbox, browser } = await human();
      home.on.clock.advance(899);
      const stale = await form(browser, { name: 'in time' });
      credentialIn(await browser.send('/keys/new', stale));
      home.on.clock.advance(1);

      const before = await home.rows();
      const late = { ...stale, once: 'B'.repeat(32) };
      const posted = await browser.send('/keys/new', late);
      t.deepEqual(posted.redirects, [`${home.on.url}/sign-in/again?next=/keys/new`]);
      t.is((await browser.send('/keys/new', stale)).path, '/sign-in/again?next=/keys/new');
      t.deepEqual(await home.rows(), before);
      t.is(await keysOf(mailbox), 1);
      t.is(heading(await browser.get('/keys')), 'Keys', 'looking needs no new code');

      const page = await browser.get('/keys/new');
      t.deepEqual(page.redirects, [`${home.on.url}/sign-in/again?next=/keys/new`]);
      t.is(heading(page), 'Confirm it’s you');
      t.true(page.text.includes(`<b><bdi>${mailbox}</bdi></b>`));
      const old = browser.cookies.get(SESSION)!;
      const asked = await browser.post('/sign-in/again');
      t.is(asked.path, '/sign-in/code?next=/keys/new');
      const arrived = await browser.post('/sign-in/code', { code: await home.on.signInCodeFor(mailbox, 2) });
      t.is(arrived.path, '/keys/new');
      t.is(heading(arrived), 'Create key');
      t.not(browser.cookies.get(SESSION), old);
      // The form from before is of no use in the new session.
      t.is((await browser.send('/keys/new', late)).status, 403);
      await make(browser);
      t.is(await keysOf(mailbox), 2);

      const thief = openBrowser(home.on);
      thief.cookies.set(SESSION, old);
      t.is((await thief.get('/keys')).path, '/sign-in?next=/keys');
    });

    test('asking again for a code mails it to the mailbox of the session, and names a form that says another', async (t) => {
      const { mailbox, browser } = await human();
      home.on.clock.advance(901);
      await browser.get('/keys/new');
      const other = newMailbox();
      const fields = browser.form('/sign-in/again');
      for (const named of ['email', 'mailbox']) {
        const refused = await browser.send('/sign-in/again', { ...fields, [named]: other });
        t.is(refused.status, 400, named);
        t.true(refused.text.includes(named), named);
      }
      await browser.get('/keys/new');
      const asked = await browser.post('/sign-in/again');
      t.true(asked.text.includes(mailbox));
      t.regex(await home.on.signInCodeFor(mailbox, 2), /^[0-9]{6}$/);
      t.is(home.on.signInMails.filter(({ to }) => to === other).length, 0);
    });
  });
});
