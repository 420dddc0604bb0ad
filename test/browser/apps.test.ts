import type { Browser, Page } from 'playwright-core';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { type App, getCode, redeem, registerApp } from '../helpers/app-client.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { at, inBrowser, inEachLook, startChromium, visitTo } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';

/** Connected apps, devices, and clients of one's own, in a browser. The pictures are those of docs/humans.md. */

const FILE = {
  scopes: {
    read: { description: 'Look, list and search' },
    write: { description: 'Create and change' },
    delete: { description: 'Remove documents for good', destructive: true },
  },
};

inBrowser(
  'connected apps and OAuth clients, in a browser',
  (engine: Engine, test, executablePath: string) => {
    let on: TestService;
    let api: Api;
    let browser: Browser;
    test.before(async () => {
      [on, browser] = await Promise.all([
        withConfigFile(FILE, (CONFIG) => startTestService(engine, { env: { CONFIG } })),
        startChromium(executablePath),
      ]);
      api = await addApi(on);
    });
    test.after(() => Promise.all([browser.close(), on.stop()]));

    async function signInOn(page: Page, mailbox: string): Promise<void> {
      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await page.getByLabel('Email address').fill(mailbox);
      await page.getByRole('button', { name: 'Email me a code' }).click();
      await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox, earlier + 1));
      await page.getByRole('button', { name: 'Sign in' }).click();
    }

    /** Lets an app use the account of a mailbox. */
    async function approve(app: App, mailbox: string, scope: string): Promise<void> {
      const query = { scope, resource: api.resource };
      const boxes = scope.split(' ').map((name) => `scope:${name}`);
      const human = await signIn(on, mailbox);
      await redeem(on, app, await getCode(on, app, { query, boxes, browser: human }));
    }

    /** A device asks. @returns what it shows */
    async function ask(app: App): Promise<string> {
      const form = { client_id: app.clientId, scope: 'openid read write delete', resource: api.resource };
      return (await on.form('/oauth2/device_authorization', form)).body.user_code;
    }

    inEachLook(engine, test, (test, look, seen) => {
      const visiting = (path: string, tour: (page: Page) => Promise<void>) =>
        visitTo(browser, on.url, look, on.url + path, tour);
      test('a human looks at their connected apps and revokes one', async (t) => {
        const mailbox = newMailbox();
        await visiting('/sign-in?next=/apps', async (page) => {
          await signInOn(page, mailbox);
          await seen(t, page, 'Connected apps', 'apps, none');
          await approve(
            await registerApp(on, {
              client_name: 'A name of an app that is as long as names of apps may be',
            }),
            mailbox,
            'read write delete',
          );
          await approve(
            await registerApp(on, { client_name: null, redirect_uris: ['https://app.example/callback'] }),
            mailbox,
            'read',
          );
          await approve(await registerApp(on), mailbox, 'read write');
          await page.goto(`${on.url}/apps`);
          await seen(t, page, 'Connected apps 3', 'apps');
          await page.getByRole('link', { name: 'Revoke Marlin Editor' }).click();
          await seen(t, page, 'Revoke “Marlin Editor”?', 'apps, about to be revoked');
          await page.getByRole('button', { name: 'Revoke app' }).click();
          await page.getByText('App revoked.').waitFor();
          await seen(t, page, 'Connected apps 2', 'apps, one revoked');
        });
      });

      test('a human connects a device by its code, and declines another', async (t) => {
        const mailbox = newMailbox();
        const app = await registerApp(on, {
          grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
        });
        await visiting('/connect', async (page) => {
          const typeCode = async (code: string) => {
            await page.getByLabel('Code from the agent or device').fill(code);
            await page.getByRole('button', { name: 'Continue' }).click();
          };
          await at(page, 'Enter the code your agent or device shows you');
          await typeCode('BCDF-GHJK');
          await page.getByRole('alert').waitFor();
          await seen(t, page, 'Enter the code your agent or device shows you', 'device, wrong code');
          const code = await ask(app);
          await typeCode(code);
          await signInOn(page, mailbox);
          await seen(t, page, 'Connect a device?', 'device');
          const shown = page.locator('#device-code b');
          t.is(await shown.innerText(), code);
          t.true((await shown.boundingBox())!.height < 40, 'the code is on one line');
          await page.getByRole('checkbox', { name: 'Create and change' }).uncheck();
          await page.getByRole('button', { name: 'Connect' }).click();
          await seen(t, page, 'The device is connected', 'device, connected');
          await page.goto(`${on.url}/connect`);
          await typeCode(await ask(app));
          await seen(t, page, 'Connect a device?', 'device, again');
          t.is(await page.getByText('Has now', { exact: true }).count(), 1);
          await page.getByRole('button', { name: 'Decline' }).click();
          await seen(t, page, 'The device was not connected', 'device, declined');
        });
      });

      test('a human registers a client, changes it, rotates its secret and deletes it', async (t) => {
        await visiting('/sign-in?next=/apps/clients', async (page) => {
          await signInOn(page, newMailbox());
          await seen(t, page, 'Your own OAuth clients', 'clients, none');
          await page.getByRole('link', { name: 'Create client' }).click();
          await seen(t, page, 'Create client', 'clients, new');
          await page.getByLabel('Name', { exact: true }).fill('Reports');
          await page.getByRole('checkbox', { name: 'Asks people to approve it' }).check();
          await page.getByLabel('Redirect URLs').fill('http://reports.example/callback');
          await page.getByRole('button', { name: 'Create client' }).click();
          await page.getByRole('alert').waitFor();
          await seen(t, page, 'Create client', 'clients, wrong redirect');
          await page
            .getByLabel('Redirect URLs')
            .fill('https://reports.example/callback\nhttp://127.0.0.1/callback');
          await page.getByRole('button', { name: 'Create client' }).click();
          await seen(t, page, 'Client created', 'clients, created');
          const secret = await page.locator('#secret').innerText();
          t.regex(secret, /^cs_\w+$/);
          await page.getByRole('link', { name: 'I’ve saved it' }).click();
          await seen(t, page, 'Reports', 'client');
          t.false((await page.content()).includes(secret));
          await page.getByRole('link', { name: 'Edit client' }).click();
          await seen(t, page, 'Edit client', 'client, edit');
          await page.getByLabel('Name', { exact: true }).fill('Reports of the quarter');
          await page.getByRole('button', { name: 'Save client' }).click();
          await at(page, 'Reports of the quarter');
          await page.getByRole('link', { name: 'Rotate secret…' }).click();
          await seen(t, page, 'Rotate the secret of “Reports of the quarter”?', 'client, rotate');
          await page.getByRole('button', { name: 'Rotate secret' }).click();
          await seen(t, page, 'Secret rotated', 'client, rotated');
          await page.goto(`${on.url}/apps/clients`);
          await seen(t, page, 'Your own OAuth clients 1', 'clients');
          await page.getByRole('link', { name: 'Reports of the quarter' }).click();
          await page.getByRole('link', { name: 'Delete client…' }).click();
          await seen(t, page, 'Delete “Reports of the quarter”?', 'client, delete');
          await page.getByRole('button', { name: 'Delete client' }).click();
          await at(page, 'Your own OAuth clients');
        });
      });
    });
  },
);
