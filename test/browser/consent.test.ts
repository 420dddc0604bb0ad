import type { ExecutionContext } from 'ava';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { type App, askFor, REDIRECT, registerApp } from '../helpers/app-client.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { at, inBrowser, inEachLook, LIGHT, type Look, see, startChromium } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

const FILE = {
  scopes: {
    read: { description: 'Look, list and search' },
    write: { description: 'Create and change' },
    delete: { description: 'Remove documents for good', destructive: true },
  },
};

const QUESTION = 'Approve this app?';
const GOODBYE = 'https://app.example/goodbye';

/** What the app answers at its own origin: it tells the page that opened it how it came back. */
const APP_PAGE =
  '<!doctype html><title>app</title><h1>app</h1><script>opener?.postMessage(location.href, "*")</script>';

inBrowser('an app that asks, in a browser', (engine, test, executablePath) => {
  let on: TestService;
  let browser: Browser;
  let app: App;
  test.before(async () => {
    [on, browser] = await Promise.all([
      withConfigFile(FILE, (CONFIG) => startTestService(engine, { env: { CONFIG } })),
      startChromium(executablePath),
    ]);
    app = await registerApp(on, { post_logout_redirect_uris: [GOODBYE] });
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  const pathOf = (query: Record<string, string> = {}) =>
    on.url + askFor(app, { scope: 'openid read write delete', ...query }).path;

  /** Somebody's browser, for which the app is on the network. */
  async function open(look: Look): Promise<{ context: BrowserContext; page: Page }> {
    const context = await browser.newContext(look.options);
    await context.route('https://app.example/**', (route) =>
      route.fulfill({ contentType: 'text/html', body: APP_PAGE }),
    );
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    return { context, page };
  }

  /** Types the address and the mailed code. */
  async function signInOn(page: Page, mailbox: string): Promise<void> {
    await at(page, 'Sign in');
    const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await typeCode(page, mailbox, earlier);
  }

  async function typeCode(page: Page, mailbox: string, earlier: number): Promise<void> {
    await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox, earlier + 1));
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  /** Waits for the app, and returns how the human came back to it. */
  async function backAt(page: Page, start = REDIRECT): Promise<URLSearchParams> {
    await page.waitForURL((url) => url.href.startsWith(start));
    return new URL(page.url()).searchParams;
  }

  const approve = (page: Page) => page.getByRole('button', { name: 'Approve' }).click();

  inEachLook(engine, test, (test, look) => {
    const seen = (t: ExecutionContext, page: Page, heading: string, name: string) =>
      see(t, page, look, heading, `consent ${name}`);

    test('a stranger signs in, decides, and the form leads to the app; the next time nothing is asked', async (t) => {
      const { context, page } = await open(look);
      const mailbox = newMailbox();
      await page.goto(pathOf({ login_hint: mailbox }));
      await at(page, 'Sign in');
      t.is(await page.getByLabel('Email address').inputValue(), mailbox);
      await signInOn(page, mailbox);
      await seen(t, page, QUESTION, 'new');
      t.true(await page.getByRole('checkbox', { name: 'Create and change' }).isChecked());
      const destructive = page.getByRole('checkbox', { name: 'Remove documents for good' });
      t.false(await destructive.isChecked());
      await page.getByRole('checkbox', { name: 'Create and change' }).uncheck();
      await approve(page);
      const back = await backAt(page);
      t.truthy(back.get('code'));
      t.is(back.get('iss'), on.url);
      // The name of the app is found nowhere when no form leads there: it stands in the address bar alone.
      const next = await context.newPage();
      await t.throwsAsync(next.goto(pathOf({ scope: 'openid read' })), {
        message: /ERR_NAME_NOT_RESOLVED/,
      });
      t.truthy((await backAt(next)).get('code'));
      await next.close();
      await page.goto(pathOf());
      await seen(t, page, QUESTION, 'again');
      t.is(await page.getByText('Has now', { exact: true }).count(), 1);
      await context.close();

      // Who has to sign in first ends at a page of ours, whose link leads on.
      const { context: other, page: later } = await open(look);
      await later.goto(pathOf({ scope: 'openid read' }));
      await signInOn(later, mailbox);
      await seen(t, later, 'You’re signed in', 'continue');
      await later.getByRole('link', { name: 'Continue to app.example' }).click();
      t.truthy((await backAt(later)).get('code'));
      await other.close();
    });

    test('who declines goes back with nothing, and who is somebody else changes the account', async (t) => {
      const { context, page } = await open(look);
      const [first, second] = [newMailbox(), newMailbox()];
      await page.goto(pathOf());
      await signInOn(page, first);
      await at(page, QUESTION);
      await page.getByRole('button', { name: 'Not you?' }).click();
      await signInOn(page, second);
      await at(page, QUESTION);
      await page.getByText(second).waitFor();
      await page.getByRole('button', { name: 'Decline' }).click();
      t.is((await backAt(page)).get('error'), 'access_denied');
      await context.close();
    });

    test('nothing ticked is said at the boxes; a destructive one takes a fresh code', async (t) => {
      const { context, page } = await open(look);
      const mailbox = newMailbox();
      await page.goto(pathOf({ scope: 'read delete' }));
      await signInOn(page, mailbox);
      await at(page, QUESTION);
      await page.getByRole('checkbox', { name: 'Look, list and search' }).uncheck();
      await approve(page);
      await page.getByRole('alert').waitFor();
      await seen(t, page, QUESTION, 'none selected');
      await page.locator('input[type="checkbox"]:focus').waitFor();
      on.clock.advance(16 * 60);
      await page.getByRole('checkbox', { name: 'Remove documents for good' }).check();
      await approve(page);
      await seen(t, page, 'Confirm it’s you', 'confirm');
      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await page.getByRole('button', { name: 'Email me a code' }).click();
      await typeCode(page, mailbox, earlier);
      await seen(t, page, QUESTION, 'confirmed');
      t.true(await page.getByRole('checkbox', { name: 'Remove documents for good' }).isChecked());
      await approve(page);
      t.truthy((await backAt(page)).get('code'));
      await context.close();
    });

    test('an app that demands a second factor, and one that asks to sign out', async (t) => {
      const { context, page } = await open(look);
      await page.goto(pathOf({ acr_values: 'urn:vouchsafe:acr:second-factor' }));
      await signInOn(page, newMailbox());
      await seen(t, page, 'Two-step sign-in is needed', 'second factor');
      await page.getByRole('button', { name: 'Decline' }).click();
      t.is((await backAt(page)).get('error'), 'unmet_authentication_requirements');
      const query = { client_id: app.clientId, post_logout_redirect_uri: GOODBYE, state: 'bye' };
      const leave = `${on.url}/oauth2/end-session?${new URLSearchParams(query)}`;
      await page.goto(leave);
      await seen(t, page, 'Sign out?', 'end session');
      await page.getByRole('button', { name: 'Sign out' }).click();
      t.is((await backAt(page, GOODBYE)).get('state'), 'bye');
      await page.goto(leave);
      await seen(t, page, 'You’re signed out', 'signed out');
      await context.close();
    });
  });

  test('a popup keeps its opener, through the sign-in and the consent', async (t) => {
    const { context, page } = await open(LIGHT);
    await page.goto('https://app.example/');
    await page.evaluate(
      `window.heard = new Promise((resolve) => addEventListener('message', ({ data }) => resolve(data)));
       window.open(${JSON.stringify(pathOf())}, 'popup', 'width=600,height=700');`,
    );
    const popup = context.pages().find((each) => each !== page) ?? (await context.waitForEvent('page'));
    await signInOn(popup, newMailbox());
    await at(popup, QUESTION);
    await approve(popup);
    const heard = await page.evaluate<string>('window.heard');
    t.true(heard.startsWith(`${REDIRECT}?code=`));
    await context.close();
  });

  test('no page of a request can be framed', async (t) => {
    const { context, page } = await open(LIGHT);
    await page.goto('https://app.example/');
    await page.evaluate(
      `document.body.innerHTML = '<iframe src=${JSON.stringify(pathOf()).replaceAll("'", '')}></iframe>'`,
    );
    const frame = page.frames().find((each) => each !== page.mainFrame());
    await frame?.waitForLoadState().catch(() => {});
    t.is(await page.frameLocator('iframe').getByRole('heading', { level: 1 }).count(), 0);
    await context.close();
  });
});
