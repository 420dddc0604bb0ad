import { openBrowser } from '../helpers/browser.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('a code that a newer mail replaced', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  test('is wrong, and the agent and the page say that only the newest counts', async (t) => {
    const mailbox = `superseded-${engine}@example.com`;
    const { claim_token } = await on.register();
    const ask = () => on.post('/agent/auth/claim', { claim_token, email: mailbox });
    await ask();
    const older = await on.codeFor(mailbox);
    await ask();
    const newer = await on.codeFor(mailbox, 1);
    t.not(newer, older);
    const complete = (otp: string) => on.post('/agent/auth/claim/complete', { claim_token, otp });
    const refused = await complete(older);
    t.is(refused.status, 401, refused.text);
    t.regex(refused.body.error.message, /only the newest code counts/);

    const browser = openBrowser(on);
    await browser.get((await on.mailTo(mailbox, 1)).claimUrl);
    const page = await browser.post('/claim', { code: older });
    t.is(page.status, 400);
    t.regex(page.text, /That code isn’t right\. Use the code from the newest email\. 3 tries are left\./);
    t.is((await complete(newer)).status, 200);
  });

  test('signs nobody in, and the page says why', async (t) => {
    const mailbox = `signing-in-${engine}@example.com`;
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email: mailbox });
    const older = await on.signInCodeFor(mailbox, 1);
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email: mailbox });
    const newer = await on.signInCodeFor(mailbox, 2);
    t.not(newer, older);
    const page = await browser.post('/sign-in/code', { code: older });
    t.is(page.status, 400);
    t.regex(page.text, /Use the code from the newest email/);
    await browser.post('/sign-in/code', { code: newer });
    t.is((await browser.get('/account')).status, 200);
  });
});
