import { tmpdir } from 'node:os';
import { openBrowser } from '../helpers/browser.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { newMailbox } from '../helpers/common.ts';
import { appCode, setUpApp, signIn } from '../helpers/human.ts';
import {
  createTestDatabase,
  startTestService,
  type TestDatabase,
  type TestService,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const OLD = 'old0123456789abcdef0123456789abcdef01234';
const NEW = 'new0123456789abcdef0123456789abcdef01234';

onEveryEngine('rotating SECRET over replicas', (engine, test) => {
  let database: TestDatabase;
  const open: TestService[] = [];
  test.before(async () => {
    database = await createTestDatabase(engine);
  });
  test.after(async () => {
    for (const on of open) await on.stop();
    await database.drop();
  });

  async function start(SECRET: string, like?: TestService): Promise<TestService> {
    const on = await startTestService(engine, {
      database,
      env: { SECRET },
      ...(like && { clock: like.clock }),
    });
    open.push(on);
    return on;
  }
  const stop = async (on: TestService) => {
    open.splice(open.indexOf(on), 1);
    await on.stop();
  };
  const ready = async (on: TestService) => {
    const reply = await fetch(`http://127.0.0.1:${on.service.opsPort}/readyz`);
    return `${reply.status} ${(await reply.text()).slice(0, 15)}`.trim();
  };
  /** A mail leaves by whichever service is first. */
  const codeFor = async (mailbox: string) => {
    for (;;) {
      for (const on of open) {
        const mail = on.mails.findLast(({ to }) => to === mailbox);
        if (mail?.proof.kind === 'code') return mail.proof.code;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const triesOf = async (on: TestService, mailbox: string) => {
    const row = await on.service.deps.db.get<{ tries: number }>(
      'SELECT tries FROM claim_attempts WHERE mailbox = ?',
      [mailbox],
    );
    return row!.tries;
  };

  test('in the wrong order: who lacks the new secret is not ready, says why, and takes no try of a code', async (t) => {
    const whole = await start(`${NEW} ${OLD}`);
    const mailbox = newMailbox();
    const { claim_token } = await whole.register();
    await whole.post('/agent/auth/claim', { claim_token, email: mailbox });
    const otp = await codeFor(mailbox);

    const lacking = await start(OLD, whole);
    t.is(await ready(whole), '200 ok');
    t.is(await ready(lacking), '503 another service');
    t.true(lacking.logged.some((line) => line.includes('first append the new secret on all services')));
    for (const guess of [otp, '000000', '111111']) {
      const reply = await lacking.post('/agent/auth/claim/complete', { claim_token, otp: guess });
      t.is(reply.status, 503, reply.text);
    }
    t.is(await triesOf(whole, mailbox), 0);
    const doctor = await vouchsafe(['doctor'], tmpdir(), { DATABASE_URL: database.url, SECRET: OLD });
    t.regex(doctor.stdout, /BAD {2}secret: SECRET: another service/);
    const fine = await vouchsafe(['doctor'], tmpdir(), {
      DATABASE_URL: database.url,
      SECRET: `${OLD} ${NEW}`,
    });
    t.notRegex(fine.stdout, /secret/);

    const done = await whole.post('/agent/auth/claim/complete', { claim_token, otp });
    t.is(done.status, 200, done.text);
    await stop(whole);
    t.is(await ready(lacking), '200 ok', 'nobody is there any more whom it could not read');
    await stop(lacking);
  });

  test('in the wrong order: a second factor costs no try either', async (t) => {
    const whole = await start(`${NEW} ${OLD}`);
    const mailbox = newMailbox();
    const browser = await signIn(whole, mailbox);
    const { secret } = await setUpApp(whole, browser);
    whole.clock.advance(31);
    const lacking = await start(OLD, whole);
    const visitor = openBrowser(lacking);
    await visitor.get('/sign-in');
    const earlier = whole.signInMails.length;
    await visitor.post('/sign-in', { email: mailbox });
    const mailed = () => lacking.signInMails.at(-1) ?? whole.signInMails[earlier];
    while (mailed() === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    const second = await visitor.post('/sign-in/code', { code: mailed()!.code });
    t.regex(second.text, /Enter the code from your app/);
    const refused = await visitor.post('/sign-in/code', { code: appCode(whole, secret) });
    t.is(refused.status, 503, refused.text);
    const row = await whole.service.deps.db.get<{ tries: number }>(
      'SELECT MAX(tries) AS tries FROM sign_ins WHERE mailbox = ? AND ended_at IS NULL',
      [mailbox],
    );
    t.is(row!.tries, 0);
    await stop(lacking);
    await stop(whole);
  });

  test('in the right order every step serves, whichever service began', async (t) => {
    for (const [one, other] of [
      [OLD, `${OLD} ${NEW}`],
      [`${OLD} ${NEW}`, `${OLD} ${NEW}`],
      [`${OLD} ${NEW}`, `${NEW} ${OLD}`],
      [`${NEW} ${OLD}`, `${NEW} ${OLD}`],
      [`${NEW} ${OLD}`, NEW],
    ] as const) {
      const a = await start(one);
      const b = await start(other, a);
      t.deepEqual([await ready(a), await ready(b)], ['200 ok', '200 ok'], `${one} / ${other}`);
      for (const [begun, completed] of [
        [a, b],
        [b, a],
      ] as const) {
        const mailbox = newMailbox();
        const { claim_token } = await begun.register();
        const asked = await begun.post('/agent/auth/claim', { claim_token, email: mailbox });
        const otp = await codeFor(mailbox);
        const page = await openBrowser(completed).get(
          asked.body.data.verification_uri.replace(begun.url, completed.url),
        );
        t.is(page.status, 200);
        const done = await completed.post('/agent/auth/claim/complete', { claim_token, otp });
        t.is(done.status, 200, done.text);
      }
      await stop(a);
      await stop(b);
    }
  });
});
