import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { watchCommits } from '../helpers/commits.ts';
import { atOnce } from '../helpers/common.ts';
import { appCode, isIn, secretOn, setUpApp, signIn, typeMailedCode } from '../helpers/human.ts';
import { violations } from '../helpers/oracle.ts';
import { startTestService, TEST_SECRET, type TestOptions } from '../helpers/service.ts';
import { startSmtpSink } from '../helpers/smtp.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

const APP_PAGE = '/account/authenticator';

/** What of accounts, second factors and the mail about them went wrong once. */
onEveryEngine('what is one’s own, when much happens at once', (engine, test) => {
  async function start(t: ExecutionContext, options: TestOptions = {}) {
    const watch = watchCommits();
    const on = await startTestService(engine, { ...options, wrapDb: options.wrapDb ?? watch.wrapDb });
    t.teardown(() => on.stop());
    const { db, wakeOutbox } = on.service.deps;
    const settled = async () => {
      wakeOutbox();
      await watch.until(async () => {
        const row = await db.get<{ n: number }>(
          `SELECT COUNT(*) AS n FROM outbox WHERE sent_at IS NULL AND dead_at IS NULL AND (tries > 0 OR next_at <= ?)`,
          [on.clock()],
        );
        return row!.n === 0;
      });
    };
    const quiet = async () => {
      await settled();
      on.clock.advance(3660);
      await settled();
      on.clock.advance(3660);
    };
    const makeKey = async (credential: string, name: string) => {
      const headers = { Authorization: `Bearer ${credential}` };
      t.is((await on.post('/api/tokens', { name, scope: 'read' }, headers)).status, 200);
    };
    const told = (beyond: number) =>
      on.notices
        .slice(beyond)
        .flatMap(({ happened }) => happened.map(({ keyName, kind }) => keyName ?? kind));
    return { on, db, settled, quiet, makeKey, told, watch };
  }
  const names = (count: number) => Array.from({ length: count }, (_, index) => `key ${index}`);

  test('of twenty changes at once each is told, and told once', async (t) => {
    const { on, quiet, makeKey, told } = await start(t);
    for (let round = 0; round < 8; round += 1) {
      const mailbox = `r${round}@example.com`;
      const agents: { credential: string }[] = [];
      for (let index = 0; index < 5; index += 1) agents.push(await on.claimed(mailbox, true));
      await quiet();
      const earlier = on.notices.length;
      await atOnce(20, async (index) => {
        await makeKey(agents[index % 5]!.credential, `key ${index}`);
        on.service.deps.wakeOutbox();
      });
      await quiet();
      t.deepEqual(told(earlier).toSorted(), names(20).toSorted());
    }
  });

  test('what happens while a mail is delayed is told once', async (t) => {
    const sink = await startSmtpSink();
    t.teardown(() => sink.close());
    const { on, db, quiet, settled, makeKey, told, watch } = await start(t, { env: { SMTP_URL: sink.url } });
    const { credential } = await on.claimed('a@example.com');
    await quiet();
    const earlier = on.notices.length;
    sink.behave({ code: 451, text: 'later' });
    await makeKey(credential, 'key 0');
    on.service.deps.wakeOutbox();
    await watch.until(
      async () =>
        (await db.all('SELECT id FROM outbox WHERE error IS NOT NULL AND sent_at IS NULL')).length > 0,
    );
    await makeKey(credential, 'key 1');
    sink.behave('accept');
    on.clock.advance(60);
    await settled();
    await quiet();
    t.deepEqual(told(earlier).toSorted(), names(2));
  });

  test('sixty changes within an hour are all told', async (t) => {
    const { on, quiet, settled, makeKey, told } = await start(t);
    const { credential } = await on.claimed('a@example.com');
    await quiet();
    const earlier = on.notices.length;
    for (const name of names(61)) {
      await makeKey(credential, name);
      if (name === 'key 0') await settled();
    }
    await quiet();
    t.deepEqual(told(earlier).toSorted(), names(61).toSorted());
  });

  test('new recovery codes asked for twenty times at once leave one set', async (t) => {
    const { on } = await start(t);
    const browser = await signIn(on, 'a@example.com');
    await setUpApp(on, browser);
    await browser.get(APP_PAGE);
    const form = browser.form(`${APP_PAGE}/codes`);
    await atOnce(20, () => browser.send(`${APP_PAGE}/codes`, form));
    t.is(await countOf(on, 'recovery_codes'), 10);
  });

  test('an app that is set up while the account is deleted does not live on in it', async (t) => {
    const { on, db } = await start(t);
    for (let round = 0; round < 4; round += 1) {
      const mailbox = `r${round}@example.com`;
      const browser = await signIn(on, mailbox);
      await on.claimed(mailbox);
      const secret = secretOn(await browser.get(APP_PAGE));
      const app = { ...browser.form(APP_PAGE), code: appCode(on, secret) };
      await browser.get('/account/delete');
      const form = { ...browser.form('/account/delete'), mailbox };
      await Promise.all([
        browser.send('/account/delete', form),
        browser.send(APP_PAGE, app),
        browser.send(APP_PAGE, app),
      ]);
      t.deepEqual(await violations(db), []);
    }
  });

  test('a clock that was set back refuses a code, and does not fail', async (t) => {
    const { on } = await start(t);
    const { secret } = await setUpApp(on, await signIn(on, 'a@example.com'));
    on.clock.advance(-60);
    const browser = openBrowser(on);
    await typeMailedCode(on, 'a@example.com', { browser });
    const page = await browser.post('/sign-in/code', { code: appCode(on, secret) });
    t.false(await isIn(browser));
    t.is(page.status, 400);
  });

  test('whatever stands in the address of the activity page, it is no error of ours', async (t) => {
    const { on } = await start(t);
    const browser = await signIn(on, 'a@example.com');
    t.true((await browser.get('/account/activity?before=%00')).status < 500);
  });
});

test('what overrides nothing stops the start, also in a room that there is not, or beside the rooms', (t) => {
  for (const name of ['pages', 'sign-in.eta', 'page/sign-in.eta', 'mails/notice.txt.eta']) {
    const TEMPLATES_DIR = mkdtempSync(join(tmpdir(), 'vouchsafe-bugs-'));
    mkdirSync(join(TEMPLATES_DIR, name, '..'), { recursive: true });
    writeFileSync(join(TEMPLATES_DIR, name), 'Hello');
    t.throws(
      () => loadConfig({ SECRET: TEST_SECRET, TEMPLATES_DIR }),
      { instanceOf: ConfigError, message: (message) => message.includes(name.split('/')[0]!) },
      name,
    );
  }
});
