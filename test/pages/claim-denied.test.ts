import { isMailSuppressed } from '../../src/domain/accounts/mail-suppressions.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf, said, tally } from '../helpers/ceremony.ts';
import {
  assertPage,
  CLAIMED,
  codeIn,
  DENIED,
  type House,
  heading,
  openHouse,
} from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { SESSION, signIn, typeMailedCode } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the claim page: declining', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine);
  });
  test.after(() => house.stop());

  test.describe('"Decline"', (test) => {
    test('looking changes nothing; the button ends the claim for good, also after an approval', async (t) => {
      for (const approvedBefore of [false, true]) {
        const asked = await house.ask({ name: 'Robin' });
        const human = await house.open(asked.viewUrl);
        if (approvedBefore) await human.post('/claim', { code: codeIn(asked.mail) });
        const before = await house.rows();
        await human.get(asked.mail.denyUrl);
        assertPage(t, await human.get('/claim/deny'), 200);
        t.deepEqual(await house.rows(), before);

        const said_no = await human.post('/claim/deny');
        assertPage(t, said_no, 410);
        t.is(heading(said_no), DENIED);
        t.is(said(await house.poll(asked.claim_token)), '410 claim_denied');
        t.is(said(await house.complete(asked.claim_token, codeIn(asked.mail))), '410 claim_denied');
        const { claim_token } = asked;
        for (const email of [asked.mailbox, newMailbox()]) {
          const reply = await house.on.post('/agent/auth/claim', { claim_token, email });
          t.is(said(reply), '410 claim_denied');
        }
        t.is(heading(await human.get('/claim')), DENIED);
        // The key from before the claim was the agent's own and still reads.
        t.deepEqual((await house.on.get('/api/me', asked.credential)).body.data.scopes, ['read']);
      }
    });

    test('the form outlives its session, with its box', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.mail.denyUrl);
      await signIn(house.on, asked.mailbox, { browser: human });
      await human.get('/claim/deny');
      const form = human.form('/claim/deny');
      human.cookies.set(SESSION, 'ended');
      const led = await human.send('/claim/deny', { ...form, no_more: 'on' });
      t.is(led.path, '/sign-in?next=/claim/deny');
      const back = await typeMailedCode(house.on, asked.mailbox, { browser: human, next: '/claim/deny' });
      t.is(back.path, '/claim/deny');
      t.regex(back.text, /name="no_more" value="on" checked/);
      t.is(said(await house.poll(asked.claim_token)), '400 authorization_pending');
    });

    test('who came by the mail keeps that agent away from the mailbox for 24 hours, also under a new registration, and no other', async (t) => {
      const { on, ask, register, settled } = house;
      const { db } = on.service.deps;
      const asked = await ask({ name: 'Robin' });
      const human = await house.open(asked.mail.denyUrl);
      await human.post('/claim/deny');
      const deniedAt = on.clock();
      const sender = { id: await house.registrationOf(asked), name: 'Robin', origin: asked.mail.origin };
      const refusedAt = (at: number, change = {}) =>
        isMailSuppressed({ db, clock: () => at }, asked.mailbox, { ...sender, ...change });
      t.true(await refusedAt(deniedAt + 86_400_000 - 1));
      t.false(await refusedAt(deniedAt + 86_400_000));
      t.true(await refusedAt(deniedAt, { id: 'reg_new', name: ' ROBIN' }));
      t.false(await refusedAt(deniedAt, { id: 'reg_new', origin: '192.0.2.0/24' }));

      const before = on.mails.length;
      const again = await register('Robin');
      const claimed = await on.post('/agent/auth/claim', {
        claim_token: again.claim_token,
        email: asked.mailbox,
      });
      t.is(claimed.status, 200); // no agent can tell from the answer
      await settled(asked.mailbox);
      t.is(on.mails.length, before);
      const other = await ask({ mailbox: asked.mailbox, name: 'Somebody else' });
      t.not(other.mail.id, asked.mail.id);
    });

    test('"no more such mails" keeps all mail away, and no agent can tell from the answers', async (t) => {
      const { on, ask, register, settled } = house;
      const asked = await ask();
      const human = await house.open(asked.mail.denyUrl);
      const page = await human.post('/claim/deny', { no_more: 'on' });
      t.is(heading(page), DENIED);

      const mailsBefore = on.mails.length;
      const other = await register();
      const { claim_token } = other;
      const claimed = await on.post('/agent/auth/claim', { claim_token, email: asked.mailbox });
      const asserted = await on.post('/agent/auth', {
        type: 'identity_assertion',
        assertions: [{ type: 'verified_email', email: asked.mailbox }],
      });
      await settled(asked.mailbox);
      t.is(await countOf(on, 'outbox WHERE mailbox = ? AND sent_at IS NOT NULL', [asked.mailbox]), 3);
      t.is(on.mails.length, mailsBefore);
      t.is(said(await house.poll(claim_token)), '400 authorization_pending');

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
        t.is(refusing.status, taking.status);
        t.deepEqual(Object.keys(refusing.body.data), Object.keys(taking.body.data));
        t.is(refusing.body.data.message.replace(asked.mailbox, open), taking.body.data.message);
        t.deepEqual([...refusing.headers.keys()], [...taking.headers.keys()]);
      }
    });

    test('by the link that the agent has, nobody keeps mail away from a mailbox', async (t) => {
      const { on, ask } = house;
      const asked = await ask();
      const stranger = await house.open(asked.viewUrl);
      const page = await stranger.get('/claim/deny');
      t.notRegex(page.text, /no_more/);
      await stranger.post('/claim/deny', { no_more: 'on' });
      t.is(said(await house.poll(asked.claim_token)), '410 claim_denied');
      t.is(await countOf(on, 'mail_refusals WHERE mailbox = ?', [asked.mailbox]), 0);
      const seen = on.mails.length;
      await ask({ mailbox: asked.mailbox });
      t.is(on.mails.length, seen + 1);
    });

    test('a yes and a no at once, and an agent that asks all the time: either it has its key or it was denied', async (t) => {
      for (let round = 0; round < 5; round += 1) {
        const asked = await house.ask();
        const [willing, unwilling] = [await house.open(asked.viewUrl), await house.open(asked.mail.denyUrl)];
        const fields = { ...willing.form('/claim'), code: codeIn(asked.mail) };
        const polls = () => Array.from({ length: 5 }, () => house.poll(asked.claim_token));
        const yes = willing.send('/claim', fields);
        const early = Promise.all(polls());
        const no = unwilling.post('/claim/deny');
        const replies = [...(await early), ...(await Promise.all(polls()))];
        for (const page of [await yes, await no]) t.true(page.status < 500, page.text);
        const last = said(await house.poll(asked.claim_token));
        const got = replies.filter(({ status }) => status === 200);
        t.is(got.length, last === '409 already_claimed' ? 1 : 0, last);
        if (got.length === 0) t.is(last, '410 claim_denied');
        const allowed = ['200', '400 authorization_pending', last];
        t.deepEqual(
          Object.keys(tally(replies)).filter((each) => !allowed.includes(each)),
          [],
        );
      }
    });

    test('a no after the key was collected takes nothing back and says so', async (t) => {
      const asked = await house.ask();
      const { data } = (await house.complete(asked.claim_token, codeIn(asked.mail))).body;
      const human = openBrowser(house.on);
      await human.get(asked.viewUrl);
      const page = await human.get('/claim/deny');
      t.is(heading(page), CLAIMED);
      t.throws(() => human.form('/claim/deny'));
      t.is((await house.on.get('/api/me', data.credential)).status, 200);
    });
  });
});
