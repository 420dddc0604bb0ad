import { type Browser, openBrowser } from './browser.ts';
import { countOf } from './ceremony.ts';
import { heading } from './claim-page.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import { isIn, setUpApp, signIn, typeMailedCode } from './human.ts';
import type { TestService } from './service.ts';

/** Humans with an authenticator app. @param of the service, asked for when it is needed */
export function secondFactorSteps(of: () => { on: TestService }) {
  /** Somebody with an app, which by now shows another code than the one it was set up with. */
  async function withApp(mailbox = newMailbox(), at = of().on) {
    const browser = await signIn(at, mailbox);
    const { secret, recoveryCodes } = await setUpApp(at, browser);
    at.clock.advance(90);
    return { mailbox, browser, secret, recoveryCodes };
  }

  /** Types the mailed code, and stands before the second factor then. */
  async function toSecondFactor(
    mailbox: string,
    browser = openBrowser(of().on),
    at = of().on,
  ): Promise<Browser> {
    const page = await typeMailedCode(at, mailbox, { browser });
    ensure(heading(page) === 'Enter the code from your app', page.text);
    return browser;
  }

  const typeSecond = (browser: Browser, code: string) => browser.post('/sign-in/code', { code });

  /** Signs in with both factors; whether that went well. */
  async function signsIn(mailbox: string, second: string, at = of().on): Promise<boolean> {
    const browser = await toSecondFactor(mailbox, openBrowser(at), at);
    await typeSecond(browser, second);
    return isIn(browser);
  }

  const OF_MAILBOX = 'account_id = (SELECT id FROM accounts WHERE mailbox = ?)';

  const appsOf = (mailbox: string) => countOf(of().on, `authenticators WHERE ${OF_MAILBOX}`, [mailbox]);

  const recoveryCodesOf = (mailbox: string) =>
    countOf(of().on, `recovery_codes WHERE ${OF_MAILBOX}`, [mailbox]);

  const eventsOf = (mailbox: string, kind: string) =>
    countOf(of().on, `events WHERE kind = ? AND ${OF_MAILBOX}`, [kind, mailbox]);

  return { withApp, toSecondFactor, typeSecond, signsIn, OF_MAILBOX, appsOf, recoveryCodesOf, eventsOf };
}
