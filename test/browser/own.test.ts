import { generateSync } from 'otplib';
import type { Browser, Page } from 'playwright-core';
import {
  assertCurrentSections,
  inBrowser,
  inEachLook,
  NO_SCRIPTS,
  startChromium,
  visitTo,
} from '../helpers/chromium.ts';
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

  inEachLook(engine, test, (test, look, seen) => {
    /** Somebody opens a page and signs in on the way to it. */
    async function signedIn(
      mailbox: string,
      path: string,
      tour: (page: Page) => Promise<void>,
      count = 1,
    ): Promise<void> {
      await visitTo(browser, on.url, look, on.url + path, async (page) => {
        await page.getByLabel('Email address').fill(mailbox);
        await page.getByRole('button', { name: 'Email me a code' }).click();
        await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox, count));
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
        await seen(t, page, 'Agents', 'agents');
        const menu = page.locator('.account > button');
        await menu.press('Enter');
        await page.getByRole('button', { name: 'Sign out' }).waitFor();
        await seen(t, page, 'Agents', 'menu');
        await menu.press('Enter');
        await page.getByRole('link', { name: 'Add an agent' }).click();
        await page.getByText(`${on.url}/auth.md`).waitFor();
        await seen(t, page, 'Agents', 'agents, adding one');
        t.is(await page.getByRole('cell').getByRole('link').count(), 2);
        await page.getByRole('cell').getByRole('link').last().click();
        await seen(t, page, 'Unnamed agent', 'agent');
        await page.getByRole('link', { name: 'Rename' }).click();
        await seen(t, page, 'Rename this agent', 'agent, about to be renamed');
        await page.getByLabel('Name', { exact: true }).fill('Release helper');
        await page.getByRole('button', { name: 'Save name' }).click();
        await page.getByText('Name saved.').waitFor();
        await seen(t, page, 'Release helper', 'agent, renamed');
        await page.getByRole('checkbox').first().uncheck();
        await page.getByRole('checkbox').last().uncheck();
        await page.getByRole('button', { name: 'Save permissions' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, 'Release helper', 'agent, without any permission');
        await page.getByRole('checkbox', { name: /read/ }).check();
        await page.getByRole('button', { name: 'Save permissions' }).click();
        await page.getByText('You reduced the permissions of Release helper').waitFor();
        const me = await on.get('/api/me', agent.credential);
        t.deepEqual(me.body.data.scopes, ['read']);
        t.is(me.body.data.agent_name, 'Release helper');

        await page.getByRole('link', { name: 'Revoke agent…' }).click();
        await seen(t, page, 'Revoke “Release helper”?', 'agent, about to be revoked');
        await page.getByRole('button', { name: 'Revoke agent' }).click();
        await page.getByText('Revoked on').waitFor();
        await seen(t, page, 'Release helper', 'agent, revoked');
        t.false(await isActive(agent.credential));
      });
    });

    test('somebody undoes a merge, and unlinks an agent', async (t) => {
      const mailbox = newMailbox();
      const merged = await on.claimed(mailbox);
      const linked = await on.claimed(mailbox, true);
      await signedIn(mailbox, `/agents/${merged.agent_id}`, async (page) => {
        await page.getByRole('link', { name: 'Move out…' }).click();
        await seen(t, page, 'Move this agent out of your account?', 'agent, about to move out');
        await page.getByRole('button', { name: 'Move out' }).click();
        await seen(t, page, 'Agents', 'agents, one left');
        await page.getByRole('cell').getByRole('link').click();
        await page.getByRole('link', { name: 'Unlink…' }).click();
        await seen(t, page, 'Unlink this agent?', 'agent, about to be unlinked');
        await page.getByRole('button', { name: 'Unlink agent' }).click();
        await seen(t, page, 'Agents', 'agents, none');
        await page.getByText('No agents yet').waitFor();
      });
      for (const { credential } of [merged, linked]) {
        const me = await on.get('/api/me', credential);
        t.deepEqual([me.body.data.scopes, me.body.data.owner], [['read'], undefined]);
      }
    });

    test('somebody makes a key, copies it, sees it listed, and revokes it', async (t) => {
      const mailbox = newMailbox();
      await signedIn(mailbox, '/keys', async (page) => {
        await seen(t, page, 'Keys', 'keys, none');
        await page.getByRole('link', { name: 'Create key' }).click();
        await seen(t, page, 'Create key', 'new key');
        await page.getByLabel('Name').fill('Backup script');
        await page.getByLabel('Read and write').check();
        await page.getByLabel('1 year').check();
        await page.getByRole('button', { name: 'Create key' }).click();
        await seen(t, page, 'Key created', 'made key');
        const key = await page.locator('#key').innerText();
        const me = await on.get('/api/me', key);
        t.deepEqual([me.body.data.kind, me.body.data.scopes], ['human', ['read', 'write']]);
        const copy = page.getByRole('button', { name: 'Copy', exact: true });
        t.is(await copy.isVisible(), look !== NO_SCRIPTS);
        if (look !== NO_SCRIPTS) {
          await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
          await copy.click();
          await page.getByRole('button', { name: 'Copied' }).waitFor();
          t.is(await page.evaluate('navigator.clipboard.readText()'), key);
        }
        await page.getByRole('link', { name: 'I’ve saved it' }).click();
        await seen(t, page, 'Keys', 'keys');
        t.notRegex(await page.content(), new RegExp(key));
        await page.getByRole('link', { name: 'Revoke Backup script' }).click();
        await seen(t, page, 'Revoke “Backup script”?', 'key, about to be revoked');
        await page.getByRole('button', { name: 'Revoke key' }).click();
        await page.locator('s', { hasText: 'Backup script' }).waitFor();
        await seen(t, page, 'Keys', 'keys, revoked');
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
        await seen(t, page, 'Set up an app', 'authenticator, setup');
        secret = (await page.locator('#letters').innerText()).replaceAll(' ', '');
        await page.getByLabel('Code from the app').fill(appCode());
        await page.getByRole('button', { name: 'Turn on' }).click();
        await seen(t, page, 'Two-step sign-in is on', 'recovery codes');
        recovery = await page.getByRole('listitem').first().innerText();
        await page.getByRole('link', { name: 'I’ve saved them' }).click();
        await page.getByText('Signing in takes a code from your authenticator app, too.').waitFor();
        await page.getByRole('link', { name: 'App and recovery codes' }).click();
        await seen(t, page, 'Two-step sign-in', 'authenticator');
      });
      on.clock.advance(60);
      for (const [count, code] of [appCode(), recovery].entries()) {
        await signedIn(
          mailbox,
          '/account',
          async (page) => {
            await seen(t, page, 'Enter the code from your app', 'second factor');
            await page.getByLabel('Code from the app').fill('000000');
            await page.keyboard.press('Enter');
            await page.getByRole('alert').waitFor();
            await seen(t, page, 'Enter the code from your app', 'second factor, wrong');
            await page.getByLabel('Code from the app').fill(code);
            await page.getByRole('button', { name: 'Sign in' }).click();
            await seen(t, page, 'Account and security', 'account, authenticator');
          },
          count + 2,
        );
      }
    });

    test('somebody reads what happened, and deletes their account, after a fresh code', async (t) => {
      const mailbox = newMailbox();
      const agent = await on.claimed(mailbox);
      await signedIn(mailbox, '/account', async (page) => {
        await seen(t, page, 'Account and security', 'account');
        await assertCurrentSections(t, page);
        // On a phone the menu holds what the header has elsewhere.
        const menu = page.locator('.account > button');
        if (look.options.isMobile === true) await menu.click();
        await page.getByRole('link', { name: 'Activity' }).click();
        await seen(t, page, 'Activity', 'activity');
        // It closes by Escape and by a click beside it.
        const beside = page.viewportSize()!.height - 5;
        for (const close of [() => page.keyboard.press('Escape'), () => page.mouse.click(5, beside)]) {
          await menu.click();
          await page.locator('#menu').waitFor();
          await close();
          await page.locator('#menu').waitFor({ state: 'hidden' });
        }
        await menu.click();
        await page.getByRole('link', { name: 'Account and security' }).click();
        on.clock.advance(1200);
        await page.getByRole('link', { name: 'Delete account…' }).click();
        await seen(t, page, 'Confirm it’s you', 'sign in, again');
        await page.getByRole('button', { name: 'Email me a code' }).click();
        await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox, 2));
        await page.getByRole('button', { name: 'Sign in' }).click();
        await seen(t, page, 'Delete your account?', 'delete');
        await page.getByLabel('Your email address').fill('somebody@else.example');
        await page.getByRole('button', { name: 'Delete account' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, 'Delete your account?', 'delete, wrong');
        await page.getByLabel('Your email address').fill(mailbox);
        await page.getByRole('button', { name: 'Delete account' }).click();
        await seen(t, page, 'Your account is deleted', 'deleted');
        t.false(await isActive(agent.credential));
        await page.goto(`${on.url}/account`);
        await seen(t, page, 'Sign in', 'signed out');
      });
    });
  });
});
