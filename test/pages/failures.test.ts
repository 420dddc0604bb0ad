import { loadConfig } from '../../src/config/load.ts';
import { Failure, type FailureDetails, type FailureKind } from '../../src/errors.ts';
import { TINYSEND_ERRORS_BY_KIND } from '../../src/http/dialects/tinysend.ts';
import { createPages } from '../../src/http/pages/pages.ts';
import { createTranslators, LOCALES } from '../../src/lib/translate.ts';
import { openBrowser } from '../helpers/browser.ts';
import { assertPage, heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { startTestService, TEST_SECRET, type TestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';
import { send } from '../helpers/wire.ts';

const translators = createTranslators();
const GERMAN = { 'Accept-Language': 'de' };

/** What a page says, as it reads. */
const wordsOf = (text: string) =>
  text
    .replace(/[\s\S]*<main/, '<main')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ');

const pages = createPages({
  config: loadConfig({ SECRET: TEST_SECRET }),
  random: (size) => Buffer.alloc(size),
  clock: () => 0,
  translators,
});
const session = {
  id: 'ses_1',
  accountId: 'usr_1',
  mailbox: 'ada@example.com',
  locale: undefined,
  origin: '203.0.x.x',
  createdAt: 0,
  seenAt: 0,
  isOperator: false,
  hasWorkspaces: false,
};

for (const locale of LOCALES) {
  test(`each kind of failure has a page in its own words (${locale}), and never those that agents read`, (t) => {
    const { text } = translators[locale];
    const details: FailureDetails[] = [{}, { retryAfterSeconds: 600 }, { hint: 'failure.formOutdated' }];
    for (const kind of Object.keys(TINYSEND_ERRORS_BY_KIND) as FailureKind[]) {
      for (const [reader, each] of [undefined, session].flatMap((reader) =>
        details.map((each) => [reader, each] as const),
      )) {
        const failure = new Failure(kind, 'Words for agents.', { ...each, field: 'One of', scope: 'read' });
        const { status, body } = pages.dialect.failure(failure, 'req_1');
        t.is(status, TINYSEND_ERRORS_BY_KIND[kind].status);
        const html = pages.dialect.page!.render(body, { session: reader, locale });
        t.regex(html, new RegExp(`<html lang="${locale}">`), kind);
        t.false(html.includes('Words for agents'), kind);
        t.is(html.match(/<h1>/g)?.length, 1, kind);
        t.is(html.match(/class="button main"/g)?.length, 1, `${kind} has one way on`);
        t.regex(
          html,
          /<code>req_1<\/code><\/p>\s*(?:<\/div>\s*)?<\/main>/,
          `${kind} has the request id last`,
        );
        if (each.hint !== undefined) t.true(wordsOf(html).includes(text(each.hint)), kind);
      }
    }
  });
}

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

  const FORM = 'application/x-www-form-urlencoded';
  /** How a request to a page fails, and the texts that say so: `failure.NAME`. */
  const ways: [
    what: string,
    status: number,
    name: string,
    method: 'GET' | 'POST',
    path: string,
    headers: readonly (readonly [string, string])[],
    body: string,
  ][] = [
    ['a path that there is not', 404, 'notFound', 'GET', '/nothing/here', [], ''],
    ['a link that was made up', 404, 'notFound', 'GET', '/connect?t=x', [], ''],
    ['a path that only takes a form', 405, 'wrongMethod', 'GET', '/sign-out', [], ''],
    ['a secret in the address', 400, 'badRequest', 'GET', '/sign-in?token=x', [], ''],
    ['a field that is too long', 400, 'badRequest', 'POST', '/sign-in', [], `email=${'x'.repeat(300)}`],
    ['a field that is sent twice', 400, 'badRequest', 'POST', '/sign-in', [], 'email=a&email=b'],
    ['a control character', 400, 'badRequest', 'POST', '/sign-in', [], 'email=%00'],
    ['a choice that there is not', 400, 'badRequest', 'POST', '/account/language', [], 'locale=xx'],
    ['a form that is too large', 413, 'tooLarge', 'POST', '/sign-in', [], `email=${'x'.repeat(20_000)}`],
    ['JSON', 415, 'wrongMedia', 'POST', '/sign-in', [['Content-Type', 'application/json']], '{}'],
    [
      'a form in another charset',
      415,
      'wrongMedia',
      'POST',
      '/sign-in',
      [['Content-Type', `${FORM}; charset=utf-7`]],
      '',
    ],
    ['a packed form', 415, 'wrongMedia', 'POST', '/sign-in', [['Content-Encoding', 'gzip']], ''],
    ['another host', 421, 'wrongHost', 'GET', '/sign-in', [['Host', 'evil.example']], ''],
    ['a form from elsewhere', 403, 'forbidden', 'POST', '/sign-in', [['Origin', 'https://evil.example']], ''],
    ['a form without its token', 403, 'forbidden', 'POST', '/sign-in', [], 'email=a%40example.com'],
  ];

  for (const [what, status, name, method, path, headers, body] of ways) {
    test(`${what}: the page says so in the language of its reader`, async (t) => {
      for (const locale of LOCALES) {
        const { text } = translators[locale];
        const own = headers.some(([header]) => header === 'Content-Type')
          ? []
          : [['Content-Type', FORM] as const];
        const all = [
          ['Accept', 'text/html'],
          ['Accept-Language', locale],
          ...(method === 'POST' ? own : []),
          ...headers,
        ] as const;
        const reply = await send(on, method, path, all as readonly (readonly [string, string])[], body);
        assertPage(t, reply, status, what);
        t.is(heading(reply as never), text(`failure.${name}.title`));
        t.regex(reply.text, new RegExp(`<html lang="${locale}">`));
        t.is(
          wordsOf(reply.text).includes(`“email”`) || wordsOf(reply.text).includes('„email“'),
          what.includes('too long'),
        );
        t.regex(reply.text, new RegExp(`<title>${text(`failure.${name}.title`)} · Vouchsafe</title>`));
      }
    });
  }

  test('too many tries, and a form without its token, are said in German, too', async (t) => {
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    const outdated = await browser.post('/sign-in', { email: newMailbox(), csrf: 'x' }, GERMAN);
    t.is(heading(outdated), 'Das ist nicht erlaubt');
    t.regex(wordsOf(outdated.text), /laden Sie die Seite neu und versuchen Sie es noch einmal\./);
    const email = newMailbox();
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email });
    await browser.get('/sign-in');
    const page = await browser.post('/sign-in', { email }, GERMAN);
    t.is(heading(page), 'Zu viele Versuche');
    t.regex(wordsOf(page.text), /Versuchen Sie es in (?:1 Stunde|\d+ Minuten) noch einmal\./);
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
