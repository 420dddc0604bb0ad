import type { Browser, Page } from 'playwright-core';
import { type AssertingWorld, createAssertingApp, openAsserting } from '../helpers/asserting-apps.ts';
import { newUser } from '../helpers/auth-md.ts';
import { inBrowser, looksOn, see, startChromium, visitTo } from '../helpers/chromium.ts';
import { signIn } from '../helpers/human.ts';
import type { Engine } from '../helpers/service.ts';

/** An organization that asks to connect apps, in a browser. The picture is one of docs/humans.md. */

inBrowser(
  'an organization that connects apps, in a browser',
  (engine: Engine, test, executablePath: string) => {
    let world: AssertingWorld;
    let browser: Browser;
    test.before(async () => {
      [world, browser] = await Promise.all([
        openAsserting(engine, { issuer: { displayName: 'Hartmann & Sons' } }),
        startChromium(executablePath),
      ]);
    });
    test.after(() => Promise.all([browser.close(), world.world.stop()]));

    for (const look of looksOn(engine)) {
      test(`${look.name}: the app leads to the question, and its owner allows it and ends it`, async (t) => {
        const { on } = world.world;
        const [app, user] = [await createAssertingApp(world.world), newUser()];
        await signIn(on, user.email);
        const present = () => world.exchange(app, world.sign(app, user, { scope: 'read write' }));
        const { body } = await present();
        await visitTo(browser, on.url, look, body.error_uri, async (page: Page) => {
          await page.getByLabel('Email address').fill(user.email);
          await page.getByRole('button', { name: 'Email me a code' }).click();
          await page.getByLabel('Code from the email').fill(await on.signInCodeFor(user.email, 2));
          await page.getByRole('button', { name: 'Sign in' }).click();
          const question = 'Let Hartmann & Sons connect apps?';
          await see(t, page, look, question, 'provider, asked');
          await page.getByRole('button', { name: 'Decline' }).click();
          await page.getByText('Declined. Nothing was connected.').waitFor();
          await page.goto(body.error_uri);
          await see(t, page, look, question, 'provider, declined before');
          await page.getByRole('button', { name: 'Allow' }).click();
          await page.getByText('Allowed. The app can connect now.').waitFor();
          t.is((await present()).status, 200);
          await page.goto(`${on.url}/apps`);
          await see(t, page, look, 'Connected apps 1', 'provider, linked');
          await page.getByRole('link', { name: 'End what Hartmann & Sons may do' }).click();
          await see(t, page, look, 'End what Hartmann & Sons may do?', 'provider, about to end');
          await page.getByRole('button', { name: 'End it' }).click();
          await page.getByText('Ended. Its apps are signed out everywhere.').waitFor();
          t.is(await page.getByText('Hartmann & Sons').count(), 0);
        });
      });
    }
  },
);
