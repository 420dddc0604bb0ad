import type { ExecutionContext } from 'ava';
import { createRoutes } from '../../src/app.ts';
import { isForOperators, type Route } from '../../src/http/server/table.ts';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { setUpApp, signIn } from '../helpers/human.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { OPERATOR, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Who may use the operator's console. */

/** A path of the console as a request writes it. */
const concrete = (path: string) => path.replace(':id', 'agt_0');

/** A page without what is another at every request. */
const plain = ({ status, text, headers }: Page) => ({
  status,
  type: headers.get('content-type'),
  text: text.replaceAll(/req_\w+/g, 'REQ').replaceAll(/(name="(?:csrf|once)" value)="[^"]*"/g, '$1'),
});

onEveryEngine('the console', (engine, test) => {
  let on: TestService;
  let routes: Route[];
  let operator: Operator;
  test.before(async () => {
    on = await startTestService(engine);
    routes = createRoutes(on.service.deps, { devMailbox: undefined, follow: async () => ({}) as never })
      .flat()
      .filter(({ caller }) => isForOperators(caller));
    operator = await newOperator(on);
  });
  test.after(() => on.stop());

  const ask = (browser: Browser, { method, path }: Pick<Route, 'method' | 'path'>) =>
    method === 'GET' ? browser.get(concrete(path)) : browser.send(concrete(path), { csrf: 'none' });

  /** Every route of the console answers a browser as a path at which there is nothing. */
  async function assertHidden(t: ExecutionContext, browser: Browser): Promise<void> {
    for (const route of routes) {
      const about = `${route.method} ${route.path}`;
      const nothing = { method: route.method, path: '/nothing' };
      t.deepEqual(plain(await ask(browser, route)), plain(await ask(browser, nothing)), about);
      // Nor does the wrong method tell.
      const wrong = { path: route.path, method: route.method === 'GET' ? 'POST' : 'GET' } as const;
      t.is((await ask(browser, wrong)).status, 404, `not ${about}`);
    }
  }

  test('is nothing for somebody who is signed in and no operator', async (t) => {
    t.true(routes.length > 0);
    await assertHidden(t, await signIn(on, newMailbox()));
  });

  test('is nothing for anybody where there is no operator', async (t) => {
    const alone = await startTestService(engine, { env: { OPERATORS: '' } });
    try {
      await assertHidden(t, openBrowser(alone));
      await assertHidden(t, await signIn(alone, newMailbox()));
    } finally {
      await alone.stop();
    }
  });

  test('leads people who are not signed in to signing in, and back', async (t) => {
    const browser = openBrowser(on);
    t.is((await browser.get('/console')).path, '/sign-in?next=/console');
    t.is((await browser.get('/console/agents/agt_0')).path, '/sign-in?next=/console/agents/agt_0');
    for (const route of routes.filter(({ method }) => method === 'POST')) {
      t.is((await ask(browser, route)).path, `/sign-in?next=${concrete(route.path)}`, route.path);
    }
  });

  test('leads an operator without an app to setting one up, and one whose session is older than the app to signing in again', async (t) => {
    const browser = await signIn(on, OPERATOR);
    const setup = await browser.get('/console');
    t.is(setup.path, '/account/authenticator');
    t.regex(setup.text, /The operator console needs two-step sign-in/);
    await setUpApp(on, browser);
    const again = await browser.get('/console');
    t.is(again.path, '/sign-in/again?next=/console');
    t.regex(again.text, /The operator console needs a session that began with a code from your app/);
    for (const route of routes.filter(({ method }) => method === 'GET')) {
      t.regex((await ask(browser, route)).path, /^\/sign-in\/again\?next=\/console/, route.path);
    }
  });

  test('opens for an operator who signed in with both factors, from the menu of every page', async (t) => {
    const page = await operator.browser.get('/console');
    t.is(page.status, 200);
    t.is(heading(page), 'Overview');
    t.regex((await operator.browser.get('/agents')).text, /<a href="\/console">/);
    t.notRegex((await (await signIn(on, newMailbox())).get('/agents')).text, /\/console/);
  });

  test('closes at once for an operator who is removed', async (t) => {
    const removed = await newOperator(on);
    t.is((await removed.browser.get('/console')).status, 200);
    await on.service.deps.db.tx((tx) => tx.run('DELETE FROM operators WHERE mailbox = ?', [removed.mailbox]));
    t.is((await removed.browser.get('/console')).status, 404);
    t.notRegex((await removed.browser.get('/agents')).text, /\/console/);
  });

  test('asks an operator for a fresh code where something ends, a quarter of an hour after signing in', async (t) => {
    const late = await newOperator(on);
    on.clock.advance(16 * 60);
    t.is((await late.browser.get('/console')).status, 200);
    const ending = routes.filter(
      ({ caller, method }) => caller === 'recentlyVerifiedOperator' && method === 'POST',
    );
    for (const route of ending) {
      const { text } = await late.browser.get('/agents');
      const csrf = /name="csrf" value="([^"]*)"/.exec(text)![1];
      const page = await late.browser.send(concrete(route.path), { csrf });
      t.regex(page.path, /^\/sign-in\/again\?next=\/console/, route.path);
    }
  });

  test('takes no post without the token of its page, nor from another site', async (t) => {
    const { browser } = operator;
    await operator.signInAgain();
    for (const route of routes.filter(({ method }) => method === 'POST')) {
      t.is((await ask(browser, route)).status, 403, route.path);
      const { text } = await browser.get('/agents');
      const csrf = /name="csrf" value="([^"]*)"/.exec(text)![1];
      const foreign = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' };
      t.is((await browser.send(concrete(route.path), { csrf }, foreign)).status, 403, route.path);
    }
  });
});
