import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { from, said } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { assertSpent, DAY, DEFAULTS, HOUR, newAddress, steps } from '../helpers/limit-steps.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

let made = 0;

/** The newest mail to a mailbox has a link that approves, and nowhere a code. */
async function assertLinkMailed(on: TestService, mailbox: string): Promise<void> {
  const { proof } = await on.mailTo(mailbox);
  assert.equal(proof.kind, 'link');
  assert.ok(proof.approveUrl.startsWith(`${on.url}/claim?t=a.`), proof.approveUrl);
  const { mails } = (await on.get('/dev/mailbox.json')).body;
  const mail = mails.find(({ to }: { to: string }) => to === mailbox);
  for (const part of [mail.subject, mail.text, mail.html]) {
    assert.doesNotMatch(part.replaceAll(/https?:\/\/[^\s"<]+/g, ''), /\d{6}/);
  }
  for (const part of [mail.text, mail.html]) assert.ok(part.includes(proof.approveUrl), part);
}

onEveryEngine('limits of wrong guesses', (engine) => {
  let on: TestService;
  let at: ReturnType<typeof steps>;
  before(async () => {
    on = await startTestService(engine, { env: DEFAULTS });
    at = steps(on);
  });
  after(() => on.stop());

  describe('wrong guesses', () => {
    test('a mailbox takes ten wrong guesses a day over all claims and addresses; then not even the right one', async () => {
      const name = `guessed${++made}`;
      const [first, second, third] = [
        await at.pending(`${name}@example.com`),
        await at.pending(`${name}+a@example.com`),
        await at.pending(`${name}+b@example.com`),
      ];
      await at.wrongTimes(5, first);
      await at.wrongTimes(5, second);
      const budget = { max: 10, windowSeconds: DAY };
      assertSpent(await at.right(third), 'wrongPerMailboxDay', budget);
      assertSpent(await at.wrong(third), 'wrongPerMailboxDay', budget);

      on.clock.advance(DAY - 300);
      const late = await at.pending(`${name}+late@example.com`);
      assertSpent(await at.right(late), 'wrongPerMailboxDay', { ...budget, resetSeconds: 300 });
      on.clock.advance(300);
      assert.equal(said(await at.right(await at.pending(`${name}@example.com`))), '200');
    });

    test('a mailbox that was guessed at too often is mailed a link in place of a code, until its day is over (S-17)', async () => {
      const name = `linked${++made}`;
      await at.wrongTimes(5, await at.pending(`${name}@example.com`));
      const before = await at.pending(`${name}+a@example.com`);
      await at.wrongTimes(5, before);
      assert.equal((await on.mailTo(`${name}+a@example.com`)).proof.kind, 'code');

      on.clock.advance(DAY - 300);
      const late = await at.pending(`${name}+late@example.com`);
      await assertLinkMailed(on, `${name}+late@example.com`);
      const other = newMailbox();
      await at.pending(other);
      assert.equal((await on.mailTo(other)).proof.kind, 'code');

      on.clock.advance(300);
      // Nothing was mailed that could be guessed: not even what the code would have been is taken.
      assert.equal(said(await at.right(late)), '401 otp_invalid');
      await at.pending(`${name}+next@example.com`);
      assert.equal((await on.mailTo(`${name}+next@example.com`)).proof.kind, 'code');
    });

    test('an address makes twenty wrong guesses an hour; then not even a right one, and others are not touched', async () => {
      const address = newAddress();
      for (let count = 0; count < 4; count += 1) {
        await at.wrongTimes(5, await at.pending(newMailbox()), address);
      }
      const token = await at.pending(newMailbox());
      const budget = { max: 20, windowSeconds: HOUR };
      assertSpent(await at.right(token, address), 'wrongPerIpHour', budget);
      assertSpent(await at.wrong(token, address), 'wrongPerIpHour', budget);
      assert.equal(said(await at.right(token)), '200');
      on.clock.advance(HOUR);
      assert.equal(said(await at.right(await at.pending(newMailbox()), address)), '200');
    });

    test('addresses of one IPv6 /64 guess from one budget (S-06)', async () => {
      for (let host = 1; host <= 4; host += 1) {
        await at.wrongTimes(5, await at.pending(newMailbox()), `2001:db8:77:1::${host}`);
      }
      const token = await at.pending(newMailbox());
      assert.equal(said(await at.right(token, '2001:db8:77:1:ffff::')), '429 rate_limited');
      assert.equal(said(await at.right(token, '2001:db8:77:2::1')), '200');
    });

    test('a right guess costs nothing', async () => {
      const address = newAddress();
      for (let count = 0; count < 22; count += 1) {
        assert.equal(said(await at.right(await at.pending(newMailbox()), address)), '200');
      }
      assert.equal(await at.used(`wrongPerIpHour:${address}`), 0);

      const mailbox = newMailbox();
      await at.wrongTimes(5, await at.pending(mailbox));
      const token = await at.pending(mailbox);
      await at.wrongTimes(4, token);
      assert.equal(said(await at.right(token)), '200');
      const last = await at.pending(mailbox);
      await at.wrongTimes(1, last);
      assert.equal(said(await at.right(last)), '429 rate_limited');
    });

    test('a guess at a code that is dead already costs nothing', async () => {
      const mailbox = newMailbox();
      const token = await at.pending(mailbox);
      await at.wrongTimes(5, token);
      const address = newAddress();
      for (let count = 0; count < 8; count += 1) {
        assert.equal(said(await at.wrong(token, address)), '410 otp_expired');
      }
      assert.equal(await at.used(`wrongPerIpHour:${address}`), 0);
      assert.equal(await at.used(`wrongPerMailboxDay:${mailbox}`), 5);
    });

    test('a guess refused by the address takes nothing from the mailbox', async () => {
      const address = newAddress();
      for (let count = 0; count < 4; count += 1) {
        await at.wrongTimes(5, await at.pending(newMailbox()), address);
      }
      const mailbox = newMailbox();
      const token = await at.pending(mailbox);
      for (let count = 0; count < 12; count += 1) {
        assert.equal(said(await at.wrong(token, address)), '429 rate_limited');
      }
      assert.equal(await at.used(`wrongPerMailboxDay:${mailbox}`), 0);
      const reply = await at.wrong(token);
      assert.equal(reply.body.error.attempts_remaining, 4);
    });

    test('after ten thousand wrong guesses in a day the service takes no more codes, and says until when (S-07)', async () => {
      await at.wrongTimes(1, await at.pending(newMailbox()));
      await at.spendAllButOne('wrongPerServiceDay:', 10_000);
      const token = await at.pending(newMailbox());
      await at.wrongTimes(1, token);
      for (const reply of [await at.right(token), await at.wrong(token)]) {
        assert.equal(said(reply), '503 unavailable');
        const seconds = Number(reply.headers.get('retry-after'));
        assert.ok(seconds > 0 && seconds <= DAY);
        assert.equal(reply.headers.get('ratelimit-policy'), '"wrongPerServiceDay";q=10000;w=86400');
      }
      const mailbox = newMailbox();
      await at.pending(mailbox);
      await assertLinkMailed(on, mailbox);
      // Keys, and agents on their own, are not touched.
      assert.equal(said(await at.register(from(newAddress()))), '200');
      on.clock.advance(DAY);
      assert.equal(said(await at.right(await at.pending(newMailbox()))), '200');
    });
  });
});
