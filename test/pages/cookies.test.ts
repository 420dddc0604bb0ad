import { request } from 'node:http';
import { openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { isIn, signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

/** The names and flags of the cookies that a page sets, asked for at the host of PUBLIC_URL. */
function cookiesOf(on: TestService, publicUrl: string, cookie?: string): Promise<string[]> {
  const { host } = new URL(publicUrl);
  return new Promise((resolve, reject) => {
    const headers = { Host: host, ...(cookie && { Cookie: cookie }) };
    request(`${on.url}/sign-in`, { headers }, (response) => {
      response.resume();
      resolve((response.headers['set-cookie'] ?? []).map((line) => line.replace(/=[^;]*/, '=…')));
    })
      .on('error', reject)
      .end();
  });
}

test.describe('cookies', (test) => {
  let plain: TestService;
  let secure: TestService;
  const HTTPS = 'https://localhost:4443';
  test.before(async () => {
    plain = await startTestService('sqlite');
    secure = await startTestService('sqlite', { env: { PUBLIC_URL: HTTPS } });
  });
  test.after(async () => {
    await plain.stop();
    await secure.stop();
  });

  test('go without Secure on http of this machine, where WebKit drops those with it, and the log says so', async (t) => {
    const page = await cookiesOf(plain, plain.url);
    t.deepEqual(page, ['vouchsafe_browser=…; Path=/; HttpOnly; SameSite=Lax']);
    t.true(plain.logged.some((line) => line.includes('without Secure')));
  });

  test('are bound to the host and Secure on https', async (t) => {
    t.deepEqual(await cookiesOf(secure, HTTPS), ['__Host-browser=…; Path=/; Secure; HttpOnly; SameSite=Lax']);
    t.false(secure.logged.some((line) => line.includes('without Secure')));
  });

  test('count under their own name alone: another site of the host cannot set those that https believes', async (t) => {
    const known = 'a'.repeat(32);
    // One that is known is not set anew.
    t.deepEqual(await cookiesOf(secure, HTTPS, `__Host-browser=${known}`), []);
    t.deepEqual(await cookiesOf(plain, plain.url, `vouchsafe_browser=${known}`), []);
    const foreign = [
      [secure, HTTPS, `vouchsafe_browser=${known}`],
      [secure, HTTPS, `browser=${known}`],
      [plain, plain.url, `__Host-browser=${known}`],
      [plain, plain.url, `browser=${known}`],
    ] as const;
    for (const [on, url, cookie] of foreign) {
      t.is((await cookiesOf(on, url, cookie)).length, 1, `${url} believed ${cookie}`);
    }
  });

  test('a session of one name is none under the other', async (t) => {
    const browser = await signIn(plain, 'names@example.com');
    const session = browser.cookies.get('vouchsafe_session')!;
    browser.cookies.delete('vouchsafe_session');
    browser.cookies.set('__Host-session', session);
    t.false(await isIn(browser));
    browser.cookies.set('vouchsafe_session', session);
    t.true(await isIn(browser));
  });
});

test.describe('pages that refuse', (test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService('sqlite');
  });
  test.after(() => on.stop());
  const NAV =
    /<header class="top">[\s\S]*href="\/agents"[\s\S]*href="\/keys"[\s\S]*href="\/account"[\s\S]*<\/header>/;

  test('keep the navigation of whoever is signed in, and have none for others', async (t) => {
    const browser = await signIn(on, 'lost@example.com');
    const stranger = openBrowser(on);
    const refused: [string, number][] = [
      ['/agents/agt_nobody', 404],
      ['/nowhere/at/all', 404],
    ];
    for (const [path, status] of refused) {
      const mine = await browser.get(path, { Accept: 'text/html' });
      if (mine.headers.get('content-type')?.startsWith('application/json')) continue; // no page of ours
      t.is(mine.status, status, path);
      t.regex(mine.text, NAV, path);
    }
    const form = { csrf: 'x', once: 'x'.repeat(32), name: 'x' };
    const post = await browser.send('/keys/new', form);
    t.is(post.status, 403);
    t.regex(post.text, NAV);
    const malformed = await browser.send('/keys/new', { csrf: 'x' });
    t.is(malformed.status, 400);
    t.regex(malformed.text, NAV);
    const theirs = await stranger.send('/keys/new', form);
    t.notRegex(theirs.text, NAV);
    t.regex((await browser.get('/')).text, NAV);
    t.regex((await browser.get('/')).text, /href="\/agents">Your agents/);
    t.notRegex((await stranger.get('/')).text, NAV);
  });

  test('also where the limits refuse, and where the form is too large', async (t) => {
    const browser = await signIn(on, 'large@example.com');
    const page = await browser.send('/keys/new', { csrf: 'x', name: 'x'.repeat(100_000) });
    t.is(page.status, 413);
    t.regex(page.text, NAV);
  });
});

test.describe('a key that was made', (test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService('sqlite');
  });
  test.after(() => on.stop());
  const SECRET = /<code id="key">(sk_[^<]+)<\/code>/;
  const FIELDS = { name: 'deploy', preset: 'choose', 'scope:read': 'on', life: '30' };

  test('is shown once: reloading the page says what it is and not its secret (S-22)', async (t) => {
    const browser = await signIn(on, 'once@example.com');
    await browser.get('/keys/new');
    const form = browser.form('/keys/new');
    const made = await browser.send('/keys/new', { ...form, ...FIELDS });
    const secret = SECRET.exec(made.text)?.[1] ?? t.fail(made.text);
    for (const again of [1, 2]) {
      const page = await browser.send('/keys/new', { ...form, ...FIELDS });
      t.is(page.status, 200, `${again}`);
      t.is(heading(page), 'This key was shown already');
      t.false(page.text.includes(secret), 'the secret came again');
      t.regex(page.text, /deploy/);
    }
    const keys = await browser.get('/keys');
    t.is(keys.text.match(/>deploy</g)?.length, 1);
    t.false(keys.text.includes(secret));
  });

  test('a form that is sent twice before any answer came shows it in both, and makes one', async (t) => {
    const browser = await signIn(on, 'twice@example.com');
    await browser.get('/keys/new');
    const form = browser.form('/keys/new');
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const post = async () => {
      const response = await fetch(`${on.url}/keys/new`, {
        method: 'POST',
        headers: { Cookie: cookie, Origin: on.url, Accept: 'text/html' },
        body: new URLSearchParams({ ...form, ...FIELDS }),
      });
      return SECRET.exec(await response.text())?.[1];
    };
    const [one, two] = await Promise.all([post(), post()]);
    t.truthy(one);
    t.is(one, two);
  });

  test('the next key of the same browser is shown', async (t) => {
    const browser = await signIn(on, 'next@example.com');
    for (const name of ['first', 'second']) {
      await browser.get('/keys/new');
      const page = await browser.post('/keys/new', { ...FIELDS, name });
      t.regex(page.text, SECRET, name);
    }
  });
});
