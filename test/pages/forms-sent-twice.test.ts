import type { ExecutionContext } from 'ava';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { appCode, recoveryCodesOn, secretOn, signIn } from '../helpers/human.ts';
import { startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('a form that one browser sends twice at once', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  let made = 0;
  const newMailbox = () => `twice${++made}@example.com`;

  interface Sent {
    status: number;
    text: string;
    location: string | null;
    cookies: string[];
  }
  /** Sends the form of the page that a browser shows, so many times, before any answer is there. */
  async function atOnce(browser: Browser, path: string, fields: object, times = 2): Promise<Sent[]> {
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const body = new URLSearchParams({ ...browser.wholeForm(path), ...fields });
    return Promise.all(
      Array.from({ length: times }, async () => {
        const response = await fetch(on.url + path, {
          method: 'POST',
          redirect: 'manual',
          headers: { Cookie: cookie, Origin: on.url, Accept: 'text/html' },
          body,
        });
        return {
          status: response.status,
          text: await response.text(),
          location: response.headers.get('location'),
          cookies: response.headers.getSetCookie(),
        };
      }),
    );
  }
  function assertSame(t: ExecutionContext, sent: Sent[]): Sent {
    for (const each of sent) t.deepEqual(each, sent[0]);
    return sent[0]!;
  }
  const keep = (browser: Browser, { cookies }: Sent) => {
    for (const line of cookies) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (/Max-Age=0/.test(line)) browser.cookies.delete(name!);
      else browser.cookies.set(name!, value!);
    }
  };
  const mailsTo = (mailbox: string) => on.signInMails.filter(({ to }) => to === mailbox).length;

  test('mails one code, which works; and signs in once, by every copy', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    const asked = assertSame(t, await atOnce(browser, '/sign-in', { email: mailbox }, 3));
    t.is(asked.status, 303);
    keep(browser, asked);
    const code = await on.signInCodeFor(mailbox);
    t.is(mailsTo(mailbox), 1);
    await browser.get('/sign-in/code');
    const signedIn = assertSame(t, await atOnce(browser, '/sign-in/code', { code }, 3));
    t.deepEqual([signedIn.status, signedIn.location], [303, `${on.url}/account`]);
    keep(browser, signedIn);
    const account = await browser.get('/account');
    t.is(heading(account), 'Account and security');
    t.is([...account.text.matchAll(/data-label="Signed in"/g)].length, 1, 'one session');
  });

  test('a wrong code costs one try, and says so in both', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email: mailbox });
    const code = wrongCode(await on.signInCodeFor(mailbox));
    const { status, text } = assertSame(t, await atOnce(browser, '/sign-in/code', { code }, 4));
    t.is(status, 400);
    t.regex(text, /4 tries are left/);
  });

  test('a code that is asked for again, on a page that was opened anew, is another one', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    for (const count of [1, 2]) {
      await browser.get('/sign-in');
      await browser.post('/sign-in', { email: mailbox });
      await on.signInCodeFor(mailbox, count);
      t.is(mailsTo(mailbox), count);
    }
  });

  test('a click that comes after the answer leads on, too', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    await browser.get('/sign-in?next=/keys');
    await browser.post('/sign-in', { email: mailbox });
    const form = browser.wholeForm('/sign-in/code');
    const fields = { ...form, code: await on.signInCodeFor(mailbox) };
    await browser.send('/sign-in/code', fields);
    const late = await browser.send('/sign-in/code', fields);
    t.deepEqual([late.status, late.path], [200, '/keys']);
  });

  test('sets up an app once, and shows its recovery codes in both; not when the page is loaded again', async (t) => {
    const browser = await signIn(on, newMailbox());
    const secret = secretOn(await browser.get('/account/authenticator'));
    const fields = { code: appCode(on, secret) };
    const first = assertSame(t, await atOnce(browser, '/account/authenticator', fields));
    t.is(first.status, 200, first.text);
    const codes = recoveryCodesOn({ text: first.text } as never);
    t.true(codes.length > 0);
    keep(browser, first);
    const form = new URLSearchParams(fields as Record<string, string>);
    const again = await browser.send('/account/authenticator', {
      ...Object.fromEntries(form),
      once: /made=(\w{32})/.exec(first.cookies.join('\n'))![1],
    });
    for (const code of codes) t.false(again.text.includes(code));
  });

  test('vouches for an agent, moves it out of the account, and revokes it: each says the same twice', async (t) => {
    const mailbox = newMailbox();
    const { claim_token, agent_id } = await on.register();
    const asked = await on.post('/agent/auth/claim', { claim_token, email: mailbox });
    const browser = openBrowser(on);
    await browser.get(asked.body.data.verification_uri);
    const approved = assertSame(t, await atOnce(browser, '/claim', { code: await on.codeFor(mailbox) }));
    t.true(approved.status === 200 || approved.status === 303, approved.text);
    await on.post('/agent/auth/claim/complete', { claim_token });

    const owner = await signIn(on, mailbox);
    await owner.get(`/agents/${agent_id}/undo`);
    const undone = assertSame(t, await atOnce(owner, `/agents/${agent_id}/undo`, {}));
    t.is(undone.status, 303, undone.text);
  });

  test('another filling of the same page is another action', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email: mailbox });
    const form = browser.wholeForm('/sign-in/code');
    const code = await on.signInCodeFor(mailbox);
    const wrong = await browser.send('/sign-in/code', { ...form, code: wrongCode(code) });
    t.is(wrong.status, 400);
    const right = await browser.send('/sign-in/code', { ...form, code });
    t.is(right.status, 200);
  });
});
