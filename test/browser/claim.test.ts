import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { said } from '../helpers/ceremony.ts';
import { at, inBrowser, LIGHT, looksOn, see, startChromium, visit, visitTo } from '../helpers/chromium.ts';
import {
  APPROVED,
  approveUrlIn,
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

  for (const look of looksOn(engine)) {
    test.describe(look.name, (test) => {
      const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
        visitTo(browser, house.on.url, look, url, tour);
      const seen = (t: ExecutionContext, page: Page, heading: string, name: string) =>
        see(t, page, look, engine, heading, name);

      test('who types the mailed code vouches for the agent, which then gets its key', async (t) => {
        const asked = await house.ask({ name: 'Robin the release bot' });
        t.is(said(await house.poll(asked.claim_token)), '400 authorization_pending');
        await visiting(asked.mail.claimUrl, async (page) => {
          await seen(t, page, WAITING, 'waiting');
          t.is(page.url(), `${house.on.url}/claim`);
          await assertCookies(t, page);
          t.regex(await page.locator('dl').innerText(), /Robin the release bot.*not verified/s);

          const field = page.getByLabel('Code from the mail');
          await field.fill(wrongCode(codeIn(asked.mail)));
          await page.getByRole('button', { name: 'Vouch for this agent' }).click();
          await page.getByRole('alert').waitFor();
          t.is(
            await page.getByRole('alert').innerText(),
            'The code is wrong. 4 tries are left. Only the code in the newest mail counts.',
          );
          await assertAtHand(t, page);
          await seen(t, page, WAITING, 'wrong code');
          t.is(said(await house.poll(asked.claim_token)), '400 authorization_pending');

          await page.keyboard.type(codeIn(asked.mail)); // the field has the focus
          await page.getByRole('button', { name: 'Vouch for this agent' }).click();
          await seen(t, page, APPROVED, 'approved');
          await page.reload(); // sends nothing again
          await seen(t, page, APPROVED, 'approved');
        });
        const collected = await house.poll(asked.claim_token);
        t.is(said(collected), '200');
        const me = await house.on.get('/api/me', collected.body.data.credential);
        t.is(me.body.data.claim.status, 'claimed');
      });

      test('who did not expect the agent says no by the mail, and no such mail comes any more', async (t) => {
        const asked = await house.ask({ name: 'Robin', link: true });
        await visiting(asked.mail.denyUrl, async (page) => {
          await seen(t, page, 'Turn this agent away?', 'deny');
          await page.getByRole('link', { name: 'Back' }).click();
          await seen(t, page, WAITING, 'waiting, by the mail');
          await page.getByRole('link', { name: 'This was not me' }).click();
          await page.getByLabel(/no such mails at all/).check();
          await page.getByRole('button', { name: 'Say no' }).click();
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
            await page.getByLabel('Code from the mail').fill(wrongCode(codeIn(guessed.mail)));
            await page.getByRole('button', { name: 'Vouch for this agent' }).click();
          }
          await seen(t, page, 'That was too often', 'failure 429');
        });
        const asked = await house.ask({ mailbox, name: 'Robin' });
        await visiting(asked.viewUrl, async (page) => {
          await seen(t, page, WAITING, 'link was mailed');
          t.is(await page.getByRole('button').count(), 0);
        });
        await visiting(approveUrlIn(asked.mail), async (page) => {
          await seen(t, page, WAITING, 'approve by link');
          await page.getByRole('button', { name: 'Vouch for this agent' }).click();
          await seen(t, page, APPROVED, 'approved by link');
        });
        t.is(said(await house.poll(asked.claim_token)), '200');
      });

      test('the page says so where there is nothing to decide yet, or no more', async (t) => {
        const unasked = await house.on.post('/agent/auth', { type: 'anonymous' });
        await visiting(unasked.body.data.verification_uri, (page) =>
          seen(t, page, 'This agent has not asked for anybody yet', 'unasked'),
        );

        const late = await house.ask({ name: 'Robin' });
        house.on.clock.advance(601);
        await visiting(late.mail.claimUrl, (page) => seen(t, page, CODE_OVER, 'code over'));

        const told = await house.ask();
        await house.complete(told.claim_token, codeIn(told.mail));
        await visiting(told.mail.claimUrl, async (page) => {
          await seen(t, page, 'This agent has been claimed', 'claimed');
          await page.goto(told.mail.denyUrl);
          await seen(t, page, 'This agent has been claimed already', 'deny, claimed');
        });

        await visiting(`${house.on.url}/claim?t=v.nobody.x`, (page) =>
          seen(t, page, 'There is nothing here', 'failure 404'),
        );
      });

      test('somebody signs in with a mailed code, sees their account, and signs out', async (t) => {
        const mailbox = newMailbox();
        await visiting(`${house.on.url}/account`, async (page) => {
          await seen(t, page, 'Sign in', 'sign in');
          await page.getByLabel('Your mail address').fill(mailbox);
          await page.getByRole('button', { name: 'Mail me a code' }).click();
          await seen(t, page, 'Look into your mail', 'sign in, code');
          await page.getByLabel('Code from the mail').fill(await house.on.signInCodeFor(mailbox));
          await page.getByRole('button', { name: 'Sign in' }).click();
          await seen(t, page, 'Your account', 'account');
          await page.getByRole('button', { name: 'Sign out here' }).click();
          await seen(t, page, 'Sign in', 'signed out');
        });
      });

      test('a developer finds the mail on the page for it, and its link leads on', async (t) => {
        const asked = await house.ask({ name: 'Robin' });
        await visiting(`${house.on.url}/dev/mailbox`, async (page) => {
          await seen(t, page, 'Development mailbox', 'dev mailbox');
          const mail = page.getByRole('article').filter({ hasText: `to ${asked.mailbox},` });
          const code = /^\s*(\d{6})$/m.exec(await mail.innerText())?.[1];
          await mail.getByRole('link').first().click();
          await page.getByLabel('Code from the mail').fill(code!);
          await page.keyboard.press('Enter');
          await seen(t, page, APPROVED, 'approved');
        });
      });
    });
  }

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
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    t.true(await page.getByRole('checkbox').isChecked());
    await tabTo('Say no');
    await tabTo('Back');
    await page.keyboard.press('Enter');
    await at(page, WAITING);

    await tabTo('code');
    await page.keyboard.type(wrongCode(codeIn(asked.mail)));
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await page.locator('#code:focus').waitFor(); // what is typed before that is lost
    await page.keyboard.type(codeIn(asked.mail));
    await tabTo('Vouch for this agent');
    await page.keyboard.press('Enter');
    await at(page, APPROVED);
    await end();
    t.is(said(await house.poll(asked.claim_token)), '200');
  });
}

/** What is wrong is said right above the field, both are in view, and one can type at once. */
async function assertAtHand(t: ExecutionContext, page: Page): Promise<void> {
  const field = page.getByLabel('Code from the mail');
  await page.locator('#code:focus').waitFor();
  t.is(await field.getAttribute('aria-invalid'), 'true');
  t.regex((await field.getAttribute('aria-describedby')) ?? '', /\bproblem\b/);
  const [problem, box] = [await page.getByRole('alert').boundingBox(), await field.boundingBox()];
  if (problem === null || box === null) return t.fail('both are drawn');
  const gap = box.y - (problem.y + problem.height);
  t.true(gap >= 0 && gap < 140, `the problem is ${gap} pixels above the field`);
  t.true(problem.y >= 0, 'the problem is in view');
  t.true(box.y + box.height <= page.viewportSize()!.height, 'the field is in view');
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
