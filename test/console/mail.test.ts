import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { newMailbox } from '../helpers/common.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { type SmtpSink, startSmtpSink } from '../helpers/smtp.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Mail in the operator's console: what waits, what could not be delivered, and who wants none. */

const PATH = '/console/mail';

onEveryEngine('mail in the console', (engine, test) => {
  let smtp: SmtpSink;
  let on: TestService;
  let operator: Operator;
  const refused = new Set<string>();
  test.before(async () => {
    smtp = await startSmtpSink();
    smtp.behave((recipient) =>
      refused.has(recipient) ? { code: 550, text: `no ${recipient} here` } : 'accept',
    );
    on = await startTestService(engine, { env: { SMTP_URL: smtp.url } });
    operator = await newOperator(on);
  });
  test.after(async () => {
    await on.stop();
    await smtp.close();
  });

  const db = () => on.service.deps.db;
  const mailOf = (mailbox: string) =>
    db().get<{ id: string; deadAt: number | null; sentAt: number | null }>(
      'SELECT id, dead_at AS "deadAt", sent_at AS "sentAt" FROM outbox WHERE mailbox = ? ORDER BY id DESC LIMIT 1',
      [mailbox],
    );
  const until = async (isSo: () => Promise<boolean>) => {
    while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
  };
  const isDead = (mailbox: string) => until(async () => (await mailOf(mailbox))?.deadAt != null);

  /** Has an agent ask somebody whose server refuses the mail. */
  async function refuse(mailbox = newMailbox('refused')): Promise<{ mailbox: string; id: string }> {
    refused.add(mailbox);
    const { claim_token } = await on.register();
    await on.post('/agent/auth/claim', { claim_token, email: mailbox });
    await isDead(mailbox);
    return { mailbox, id: (await mailOf(mailbox))!.id };
  }

  test('what the mail server refused is listed without its address, code or link, and arrives when it is sent again', async (t) => {
    const { mailbox, id } = await refuse();
    const dead = await operator.browser.get(`${PATH}?state=dead`);
    t.regex(dead.text, new RegExp(`name="id" value="${id}"`));
    t.regex(dead.text, /SMTP 550/);
    t.true(dead.text.includes(`${mailbox[0]}***@`));
    t.false(dead.text.includes(mailbox));
    t.regex(dead.text, /Not delivered<span>\d+<\/span>/);

    const asked = await operator.browser.get(`${PATH}/retry?id=${id}`);
    t.is(heading(asked), 'Send this email again?');
    const unsaid = await operator.browser.post(`${PATH}/retry`, { reason: ' ' });
    t.is(unsaid.status, 400);
    t.regex(unsaid.text, /Enter a reason\./);
    t.not((await mailOf(mailbox))!.deadAt, null);

    refused.delete(mailbox);
    const done = await operator.browser.post(`${PATH}/retry`, { reason: 'their server is back' });
    t.regex(done.text, /role="status".*Emails queued\./);
    const mail = await smtp.mailTo(mailbox);
    t.regex(mail.code, /^\d{6}$/);
    const event = await db().get<{ accountId: string; details: string }>(
      `SELECT account_id AS "accountId", details FROM events WHERE kind = 'operator.mail_retried' AND subject = ?`,
      [id],
    );
    t.deepEqual(
      [event!.accountId, JSON.parse(event!.details)],
      [operator.accountId, { reason: 'their server is back' }],
    );
    await until(async () => (await mailOf(mailbox))!.sentAt !== null);
    t.false((await operator.browser.get(`${PATH}?state=dead`)).text.includes(id));
    t.is(
      (await operator.browser.get(`${PATH}/retry?id=${id}`)).path,
      `${PATH}?state=dead`,
      'nothing to retry',
    );
  });

  test('all of it is sent again at once, but what has ended', async (t) => {
    const [one, other] = [await refuse(), await refuse()];
    const gone = newMailbox('gone');
    refused.add(gone);
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    await browser.post('/sign-in', { email: gone });
    await isDead(gone);
    on.clock.advance(20 * 60);
    await operator.signInAgain();
    const list = await operator.browser.get(`${PATH}?state=dead`);
    const { id: goneId } = (await mailOf(gone))!;
    t.true(list.text.includes(one.id.slice(0, 12)));
    t.notRegex(list.text, new RegExp(`value="${goneId}"`), 'a sign-in code that has ended has no box');
    for (const mailbox of [one.mailbox, other.mailbox, gone]) refused.delete(mailbox);
    const asked = await operator.browser.get(`${PATH}/retry?all=on`);
    t.is(heading(asked), 'Send all undelivered emails again?');
    await operator.browser.post(`${PATH}/retry`, { reason: 'mail server mended' });
    await smtp.mailTo(one.mailbox);
    await smtp.mailTo(other.mailbox);
    t.not((await mailOf(gone))!.deadAt, null);
  });

  test('what waits is listed with its next try', async (t) => {
    const mailbox = newMailbox('slow');
    smtp.behave((recipient) => (recipient === mailbox ? { code: 451, text: 'later' } : 'accept'));
    const { claim_token } = await on.register();
    await on.post('/agent/auth/claim', { claim_token, email: mailbox });
    await until(
      async () =>
        (await db().get('SELECT id FROM outbox WHERE mailbox = ? AND error IS NOT NULL', [mailbox])) !==
        undefined,
    );
    const page = await operator.browser.get(PATH);
    t.regex(page.text, /SMTP 451/);
    t.true(page.text.includes(`${mailbox[0]}***@`));
    t.false(page.text.includes(mailbox));
  });

  test('there is no mail by an id of none, nor an address by a sealed form that is not ours', async (t) => {
    t.is((await operator.browser.get(`${PATH}/retry?id=out_0`)).status, 404);
    for (const mailbox of ['x', 'A'.repeat(120)]) {
      t.is((await operator.browser.get(`${PATH}/allow?mailbox=${mailbox}`)).status, 404);
    }
    const { text } = await operator.browser.get('/agents');
    const csrf = /name="csrf" value="([^"]*)"/.exec(text)![1];
    const send = (path: string, fields: Record<string, string>) =>
      operator.browser.send(path, { csrf, reason: 'x', ...fields });
    t.is((await send(`${PATH}/retry`, { 'mail:out_0': 'on' })).status, 404);
    t.is((await send(`${PATH}/allow`, { sealed: 'AAAA' })).status, 404);
  });

  /** Somebody declines an agent and all others with it. */
  async function stopMail(): Promise<string> {
    const mailbox = newMailbox('stopped');
    await on.service.deps.db.tx((tx) =>
      tx.run(
        `INSERT INTO mail_refusals (mailbox, registration_id, created_at, ends_at) VALUES (?, '', ?, NULL)`,
        [mailbox, on.clock()],
      ),
    );
    return mailbox;
  }

  test('addresses that want no mail are masked, found by the whole address alone, and get mail again once allowed', async (t) => {
    smtp.behave('accept');
    const mailbox = await stopMail();
    const ask = async () => {
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      await until(async () => (await mailOf(mailbox))?.sentAt != null);
    };
    await ask();
    t.is(smtp.tries.get(mailbox), undefined, 'it counts as sent, and was not');

    const all = await operator.browser.get(`${PATH}/suppressed`);
    t.true(all.text.includes(`${mailbox[0]}***@`));
    t.false(all.text.includes(mailbox));
    t.is((await operator.browser.get(`${PATH}/suppressed?q=${mailbox.slice(0, 6)}`)).status, 400);
    t.regex((await operator.browser.get(`${PATH}/suppressed?q=${newMailbox()}`)).text, /Nothing is stopped/);
    const found = await operator.browser.get(`${PATH}/suppressed?q=${mailbox}`);
    const link = /href="(\/console\/mail\/allow\?mailbox=[\w-]+)"/.exec(found.text)![1]!;
    t.false(link.includes(mailbox));
    t.regex(heading(await operator.browser.get(link))!, /^Allow emails about requests to s\*\*\*@/);
    const done = await operator.browser.post(`${PATH}/allow`, { reason: 'they asked' });
    t.is(done.path, `${PATH}/suppressed`);
    await ask();
    await smtp.mailTo(mailbox);
    const event = await db().get<{ details: string }>(
      `SELECT details FROM events WHERE kind = 'operator.mail_changed' AND account_id = ? ORDER BY id DESC LIMIT 1`,
      [operator.accountId],
    );
    t.like(JSON.parse(event!.details), { reason: 'they asked', wanted: true });
    t.is((await operator.browser.get(link)).status, 404);
  });

  test('many addresses of one moment are paged without leaving one out', async (t) => {
    await on.service.deps.db.tx((tx) => tx.run('DELETE FROM mail_refusals', []));
    for (let count = 0; count < 120; count += 1) await stopMail();
    let path = `${PATH}/suppressed`;
    let rows = 0;
    for (let pages = 0; pages < 5; pages += 1) {
      const { text } = await operator.browser.get(path);
      rows += text.match(/\/allow\?mailbox=/g)!.length;
      const older = /href="([^"]*before=[^"]*)"[^>]*>Older/.exec(text)?.[1];
      if (older === undefined) break;
      path = older.replaceAll('&amp;', '&');
    }
    t.is(rows, 120);
  });

  test('the command line lists, retries and allows alike', async (t) => {
    smtp.behave((recipient) => (refused.has(recipient) ? { code: 550, text: 'no' } : 'accept'));
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-mail-'));
    const cli = (...args: string[]) =>
      vouchsafe([...args, '--json'], folder, { DATABASE_URL: on.database.url, SMTP_URL: smtp.url });
    try {
      const { mailbox, id } = await refuse();
      const listed = await cli('mail', 'list', '--state', 'dead');
      t.false(listed.stdout.includes(mailbox));
      t.like(JSON.parse(listed.stdout).mails[0], {
        id,
        kind: 'claim_code',
        reason: 'SMTP 550',
        can_retry: true,
      });
      refused.delete(mailbox);
      t.deepEqual(JSON.parse((await cli('mail', 'retry', id, '--reason', 'fixed')).stdout), { queued: [id] });
      await smtp.mailTo(mailbox);
      t.is((await cli('mail', 'retry', 'out_0')).code, 4);
      t.is((await cli('mail', 'retry')).code, 2);
      const stopped = await stopMail();
      const suppressed = await cli('mail', 'suppressed', stopped);
      t.is(JSON.parse(suppressed.stdout).suppressed.length, 1);
      t.is((await cli('mail', 'allow', stopped)).code, 0);
      t.is((await cli('mail', 'allow', stopped)).code, 4);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
