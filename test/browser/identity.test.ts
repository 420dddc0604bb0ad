import type { Browser, Page } from 'playwright-core';
import { inBrowser, inEachLook, startChromium, visitTo } from '../helpers/chromium.ts';
import { APPROVED, type House, openHouse, WAITING } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import type { Engine } from '../helpers/service.ts';
import type { Test } from '../helpers/suite.ts';

inBrowser('the claim page of auth.md’s own versions in a browser', identityTests);

const CLAIM_GRANT = 'urn:workos:agent-auth:grant-type:claim';

/** The code goes both ways there: shown to the human, or typed by them. */
function identityTests(engine: Engine, test: Test, executablePath: string): void {
  let house: House;
  let browser: Browser;
  test.before(async () => {
    [house, browser] = await Promise.all([openHouse(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), house.stop()]));

  const poll = (claim_token: string) =>
    house.on.form('/oauth2/token', { grant_type: CLAIM_GRANT, claim_token });

  async function signInOn(page: Page, mailbox: string): Promise<void> {
    const earlier = house.on.signInMails.filter(({ to }) => to === mailbox).length;
    await page.getByRole('link', { name: 'Sign in to continue' }).click();
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await page.getByLabel('Code from the email').fill(await house.on.signInCodeFor(mailbox, earlier + 1));
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  inEachLook(engine, test, (test, look, seen) => {
    const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
      visitTo(browser, house.on.url, look, url, tour);
    test('production: the human signs in, confirms, and reads the code that the page shows to the agent', async (t) => {
      const mailbox = newMailbox();
      const { claim } = (
        await house.on.post('/agent/identity', {
          type: 'service_auth',
          login_hint: mailbox,
          agent_name: 'Robin the release bot',
        })
      ).body;
      let user_code = '';
      await visiting(claim.attempt.verification_uri, async (page) => {
        await seen(t, page, WAITING, 'identity, sign in first');
        await signInOn(page, mailbox);
        await seen(t, page, WAITING, 'identity, reveal');
        t.regex(await page.locator('main').innerText(), /first agent you approve here/);
        await page.getByRole('button', { name: 'Approve and show code' }).click();
        await page.locator('.code-shown').waitFor();
        await seen(t, page, 'Read this code to the agent', 'identity, revealed');
        user_code = await page.locator('.code-shown').innerText();
        t.regex(user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
      });
      const done = await house.on.post('/agent/identity/claim/complete', {
        claim_token: claim.token,
        user_code: user_code.toLowerCase(),
      });
      t.is(done.status, 200, done.text);
    });

    test('0.4 to 0.6: an agent that polls has shown a code, and the page asks for that one first', async (t) => {
      const mailbox = newMailbox();
      const { claim } = (
        await house.on.post('/agent/identity', { type: 'service_auth', login_hint: mailbox })
      ).body;
      t.is((await poll(claim.token)).body.error, 'authorization_pending');
      await visiting(claim.verification_uri, async (page) => {
        await signInOn(page, mailbox);
        await page.getByLabel('Code from the agent').fill('000000');
        await page.getByRole('button', { name: 'Approve' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, WAITING, 'identity, typed wrong');
        await page.getByLabel('Code from the agent').fill(claim.user_code);
        await page.getByRole('button', { name: 'Approve' }).click();
        await seen(t, page, APPROVED, 'identity, approved');
      });
      const collected = await poll(claim.token);
      t.is(collected.status, 200, collected.text);
      t.is(collected.body.scope, 'read write');
    });

    test('either way leads to the other one', async (t) => {
      const mailbox = newMailbox();
      const { claim } = (
        await house.on.post('/agent/identity', { type: 'service_auth', login_hint: mailbox })
      ).body;
      await visiting(claim.verification_uri, async (page) => {
        await signInOn(page, mailbox);
        await page.getByRole('button', { name: 'The agent showed me a code' }).click();
        const field = page.getByLabel('Code from the agent');
        await field.waitFor();
        await page.getByRole('button', { name: 'The agent asks me for a code' }).click();
        await page.getByRole('button', { name: 'Approve and show code' }).waitFor();
        t.false(await field.isVisible(), 'one way at a time');
      });
    });

    test('0.1: the mailed link shows the code without signing in', async (t) => {
      const mailbox = newMailbox();
      const { claim_token } = (
        await house.on.post('/agent/auth', {
          type: 'identity_assertion',
          assertion_type: 'verified_email',
          assertion: mailbox,
          requested_credential_type: 'api_key',
        })
      ).body;
      await house.settled(mailbox);
      const { proof } = house.on.mails.findLast(({ to }) => to === mailbox)!;
      t.is(proof.kind, 'page');
      const link = proof.kind === 'page' ? proof.pageUrl : '';
      let otp = '';
      await visiting(link, async (page) => {
        await seen(t, page, WAITING, 'identity, by mail');
        await page.getByRole('button', { name: 'Approve and show code' }).click();
        otp = await page.locator('.code-shown').innerText();
      });
      const done = await house.on.post('/agent/auth/claim/complete', { claim_token, otp });
      t.is(done.status, 200, done.text);
      t.regex(done.body.credential, /^sk_/);
    });
  });
}
