import type { ExecutionContext } from 'ava';
import { generateSync } from 'otplib';
import type { Browser, Page } from 'playwright-core';
import { inBrowser, looksOn, NO_SCRIPTS, see, startChromium, visitTo } from '../helpers/chromium.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';

inBrowser('what is one’s own, in a browser', (engine: Engine, test, executablePath: string) => {
  let on: TestService;
  let browser: Browser;
  test.before(async () => {
    [on, browser] = await Promise.all([startTestService(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  let made = 0;
  const newMailbox = () => `owner${++made}@example.com`;

  for (const look of looksOn(engine)) {
    test.describe(look.name, (test) => {
      const seen = (t: ExecutionContext, page: Page, heading: string, name: string) =>
        see(t, page, look, engine, heading, name);

      /** Somebody opens a page and signs in on the way to it. */
      async function signedIn(
        mailbox: string,
        path: string,
        tour: (page: Page) => Promise<void>,
        count = 1,
      ): Promise<void> {
        await visitTo(browser, on.url, look, on.url + path, async (page) => {
          await page.getByLabel('Your mail address').fill(mailbox);
          await page.getByRole('button', { name: 'Mail me a code' }).click();
          await page.getByLabel('Code from the mail').fill(await on.signInCodeFor(mailbox, count));
          await page.getByRole('button', { name: 'Sign in' }).click();
          await tour(page);
        });
      }

      const isActive = async (key: string) => (await on.get('/api/me', key)).status === 200;

      test('somebody looks at their agents, renames one, takes a scope from it, and revokes it', async (t) => {
        const mailbox = newMailbox();
        const agent = await on.claimed(mailbox);
        await on.claimed(mailbox, true);
        await signedIn(mailbox, '/agents', async (page) => {
          await seen(t, page, 'Your agents', 'agents');
          t.is(await page.getByRole('article').count(), 2);
          await page.getByRole('article').last().getByRole('link').click();
          await seen(t, page, 'An agent without a name', 'agent');
          await page.getByLabel('Name', { exact: true }).fill('Release helper');
          await page.getByRole('button', { name: 'Rename' }).click();
          await seen(t, page, 'Release helper', 'agent, renamed');
          await page.getByRole('checkbox', { name: /^write/ }).uncheck();
          await page.getByRole('button', { name: 'Leave it these' }).click();
          await page.getByText('An agent was given less to do').waitFor();
          const me = await on.get('/api/me', agent.credential);
          t.deepEqual(me.body.data.scopes, ['read']);
          t.is(me.body.data.agent_name, 'Release helper');

          await page.getByText('Revoke it').click();
          await seen(t, page, 'Release helper', 'agent, about to be revoked');
          await page.getByRole('button', { name: 'Revoke this agent' }).click();
          await page.getByText('It was revoked').waitFor();
          await seen(t, page, 'Release helper', 'agent, revoked');
          t.false(await isActive(agent.credential));
        });
      });

      test('somebody undoes a merge, and unlinks an agent', async (t) => {
        const mailbox = newMailbox();
        const merged = await on.claimed(mailbox);
        const linked = await on.claimed(mailbox, true);
        await signedIn(mailbox, `/agents/${merged.agent_id}`, async (page) => {
          await page.getByText('Move it out of your account again').click();
          await page.getByRole('button', { name: 'Undo the merge' }).click();
          await seen(t, page, 'Your agents', 'agents, one left');
          await page.getByRole('article').getByRole('link').click();
          await page.getByText('Unlink it').click();
          await page.getByRole('button', { name: 'Unlink this agent' }).click();
          await seen(t, page, 'Your agents', 'agents, none');
          await page.getByText('No agent works for you yet.').waitFor();
        });
        for (const { credential } of [merged, linked]) {
          const me = await on.get('/api/me', credential);
          t.deepEqual([me.body.data.scopes, me.body.data.owner], [['read'], undefined]);
        }
      });

      test('somebody makes a key, copies it, sees it listed, and revokes it', async (t) => {
        const mailbox = newMailbox();
        await signedIn(mailbox, '/keys', async (page) => {
          await seen(t, page, 'Your keys', 'keys, none');
          await page.getByRole('link', { name: 'Make a key' }).click();
          await seen(t, page, 'A new key', 'new key');
          await page.getByLabel('Name').fill('Backup script');
          await page.getByLabel('Read and write').check();
          await page.getByLabel('How long it works').selectOption('1 year');
          await page.getByRole('button', { name: 'Make the key' }).click();
          await seen(t, page, 'Your new key', 'made key');
          const key = await page.locator('#key').innerText();
          const me = await on.get('/api/me', key);
          t.deepEqual([me.body.data.kind, me.body.data.scopes], ['human', ['read', 'write']]);
          const copy = page.getByRole('button', { name: 'Copy' });
          t.is(await copy.isVisible(), look !== NO_SCRIPTS);
          if (look !== NO_SCRIPTS) {
            await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
            await copy.click();
            await page.getByRole('button', { name: 'Copied' }).waitFor();
            t.is(await page.evaluate('navigator.clipboard.readText()'), key);
          }
          await page.getByRole('link', { name: 'Done' }).click();
          await seen(t, page, 'Your keys', 'keys');
          t.notRegex(await page.content(), new RegExp(key));
          await page.getByText('Revoke it').click();
          await page.getByRole('button', { name: 'Revoke this key' }).click();
          await page.locator('s', { hasText: 'Backup script' }).waitFor();
          await seen(t, page, 'Your keys', 'keys, revoked');
          t.false(await isActive(key));
        });
      });

      test('somebody sets an authenticator app up, signs in with it, and with a recovery code', async (t) => {
        const mailbox = newMailbox();
        let secret = '';
        let recovery = '';
        const appCode = () => generateSync({ secret, epoch: Math.floor(on.clock() / 1000) });
        await signedIn(mailbox, '/account', async (page) => {
          await page.getByRole('link', { name: 'Set up an app' }).click();
          await seen(t, page, 'Set up an authenticator app', 'authenticator, setup');
          secret = (await page.locator('.letters').innerText()).replaceAll(' ', '');
          await page.getByLabel('Code from the app').fill(appCode());
          await page.getByRole('button', { name: 'Turn it on' }).click();
          await seen(t, page, 'The app is set up', 'recovery codes');
          recovery = await page.getByRole('listitem').first().innerText();
          await page.getByRole('link', { name: 'Done' }).click();
          await page.getByText('Your authenticator app is on').waitFor();
          await page.getByRole('link', { name: 'App and recovery codes' }).click();
          await seen(t, page, 'Your authenticator app', 'authenticator');
        });
        on.clock.advance(60);
        for (const [count, code] of [appCode(), recovery].entries()) {
          await signedIn(
            mailbox,
            '/account',
            async (page) => {
              await seen(t, page, 'Now your app', 'second factor');
              await page.getByLabel('Code from the app').fill('000000');
              await page.keyboard.press('Enter');
              await page.getByRole('alert').waitFor();
              await seen(t, page, 'Now your app', 'second factor, wrong');
              await page.getByLabel('Code from the app').fill(code);
              await page.getByRole('button', { name: 'Sign in' }).click();
              await seen(t, page, 'Your account', 'account, authenticator');
            },
            count + 2,
          );
        }
      });

      test('somebody reads what happened, and deletes their account, after a fresh code', async (t) => {
        const mailbox = newMailbox();
        const agent = await on.claimed(mailbox);
        await signedIn(mailbox, '/account', async (page) => {
          await seen(t, page, 'Your account', 'account');
          await page.getByRole('link', { name: 'What happened' }).click();
          await seen(t, page, 'What happened', 'activity');
          await page.getByRole('link', { name: 'Your account' }).click();
          on.clock.advance(1200);
          await page.getByRole('link', { name: 'Delete my account' }).click();
          await seen(t, page, 'Confirm that it is you', 'sign in, again');
          await page.getByRole('button', { name: 'Mail me a code' }).click();
          await page.getByLabel('Code from the mail').fill(await on.signInCodeFor(mailbox, 2));
          await page.getByRole('button', { name: 'Sign in' }).click();
          await seen(t, page, 'Delete your account?', 'delete');
          await page.getByLabel(/to be sure$/).fill('somebody@else.example');
          await page.getByRole('button', { name: 'Delete my account' }).click();
          await page.getByRole('alert').waitFor();
          await seen(t, page, 'Delete your account?', 'delete, wrong');
          await page.getByLabel(/to be sure$/).fill(mailbox);
          await page.getByRole('button', { name: 'Delete my account' }).click();
          await seen(t, page, 'Your account is deleted', 'deleted');
          t.false(await isActive(agent.credential));
          await page.goto(`${on.url}/account`);
          await seen(t, page, 'Sign in', 'signed out');
        });
      });
    });
  }
});
