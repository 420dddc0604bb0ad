import { addOperator } from '../../src/domain/accounts/operators.ts';
import { localOrigin } from '../../src/work.ts';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import { appCode, setUpApp, signIn, typeMailedCode } from './human.ts';
import type { TestService } from './service.ts';

/** Somebody who runs the service, at a browser that is signed in with both factors. */
export interface Operator {
  mailbox: string;
  accountId: string;
  browser: Browser;
  /** Of the authenticator app. */
  secret: string;
  /** Signs in anew, with both factors: the session is fresh then. */
  signInAgain(next?: string): Promise<Page>;
}

/** Makes an operator, who sets two-step sign-in up and signs in with it. */
export async function newOperator(on: TestService, mailbox = newMailbox('operator')): Promise<Operator> {
  const { deps } = on.service;
  await addOperator(deps, localOrigin('test'), mailbox);
  const { secret } = await setUpApp(on, await signIn(on, mailbox));
  const account = await deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]);
  const browser = openBrowser(on);
  async function signInAgain(next = '/console'): Promise<Page> {
    on.clock.advance(90); // a code of the app works once
    await browser.get('/sign-in');
    browser.cookies.clear();
    await typeMailedCode(on, mailbox, { browser, next });
    const page = await browser.post('/sign-in/code', { code: appCode(on, secret) });
    ensure(page.status === 200, page.text);
    return page;
  }
  await signInAgain();
  return { mailbox, accountId: account!.id, browser, secret, signInAgain };
}
