import type { Browser, Page } from 'playwright-core';
import { homeOf } from '../helpers/auth-people.ts';
import { at, inBrowser, looksOn, startChromium, visitTo } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';
import type { Test } from '../helpers/suite.ts';
import { noTerminals } from '../helpers/terminal.ts';
import { addTreeApi, type TreeApi } from '../helpers/workspaces.ts';

inBrowser('a terminal asks, a human decides in a browser, and the terminal goes on', terminalTests);

function terminalTests(engine: Engine, test: Test, executablePath: string): void {
  let on: TestService;
  let api: TreeApi;
  let browser: Browser;
  test.before(async () => {
    const limits = { permissionsPerIp: '100000/h' };
    [on, browser] = await Promise.all([
      startTestService(engine, { clock: REAL_CLOCK, limits }),
      startChromium(executablePath),
    ]);
    api = await addTreeApi(on, on.url);
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));
  const [look] = looksOn(engine);
  const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
    visitTo(browser, on.url, look!, url, tour);

  async function signInOn(page: Page, mailbox: string): Promise<void> {
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox));
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  test.skipIf(noTerminals)('by the link that it prints', async (t) => {
    const bot = homeOf(t);
    const ask = ['request', '--service', on.url, '--cap', 'api:default:documents/:read,write'];
    const asking = bot.atTerminal(t, [...ask, '--wait', '--no-popup']);
    await asking.shows(/Waiting for a person to decide … 0:0\d \(Ctrl-C ends\)/);
    const link = /http\S+\/permissions\?t=\S+/.exec(asking.shown())![0];
    await visiting(link, async (page) => {
      await signInOn(page, newMailbox());
      await at(page, 'Approve these permissions?');
      await page.getByRole('checkbox', { name: /\bwrite\b/ }).uncheck();
      await page.getByRole('button', { name: 'Approve selected' }).click();
      await at(page, 'Approved');
    });
    t.is(await asking.ended, 0, asking.shown());
    t.regex(
      asking.shown(),
      /grt_\w+ holds until [\s\S]*documents\/:read\r?\n[\s\S]*Not granted:[\s\S]*:write/,
    );
    const { access_token: token } = await bot.json(t, ['token']);
    t.like((await api.ask(token)).body, { active: true, scope: 'read' });
    t.false((await bot.json(t, ['retry', '--last'])).covered);
  });

  test.skipIf(noTerminals)('by the code that it shows, and the answer that the page lets copy', async (t) => {
    const [ann, bot] = [homeOf(t), homeOf(t)];
    const signing = ann.atTerminal(t, ['login', '--service', on.url, '--paste', '--no-popup']);
    await signing.shows(/Paste/);
    const code = /code: (\S+)/.exec(signing.shown())![1]!;
    await visiting(`${on.url}/permissions`, async (page) => {
      await page.getByLabel('Code from the agent, device or terminal').fill(code);
      await page.getByRole('button', { name: 'Continue' }).click();
      await signInOn(page, newMailbox());
      await at(page, 'Let this terminal act for you?');
      await page.getByRole('checkbox', { name: /\bread\b/ }).check();
      await page.getByRole('button', { name: 'Let it act for me' }).click();
      await at(page, 'The terminal acts for you');
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.getByRole('button', { name: 'Copy' }).click();
      await page.getByRole('button', { name: 'Copied' }).waitFor();
      signing.type(await page.evaluate('navigator.clipboard.readText()'));
    });
    t.is(await signing.ended, 0, signing.shown());

    // That terminal now grants what another one asks for; the human sees it, and ends it.
    const { stdout } = await bot.auth(['request', '--service', on.url, '--cap', 'api:default:notes/:read']);
    t.is((await ann.auth(['grant', '-', '--yes'], { stdin: stdout })).code, 0);
    t.true((await bot.json(t, ['retry', '--last'])).covered);
  });

  test.skipIf(noTerminals)('and hears a no', async (t) => {
    const bot = homeOf(t);
    const ask = ['request', '--service', on.url, '--cap', 'api:default:documents/:read'];
    const asking = bot.atTerminal(t, [...ask, '--wait', '--no-popup']);
    await asking.shows(/Waiting for a person/);
    await visiting(/http\S+\/permissions\?t=\S+/.exec(asking.shown())![0], async (page) => {
      await signInOn(page, newMailbox());
      await at(page, 'Approve these permissions?');
      await page.getByRole('button', { name: 'Decline' }).click();
      await at(page, 'Declined');
    });
    t.is(await asking.ended, 5, asking.shown());
    t.regex(asking.shown(), /REQUEST_DENIED/);
  });
}
