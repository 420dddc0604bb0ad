import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../helpers/browser.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

onEveryEngine('the front page, and pages of what has ended', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

  test('a person gets a page, everybody else the way to auth.md; neither is kept for the other', async () => {
    const people = [
      'text/html',
      'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      'TEXT/HTML;level=1',
      'text/markdown;q=0.5, text/html',
    ];
    for (const accept of people) {
      const reply = await on.request('GET', '/', { headers: { Accept: accept } });
      assert.equal(reply.status, 200, accept);
      assert.match(reply.headers.get('content-type') ?? '', /^text\/html/);
      assert.equal(reply.headers.get('cache-control'), 'no-store');
      assert.equal(reply.headers.get('vary'), 'Accept');
      assert.equal(reply.headers.get('set-cookie'), null);
      for (const link of ['href="/sign-in"', 'href="/connect"', `href="${on.url}/auth.md"`]) {
        assert.ok(reply.text.includes(link), link);
      }
    }
    const others = [
      '*/*',
      '',
      'application/json',
      'text/*',
      'text/html;q=0',
      'text/markdown, text/html, */*',
    ];
    for (const accept of others) {
      const reply = await on.request('GET', '/', { headers: { Accept: accept } });
      assert.equal(reply.status, 303, accept);
      assert.equal(reply.headers.get('location'), `${on.url}/auth.md`);
      assert.equal(reply.headers.get('vary'), 'Accept');
    }
  });

  test('every link of the front page leads somewhere', async () => {
    const { text } = await on.request('GET', '/', { headers: { Accept: 'text/html' } });
    for (const [, href] of text.matchAll(/href="([^"]+)"/g)) {
      const reply = await fetch(new URL(href!, on.url));
      assert.equal(reply.status, 200, href);
    }
  });

  test('the page of a claim is there while it can be decided, and gone when it has ended', async () => {
    const ask = async (mailbox: string) => {
      const { claim_token, credential } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      const browser = openBrowser(on);
      const { claimUrl } = await on.mailTo(mailbox);
      const first = await browser.get(claimUrl);
      assert.equal(first.status, 200);
      return { browser, credential, claimUrl, mailbox };
    };

    const denied = await ask(`denied-${engine}@example.com`);
    await denied.browser.get((await on.mailTo(denied.mailbox)).denyUrl);
    await denied.browser.post('/claim/deny');
    assert.equal((await denied.browser.get('/claim')).status, 410);
    assert.equal((await denied.browser.get('/claim/deny')).status, 410);

    const over = await ask(`over-${engine}@example.com`);
    on.clock.advance(31 * 24 * 3600);
    const gone = await over.browser.get('/claim');
    assert.equal(gone.status, 410, gone.text);
    assert.match(gone.text, /<h1>/);
  });
});
