import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { said } from '../helpers/ceremony.ts';
import { at, inBrowser, inEachLook, LIGHT, startChromium, visit, visitTo } from '../helpers/chromium.ts';
import {
  APPROVED,
  approveUrlIn,
  CLAIMED,
  CODE_OVER,
  codeIn,
  DENIED,
  type House,
  openHouse,
  WAITING,
} from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { type Engine, wrongCode } from '../helpers/service.ts';
import type { Test } from '../helpers/suite.ts';

inBrowser('the claim page in a browser', claimTests);

function claimTests(engine: Engine, test: Test, executablePath: string): void {
  let house: House;
  let browser: Browser;
  test.before(async () => {
    [house, browser] = await Promise.all([
      openHouse(engine, { limits: { wrongPerMailboxDay: 2 } }),
      startChromium(executablePath),
    ]);
  });
  test.after(() => Promise.all([browser.close(), house.stop()]));

  inEachLook(engine, test, (test, look, seen) => {
    const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
      visitTo(browser, house.on.url, look, url, tour);
    test('who types the mailed code approves the agent, which then gets its key', async (t) => {
      const asked = await house.ask({ name: 'Robin the release bot' });
      t.is(said(await house.poll(asked.claim_token)), '400 authorization_pending');
      await visiting(asked.mail.claimUrl, async (page) => {
        await seen(t, page, WAITING, 'waiting');
        t.is(page.url(), `${house.on.url}/claim`);
        await assertCookies(t, page);
        t.regex(await page.locator('.who').innerText(), /Robin the release bot.*Name not verified/s);
        t.regex(await page.locator('dl').innerText(), /First seen.*Requested.*from network.*For/s);

        const field = page.getByLabel('Code from the email');
        await field.fill(wrongCode(codeIn(asked.mail)));
        await page.getByRole('button', { name: 'Approve' }).click();
        await page.getByRole('alert').waitFor();
        t.is(
          await page.locator('#code-error').innerText(),
          'That code isn’t right. Use the code from the newest email. 4 tries are left.',
        );
        await assertAtHand(t, page);
        await seen(t, page, WAITING, 'wrong code');
        t.is(said(await house.poll(asked.claim_token)), '400 authorization_pending');

        await page.keyboard.type(codeIn(asked.mail)); // the field has the focus
        await page.getByRole('button', { name: 'Approve' }).click();
        await seen(t, page, APPROVED, 'approved');
        await page.reload(); // sends nothing again
        await seen(t, page, APPROVED, 'approved');
      });
      const collected = await house.poll(asked.claim_token);
      t.is(said(collected), '200');
      const me = await house.on.get('/api/me', collected.body.data.credential);
      t.is(me.body.data.claim.status, 'claimed');
    });

    test('who did not expect the agent declines by the mail, and no such mail comes any more', async (t) => {
      const asked = await house.ask({ name: 'Robin', link: true });
      await visiting(asked.mail.denyUrl, async (page) => {
        await seen(t, page, 'Decline this agent?', 'deny');
        await page.getByRole('link', { name: 'Cancel' }).click();
        await seen(t, page, WAITING, 'waiting, by the mail');
        await page.getByRole('link', { name: 'Decline' }).click();
        await page.getByLabel(/Stop all emails from agents/).check();
        await page.getByRole('button', { name: 'Decline' }).click();
        await seen(t, page, DENIED, 'denied');
      });
      t.is(said(await house.poll(asked.claim_token)), '410 claim_denied');
      const mails = house.on.mails.length;
      const { claim_token } = await house.register();
      await house.on.post('/agent/auth/claim', { claim_token, email: asked.mailbox });
      await house.settled(asked.mailbox);
      t.is(house.on.mails.length, mails);
    });

    test('where wrong codes were typed too often, a link comes by mail, and one button approves', async (t) => {
      const mailbox = newMailbox();
      const guessed = await house.ask({ mailbox });
      await visiting(guessed.mail.claimUrl, async (page) => {
        for (let tries = 0; tries < 3; tries += 1) {
          await page.getByLabel('Code from the email').fill(wrongCode(codeIn(guessed.mail)));
          await page.getByRole('button', { name: 'Approve' }).click();
        }
        await seen(t, page, 'Too many tries', 'failure 429');
      });
      const asked = await house.ask({ mailbox, name: 'Robin' });
      await visiting(asked.viewUrl, async (page) => {
        await seen(t, page, WAITING, 'link was mailed');
        t.is(await page.getByRole('button').count(), 0);
      });
      await visiting(approveUrlIn(asked.mail), async (page) => {
        await seen(t, page, WAITING, 'approve by link');
        await page.getByRole('button', { name: 'Approve' }).click();
        await seen(t, page, APPROVED, 'approved by link');
      });
      t.is(said(await house.poll(asked.claim_token)), '200');
    });

    test('the page says so where there is nothing to decide yet, or no more', async (t) => {
      const unasked = await house.on.post('/agent/auth', { type: 'anonymous' });
      await visiting(unasked.body.data.verification_uri, (page) =>
        seen(t, page, 'Waiting for the agent', 'unasked'),
      );

      const late = await house.ask({ name: 'Robin' });
      house.on.clock.advance(601);
      await visiting(late.mail.claimUrl, (page) => seen(t, page, CODE_OVER, 'code over'));

      const told = await house.ask();
      await house.complete(told.claim_token, codeIn(told.mail));
      await visiting(told.mail.claimUrl, async (page) => {
        await seen(t, page, CLAIMED, 'claimed');
        await page.goto(told.mail.denyUrl);
        await seen(t, page, CLAIMED, 'deny, claimed');
      });

      await visiting(`${house.on.url}/claim?t=v.nobody.x`, (page) =>
        seen(t, page, 'Page not found', 'failure 404'),
      );
    });

    test('somebody signs in with a mailed code, sees their account, and signs out', async (t) => {
      const mailbox = newMailbox();
      await visiting(`${house.on.url}/account`, async (page) => {
        await seen(t, page, 'Sign in', 'sign in');
        await page.getByLabel('Email address').fill(mailbox);
        await page.getByRole('button', { name: 'Email me a code' }).click();
        await seen(t, page, 'Check your email', 'sign in, code');
        await page.getByLabel('Code from the email').fill(await house.on.signInCodeFor(mailbox));
        await page.getByRole('button', { name: 'Sign in' }).click();
        await seen(t, page, 'Account and security', 'account');
        await page.locator('.account > button').click();
        await page.getByRole('button', { name: 'Sign out' }).click();
        await seen(t, page, 'You’re signed out', 'signed out');
      });
    });

    test('a developer finds the mail on the page for it, and its link leads on', async (t) => {
      const asked = await house.ask({ name: 'Robin' });
      await visiting(`${house.on.url}/dev/mailbox`, async (page) => {
        await seen(t, page, 'Development mailbox', 'dev mailbox');
        const mail = page.getByRole('article').filter({ hasText: `To ${asked.mailbox}` });
        const code = codeIn(asked.mail);
        const html = mail.frameLocator('iframe').locator('body');
        t.regex((await html.innerText()).replaceAll(/\s/g, ''), new RegExp(code));
        // By the keyboard: a click right after scrolling may still reach the frame that was there before.
        await mail.locator('summary').press('Enter');
        t.regex(await mail.locator('pre').innerText(), new RegExp(`^ *${code}$`, 'm'));
        await mail.getByRole('link').first().press('Enter');
        await page.getByLabel('Code from the email').fill(code);
        await page.keyboard.press('Enter');
        await seen(t, page, APPROVED, 'approved');
      });
    });
  });

  test('all of it goes by the keyboard alone', async (t) => {
    const asked = await house.ask({ name: 'Robin' });
    const { page, end } = await visit(browser, house.on.url, LIGHT);
    const focused = () =>
      page.evaluate<string>('document.activeElement.innerText || document.activeElement.id');
    const tabTo = async (name: string) => {
      await page.keyboard.press('Tab');
      t.is(await focused(), name);
    };
    await page.goto(asked.mail.denyUrl);
    await tabTo('Skip to content');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    t.true(await page.getByRole('checkbox').isChecked());
    await tabTo('Cancel');
    await tabTo('Decline');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await at(page, WAITING);

    await tabTo('Skip to content');
    await tabTo('How is this different from linking?');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    t.false(await page.getByRole('checkbox', { name: 'write' }).isChecked());
    await tabTo('code');
    await page.keyboard.type(wrongCode(codeIn(asked.mail)));
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await page.locator('#code:focus').waitFor(); // what is typed before that is lost
    t.false(await page.getByRole('checkbox', { name: 'write' }).isChecked(), 'it stays as it was');
    await page.keyboard.type(codeIn(asked.mail));
    await tabTo('Decline');
    await tabTo('Approve');
    await page.keyboard.press('Enter');
    await at(page, APPROVED);
    await end();
    t.deepEqual((await house.poll(asked.claim_token)).body.data.scopes, ['read']);
  });
}

/** What is wrong is said right below the field, both are in view, and one can type at once. */
async function assertAtHand(t: ExecutionContext, page: Page): Promise<void> {
  const field = page.getByLabel('Code from the email');
  await page.locator('#code:focus').waitFor();
  t.is(await field.getAttribute('aria-invalid'), 'true');
  t.regex((await field.getAttribute('aria-describedby')) ?? '', /\bcode-error\b/);
  const [problem, box] = [await page.locator('#code-error').boundingBox(), await field.boundingBox()];
  if (problem === null || box === null) return t.fail('both are drawn');
  const gap = problem.y - (box.y + box.height);
  t.true(gap >= 0 && gap < 20, `the problem is ${gap} pixels below the field`);
  t.true(box.y >= 0, 'the field is in view');
  t.true(problem.y + problem.height <= page.viewportSize()!.height, 'the problem is in view');
}

/** On http://localhost cookies go without `Secure`, which WebKit would drop there, and scripts cannot read them. */
async function assertCookies(t: ExecutionContext, page: Page): Promise<void> {
  const cookies = await page.context().cookies();
  t.deepEqual(cookies.map(({ name }) => name).sort(), ['vouchsafe_browser', 'vouchsafe_claim']);
  for (const { secure, httpOnly, sameSite, path } of cookies) {
    t.deepEqual(
      { secure, httpOnly, sameSite, path },
      {
        secure: false,
        httpOnly: true,
        sameSite: 'Lax',
        path: '/',
      },
    );
  }
  t.is(await page.evaluate('document.cookie'), '');
}
