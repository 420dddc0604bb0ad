import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isMailSuppressed } from '../../src/domain/accounts/mail-suppressions.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf, said, tally } from '../helpers/ceremony.ts';
import { assertPage, codeIn, DENIED, type House, heading, openHouse } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/service.ts';

onEveryEngine('the claim page: this was not me', (engine) => {
  let house: House;
  before(async () => {
    house = await openHouse(engine);
  });
  after(() => house.stop());

  describe('"This was not me"', () => {
    test('looking changes nothing; the button ends the claim for good, also after an approval', async () => {
      for (const approvedBefore of [false, true]) {
        const asked = await house.ask({ name: 'Robin' });
        const human = await house.open(asked.viewUrl);
        if (approvedBefore) await human.post('/claim', { code: codeIn(asked.mail) });
        const before = await house.rows();
        await human.get(asked.mail.denyUrl);
        assertPage(await human.get('/claim/deny'), 200);
        assert.deepEqual(await house.rows(), before);

        const said_no = await human.post('/claim/deny');
        assertPage(said_no, 410);
        assert.equal(heading(said_no), DENIED);
        assert.equal(said(await house.poll(asked.claim_token)), '410 claim_denied');
        assert.equal(said(await house.complete(asked.claim_token, codeIn(asked.mail))), '410 claim_denied');
        const { claim_token } = asked;
        for (const email of [asked.mailbox, newMailbox()]) {
          const reply = await house.on.post('/agent/auth/claim', { claim_token, email });
          assert.equal(said(reply), '410 claim_denied');
        }
        assert.equal(heading(await human.get('/claim')), DENIED);
        // The key from before the claim was the agent's own and still reads.
        assert.deepEqual((await house.on.get('/api/me', asked.credential)).body.data.scopes, ['read']);
      }
    });

    test('who came by the mail keeps that agent away from the mailbox for 24 hours, also under a new registration, and no other', async () => {
      const { on, ask, register, settled } = house;
      const { db } = on.service.deps;
      const asked = await ask({ name: 'Robin' });
      const human = await house.open(asked.mail.denyUrl);
      await human.post('/claim/deny');
      const deniedAt = on.clock();
      const sender = { id: await house.registrationOf(asked), name: 'Robin', origin: asked.mail.origin };
      const refusedAt = (at: number, change = {}) =>
        isMailSuppressed({ db, clock: () => at }, asked.mailbox, { ...sender, ...change });
      assert.equal(await refusedAt(deniedAt + 86_400_000 - 1), true);
      assert.equal(await refusedAt(deniedAt + 86_400_000), false);
      assert.equal(await refusedAt(deniedAt, { id: 'reg_new', name: ' ROBIN' }), true);
      assert.equal(await refusedAt(deniedAt, { id: 'reg_new', origin: '192.0.2.0/24' }), false);

      const before = on.mails.length;
      const again = await register('Robin');
      const claimed = await on.post('/agent/auth/claim', {
        claim_token: again.claim_token,
        email: asked.mailbox,
      });
      assert.equal(claimed.status, 200); // no agent can tell from the answer
      await settled(asked.mailbox);
      assert.equal(on.mails.length, before);
      const other = await ask({ mailbox: asked.mailbox, name: 'Somebody else' });
      assert.notEqual(other.mail.id, asked.mail.id);
    });

    test('"no more such mails" keeps all mail away, and no agent can tell from the answers', async () => {
      const { on, ask, register, settled } = house;
      const asked = await ask();
      const human = await house.open(asked.mail.denyUrl);
      const page = await human.post('/claim/deny', { no_more: 'on' });
      assert.equal(heading(page), DENIED);

      const mailsBefore = on.mails.length;
      const other = await register();
      const { claim_token } = other;
      const claimed = await on.post('/agent/auth/claim', { claim_token, email: asked.mailbox });
      const asserted = await on.post('/agent/auth', {
        type: 'identity_assertion',
        assertions: [{ type: 'verified_email', email: asked.mailbox }],
      });
      await settled(asked.mailbox);
      assert.equal(await countOf(on, 'outbox WHERE mailbox = ? AND sent_at IS NOT NULL', [asked.mailbox]), 3);
      assert.equal(on.mails.length, mailsBefore);
      assert.equal(said(await house.poll(claim_token)), '400 authorization_pending');

      // The same of a mailbox that takes mail.
      const open = newMailbox();
      const openClaimed = await on.post('/agent/auth/claim', {
        claim_token: (await register()).claim_token,
        email: open,
      });
      const openAsserted = await on.post('/agent/auth', {
        type: 'identity_assertion',
        assertions: [{ type: 'verified_email', email: open }],
      });
      for (const [refusing, taking] of [
        [claimed, openClaimed],
        [asserted, openAsserted],
      ] as const) {
        assert.equal(refusing.status, taking.status);
        assert.deepEqual(Object.keys(refusing.body.data), Object.keys(taking.body.data));
        assert.equal(refusing.body.data.message.replace(asked.mailbox, open), taking.body.data.message);
        assert.deepEqual([...refusing.headers.keys()], [...taking.headers.keys()]);
      }
    });

    test('by the link that the agent has, nobody keeps mail away from a mailbox', async () => {
      const { on, ask } = house;
      const asked = await ask();
      const stranger = await house.open(asked.viewUrl);
      const page = await stranger.get('/claim/deny');
      assert.doesNotMatch(page.text, /no_more/);
      await stranger.post('/claim/deny', { no_more: 'on' });
      assert.equal(said(await house.poll(asked.claim_token)), '410 claim_denied');
      assert.equal(await countOf(on, 'mail_refusals WHERE mailbox = ?', [asked.mailbox]), 0);
      const seen = on.mails.length;
      await ask({ mailbox: asked.mailbox });
      assert.equal(on.mails.length, seen + 1);
    });

    test('a yes and a no at once, and an agent that asks all the time: either it has its key or it was denied', async () => {
      for (let round = 0; round < 5; round += 1) {
        const asked = await house.ask();
        const [willing, unwilling] = [await house.open(asked.viewUrl), await house.open(asked.mail.denyUrl)];
        const fields = { ...willing.form('/claim'), code: codeIn(asked.mail) };
        const polls = () => Array.from({ length: 5 }, () => house.poll(asked.claim_token));
        const yes = willing.send('/claim', fields);
        const early = Promise.all(polls());
        const no = unwilling.post('/claim/deny');
        const replies = [...(await early), ...(await Promise.all(polls()))];
        for (const page of [await yes, await no]) assert.ok(page.status < 500, page.text);
        const last = said(await house.poll(asked.claim_token));
        const got = replies.filter(({ status }) => status === 200);
        assert.equal(got.length, last === '409 already_claimed' ? 1 : 0, last);
        if (got.length === 0) assert.equal(last, '410 claim_denied');
        const allowed = ['200', '400 authorization_pending', last];
        assert.deepEqual(
          Object.keys(tally(replies)).filter((each) => !allowed.includes(each)),
          [],
        );
      }
    });

    test('a no after the key was collected takes nothing back and says so', async () => {
      const asked = await house.ask();
      const { data } = (await house.complete(asked.claim_token, codeIn(asked.mail))).body;
      const human = openBrowser(house.on);
      await human.get(asked.viewUrl);
      const page = await human.get('/claim/deny');
      assert.equal(heading(page), 'This agent has been claimed already');
      assert.throws(() => human.form('/claim/deny'));
      assert.equal((await house.on.get('/api/me', data.credential)).status, 200);
    });
  });
});
