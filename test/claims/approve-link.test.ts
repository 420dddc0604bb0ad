import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createRender } from '../../src/mail/render.ts';
import type { ClaimCodeMail } from '../../src/ports/mailer.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import {
  APPROVED,
  approveUrlIn,
  assertPage,
  codeIn,
  type House,
  heading,
  LINK_OVER,
  openHouse,
  REPLACED,
  tokenIn,
  WAITING,
} from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine, wrongCode } from '../helpers/service.ts';

onEveryEngine('the claim page where a mailbox was guessed at', (engine) => {
  let house: House;
  before(async () => {
    house = await openHouse(engine, { limits: { wrongPerMailboxDay: 10 } });
  });
  after(() => house.stop());

  /** Spends the mailbox's wrong guesses of the day: half on the page, half by the API. */
  async function spendGuesses(mailbox: string): Promise<void> {
    const onPage = await house.ask({ mailbox });
    const human = await house.open(onPage.viewUrl);
    const form = human.form('/claim');
    for (let tries = 0; tries < 5; tries += 1) {
      assertPage(await human.send('/claim', { ...form, code: wrongCode(codeIn(onPage.mail)) }), 400);
    }
    const byApi = await house.ask({ mailbox });
    for (let tries = 0; tries < 5; tries += 1) {
      const reply = await house.complete(byApi.claim_token, wrongCode(codeIn(byApi.mail)));
      assert.equal(said(reply), '401 otp_invalid');
    }
  }

  /** An agent whose human got a link instead of a code. */
  async function linked(mailbox = newMailbox()) {
    await spendGuesses(mailbox);
    const asked = await house.ask({ mailbox });
    return { ...asked, approveUrl: approveUrlIn(asked.mail) };
  }

  test('ten wrong codes a day, page and API together; then also the right one is refused on both', async () => {
    const mailbox = newMailbox();
    const waiting = await house.ask({ mailbox });
    await spendGuesses(mailbox);
    const human = await house.open(waiting.viewUrl);
    const page = await human.post('/claim', { code: codeIn(waiting.mail) });
    assertPage(page, 429);
    assert.match(page.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
    assert.equal(said(await house.complete(waiting.claim_token, codeIn(waiting.mail))), '429 rate_limited');
    assert.equal(said(await house.poll(waiting.claim_token)), '400 authorization_pending');
  });

  test('the next mail carries a link and no digits; opening it does nothing; its button approves once', async () => {
    const { on, open, rows, poll } = house;
    const asked = await linked();
    const { text, html } = createRender(on.service.deps.config)(asked.mail);
    for (const body of [text, html]) {
      assert.ok(body.includes(asked.approveUrl));
      assert.doesNotMatch(body.replace(/https?:[^\s"<]+/g, ''), /\d{6}/);
    }

    const before = await rows();
    const browsers = await Promise.all(Array.from({ length: 10 }, () => open(asked.approveUrl)));
    for (const browser of browsers) assert.equal(heading(await browser.get('/claim')), WAITING);
    assert.equal((await on.request('HEAD', asked.approveUrl.slice(on.url.length))).status, 303);
    assert.deepEqual(await rows(), before);
    assert.equal(said(await poll(asked.claim_token)), '400 authorization_pending');
    // The agent's own link shows no button: who has that alone has not read the mail.
    const stranger = await open(asked.viewUrl);
    const strangers = await stranger.get('/claim');
    assert.doesNotMatch(strangers.text, /<button|name="code"/);
    assertPage(await stranger.send('/claim', stranger.form('/claim')), 400);
    const form = stranger.form('/claim');
    for (const code of ['000000', '123456']) {
      assertPage(await stranger.send('/claim', { ...form, code }), 429);
    }

    const approved = await Promise.all(
      browsers.map((browser) => browser.send('/claim', browser.form('/claim'))),
    );
    for (const page of approved) assert.equal(heading(page), APPROVED);
    assert.equal(await house.approvals(asked), 1);
    const collected = await poll(asked.claim_token);
    assert.equal(said(collected), '200');
    assert.equal((await on.get('/api/me', collected.body.data.credential)).body.data.claim.status, 'claimed');
    assert.ok(!on.logged.join('').includes(tokenIn(asked.approveUrl).split('.').at(-1)!));
  });

  test('the link is dead after its use', async () => {
    const asked = await linked();
    const human = await house.open(asked.approveUrl);
    const form = human.form('/claim');
    await human.post('/claim');
    const before = await house.rows();
    const again = await house.open(asked.approveUrl);
    assert.throws(() => again.form('/claim'));
    assert.equal(heading(await human.send('/claim', form)), APPROVED);
    assert.deepEqual(await house.rows(), before);
    await house.poll(asked.claim_token);
    const claimed = await house.rows();
    assertPage(await human.send('/claim', form), 409);
    assert.deepEqual(await house.rows(), claimed);
  });

  test('the link is dead after the agent asked anew', async () => {
    const asked = await linked();
    const human = await house.open(asked.approveUrl);
    const form = human.form('/claim');
    const anew = await house.ask({ agent: asked, mailbox: asked.mailbox });
    assert.notEqual(approveUrlIn(anew.mail), asked.approveUrl);
    const before = await house.rows();
    assert.equal(heading(await human.get('/claim')), REPLACED);
    assertPage(await human.send('/claim', form), 400);
    // Nor does it stand for the new attempt.
    const fresh = await house.open(approveUrlIn(anew.mail));
    assertPage(await human.send('/claim', { ...form, attempt: fresh.form('/claim').attempt }), 400);
    assert.deepEqual(await house.rows(), before);
    assert.equal(heading(await fresh.post('/claim')), APPROVED);
    assert.equal(said(await house.poll(asked.claim_token)), '200');
  });

  test('the link is dead after its time', async () => {
    const asked = await linked();
    const human = await house.open(asked.approveUrl);
    const form = human.form('/claim');
    house.on.clock.advance(600);
    const before = await house.rows();
    assert.equal(heading(await human.get('/claim')), LINK_OVER);
    assertPage(await human.send('/claim', form), 400);
    assert.deepEqual(await house.rows(), before);
    assert.equal(said(await house.poll(asked.claim_token)), '410 otp_expired');
  });

  test('a link of another attempt, of another sending or with another MAC leads nowhere', async () => {
    const [one, other] = [await linked(), await linked()];
    const [letter, id, counter, mac] = tokenIn(one.approveUrl).split('.');
    const [, otherId, , otherMac] = tokenIn(other.approveUrl).split('.');
    assert.equal(letter, 'a');
    const altered = [
      `a.${otherId}.${counter}.${mac}`,
      `a.${id}.${Number(counter) + 1}.${mac}`,
      `a.${id}.0${counter}.${mac}`,
      `a.${id}.${counter}.${otherMac}`,
      `a.${id}.${counter}.${tokenIn(one.viewUrl).split('.').at(-1)}`,
      `a.${id}.${counter}.${tokenIn(one.mail.denyUrl).split('.').at(-1)}`,
      `a.${id}.${counter}`,
      `a.${id}.${mac}`,
      `d.${id}.${mac}`,
    ];
    const before = await house.rows();
    for (const token of altered) {
      const human = openBrowser(house.on);
      assertPage(await human.get(`/claim?t=${token}`), 404, token);
      assert.equal(human.cookies.size, 0);
    }
    assert.deepEqual(await house.rows(), before);
  });

  test('the link is dead when its mail was sent again with a new one', async () => {
    const { on, until, settled } = house;
    const { deps } = on.service;
    const mailbox = newMailbox();
    await spendGuesses(mailbox);
    const agent = await house.register();

    // The server takes the mail, but its answer is lost, so that the outbox knows nothing of it.
    const taken: ClaimCodeMail[] = [];
    const send = deps.mailer.send;
    deps.mailer.send = async (mail) => {
      if (mail.kind === 'claim-code') taken.push(mail);
      return { kind: 'delayed', reason: 'the answer was lost' };
    };
    await on.post('/agent/auth/claim', { claim_token: agent.claim_token, email: mailbox });
    await until(
      async () => (await countOf(on, 'outbox WHERE mailbox = ? AND error IS NOT NULL', [mailbox])) === 1,
    );
    deps.mailer.send = send;
    on.clock.advance(400);
    deps.wakeOutbox();
    await settled(mailbox);
    const second = approveUrlIn(on.mails.findLast(({ to }) => to === mailbox)!);
    const first = approveUrlIn(taken[0]!);
    assert.notEqual(first, second);

    const human = await house.open(first);
    const before = await house.rows();
    assertPage(await human.send('/claim', human.form('/claim')), 400);
    assert.deepEqual(await house.rows(), before);
    assert.equal(said(await house.poll(agent.claim_token)), '400 authorization_pending');
    const again = await house.open(second);
    assert.equal(heading(await again.post('/claim')), APPROVED);
  });
});
