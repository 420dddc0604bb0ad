import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../helpers/browser.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

onEveryEngine('a code that a newer mail replaced', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

  test('is wrong, and the agent and the page say that only the newest counts', async () => {
    const mailbox = `superseded-${engine}@example.com`;
    const { claim_token } = await on.register();
    const ask = () => on.post('/agent/auth/claim', { claim_token, email: mailbox });
    await ask();
    const older = await on.codeFor(mailbox);
    await ask();
    const newer = await on.codeFor(mailbox, 1);
    assert.notEqual(newer, older);
    const complete = (otp: string) => on.post('/agent/auth/claim/complete', { claim_token, otp });
    const refused = await complete(older);
    assert.equal(refused.status, 401, refused.text);
    assert.match(refused.body.error.message, /only the newest code counts/);

    const browser = openBrowser(on);
    await browser.get((await on.mailTo(mailbox, 1)).claimUrl);
    const page = await browser.post('/claim', { code: older });
    assert.equal(page.status, 400);
    assert.match(
      page.text,
      /The code is wrong\. 3 tries are left\. Only the code in the newest mail counts\./,
    );
    assert.equal((await complete(newer)).status, 200);
  });

  test('signs nobody in, and the page says why', async () => {
    const mailbox = `signing-in-${engine}@example.com`;
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email: mailbox });
    const older = await on.signInCodeFor(mailbox, 1);
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email: mailbox });
    const newer = await on.signInCodeFor(mailbox, 2);
    assert.notEqual(newer, older);
    const page = await browser.post('/sign-in/code', { code: older });
    assert.equal(page.status, 400);
    assert.match(page.text, /Only the code in the newest mail counts/);
    await browser.post('/sign-in/code', { code: newer });
    assert.equal((await browser.get('/account')).status, 200);
  });
});
