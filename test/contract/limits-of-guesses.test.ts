import type { ExecutionContext } from 'ava';
import { from, said } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { assertSpent, DAY, DEFAULTS, HOUR, newAddress, steps } from '../helpers/limit-steps.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

let made = 0;

/** The newest mail to a mailbox has a link that approves, and nowhere a code. */
async function assertLinkMailed(t: ExecutionContext, on: TestService, mailbox: string): Promise<void> {
  const { proof } = await on.mailTo(mailbox);
  if (proof.kind !== 'link') return t.fail(proof.kind);
  t.true(proof.approveUrl.startsWith(`${on.url}/claim?t=a.`), proof.approveUrl);
  const { mails } = (await on.get('/dev/mailbox.json')).body;
  const mail = mails.find(({ to }: { to: string }) => to === mailbox);
  for (const part of [mail.subject, mail.text, mail.html]) {
    t.notRegex(part.replaceAll(/https?:\/\/[^\s"<]+/g, ''), /\d{6}/);
  }
  for (const part of [mail.text, mail.html]) t.truthy(part.includes(proof.approveUrl), part);
}

onEveryEngine('limits of wrong guesses', (engine, test) => {
  let on: TestService;
  let at: ReturnType<typeof steps>;
  test.before(async () => {
    on = await startTestService(engine, { env: DEFAULTS });
    at = steps(on);
  });
  test.after(() => on.stop());

  test.describe('wrong guesses', (test) => {
    test('a mailbox takes ten wrong guesses a day over all claims and addresses; then not even the right one', async (t) => {
      const name = `guessed${++made}`;
      const [first, second, third] = [
        await at.pending(`${name}@example.com`),
        await at.pending(`${name}+a@example.com`),
        await at.pending(`${name}+b@example.com`),
      ];
      await at.wrongTimes(5, first);
      await at.wrongTimes(5, second);
      const budget = { max: 10, windowSeconds: DAY };
      assertSpent(t, await at.right(third), 'wrongPerMailboxDay', budget);
      assertSpent(t, await at.wrong(third), 'wrongPerMailboxDay', budget);

      on.clock.advance(DAY - 300);
      const late = await at.pending(`${name}+late@example.com`);
      assertSpent(t, await at.right(late), 'wrongPerMailboxDay', { ...budget, resetSeconds: 300 });
      on.clock.advance(300);
      t.is(said(await at.right(await at.pending(`${name}@example.com`))), '200');
    });

    test('a mailbox that was guessed at too often is mailed a link in place of a code, until its day is over (S-17)', async (t) => {
      const name = `linked${++made}`;
      await at.wrongTimes(5, await at.pending(`${name}@example.com`));
      const before = await at.pending(`${name}+a@example.com`);
      await at.wrongTimes(5, before);
      t.is((await on.mailTo(`${name}+a@example.com`)).proof.kind, 'code');

      on.clock.advance(DAY - 300);
      const late = await at.pending(`${name}+late@example.com`);
      await assertLinkMailed(t, on, `${name}+late@example.com`);
      const other = newMailbox();
      await at.pending(other);
      t.is((await on.mailTo(other)).proof.kind, 'code');

      on.clock.advance(300);
      // Nothing was mailed that could be guessed: not even what the code would have been is taken.
      t.is(said(await at.right(late)), '401 otp_invalid');
      await at.pending(`${name}+next@example.com`);
      t.is((await on.mailTo(`${name}+next@example.com`)).proof.kind, 'code');
    });

    test('an address makes twenty wrong guesses an hour; then not even a right one, and others are not touched', async (t) => {
      const address = newAddress();
      for (let count = 0; count < 4; count += 1) {
        await at.wrongTimes(5, await at.pending(newMailbox()), address);
      }
      const token = await at.pending(newMailbox());
      const budget = { max: 20, windowSeconds: HOUR };
      assertSpent(t, await at.right(token, address), 'wrongPerIpHour', budget);
      assertSpent(t, await at.wrong(token, address), 'wrongPerIpHour', budget);
      t.is(said(await at.right(token)), '200');
      on.clock.advance(HOUR);
      t.is(said(await at.right(await at.pending(newMailbox()), address)), '200');
    });

    test('addresses of one IPv6 /64 guess from one budget (S-06)', async (t) => {
      for (let host = 1; host <= 4; host += 1) {
        await at.wrongTimes(5, await at.pending(newMailbox()), `2001:db8:77:1::${host}`);
      }
      const token = await at.pending(newMailbox());
      t.is(said(await at.right(token, '2001:db8:77:1:ffff::')), '429 rate_limited');
      t.is(said(await at.right(token, '2001:db8:77:2::1')), '200');
    });

    test('a right guess costs nothing', async (t) => {
      const address = newAddress();
      for (let count = 0; count < 22; count += 1) {
        t.is(said(await at.right(await at.pending(newMailbox()), address)), '200');
      }
      t.is(await at.used(`wrongPerIpHour:${address}`), 0);

      const mailbox = newMailbox();
      await at.wrongTimes(5, await at.pending(mailbox));
      const token = await at.pending(mailbox);
      await at.wrongTimes(4, token);
      t.is(said(await at.right(token)), '200');
      const last = await at.pending(mailbox);
      await at.wrongTimes(1, last);
      t.is(said(await at.right(last)), '429 rate_limited');
    });

    test('a guess at a code that is dead already costs nothing', async (t) => {
      const mailbox = newMailbox();
      const token = await at.pending(mailbox);
      await at.wrongTimes(5, token);
      const address = newAddress();
      for (let count = 0; count < 8; count += 1) {
        t.is(said(await at.wrong(token, address)), '410 otp_expired');
      }
      t.is(await at.used(`wrongPerIpHour:${address}`), 0);
      t.is(await at.used(`wrongPerMailboxDay:${mailbox}`), 5);
    });

    test('a guess refused by the address takes nothing from the mailbox', async (t) => {
      const address = newAddress();
      for (let count = 0; count < 4; count += 1) {
        await at.wrongTimes(5, await at.pending(newMailbox()), address);
      }
      const mailbox = newMailbox();
      const token = await at.pending(mailbox);
      for (let count = 0; count < 12; count += 1) {
        t.is(said(await at.wrong(token, address)), '429 rate_limited');
      }
      t.is(await at.used(`wrongPerMailboxDay:${mailbox}`), 0);
      const reply = await at.wrong(token);
      t.is(reply.body.error.attempts_remaining, 4);
    });

    test('after ten thousand wrong guesses in a day the service takes no more codes, and says until when (S-07)', async (t) => {
      await at.wrongTimes(1, await at.pending(newMailbox()));
      await at.spendAllButOne('wrongPerServiceDay:', 10_000);
      const token = await at.pending(newMailbox());
      await at.wrongTimes(1, token);
      for (const reply of [await at.right(token), await at.wrong(token)]) {
        t.is(said(reply), '503 unavailable');
        const seconds = Number(reply.headers.get('retry-after'));
        t.true(seconds > 0 && seconds <= DAY);
        t.is(reply.headers.get('ratelimit-policy'), '"wrongPerServiceDay";q=10000;w=86400');
      }
      const mailbox = newMailbox();
      await at.pending(mailbox);
      await assertLinkMailed(t, on, mailbox);
      // Keys, and agents on their own, are not touched.
      t.is(said(await at.register(from(newAddress()))), '200');
      on.clock.advance(DAY);
      t.is(said(await at.right(await at.pending(newMailbox()))), '200');
    });
  });
});
