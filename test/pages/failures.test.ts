import { openBrowser } from '../helpers/browser.ts';
import { assertPage, heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('pages of failures', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, {
      limits: { signInMailPerMailboxIp: '1/h' },
    });
  });
  test.after(() => on.stop());

  test('a stranger is led to the sign-in page, whoever is signed in to their agents; the request id comes last', async (t) => {
    const stranger = await openBrowser(on).get('/nothing/here');
    const human = await (await signIn(on, newMailbox())).get('/nothing/here');
    for (const page of [stranger, human]) {
      assertPage(t, page, 404);
      t.is(heading(page), 'Page not found');
      t.regex(page.text, /The address may be mistyped, or what was here is gone or not yours to see\./);
      t.regex(page.text, /<title>Page not found · Vouchsafe<\/title>/);
      t.regex(
        page.text,
        /class="button main"[\s\S]*Request ID <code>req_[0-9A-Za-z]+<\/code><\/p>\s*(?:<\/div>\s*)?<\/main>/,
      );
    }
    t.regex(stranger.text, /class="button main" href="\/sign-in">Sign in</);
    t.notRegex(stranger.text, /aria-label="Main"/);
    t.regex(human.text, /class="button main" href="\/agents">Go to your agents</);
    t.regex(human.text, /<nav class="main" aria-label="Main">/);
  });

  test('who comes without the link of a claim reads where it is', async (t) => {
    for (const path of ['/claim', '/claim/deny', '/claim?t=x']) {
      const page = await openBrowser(on).get(path);
      assertPage(t, page, 404, path);
      t.is(heading(page), 'Page not found');
      t.regex(
        page.text,
        /Open the link in the email, or the one that your agent gave you, in this browser\./,
      );
    }
  });

  test('a form without its token, and too many tries, say what to do', async (t) => {
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    const outdated = await browser.post('/sign-in', { email: newMailbox(), csrf: 'x' });
    assertPage(t, outdated, 403);
    t.is(heading(outdated), 'You can’t do that');
    t.regex(outdated.text, /Go back, reload the page and try again\./);

    const email = newMailbox();
    for (const status of [200, 429]) {
      await browser.get('/sign-in');
      const page = await browser.post('/sign-in', { email });
      assertPage(t, page, status);
      if (status === 200) continue;
      t.is(heading(page), 'Too many tries');
      t.regex(page.text, /Try again in (?:an hour|\d+ minutes)\./);
    }
  });
});
