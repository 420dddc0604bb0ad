import { openBrowser } from '../helpers/browser.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the front page, and pages of what has ended', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  test('a person gets a page, everybody else the way to auth.md; neither is kept for the other', async (t) => {
    const people = [
      'text/html',
      'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      'TEXT/HTML;level=1',
      'text/markdown;q=0.5, text/html',
    ];
    for (const accept of people) {
      const reply = await on.request('GET', '/', { headers: { Accept: accept } });
      t.is(reply.status, 200, accept);
      t.regex(reply.headers.get('content-type') ?? '', /^text\/html/);
      t.is(reply.headers.get('cache-control'), 'no-store');
      t.is(reply.headers.get('vary'), 'Accept');
      t.is(reply.headers.get('set-cookie'), null);
      for (const link of ['href="/sign-in?next=/agents"', 'href="/connect"', `href="${on.url}/auth.md"`]) {
        t.true(reply.text.includes(link), link);
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
      t.is(reply.status, 303, accept);
      t.is(reply.headers.get('location'), `${on.url}/auth.md`);
      t.is(reply.headers.get('vary'), 'Accept');
    }
  });

  test('every link of the front page leads somewhere', async (t) => {
    const { text } = await on.request('GET', '/', { headers: { Accept: 'text/html' } });
    for (const [, href] of text.matchAll(/href="([^"]+)"/g)) {
      const reply = await fetch(new URL(href!, on.url));
      t.is(reply.status, 200, href);
    }
  });

  test('the page of a claim is there while it can be decided, and gone when it has ended', async (t) => {
    const ask = async (mailbox: string) => {
      const { claim_token, credential } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      const browser = openBrowser(on);
      const { claimUrl } = await on.mailTo(mailbox);
      const first = await browser.get(claimUrl);
      t.is(first.status, 200);
      return { browser, credential, claimUrl, mailbox };
    };

    const denied = await ask(`denied-${engine}@example.com`);
    await denied.browser.get((await on.mailTo(denied.mailbox)).denyUrl);
    await denied.browser.post('/claim/deny');
    t.is((await denied.browser.get('/claim')).status, 410);
    t.is((await denied.browser.get('/claim/deny')).status, 410);

    const over = await ask(`over-${engine}@example.com`);
    on.clock.advance(31 * 24 * 3600);
    const gone = await over.browser.get('/claim');
    t.is(gone.status, 410, gone.text);
    t.regex(gone.text, /<h1>/);
  });
});
