import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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
import { onEveryEngine, wrongCode } from '../helpers/service.ts';

onEveryEngine('the claim page: wrong codes', (engine) => {
  let house: House;
  before(async () => {
    house = await openHouse(engine);
  });
  after(() => house.stop());

  describe('wrong codes on the page', () => {
    test('share the five tries of a code with those of the agent, and the page says how many are left', async () => {
      const asked = await house.ask();
      const [right, wrong] = [codeIn(asked.mail), wrongCode(codeIn(asked.mail))];
      const human = await house.open(asked.viewUrl);
      const first = await human.post('/claim', { code: wrong });
      assertPage(first, 400);
      assert.match(first.text, /role="alert".*The code is wrong\. 4 tries are left\./);
      assert.ok(!first.text.includes(wrong));
      const told = await house.complete(asked.claim_token, wrong);
      assert.equal(said(told), '401 otp_invalid');
      assert.equal(told.body.error.attempts_remaining, 3);
      assert.match((await human.post('/claim', { code: wrong })).text, /2 tries are left\./);
      assert.match((await human.post('/claim', { code: wrong })).text, /One try is left\./);
      const form = human.form('/claim');
      const last = await human.post('/claim', { code: wrong });
      assertPage(last, 400);
      assert.equal(heading(last), CODE_OVER);
      assert.throws(() => human.form('/claim'));

      const late = await human.send('/claim', { ...form, code: right });
      assertPage(late, 400);
      assert.equal(heading(late), CODE_OVER);
      assert.equal(said(await house.complete(asked.claim_token, right)), '410 otp_expired');
      assert.equal(await house.approvals(asked), 0);
    });

    test('after one, the right code still approves', async () => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      await human.post('/claim', { code: wrongCode(codeIn(asked.mail)) });
      assert.equal(heading(await human.post('/claim', { code: codeIn(asked.mail) })), APPROVED);
    });

    test('what is no code at all costs no try and can be typed again at once', async () => {
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
        assertPage(page, 400, String(code));
        assert.match(page.text, /role="alert".*six digits/, String(code));
      }
      assert.equal(heading(await human.get('/claim')), WAITING);
      const row = await house.on.service.deps.db.get<{ tries: number }>(
        'SELECT tries FROM claim_attempts WHERE mailbox = ?',
        [asked.mailbox],
      );
      assert.equal(row!.tries, 0);
      assert.equal(heading(await human.post('/claim', { code: codeIn(asked.mail) })), APPROVED);
    });

    test('of 200 at once, at most five are compared, and then the right one is refused', async () => {
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
      for (const page of pages) assertPage(page, 400);
      const subject = await house.registrationOf(asked);
      assert.equal(
        await countOf(on, `events WHERE kind = 'claim.guess_failed' AND subject = ?`, [subject]),
        5,
      );
      const late = await human.send('/claim', { ...form, code: right });
      assertPage(late, 400);
      assert.equal(said(await house.poll(asked.claim_token)), '410 otp_expired');
      assert.equal(await house.approvals(asked), 0);
    });

    test('of twenty right ones at once one approves, and all are told so', async () => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      const fields = { ...human.form('/claim'), code: codeIn(asked.mail) };
      const pages = await Promise.all(Array.from({ length: 20 }, () => human.send('/claim', fields)));
      for (const page of pages) assert.equal(heading(page), APPROVED);
      assert.equal(await house.approvals(asked), 1);
    });
  });
});
