import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { isIn, signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

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

describe('cookies', () => {
  let plain: TestService;
  let secure: TestService;
  const HTTPS = 'https://localhost:4443';
  before(async () => {
    plain = await startTestService('sqlite');
    secure = await startTestService('sqlite', { env: { PUBLIC_URL: HTTPS } });
  });
  after(async () => {
    await plain.stop();
    await secure.stop();
  });

  test('go without Secure on http of this machine, where WebKit drops those with it, and the log says so', async () => {
    const page = await cookiesOf(plain, plain.url);
    assert.deepEqual(page, ['vouchsafe_browser=…; Path=/; HttpOnly; SameSite=Lax']);
    assert.ok(plain.logged.some((line) => line.includes('without Secure')));
  });

  test('are bound to the host and Secure on https', async () => {
    assert.deepEqual(await cookiesOf(secure, HTTPS), [
      '__Host-browser=…; Path=/; Secure; HttpOnly; SameSite=Lax',
    ]);
    assert.ok(!secure.logged.some((line) => line.includes('without Secure')));
  });

  test('count under their own name alone: another site of the host cannot set those that https believes', async () => {
    const known = 'a'.repeat(32);
    // One that is known is not set anew.
    assert.deepEqual(await cookiesOf(secure, HTTPS, `__Host-browser=${known}`), []);
    assert.deepEqual(await cookiesOf(plain, plain.url, `vouchsafe_browser=${known}`), []);
    const foreign = [
      [secure, HTTPS, `vouchsafe_browser=${known}`],
      [secure, HTTPS, `browser=${known}`],
      [plain, plain.url, `__Host-browser=${known}`],
      [plain, plain.url, `browser=${known}`],
    ] as const;
    for (const [on, url, cookie] of foreign) {
      assert.equal((await cookiesOf(on, url, cookie)).length, 1, `${url} believed ${cookie}`);
    }
  });

  test('a session of one name is none under the other', async () => {
    const browser = await signIn(plain, 'names@example.com');
    const session = browser.cookies.get('vouchsafe_session')!;
    browser.cookies.delete('vouchsafe_session');
    browser.cookies.set('__Host-session', session);
    assert.equal(await isIn(browser), false);
    browser.cookies.set('vouchsafe_session', session);
    assert.equal(await isIn(browser), true);
  });
});

describe('pages that refuse', () => {
  let on: TestService;
  before(async () => {
    on = await startTestService('sqlite');
  });
  after(() => on.stop());
  const NAV = /<nav[\s\S]*href="\/agents"[\s\S]*href="\/keys"[\s\S]*href="\/account"[\s\S]*<\/nav>/;

  test('keep the navigation of whoever is signed in, and have none for others', async () => {
    const browser = await signIn(on, 'lost@example.com');
    const stranger = openBrowser(on);
    const refused: [string, number][] = [
      ['/agents/agt_nobody', 404],
      ['/nowhere/at/all', 404],
    ];
    for (const [path, status] of refused) {
      const mine = await browser.get(path, { Accept: 'text/html' });
      if (mine.headers.get('content-type')?.startsWith('application/json')) continue; // no page of ours
      assert.equal(mine.status, status, path);
      assert.match(mine.text, NAV, path);
    }
    const form = { csrf: 'x', once: 'x'.repeat(32), name: 'x' };
    const post = await browser.send('/keys/new', form);
    assert.equal(post.status, 403);
    assert.match(post.text, NAV);
    const malformed = await browser.send('/keys/new', { csrf: 'x' });
    assert.equal(malformed.status, 400);
    assert.match(malformed.text, NAV);
    const theirs = await stranger.send('/keys/new', form);
    assert.doesNotMatch(theirs.text, NAV);
    assert.match((await browser.get('/')).text, NAV);
    assert.match((await browser.get('/')).text, /href="\/agents">Your agents/);
    assert.doesNotMatch((await stranger.get('/')).text, NAV);
  });

  test('also where the limits refuse, and where the form is too large', async () => {
    const browser = await signIn(on, 'large@example.com');
    const page = await browser.send('/keys/new', { csrf: 'x', name: 'x'.repeat(100_000) });
    assert.equal(page.status, 413);
    assert.match(page.text, NAV);
  });
});

describe('a key that was made', () => {
  let on: TestService;
  before(async () => {
    on = await startTestService('sqlite');
  });
  after(() => on.stop());
  const SECRET = /<code id="key">(sk_[^<]+)<\/code>/;
  const FIELDS = { name: 'deploy', preset: 'choose', 'scope:read': 'on', life: '30' };

  test('is shown once: reloading the page says what it is and not its secret (S-22)', async () => {
    const browser = await signIn(on, 'once@example.com');
    await browser.get('/keys/new');
    const form = browser.form('/keys/new');
    const made = await browser.send('/keys/new', { ...form, ...FIELDS });
    const [, secret] = SECRET.exec(made.text) ?? [];
    assert.ok(secret, made.text);
    for (const again of [1, 2]) {
      const page = await browser.send('/keys/new', { ...form, ...FIELDS });
      assert.equal(page.status, 200, `${again}`);
      assert.equal(heading(page), 'Your new key');
      assert.ok(!page.text.includes(secret), 'the secret came again');
      assert.match(page.text, /shown once/);
      assert.match(page.text, /deploy/);
    }
    const keys = await browser.get('/keys');
    assert.equal(keys.text.match(/deploy/g)?.length, 1);
    assert.ok(!keys.text.includes(secret));
  });

  test('a form that is sent twice before any answer came shows it in both, and makes one', async () => {
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
    assert.ok(one);
    assert.equal(one, two);
  });

  test('the next key of the same browser is shown', async () => {
    const browser = await signIn(on, 'next@example.com');
    for (const name of ['first', 'second']) {
      await browser.get('/keys/new');
      const page = await browser.post('/keys/new', { ...FIELDS, name });
      assert.match(page.text, SECRET, name);
    }
  });
});
