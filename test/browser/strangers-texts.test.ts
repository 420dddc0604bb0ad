import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { createRender } from '../../src/mail/render.ts';
import { openAgentClient } from '../helpers/agent-client.ts';
import { inBrowser, NARROW, startChromium } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';

/** What strangers may write where a person looks: no break in it, or more marks on a letter than any script has. */
const TEXTS = {
  'one long word': 'W'.repeat(64),
  'one long word of wide letters': '𝔚'.repeat(64),
  'letters under piles of marks': `Z${'\u0301'.repeat(21)}a${'\u0316'.repeat(21)}l${'\u0489'.repeat(19)}`,
  'marks alone': '\u0335'.repeat(64),
  'words that do not break': 'never\u00a0ends\u2060'.repeat(5),
};

inBrowser('texts of strangers on a phone', (engine: Engine, test, executablePath: string) => {
  let on: TestService;
  let browser: Browser;
  test.before(async () => {
    [on, browser] = await Promise.all([startTestService(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  /** A phone that opens a page; pages are left before all of them is there. */
  async function onPhone(url: string, tour: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser.newContext(NARROW.options);
    const page = await context.newPage();
    await page.goto(url);
    await tour(page);
    await context.close();
  }

  async function assertFits(t: ExecutionContext, page: Page, where: string): Promise<void> {
    const { wide, window } = await page.evaluate<{ wide: number; window: number }>(
      '({ wide: document.documentElement.scrollWidth, window: document.documentElement.clientWidth })',
    );
    t.true(wide <= window, `${where}: ${wide} of ${window} pixels`);
    const piled = await page.evaluate<boolean>('/\\p{M}{5}/u.test(document.body.innerText.normalize("NFC"))');
    t.false(piled, `${where}: marks without end`);
  }

  async function signInOn(page: Page, mailbox: string): Promise<void> {
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
  }

  for (const [what, text] of Object.entries(TEXTS)) {
    test(`${what} fit on every page, and in every mail`, async (t) => {
      const mailbox = newMailbox();
      const answer = await on.post('/agent/auth', { type: 'anonymous', agent_name: text });
      const { claim_token } = answer.body.data;
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      const mail = await on.mailTo(mailbox);
      const { denyUrl } = mail as { denyUrl: string };
      const otp = await on.codeFor(mailbox);
      await on.post('/agent/auth/claim/complete', { claim_token, otp });

      const client = openAgentClient(on);
      const { reply } = await client.connect(client.newHost(text), {
        name: text,
        capabilities: ['read', { name: 'write', constraints: { seconds: { max: 120 } } }],
        reason: text.repeat(7).slice(0, 480),
        binding_message: text,
        preferred_method: 'ciba',
        login_hint: mailbox,
      });
      t.is(reply.status, 200, JSON.stringify(reply.body));
      const other = await on.post('/agent/auth', { type: 'anonymous', agent_name: text });
      await on.post('/agent/auth/claim', { claim_token: other.body.data.claim_token, email: mailbox });
      const open = (await on.mailTo(mailbox, 1)) as { denyUrl: string };

      await onPhone(`${on.url}/agents`, async (page) => {
        await signInOn(page, mailbox);
        await assertFits(t, page, 'agents');
        const links = await page
          .locator('h2 a')
          .evaluateAll((found: { getAttribute(name: string): string }[]) =>
            found.map((each) => each.getAttribute('href')),
          );
        for (const path of [...links, '/keys', '/account', '/account/activity']) {
          await page.goto(on.url + path);
          await assertFits(t, page, path);
        }
        await page.goto(`${on.url}/keys/new`);
        await page.getByLabel('Name').fill(text);
        await page.getByRole('button', { name: 'Create key' }).click();
        await page.getByRole('heading', { level: 1 }).waitFor();
        await assertFits(t, page, 'made key');
        await page.goto(`${on.url}/keys`);
        await assertFits(t, page, 'keys');
        await page.goto(on.approvalMails.at(-1)!.pageUrl);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await assertFits(t, page, 'connect');
        for (const url of [denyUrl, open.denyUrl]) {
          await page.goto(url);
          await assertFits(t, page, 'say no');
        }
      });

      const render = createRender(on.service.deps.config);
      const mails = [...on.mails, ...on.approvalMails, ...on.notices, ...on.signInMails].filter(
        ({ to }) => to === mailbox,
      );
      t.true(mails.length >= 4, `${mails.length} mails`);
      for (const each of mails) {
        await onPhone('about:blank', async (page) => {
          await page.setContent(render(each).html);
          await assertFits(t, page, `mail ${each.kind}`);
        });
      }
    });
  }
});
