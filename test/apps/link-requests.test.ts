import { repeatRevocations } from '../../src/domain/jobs/after-restore.ts';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { createTranslator } from '../../src/lib/translate.ts';
import { describeMail } from '../../src/mail/mail-content.ts';
import { localOrigin } from '../../src/work.ts';
import { errorOf } from '../helpers/app-client.ts';
import { type AssertingWorld, createAssertingApp, openAsserting } from '../helpers/asserting-apps.ts';
import { newUser, succeeded, type User } from '../helpers/auth-md.ts';
import type { Browser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { atOnce, tallyBy } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { violations } from '../helpers/oracle.ts';
import { happenings } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** How the owner of an account lets a provider act for it that says it knows their mailbox (S-36, S-37, S-95). */

const DAY = 86_400;

onEveryEngine('a provider that speaks for somebody who has an account', (engine, test) => {
  let on: AssertingWorld;
  let app: Awaited<ReturnType<typeof createAssertingApp>>;
  test.before(async () => {
    on = await openAsserting(engine);
    app = await createAssertingApp(on.world);
  });
  test.after(() => on.world.stop());

  const present = (user: User, claims = {}) => on.exchange(app, on.sign(app, user, claims));

  /** A user of the provider with an account here, who is asked for the first time. */
  async function ask(t: {
    regex(text: string, pattern: RegExp): unknown;
    is(a: unknown, b: unknown): unknown;
  }) {
    const user = newUser();
    const browser = await signIn(on.world.on, user.email);
    const reply = await present(user, { scope: 'read' });
    t.is(errorOf(reply), '400 interaction_required');
    t.regex(reply.body.error_uri, new RegExp(`^${on.world.on.url}/apps/links/lnk_[0-9A-Za-z]+$`));
    return { user, browser, path: new URL(reply.body.error_uri).pathname };
  }

  const decide = async (browser: Browser, path: string, decision: 'allow' | 'decline') => {
    await browser.get(path);
    return browser.post(path, { decision });
  };
  const asksOf = (accountId: string | undefined) =>
    countOf(on.world.on, `events WHERE kind = 'app.asked' AND account_id = ?`, [accountId!]);

  test('the owner is asked once, by mail and at their apps, and what they allow is all that it takes', async (t) => {
    const { user, browser, path } = await ask(t);
    const replies = await atOnce(10, () => present(user, { scope: 'read' }));
    t.deepEqual(
      tallyBy(replies, (reply) => `${errorOf(reply)} ${new URL(reply.body.error_uri).pathname}`),
      {
        [`400 interaction_required ${path}`]: 10,
      },
    );
    t.is(await asksOf(await on.accountAt(user.email)), 1);
    const list = await browser.get('/apps');
    t.regex(list.text, /<bdi>Fake Provider<\/bdi><\/b> asks to connect “<b><bdi>Wiki<\/bdi>/);
    t.true(list.text.includes(`href="${path}"`));
    const page = await browser.get(path);
    t.is(page.status, 200);
    for (const words of ['Let Fake Provider connect apps?', user.email, 'Wiki', 'read'])
      t.true(page.text.includes(words), words);
    const done = await browser.post(path, { decision: 'allow' });
    t.deepEqual([done.path, done.status], ['/apps', 200]);
    t.true(done.text.includes('Allowed. The app can connect now.'));
    t.regex(done.text, /Organizations that connect apps/);
    const { access_token: token } = succeeded(await present(user, { scope: 'read' }));
    t.like(await on.world.introspected(token), { active: true, sub: await on.accountAt(user.email) });
    t.true((await browser.get('/apps')).text.includes('Through Fake Provider'));
    const { providers } = JSON.parse((await browser.get('/account/export')).text);
    t.deepEqual(
      providers.map(({ name }: { name: string }) => name),
      ['Fake Provider'],
    );
    t.is((await browser.get(path)).status, 404, 'it is decided');
    const lines = happenings(await browser.get('/account/activity')).map(({ what }) => what);
    t.deepEqual(lines.slice(0, 3), [
      'The app Wiki was connected through your organization',
      'Your organization can connect apps to your account from now on',
      'The app Wiki asks to connect through your organization',
    ]);
    t.deepEqual(await violations(on.world.on.service.deps.db), []);
  });

  test('who declines is not asked again for a month, and may think better of it', async (t) => {
    const { user, browser, path } = await ask(t);
    const done = await decide(browser, path, 'decline');
    t.true(done.text.includes('Declined. Nothing was connected.'));
    t.false(done.text.includes(path));
    const refused = await present(user);
    t.is(errorOf(refused), '400 access_denied');
    t.is(new URL(refused.body.error_uri).pathname, path);
    t.is(await asksOf(await on.accountAt(user.email)), 1);
    t.true((await browser.get(path)).text.includes('You declined this before.'));
    t.is((await decide(browser, path, 'decline')).status, 200);
    await decide(browser, path, 'allow');
    t.is(errorOf(await present(user)), '200');
  });

  test('a request is over after a week, and then the owner may be asked anew', async (t) => {
    const { user, path } = await ask(t);
    on.world.clock.advance(7 * DAY + 1);
    t.is((await (await signIn(on.world.on, user.email)).get(path)).status, 404);
    t.true(((await deleteExpiredRows(on.world.on.service.deps)).linkRequests ?? 0) >= 1);
    const again = await present(user);
    t.is(errorOf(again), '400 interaction_required');
    t.not(new URL(again.body.error_uri).pathname, path);
    t.is(await asksOf(await on.accountAt(user.email)), 2);
  });

  test('nobody else sees it or decides it, and nobody without a session', async (t) => {
    const { user, path } = await ask(t);
    const stranger = await signIn(on.world.on, newUser().email);
    const unknown = `${path.slice(0, -4)}0000`;
    for (const each of [path, unknown]) {
      const page = await stranger.get(each);
      t.is(page.status, 404);
      await stranger.get('/apps');
      const csrf = stranger.form('/sign-out').csrf;
      t.is((await stranger.send(each, { csrf, decision: 'allow' })).status, 404);
    }
    t.is(errorOf(await present(user)), '400 interaction_required');
    const reply = await fetch(on.world.on.url + path, { redirect: 'manual' });
    t.is(reply.status, 303);
    t.is(new URL(reply.headers.get('location')!).search, `?next=${path}`);
  });

  test('of twenty presses at once, on both buttons, one decides', async (t) => {
    const { user, browser, path } = await ask(t);
    await browser.get(path);
    const { csrf } = browser.form(path);
    const replies = await atOnce(20, (index) =>
      browser.send(path, { csrf, decision: index % 2 === 0 ? 'allow' : 'decline' }),
    );
    t.deepEqual(
      [...new Set(replies.map(({ status }) => status))].filter((status) => status !== 200 && status !== 404),
      [],
    );
    const accountId = await on.accountAt(user.email);
    t.is(
      await countOf(on.world.on, `events WHERE kind = 'principal.linked' AND account_id = ?`, [accountId!]),
      1,
    );
    t.is(errorOf(await present(user)), '200');
  });

  test('the owner ends it with all apps that it connected; after that it has to ask', async (t) => {
    const { user, browser, path } = await ask(t);
    await decide(browser, path, 'allow');
    const other = await createAssertingApp(on.world, { name: 'Calendar' });
    const tokens = [
      succeeded(await present(user)),
      succeeded(await on.exchange(other, on.sign(other, user))),
    ].map(({ access_token }) => access_token as string);
    const end = /href="(\/apps\/providers\/[0-9a-f]{32}\/end)"/.exec((await browser.get('/apps')).text)![1]!;
    const stranger = await signIn(on.world.on, newUser().email);
    t.is((await stranger.get(end)).status, 404);
    const question = await browser.get(end);
    t.true(question.text.includes('End what Fake Provider may do?'));
    const done = await browser.post(end);
    t.true(done.text.includes('Ended. Its apps are signed out everywhere.'));
    t.true(done.text.includes('No connected apps'));
    t.false(done.text.includes('Organizations that connect apps'));
    t.deepEqual(await Promise.all(tokens.map((token) => on.isActive(token))), [false, false]);
    t.is((await browser.get(end)).status, 404);
    t.is(errorOf(await present(user)), '400 invalid_grant', 'of the sign-in before');
    on.world.clock.advance(2);
    t.is(errorOf(await present(user)), '400 interaction_required');
    t.deepEqual(await violations(on.world.on.service.deps.db), []);
  });

  test('a provider that takes its word back asks no more; an account that ends is asked no more', async (t) => {
    const first = await ask(t);
    t.is((await on.world.notify(on.world.securityEvent(first.user))).status, 202);
    t.is((await first.browser.get(first.path)).status, 404);
    const second = await ask(t);
    await second.browser.get('/account/delete');
    await second.browser.post('/account/delete', { mailbox: second.user.email });
    t.is(await countOf(on.world.on, 'link_requests WHERE id = ?', [second.path.split('/').at(-1)!]), 0);
  });

  test('after a restore from before the owner ended it, it ends again', async (t) => {
    const { user, browser, path } = await ask(t);
    await decide(browser, path, 'allow');
    const { access_token: token } = succeeded(await present(user));
    const end = /\/apps\/providers\/([0-9a-f]{32})\/end/.exec((await browser.get('/apps')).text)!;
    const line = {
      kind: 'principal.unlinked',
      account_id: (await on.accountAt(user.email))!,
      subject: end[1]!,
    } as const;
    const { deps } = on.world.on.service;
    const repeat = (id: string) => repeatRevocations(deps, localOrigin('test'), [{ ...line, id }]);
    t.is(await repeat('evt_unlinked'), 1);
    t.is(await on.isActive(token), false);
    t.is((await browser.get(end[0])).status, 404);
    t.is(await repeat('evt_unlinkedAgain'), 1, 'and it is no fault that there is nothing to end');
  });

  test('the mail leads to their apps, and names nothing in its subject', async (t) => {
    const { user } = await ask(t);
    const notice = await on.world.on.noticeTo(user.email);
    t.is(notice.happened.at(-1)?.kind, 'app.asked');
    const { subject, lead, button } = describeMail(notice, createTranslator('en'), on.world.on.url);
    t.is(subject, 'An app asks to connect through your organization');
    t.deepEqual(lead, ['mail.notice.leadAsked']);
    t.deepEqual(button, { label: 'Review the request', url: `${on.world.on.url}/apps` });
  });
});
