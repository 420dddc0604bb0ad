import { countOf, said } from '../helpers/ceremony.ts';
import {
  APPROVED,
  assertPage,
  CODE_OVER,
  codeIn,
  type House,
  heading,
  openHouse,
  WAITING,
} from '../helpers/claim-page.ts';
import { wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the claim page: wrong codes', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine);
  });
  test.after(() => house.stop());

  test.describe('wrong codes on the page', (test) => {
    test('share the five tries of a code with those of the agent, and the page says how many are left', async (t) => {
      const asked = await house.ask();
      const [right, wrong] = [codeIn(asked.mail), wrongCode(codeIn(asked.mail))];
      const human = await house.open(asked.viewUrl);
      const first = await human.post('/claim', { code: wrong });
      assertPage(t, first, 400);
      t.regex(
        first.text,
        /role="alert"[\s\S]*id="code-error"[\s\S]*That code isn’t right\. .*4 tries are left\./,
      );
      t.false(first.text.includes(wrong));
      t.regex(first.text, /<title>Error: Approve this agent\? · Vouchsafe<\/title>/);
      t.regex(
        first.text,
        /<input class="code"[^>]* aria-describedby="code-hint code-error" aria-invalid="true" autofocus>/,
      );
      const told = await house.complete(asked.claim_token, wrong);
      t.is(said(told), '401 otp_invalid');
      t.is(told.body.error.attempts_remaining, 3);
      t.regex((await human.post('/claim', { code: wrong })).text, /2 tries are left\./);
      t.regex((await human.post('/claim', { code: wrong })).text, /1 try is left\./);
      const form = human.form('/claim');
      const last = await human.post('/claim', { code: wrong });
      assertPage(t, last, 400);
      t.is(heading(last), CODE_OVER);
      t.throws(() => human.form('/claim'));

      const late = await human.send('/claim', { ...form, code: right });
      assertPage(t, late, 400);
      t.is(heading(late), CODE_OVER);
      t.is(said(await house.complete(asked.claim_token, right)), '410 otp_expired');
      t.is(await house.approvals(asked), 0);
    });

    test('after one, the right code still approves', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      await human.post('/claim', { code: wrongCode(codeIn(asked.mail)) });
      t.is(heading(await human.post('/claim', { code: codeIn(asked.mail) })), APPROVED);
    });

    test('what is no code at all costs no try and can be typed again at once', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      for (const code of [
        undefined,
        '',
        '  ',
        '12345',
        '1234567',
        '12345a',
        'abcdef',
        '１２３４５',
        '<b>1',
      ]) {
        const page = await human.post('/claim', { code });
        assertPage(t, page, 400, String(code));
        t.regex(
          page.text,
          /role="alert"[\s\S]*id="code-error".*Enter the 6 digits of the code\./,
          String(code),
        );
      }
      t.is(heading(await human.get('/claim')), WAITING);
      const row = await house.on.service.deps.db.get<{ tries: number }>(
        'SELECT tries FROM claim_attempts WHERE mailbox = ?',
        [asked.mailbox],
      );
      t.is(row!.tries, 0);
      t.is(heading(await human.post('/claim', { code: codeIn(asked.mail) })), APPROVED);
    });

    test('of 200 at once, at most five are compared, and then the right one is refused', async (t) => {
      const { on, ask, open } = house;
      const asked = await ask();
      const right = codeIn(asked.mail);
      const human = await open(asked.viewUrl);
      const form = human.form('/claim');
      const pages = await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          human.send('/claim', {
            ...form,
            code: String((Number(right) + 1 + index) % 1_000_000).padStart(6, '0'),
          }),
        ),
      );
      for (const page of pages) assertPage(t, page, 400);
      const subject = await house.registrationOf(asked);
      t.is(await countOf(on, `events WHERE kind = 'claim.guess_failed' AND subject = ?`, [subject]), 5);
      const late = await human.send('/claim', { ...form, code: right });
      assertPage(t, late, 400);
      t.is(said(await house.poll(asked.claim_token)), '410 otp_expired');
      t.is(await house.approvals(asked), 0);
    });

    test('of twenty right ones at once one approves, and all are told so', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      const fields = { ...human.form('/claim'), code: codeIn(asked.mail) };
      const pages = await Promise.all(Array.from({ length: 20 }, () => human.send('/claim', fields)));
      for (const page of pages) t.is(heading(page), APPROVED);
      t.is(await house.approvals(asked), 1);
    });
  });
});
